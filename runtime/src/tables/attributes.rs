//! Reads and writes single attributes of an item. Errors name the attribute.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;

use super::value::{Item, Value, string};

/// An attribute that is missing or invalid.
#[derive(Debug, thiserror::Error)]
#[error("attribute `{name}` {fault}")]
pub struct ItemError {
    name: &'static str,
    fault: String,
}

impl ItemError {
    fn new(name: &'static str, fault: impl Into<String>) -> Self {
        Self { name, fault: fault.into() }
    }
}

/// A list of strings; `None` for an empty list, which is stored as a missing attribute.
pub(super) fn strings<T: Display>(list: &[T]) -> Option<Value> {
    let list: Vec<Value> = list.iter().map(|item| string(item.to_string())).collect();
    (!list.is_empty()).then_some(Value::L(list))
}

pub(super) fn text<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a str>, ItemError> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::S(text)) => Ok(Some(text)),
        Some(_) => Err(ItemError::new(name, "is not a string")),
    }
}

pub(super) fn needed<T>(name: &'static str, value: Option<T>) -> Result<T, ItemError> {
    value.ok_or_else(|| ItemError::new(name, "is missing"))
}

pub(super) fn parsed<T: FromStr<Err: Display>>(name: &'static str, text: &str) -> Result<T, ItemError> {
    text.parse().map_err(|error: T::Err| ItemError::new(name, error.to_string()))
}

/// A string that must be there and parse.
pub(super) fn needed_text<T: FromStr<Err: Display>>(item: &Item, name: &'static str) -> Result<T, ItemError> {
    parsed(name, needed(name, text(item, name)?)?)
}

pub(super) fn integer<T: FromStr<Err: Display>>(
    item: &Item,
    name: &'static str,
) -> Result<Option<T>, ItemError> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::N(digits)) => parsed(name, digits).map(Some),
        Some(_) => Err(ItemError::new(name, "is not a number")),
    }
}

/// A time, stored as Unix milliseconds.
pub(super) fn time(item: &Item, name: &'static str) -> Result<Option<Timestamp>, ItemError> {
    let Some(ms) = integer::<i64>(item, name)? else { return Ok(None) };
    Timestamp::from_millisecond(ms).map(Some).map_err(|error| ItemError::new(name, error.to_string()))
}

pub(super) fn list<T: FromStr<Err: Display>>(item: &Item, name: &'static str) -> Result<Vec<T>, ItemError> {
    match item.get(name) {
        None => Ok(Vec::new()),
        Some(Value::L(values)) => values
            .iter()
            .map(|value| match value {
                Value::S(text) => parsed(name, text),
                _ => Err(ItemError::new(name, "contains a value that is not a string")),
            })
            .collect(),
        Some(_) => Err(ItemError::new(name, "is not a list")),
    }
}
