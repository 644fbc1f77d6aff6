//! The lock of changes: an item of the access table at home.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::cloud::Aws;
use super::refusal::Refusal;
use crate::infra::cloud::Problem;
use crate::infra::lock::{LockItem, LockStore, Put};

/// Its partition key.
const ID: &str = "lock";

fn string(value: &impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn stored(item: &LockItem) -> HashMap<String, AttributeValue> {
    let pairs = [
        ("id", string(&ID)),
        ("token", string(&item.token)),
        ("owner", string(&item.owner)),
        ("operation", string(&item.operation)),
        ("since", string(&item.since)),
        ("until", string(&item.until)),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A stored lock. One that can't be read has ended: only `ipgeo` writes it.
fn read(item: &HashMap<String, AttributeValue>) -> LockItem {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    let time = |name: &str| text(name).parse().unwrap_or(Timestamp::UNIX_EPOCH);
    LockItem {
        token: text("token"),
        owner: text("owner"),
        operation: text("operation"),
        since: time("since"),
        until: time("until"),
    }
}

impl LockStore for Aws {
    async fn read(&self) -> Result<Put, Problem> {
        let client = self.session().dynamodb(self.home());
        let table = &self.names().access_table;
        let get = client.get_item().table_name(table).key("id", string(&ID)).consistent_read(true);
        let found = Refusal::absent_as_none(get.send().await.map_err(Refusal::from));
        match found.map_err(|refusal| refusal.for_reading(self.home()))? {
            None => Ok(Put::NoTable),
            Some(found) => Ok(found.item().map_or(Put::Gone, |item| Put::Held(read(item)))),
        }
    }

    async fn put(&self, item: &LockItem, seen: Option<&LockItem>) -> Result<Put, Problem> {
        let client = self.session().dynamodb(self.home());
        let table = &self.names().access_table;
        let call = client.put_item().table_name(table).set_item(Some(stored(item)));
        let call = match seen {
            None => call.condition_expression("attribute_not_exists(id)"),
            Some(seen) => call
                .condition_expression("#token = :token AND #until = :until")
                .expression_attribute_names("#token", "token")
                .expression_attribute_names("#until", "until")
                .expression_attribute_values(":token", string(&seen.token))
                .expression_attribute_values(":until", string(&seen.until)),
        };
        match call.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(Put::Done),
            Err(refusal) if refusal.is("ConditionalCheckFailedException") => self.read().await,
            Err(refusal) if refusal.is_absent() => Ok(Put::NoTable),
            Err(refusal) => Err(refusal.for_reading(self.home())),
        }
    }

    async fn delete(&self, token: &str) -> Result<(), Problem> {
        let client = self.session().dynamodb(self.home());
        let call = client
            .delete_item()
            .table_name(&self.names().access_table)
            .key("id", string(&ID))
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":token", string(&token));
        match call.send().await.map_err(Refusal::from) {
            Err(refusal) if !refusal.is("ConditionalCheckFailedException") && !refusal.is_absent() => {
                Err(refusal.for_reading(self.home()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_it_was_stored() {
        let time = |second| Timestamp::from_second(second).expect("a time");
        let item = LockItem {
            token: "1f".to_owned(),
            owner: "anna@laptop".to_owned(),
            operation: "deploy".to_owned(),
            since: time(1_790_000_000),
            until: time(1_790_000_900),
        };
        assert_eq!(read(&stored(&item)), item);
        assert_eq!(read(&HashMap::new()).until, Timestamp::UNIX_EPOCH);
    }
}
