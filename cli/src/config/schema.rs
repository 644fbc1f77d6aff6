//! The JSON Schema of `regions.toml`, generated from `model`. Editors read it, `check` enforces it, and `ipgeo init`
//! takes its comments from it. `docs/regions.schema.json` is a copy that a test keeps up to date.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::model::File;

/// Without references, so that a walk needs no look-ups.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<File>()
});

/// TOML has no null: an optional field is left out instead.
fn without_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(|value| value.is_null() || *value == serde_json::json!({})) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get("type")
        && let [only] = types.iter().filter(|name| *name != "null").collect::<Vec<_>>()[..]
    {
        let only = only.clone();
        schema.insert("type".to_owned(), only);
    }
}

pub(crate) fn schema_json() -> String {
    serde_json::to_string_pretty(&*SCHEMA).unwrap_or_default() + "\n"
}

/// The description and the default (JSON, as TOML writes it too) of a field such as `runtime.memory_mb`.
pub(super) fn field(path: &str) -> Option<(&'static str, String)> {
    let schema =
        path.split('.').try_fold(SCHEMA.as_value(), |schema, name| schema.get("properties")?.get(name))?;
    let default = schema.get("default").map(Value::to_string).unwrap_or_default();
    Some((schema.get("description")?.as_str()?, default))
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    #[test]
    fn the_committed_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/regions.schema.json");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, schema_json()).expect("the schema can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == schema_json(), "docs/regions.schema.json is stale; run the tests with BLESS=1");
    }

    #[test]
    fn every_field_is_described_and_every_text_format_has_a_rule() {
        fn walk(path: &str, schema: &Value) {
            let number = schema["type"] == "integer";
            if let Some(format) = schema["format"].as_str().filter(|_| !number) {
                assert!(rules::rule(format).is_some(), "{path}: no rule for the format {format}");
            }
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                assert!(field["description"].is_string(), "{path} has no description");
                walk(&path, field);
            }
            for inner in ["additionalProperties", "propertyNames", "items"]
                .iter()
                .filter_map(|keyword| schema.get(keyword))
            {
                walk(path, inner);
            }
        }
        walk("", SCHEMA.as_value());
    }
}
