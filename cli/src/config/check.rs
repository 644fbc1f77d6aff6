//! Checks a TOML document against the schema and reports every fault with its place: unknown and missing fields, wrong
//! types, ranges, choices and formats. It knows the keywords of JSON Schema that `model` uses, no more; a JSON Schema
//! crate would check the same but has neither places in TOML nor "did you mean".

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::problems::Collector;
use super::rules;
use super::suggest::{did_you_mean, suggestion};

/// Checks a table; `path` is empty for the file itself.
pub(super) fn table(schema: &Value, path: &str, table: &DeTable<'_>, at: &Range<usize>, out: &mut Collector) {
    let properties = schema["properties"].as_object();
    let known: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let others = &schema["additionalProperties"];
    for (key, value) in table {
        let (name, at) = (key.get_ref().as_ref(), key.span());
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match properties.and_then(|properties| properties.get(name)).or(others.is_object().then_some(others))
        {
            Some(schema) => self::value(schema, &path, value, out),
            None => {
                let hint = suggestion(name, known.iter().copied());
                let parent = path.strip_suffix(name).unwrap_or_default();
                let place = if parent.is_empty() { "the file".to_owned() } else { title(parent) };
                out.add(&at, format!("unknown field `{name}` in {place}{hint}"));
            }
        }
        if let Some(fault) = string_fault(&schema["propertyNames"], name) {
            out.add(&at, format!("{path}: {fault}"));
        }
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for name in required.iter().copied().filter(|name| !table.contains_key(*name)) {
        let is_table = schema["properties"][name]["type"] == "object";
        let missing = match (path, is_table) {
            ("", _) => format!("missing [{name}]"),
            (_, true) => format!("missing [{path}.{name}]"),
            (_, false) => format!("missing field `{name}` in {}", title(path)),
        };
        // Where any name is allowed, a misspelt one is not reported as unknown.
        let free = table.keys().map(|key| key.get_ref().as_ref()).filter(|_| others.is_object());
        let hint = did_you_mean(name, free).map(|found| format!("; is `{found}` a typo?"));
        out.add(at, missing + &hint.unwrap_or_default());
    }
    if schema["minProperties"].as_u64().is_some_and(|least| (table.len() as u64) < least) {
        let besides = required.first().map(|name| format!(" besides `{name}`")).unwrap_or_default();
        out.add(at, format!("missing [{path}.NAME]: expected at least one{besides}"));
    }
}

fn value(schema: &Value, path: &str, value: &Spanned<DeValue<'_>>, out: &mut Collector) {
    let at = value.span();
    // Choices (`oneOf`) are texts.
    let fault = match (schema["type"].as_str().unwrap_or("string"), value.get_ref()) {
        ("object", DeValue::Table(found)) => return table(schema, path, found, &at, out),
        ("array", DeValue::Array(found)) => return array(schema, path, found, &at, out),
        ("string", DeValue::String(text)) => string_fault(schema, text),
        ("integer", DeValue::Integer(integer)) => integer_fault(schema, integer),
        ("boolean", DeValue::Boolean(_)) => None,
        (_, found) => Some(format!("expected {}, found {}", expected(schema), article(found.type_str()))),
    };
    if let Some(fault) = fault {
        out.add(&at, format!("{path}: {fault}"));
    }
}

fn array(schema: &Value, path: &str, array: &DeArray<'_>, at: &Range<usize>, out: &mut Collector) {
    for (index, item) in array.iter().enumerate() {
        value(&schema["items"], &format!("{path}[{index}]"), item, out);
        let number = |item: &Spanned<DeValue<'_>>| item.get_ref().as_integer().and_then(number);
        if schema["uniqueItems"] == true && array[..index].iter().any(|before| number(before) == number(item))
        {
            out.add(&item.span(), format!("{path}[{index}]: duplicate"));
        }
    }
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| array.len() as u64 > *most) {
        out.add(at, format!("{path}: expected at most {most} items, found {}", array.len()));
    }
}

fn string_fault(schema: &Value, text: &str) -> Option<String> {
    if let Err(fault) = rules::visible(text) {
        return Some(fault);
    }
    let choices: Vec<&str> = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|choice| choice["const"].as_str())
        .collect();
    if !choices.is_empty() && !choices.contains(&text) {
        let hint = suggestion(text, choices.iter().copied());
        return Some(format!("expected `{}`, found `{text}`{hint}", choices.join("` or `")));
    }
    let chars_max = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
    let rule = schema["format"].as_str().and_then(rules::rule)?;
    rule(text, chars_max.unwrap_or(usize::MAX)).err()
}

fn integer_fault(schema: &Value, integer: &DeInteger<'_>) -> Option<String> {
    let number = number(integer);
    let expected = if let Some(choices) = schema["enum"].as_array() {
        if number.is_some_and(|number| choices.iter().any(|choice| choice.as_i64() == Some(number))) {
            return None;
        }
        choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ")
    } else {
        let (least, most) = (schema["minimum"].as_i64()?, schema["maximum"].as_i64()?);
        if number.is_some_and(|number| (least..=most).contains(&number)) {
            return None;
        }
        format!("{least} to {most}")
    };
    Some(format!("expected {expected}, found {}", integer.as_str()))
}

/// `None`: beyond 64 bits, which is out of every range.
fn number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

/// `[usage]`, or `[[geo.sources]]` for an element of an array of tables.
fn title(path: &str) -> String {
    let path = path.trim_end_matches('.');
    path.split_once('[').map_or_else(|| format!("[{path}]"), |(list, _)| format!("[[{list}]]"))
}

fn expected(schema: &Value) -> &'static str {
    match schema["type"].as_str() {
        Some("object") => "a table",
        Some("array") => match schema["items"]["type"].as_str() {
            Some("object") => "an array of tables",
            Some("string") => "an array of strings",
            _ => "an array of integers",
        },
        Some("integer") => "an integer",
        Some("boolean") => "true or false",
        _ => "a quoted string",
    }
}

fn article(name: &str) -> String {
    format!("{} {name}", if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}
