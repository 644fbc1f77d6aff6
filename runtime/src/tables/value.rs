//! Items and attribute values in the JSON of the DynamoDB API: the types that the two tables use.

use std::collections::HashMap;
use std::fmt::{self, Display};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// An item: its attributes by name.
pub type Item = HashMap<String, Value>;

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Value {
    /// A string.
    S(String),
    /// A number, as decimal text.
    N(String),
    /// A list.
    L(Vec<Value>),
    /// Any other type. Never written.
    #[serde(skip)]
    Foreign,
}

impl Value {
    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// The decimal text of a number.
    pub fn digits(&self) -> Option<&str> {
        match self {
            Self::N(digits) => Some(digits),
            _ => None,
        }
    }
}

/// A string attribute.
pub fn string(text: impl Into<String>) -> Value {
    Value::S(text.into())
}

/// A number attribute.
pub fn number(value: impl Display) -> Value {
    Value::N(value.to_string())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tagged)
    }
}

/// `{"S": "text"}`: one member, named by the type.
struct Tagged;

impl<'de> Visitor<'de> for Tagged {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute's value, such as {\"S\": \"text\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut value = Value::Foreign;
        while let Some(kind) = map.next_key::<&str>()? {
            match kind {
                "S" => value = Value::S(map.next_value()?),
                "N" => value = Value::N(map.next_value()?),
                "L" => value = Value::L(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<String>().prop_map(Value::S), any::<i64>().prop_map(number)];
        leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::L))
    }

    proptest! {
        #[test]
        fn a_value_survives_its_json(value in any_value()) {
            let json = serde_json::to_string(&value).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Value>(&json).expect("a value"), value);
        }
    }

    #[test]
    fn values_are_written_and_read_as_the_api_has_them() {
        let table = [
            (r#"{"S":"a"}"#, Some(string("a"))),
            (r#"{"N":"17"}"#, Some(number(17))),
            (r#"{"L":[{"S":"a"},{"N":"1"}]}"#, Some(Value::L(vec![string("a"), number(1)]))),
            (r#"{"BOOL":true}"#, Some(Value::Foreign)),
            (r#"{"M":{"x":{"S":"a"}}}"#, Some(Value::Foreign)),
            (r"{}", Some(Value::Foreign)),
            (r#"{"S":1}"#, None),
            (r#"{"L":"a"}"#, None),
            (r"[]", None),
        ];
        for (json, expected) in table {
            assert_eq!(serde_json::from_str::<Value>(json).ok(), expected, "{json}");
        }
        let error = serde_json::from_str::<Value>("[]").expect_err("a list").to_string();
        assert!(error.contains("expected an attribute's value"), "{error}");
    }
}
