//! DynamoDB's operations on a region's store: request JSON in, response JSON out. Table streams and `PartiQL` are not
//! supported: replication learns of writes to home's access table here, and would miss writes made any other way.

use std::time::Instant;

use dynoxide::actions::batch_write_item::BatchWriteItemRequest;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::transact_write_items::{TransactWriteItem, TransactWriteItemsRequest};
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::{AttributeValue, Database, DynoxideError, Item};
use ipgeo_contract::access_attr;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::replication::Feed;

/// Prefix of an operation's name in `x-amz-target`.
const TARGET: &str = "DynamoDB_20120810.";

/// A region's store, and the feed that is notified of its writes.
pub(super) struct Operations {
    pub(super) database: Database,
    /// Home's only.
    pub(super) feed: Option<Feed>,
}

/// A response: status and JSON.
pub(super) type Answer = (u16, String);

/// An error as DynamoDB writes it.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
    (status, serde_json::json!({ "__type": code, "message": message }).to_string())
}

impl Operations {
    /// Runs the operation that a header `x-amz-target` names.
    pub(super) fn run(&self, target: &str, body: &[u8]) -> Answer {
        let db = &self.database;
        match target.strip_prefix(TARGET).unwrap_or_default() {
            "GetItem" => call(body, |request| db.get_item(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "TransactGetItems" => call(body, |request| db.transact_get_items(request)),
            "Query" => call(body, |request| db.query(request)),
            "Scan" => call(body, |request| db.scan(request)),
            "PutItem" => self.write(body, |request| db.put_item(request)),
            "UpdateItem" => self.write(body, |request| db.update_item(request)),
            "DeleteItem" => self.write(body, |request| db.delete_item(request)),
            "BatchWriteItem" => self.write(body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => self.write(body, |request| db.transact_write_items(request)),
            "ListTables" => call(body, |request| db.list_tables(request)),
            "DescribeTable" => call(body, |request| db.describe_table(request)),
            "CreateTable" => call(body, |request| db.create_table(request)),
            "DeleteTable" => call(body, |request| db.delete_table(request)),
            "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
            "UpdateTimeToLive" => call(body, |request| db.update_time_to_live(request)),
            _ => refusal(400, "UnknownOperationException", "`ipgeo dev` does not support this operation"),
        }
    }

    /// Runs a write and then notifies the feed of its items; also after a failure, which may have written a part.
    fn write<Q: DeserializeOwned + Writes, A: Serialize>(
        &self,
        body: &[u8],
        run: impl FnOnce(Q) -> Result<A, DynoxideError>,
    ) -> Answer {
        call(body, |request: Q| {
            let written = match &self.feed {
                Some(feed) => request.items(feed.table()).filter_map(id).map(str::to_owned).collect(),
                None => Vec::new(),
            };
            let answer = run(request);
            if let Some(feed) = &self.feed {
                feed.wrote(Instant::now(), written);
            }
            answer
        })
    }
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Answer {
    let request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refusal(400, "ValidationException", &error.to_string()),
    };
    match run(request) {
        Ok(answer) => match serde_json::to_string(&answer) {
            Ok(json) => (200, json),
            Err(error) => refusal(500, "InternalServerError", &error.to_string()),
        },
        Err(error) => (error.status_code(), error.to_json()),
    }
}

/// The partition key of an item of the access table.
pub(super) fn id(item: &Item) -> Option<&str> {
    match item.get(access_attr::ID)? {
        AttributeValue::S(id) => Some(id),
        _ => None,
    }
}

/// A request that writes items.
trait Writes {
    /// The items that it puts into a table, and the keys of those that it changes or deletes.
    fn items(&self, table: &str) -> impl Iterator<Item = &Item>;
}

impl Writes for PutItemRequest {
    fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        (self.table_name == table).then_some(&self.item).into_iter()
    }
}

impl Writes for UpdateItemRequest {
    fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        (self.table_name == table).then_some(&self.key).into_iter()
    }
}

impl Writes for DeleteItemRequest {
    fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        (self.table_name == table).then_some(&self.key).into_iter()
    }
}

