//! Every field of a valid `regions.toml` with its effective value and its line, for `ipgeo config show`. The fields and their
//! defaults come from the schema, so a new field is listed without an entry in this file.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::parse::{ANONYMOUS, parse, table};
use super::problems::{Problems, place};
use super::schema::SCHEMA;

/// A field's effective value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Its path: `runtime.memory_mb`, `geo.sources[0].name`.
    pub(crate) name: String,
    /// Null if it is not set and has no default.
    pub(crate) value: Value,
    /// Its line in the file; `None`: a default.
    pub(crate) line: Option<usize>,
}

/// All settings of a file, or all its faults.
pub(super) fn settings(file: &str, text: &str) -> Result<Vec<Setting>, Problems> {
    parse(file, text)?;
    let (document, _) = DeTable::parse_recoverable(text);
    let document = document.get_ref();
    let mut walk = Walk { text, runtime: table(document, "runtime"), found: Vec::new() };
    walk.table(SCHEMA.as_value(), "", Some(document), false);
    Ok(walk.found)
}

struct Walk<'a> {
    text: &'a str,
    /// `[runtime]`: the settings of regions that do not override them.
    runtime: Option<&'a DeTable<'a>>,
    found: Vec<Setting>,
}

impl<'a> Walk<'a> {
    /// The fields of a table. In a list's element (`is_item`), only those that are set: each has many alternatives.
    fn table(&mut self, schema: &Value, path: &str, table: Option<&'a DeTable<'a>>, is_item: bool) {
        let properties = schema["properties"].as_object();
        for (name, schema) in properties.into_iter().flatten() {
            let value = table
                .and_then(|table| table.get(name.as_str()))
                .or_else(|| self.inherited(path, name, table));
            self.field(schema, &joined(path, name), value, is_item);
        }
        let others = &schema["additionalProperties"];
        let is_known = |name: &str| properties.is_some_and(|known| known.contains_key(name));
        let mut named: Vec<_> =
            table.into_iter().flatten().filter(|(key, _)| !is_known(key.get_ref())).collect();
        named.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in named {
            self.field(others, &joined(path, key.get_ref()), Some(value), is_item);
        }
    }

    /// The value of another field that applies where one is left out.
    fn inherited(
        &self,
        path: &str,
        name: &str,
        table: Option<&'a DeTable<'a>>,
    ) -> Option<&'a Spanned<DeValue<'a>>> {
        if path.starts_with("regions.") {
            return self.runtime?.get(name);
        }
        let is_site_limit = name == "site_limit" && path.strip_prefix("tiers.") == Some(ANONYMOUS);
        table.filter(|_| is_site_limit)?.get("limit")
    }

    fn field(&mut self, schema: &Value, path: &str, value: Option<&'a Spanned<DeValue<'a>>>, is_item: bool) {
        match (schema["type"].as_str(), value.map(Spanned::get_ref)) {
            (Some("object"), Some(DeValue::Table(fields))) => {
                return self.table(schema, path, Some(fields), is_item);
            }
            // Without required fields, an absent table has the defaults of its fields.
            (Some("object"), None) if schema["required"].is_null() && !is_item => {
                return self.table(schema, path, None, false);
            }
            (Some("array"), Some(DeValue::Array(items))) if schema["items"]["type"] == "object" => {
                for (index, item) in items.iter().enumerate() {
                    self.field(&schema["items"], &format!("{path}[{index}]"), Some(item), true);
                }
                return;
            }
            _ => {}
        }
        let (value, line) = match value {
            Some(value) => (json(value.get_ref()), Some(place(self.text, value.span().start).0)),
            None if is_item => return,
            None => (schema["default"].clone(), None),
        };
        self.found.push(Setting { name: path.to_owned(), value, line });
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => integer(number).into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or_default().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(fields) => {
            fields.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    const FILE: &str = r#"
[service]
name = "geo"
home = "eu-central-1"
[tiers.anonymous]
limit = "1500/day"
[tiers.startup]
limit = "100_000/month"
[runtime]
memory_mb = 5_12
[[geo.sources]]
name = "x"
file = "a.csv"
network = { type = "isp" }
[regions.us-east-1]
timeout_s = 3
[regions.eu-central-1]
"#;

    #[test]
    fn every_field_has_its_value_and_its_line_or_default() {
        let found = settings("r.toml", FILE).expect("valid");
        let of = |name: &str| {
            let found = found.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{name}"));
            (found.value.to_string(), found.line)
        };
        for (name, value, line) in [
            ("service.name", "\"geo\"", Some(3)),
            ("service.environment", "\"prod\"", None),
            ("service.domain", "null", None),
            ("tiers.anonymous.site_limit", "\"1500/day\"", Some(6)),
            ("tiers.startup.limit", "\"100_000/month\"", Some(8)),
            ("tiers.startup.rate", "null", None),
            ("runtime.memory_mb", "512", Some(10)),
            ("runtime.timeout_s", "5", None),
            ("geo.sources[0].network.type", "\"isp\"", Some(14)),
            ("regions.us-east-1.memory_mb", "512", Some(10)),
            ("regions.us-east-1.timeout_s", "3", Some(16)),
            ("regions.eu-central-1.timeout_s", "5", None),
            ("alerts.thresholds", "[80,100]", None),
            ("emulator", "null", None),
            ("web.page", "true", None),
        ] {
            assert_eq!(of(name), (value.to_owned(), line), "{name}");
        }
        assert!(!found.iter().any(|setting| setting.name.starts_with("geo.sources[0].npm")));
    }

    /// What is listed is what the program uses.
    #[test]
    fn the_values_are_those_of_the_configuration() {
        let text = include_str!("../../../regions.toml");
        let config = parse("regions.toml", text).expect("valid");
        let found = settings("regions.toml", text).expect("valid");
        let value =
            |name: String| found.iter().find(|setting| setting.name == name).map(|setting| &setting.value);
        assert_eq!(value("service.home".to_owned()), Some(&config.service.home.as_str().into()));
        assert_eq!(value("usage.window_s".to_owned()), Some(&config.usage.window_s.into()));
        for region in &config.regions {
            let of = |field: &str| value(format!("regions.{}.{field}", region.name));
            assert_eq!(of("memory_mb"), Some(&region.runtime.memory_mb.into()));
            assert_eq!(of("access_cache_s"), Some(&region.runtime.access_cache_s.into()));
            assert_eq!(of("architecture"), Some(&region.runtime.architecture.as_str().into()));
        }
        for (index, source) in config.geo.sources.iter().enumerate() {
            assert_eq!(value(format!("geo.sources[{index}].name")), Some(&source.name.as_str().into()));
        }
        assert!(settings("r.toml", "[service]\n").is_err());
    }
}
