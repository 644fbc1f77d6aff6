//! The calls of the DynamoDB API that the Lambda makes, whoever makes them.

use std::collections::HashMap;
use std::future::Future;

use serde::Serialize;

use super::value::{Item, Value};

/// Why a call failed; what was tried is added by the table.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A client of the API: the operator's and the tests' is the SDK's, the Lambda has a small one of its own.
pub trait Calls: Send + Sync {
    /// The item with this key.
    fn get(
        &self,
        table: &str,
        key: Item,
        consistent: bool,
    ) -> impl Future<Output = Result<Option<Item>, Cause>> + Send;

    /// The items with these keys that are there, in no order, and the keys that were left for another call.
    fn batch_get(&self, table: &str, keys: Vec<Item>) -> impl Future<Output = Result<Found, Cause>> + Send;

    /// Changes one item, on a condition. It may be tried more than once: every condition of ours refuses a change
    /// that is in already.
    fn update(&self, table: &str, change: Change) -> impl Future<Output = Result<Updated, Cause>> + Send;
}

/// What a batch of reads found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Items.
    pub items: Vec<Item>,
    /// Keys that were not looked for: the API was too busy.
    pub left: Vec<Item>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is in; the item now, when that was asked for.
    Done(Item),
    /// Its condition did not hold; the item that refused it, when that was asked for.
    Refused(Item),
}

/// An `UpdateItem`, in the API's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    /// Which item.
    pub key: Item,
    /// What to set and add.
    pub update_expression: String,
    /// On what condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition_expression: Option<String>,
    /// The attributes of the expressions.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub expression_attribute_names: HashMap<String, String>,
    /// The values of the expressions.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub expression_attribute_values: Item,
    /// Whether the item is wanted back: as it is then, or as it refused.
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
    /// A change of the item with this key, without a condition.
    pub(crate) fn of(key: Item, update: impl Into<String>) -> Self {
        Self { key, update_expression: update.into(), ..Self::default() }
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
    fn a_change_is_written_in_the_words_of_the_api() {
        let key = Item::from([("id".to_owned(), string("a"))]);
        let bare = Change::of(key.clone(), "SET #a = :a");
        let plain = json!({ "Key": { "id": { "S": "a" } }, "UpdateExpression": "SET #a = :a" });
        assert_eq!(serde_json::to_value(&bare).expect("JSON"), plain);
        let whole = bare.when("#a < :a").name("#a", "n").value(":a", number(7));
        let whole = serde_json::to_value(Change { returns_item: true, ..whole }).expect("JSON");
        let expected = json!({
            "Key": { "id": { "S": "a" } }, "UpdateExpression": "SET #a = :a", "ConditionExpression": "#a < :a",
            "ExpressionAttributeNames": { "#a": "n" }, "ExpressionAttributeValues": { ":a": { "N": "7" } },
            "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        });
        assert_eq!(whole, expected);
    }
}
