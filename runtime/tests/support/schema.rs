//! The part of JSON Schema that the API's description uses; an unknown keyword is an error, so that nothing goes unchecked.

use serde_json::Value;

/// Keywords for people, and those that `schemathesis` checks.
const PASSED_OVER: [&str; 4] = ["description", "format", "pattern", "minLength"];

/// Checks `value` against `schema`, whose references are within `document`; the error has the place and the reason.
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let members = schema.as_object().ok_or_else(|| format!("{at}: a schema is an object"))?;
    for (keyword, wanted) in members {
        let fits = match keyword.as_str() {
            "$ref" => {
                let path = wanted.as_str().unwrap_or_default().trim_start_matches('#');
                let target = document.pointer(path).ok_or_else(|| format!("{at}: nothing at {path}"))?;
                check(document, target, value, at)?;
                true
            }
            "type" => match wanted {
                Value::Array(names) => {
                    names.iter().any(|name| is_of_type(value, name.as_str().unwrap_or_default()))
                }
                name => is_of_type(value, name.as_str().unwrap_or_default()),
            },
            "const" => value == wanted,
            "enum" => list(wanted).contains(value),
            "anyOf" => list(wanted).iter().any(|schema| check(document, schema, value, at).is_ok()),
            "items" => {
                for (index, item) in list(value).iter().enumerate() {
                    check(document, wanted, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "maxItems" => list(value).len() as u64 <= wanted.as_u64().unwrap_or(0),
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "required" => {
                list(wanted).iter().all(|name| value.get(name.as_str().unwrap_or_default()).is_some())
            }
            "properties" => {
                for (name, schema) in wanted.as_object().into_iter().flatten() {
                    if let Some(value) = value.get(name) {
                        check(document, schema, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name);
                names.all(|name| known.is_some_and(|known| known.contains_key(name)))
            }
            other if PASSED_OVER.contains(&other) => true,
            other => return Err(format!("{at}: the keyword `{other}` is not checked")),
        };
        if !fits {
            return Err(format!("{at}: {value} is not as `{keyword}`: {wanted} says"));
        }
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => false,
    }
}
