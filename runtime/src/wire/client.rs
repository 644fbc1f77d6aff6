//! The DynamoDB client: three calls.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use super::endpoint::{Account, EndpointError};
use super::fault::Fault;
use super::signed::{Call, Signed, TARGET};
use crate::store::InvalidWrite;
use crate::tables::{Calls, Cause, Change, Effort, Found, Item, Updated};

/// A client of the DynamoDB API; copies share their connections.
#[derive(Clone)]
pub struct Client(Arc<Signed>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetItem<'a> {
    table_name: &'a str,
    key: Item,
    consistent_read: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Got {
    item: Option<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetItem<'a> {
    request_items: HashMap<&'a str, Keys>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BatchGot {
    responses: HashMap<String, Vec<Item>>,
    unprocessed_keys: HashMap<String, Keys>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateItem<'a> {
    table_name: &'a str,
    #[serde(flatten)]
    change: Change,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Changed {
    attributes: Item,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
    #[serde(default, alias = "Message")]
    message: String,
}

/// Parses an error response of a JSON API; its code without the API's name.
pub(super) fn read_refusal(body: &[u8]) -> Option<(String, String)> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let code = refusal.code.rsplit('#').next().unwrap_or_default().to_owned();
    Some((code, refusal.message))
}

impl Client {
    /// A client of the account's region, or of its endpoint override.
    pub fn new(account: &Account, effort: Effort) -> Result<Self, EndpointError> {
        let (region, credentials) = (account.region.clone(), account.credentials.clone());
        let (endpoint, bounds) = (account.dynamodb()?, effort.bounds());
        Ok(Self(Arc::new(Signed::new(endpoint, "dynamodb", region, credentials, bounds, read_refusal))))
    }

    /// Opens a connection for the first call. If it fails, the first call reports it.
    pub async fn open_early(&self) {
        let _ = self.0.open_early().await;
    }

    async fn call<A>(&self, target: &'static str, input: &impl Serialize) -> Result<A, Fault>
    where
        A: for<'a> Deserialize<'a>,
    {
        let body =
            serde_json::to_vec(input).map_err(|e| Fault::unreadable("cannot serialise the call", &e))?;
        let call = Call {
            path: "",
            content_type: "application/x-amz-json-1.0",
            header: Some((TARGET, target)),
            body: Bytes::from(body),
        };
        let answer = self.0.call(&call).await?;
        serde_json::from_slice(&answer).map_err(|e| Fault::unreadable("cannot parse the answer", &e))
    }
}

impl Calls for Client {
    async fn get(&self, table: &str, key: Item, consistent: bool) -> Result<Option<Item>, Cause> {
        let input = GetItem { table_name: table, key, consistent_read: consistent };
        let got: Got = self.call("DynamoDB_20120810.GetItem", &input).await?;
        Ok(got.item)
    }

    async fn batch_get(&self, table: &str, keys: Vec<Item>) -> Result<Found, Cause> {
        let input = BatchGetItem { request_items: HashMap::from([(table, Keys { keys })]) };
        let got: BatchGot = self.call("DynamoDB_20120810.BatchGetItem", &input).await?;
        let left = got.unprocessed_keys.into_values().flat_map(|left| left.keys);
        Ok(Found { items: got.responses.into_values().flatten().collect(), left: left.collect() })
    }

    async fn update(&self, table: &str, change: Change) -> Result<Updated, Cause> {
        let input = UpdateItem { table_name: table, change };
        match self.call::<Changed>("DynamoDB_20120810.UpdateItem", &input).await {
            Ok(changed) => Ok(Updated::Done(changed.attributes)),
            Err(Fault::Refused { code, body, .. }) if code == "ConditionalCheckFailedException" => {
                let refused: Got = serde_json::from_slice(&body)?;
                Ok(Updated::Refused(refused.item.unwrap_or_default()))
            }
            Err(fault) if fault.is_invalid() => Err(InvalidWrite(fault.to_string()).into()),
            Err(fault) => Err(fault.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_every_form_that_it_comes_in() {
        let table = [
            (
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}"#,
                Some(("ResourceNotFoundException", "no table")),
            ),
            (
                r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no right"}"#,
                Some(("AccessDeniedException", "no right")),
            ),
            (r#"{"__type":"ThrottlingException"}"#, Some(("ThrottlingException", ""))),
            (r#"{"message":"?"}"#, None),
            ("<html>", None),
            ("", None),
        ];
        for (body, expected) in table {
            let read = read_refusal(body.as_bytes());
            let read = read.as_ref().map(|(code, message)| (code.as_str(), message.as_str()));
            assert_eq!(read, expected, "{body}");
        }
    }
}