impl Writes for BatchWriteItemRequest {
    fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        self.request_items.get(table).into_iter().flatten().filter_map(|write| {
            let put = write.put_request.as_ref().map(|put| &put.item);
            put.or(write.delete_request.as_ref().map(|delete| &delete.key))
        })
    }
}

impl Writes for TransactWriteItemsRequest {
    fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        let named = self.transact_items.iter().filter_map(|action| match action {
            TransactWriteItem { put: Some(put), .. } => Some((&put.table_name, &put.item)),
            TransactWriteItem { update: Some(update), .. } => Some((&update.table_name, &update.key)),
            TransactWriteItem { delete: Some(delete), .. } => Some((&delete.table_name, &delete.key)),
            TransactWriteItem { .. } => None,
        });
        named.filter(move |(name, _)| *name == table).map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(id: &str) -> serde_json::Value {
        json!({ "id": { "S": id } })
    }

    #[test]
    fn the_feed_reports_all_writes_to_its_table_and_no_others() {
        let (feed, writes) = Feed::new("access");
        let operations = Operations { database: Database::memory().expect("a store"), feed: Some(feed) };
        let run = |operation: &str, body: &serde_json::Value| {
            let (status, answer) =
                operations.run(&format!("{TARGET}{operation}"), body.to_string().as_bytes());
            assert_eq!(status, 200, "{operation}: {answer}");
        };
        for table in ["access", "ledger"] {
            run(
                "CreateTable",
                &json!({
                    "TableName": table,
                    "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
                    "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
                }),
            );
            run("PutItem", &json!({ "TableName": table, "Item": item("put") }));
            run(
                "UpdateItem",
                &json!({
                    "TableName": table,
                    "Key": item("updated"),
                    "UpdateExpression": "SET #a = :a",
                    "ExpressionAttributeNames": { "#a": "a" },
                    "ExpressionAttributeValues": { ":a": { "S": "a" } },
                }),
            );
            run("DeleteItem", &json!({ "TableName": table, "Key": item("deleted") }));
            run(
                "BatchWriteItem",
                &json!({ "RequestItems": { table: [
                    { "PutRequest": { "Item": item("batch put") } },
                    { "DeleteRequest": { "Key": item("batch deleted") } },
                ] } }),
            );
            run(
                "TransactWriteItems",
                &json!({ "TransactItems": [
                    { "Put": { "TableName": table, "Item": item("transact put") } },
                    { "Delete": { "TableName": table, "Key": item("transact deleted") } },
                    { "ConditionCheck": {
                        "TableName": table,
                        "Key": item("checked"),
                        "ConditionExpression": "attribute_not_exists(id)",
                    } },
                ] }),
            );
            run("GetItem", &json!({ "TableName": table, "Key": item("put") }));
            run("Scan", &json!({ "TableName": table }));
        }
        let reported = writes.so_far();
        let expected =
            ["put", "updated", "deleted", "batch put", "batch deleted", "transact put", "transact deleted"];
        assert_eq!(reported, expected);
    }

    #[test]
    fn unknown_operations_and_invalid_requests_get_dynamodbs_errors() {
        let operations = Operations { database: Database::memory().expect("a store"), feed: None };
        for (target, body, status, code) in [
            ("DynamoDB_20120810.ExecuteStatement", "{}", 400, "UnknownOperationException"),
            ("", "{}", 400, "UnknownOperationException"),
            ("DynamoDB_20120810.GetItem", "[", 400, "ValidationException"),
            ("DynamoDB_20120810.Scan", r#"{"TableName":"none"}"#, 400, "ResourceNotFoundException"),
        ] {
            let (answered, body) = operations.run(target, body.as_bytes());
            assert_eq!(answered, status, "{target}");
            assert!(body.contains(&format!("#{code}\"")), "{target}: {body}");
        }
    }
}
