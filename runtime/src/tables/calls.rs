//! The calls of the DynamoDB API that reading and counting need, independent of the client.

use std::collections::HashMap;
use std::future::Future;

use serde::Serialize;

use super::value::{Item, Value};

/// Why a call failed. The table adds what was tried.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A client of the API: the Lambda's own small one, or the SDK's for the operator's tool and tests.
pub trait Calls: Send + Sync {
    /// The item with this key.
    fn get(
        &self,
        table: &str,
        key: Item,
        consistent: bool,
    ) -> impl Future<Output = Result<Option<Item>, Cause>> + Send;

    /// The existing items with these keys, unordered, and the keys that need another call.
    fn batch_get(&self, table: &str, keys: Vec<Item>) -> impl Future<Output = Result<Found, Cause>> + Send;

    /// Changes one item on a condition. The client may retry: each of our conditions refuses a change that is already applied.
    fn update(&self, table: &str, change: Change) -> impl Future<Output = Result<Updated, Cause>> + Send;
}

/// The result of a batch of reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The items found.
    pub items: Vec<Item>,
    /// Keys that the API did not process because it was throttled.
    pub left: Vec<Item>,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is applied. The new item, if the change requested it.
    Done(Item),
    /// Its condition did not hold. The item as it is, if the change requested it.
    Refused(Item),
}

/// The parameters of an `UpdateItem`, named as in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    /// The item's key.
    pub key: Item,
    /// The attributes to set, add and remove.
    pub update_expression: String,
    /// The condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition_expression: Option<String>,
    /// Attribute names by their placeholders.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub expression_attribute_names: HashMap<String, String>,
    /// Values by their placeholders.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub expression_attribute_values: Item,
    /// Whether to return the item: the new one, or the one that refused the change.
    #[serde(flatten, serialize_with = "returns")]
    pub returns_item: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn returns<S: serde::Serializer>(wanted: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    let words: &[(&str, &str)] = if *wanted {
        &[("ReturnValues", "ALL_NEW"), ("ReturnValuesOnConditionCheckFailure", "ALL_OLD")]
    } else {
        &[]
    };
    serializer.collect_map(words.iter().copied())
}

impl Change {
    /// An unconditional change of the item with this key.
    pub(crate) fn new(key: Item, update: impl Into<String>) -> Self {
        Self { key, update_expression: update.into(), ..Self::default() }
    }

    /// Creates an item unless there is one with its key, the attributes `key_names`.
    pub(crate) fn new_item(mut item: Item, key_names: &[&str]) -> Self {
        let key = key_names.iter().filter_map(|name| item.remove_entry(*name)).collect();
        let mut change = Self::new(key, "");
        let mut set = Vec::new();
        for (index, (name, value)) in item.into_iter().enumerate() {
            set.push(format!("#a{index} = :a{index}"));
            change = change.name(format!("#a{index}"), name).value(format!(":a{index}"), value);
        }
        change.update_expression = format!("SET {}", set.join(", "));
        change.when("attribute_not_exists(#key)").name("#key", key_names.first().copied().unwrap_or_default())
    }

    pub(crate) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition_expression = Some(condition.into());
        self
    }

    pub(crate) fn name(mut self, placeholder: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.expression_attribute_names.insert(placeholder.into(), attribute.into());
        self
    }

    pub(crate) fn value(mut self, placeholder: impl Into<String>, value: Value) -> Self {
        self.expression_attribute_values.insert(placeholder.into(), value);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::value::{number, string};
    use super::*;

    #[test]
    fn a_change_is_serialised_as_the_api_expects() {
        let key = Item::from([("id".to_owned(), string("a"))]);
        let bare = Change::new(key.clone(), "SET #a = :a");
        let plain = json!({ "Key": { "id": { "S": "a" } }, "UpdateExpression": "SET #a = :a" });
        assert_eq!(serde_json::to_value(&bare).expect("JSON"), plain);
        let full = bare.when("#a < :a").name("#a", "n").value(":a", number(7));
        let full = serde_json::to_value(Change { returns_item: true, ..full }).expect("JSON");
        let expected = json!({
            "Key": { "id": { "S": "a" } }, "UpdateExpression": "SET #a = :a", "ConditionExpression": "#a < :a",
            "ExpressionAttributeNames": { "#a": "n" }, "ExpressionAttributeValues": { ":a": { "N": "7" } },
            "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        });
        assert_eq!(full, expected);
    }
}
