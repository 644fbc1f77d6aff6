//! Converts items between this crate's types and the SDK's, and makes the [`Calls`] through the SDK.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};

use super::Described;
use crate::tables::{Calls, Cause, Change, Found, Item, Updated, Value};

/// An item in the SDK's types.
pub(super) type SdkItem = HashMap<String, AttributeValue>;

/// A string attribute.
pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn their_value(value: Value) -> AttributeValue {
    match value {
        Value::S(text) => AttributeValue::S(text),
        Value::N(digits) => AttributeValue::N(digits),
        Value::L(values) => AttributeValue::L(values.into_iter().map(their_value).collect()),
        Value::Foreign => AttributeValue::Null(true),
    }
}

fn our_value(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::S(text),
        AttributeValue::N(digits) => Value::N(digits),
        AttributeValue::L(values) => Value::L(values.into_iter().map(our_value).collect()),
        _ => Value::Foreign,
    }
}

/// Converts an item to the SDK's types.
pub(super) fn theirs(item: Item) -> SdkItem {
    item.into_iter().map(|(name, value)| (name, their_value(value))).collect()
}

/// Converts an item from the SDK's types.
pub(super) fn ours(item: SdkItem) -> Item {
    item.into_iter().map(|(name, value)| (name, our_value(value))).collect()
}

/// A change as part of a transaction.
pub(super) fn transacted(table: &str, change: Change) -> Result<TransactWriteItem, BuildError> {
    let update = Update::builder()
        .table_name(table)
        .set_key(Some(theirs(change.key)))
        .update_expression(change.update_expression)
        .set_condition_expression(change.condition_expression)
        .set_expression_attribute_names(Some(change.expression_attribute_names))
        .set_expression_attribute_values(Some(theirs(change.expression_attribute_values)))
        .build()?;
    Ok(TransactWriteItem::builder().update(update).build())
}

pub(super) fn cause<E: std::error::Error + Send + Sync + 'static>(error: E) -> Cause {
    Box::new(Described(Box::new(error)))
}

impl Calls for Client {
    async fn get(&self, table: &str, key: Item, consistent: bool) -> Result<Option<Item>, Cause> {
        let get = self.get_item().table_name(table).set_key(Some(theirs(key))).consistent_read(consistent);
        Ok(get.send().await.map_err(cause)?.item.map(ours))
    }

    async fn batch_get(&self, table: &str, keys: Vec<Item>) -> Result<Found, Cause> {
        let keys = keys.into_iter().map(theirs).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().map_err(cause)?;
        let answer = self.batch_get_item().request_items(table, keys).send().await.map_err(cause)?;
        let items = answer.responses.into_iter().flatten().flat_map(|(_, items)| items);
        let left = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys);
        Ok(Found { items: items.map(ours).collect(), left: left.map(ours).collect() })
    }

    async fn update(&self, table: &str, change: Change) -> Result<Updated, Cause> {
        let names = change.expression_attribute_names;
        let values = change.expression_attribute_values;
        let mut call = self
            .update_item()
            .table_name(table)
            .set_key(Some(theirs(change.key)))
            .update_expression(change.update_expression)
            .set_condition_expression(change.condition_expression)
            .set_expression_attribute_names((!names.is_empty()).then_some(names))
            .set_expression_attribute_values((!values.is_empty()).then(|| theirs(values)));
        if change.returns_item {
            call = call
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        }
        match call.send().await {
            Ok(answer) => Ok(Updated::Done(answer.attributes.map(ours).unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Updated::Refused(refused.item.clone().map(ours).unwrap_or_default()))
                }
                _ => Err(cause(error)),
            },
        }
    }
}
