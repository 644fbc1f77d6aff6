//! A topic of SNS: hands an alert on to its subscribers, who get it by e-mail or webhook.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::endpoint::{Account, EndpointError};
use super::signed::{Call, Signed};
use crate::store::StoreError;
use crate::tables::{Bounds, Effort};
use crate::usage::AlertMessage;

/// A topic.
#[derive(Clone)]
pub struct Topic {
    sns: Arc<Signed>,
    arn: String,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic").field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// The unescaped text of the first element with this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

fn read_refusal(body: &[u8]) -> Option<(String, String)> {
    let xml = std::str::from_utf8(body).ok()?;
    Some((element(xml, "Code")?.to_owned(), element(xml, "Message").unwrap_or_default().to_owned()))
}

impl Topic {
    /// A topic by its ARN.
    pub fn new(account: &Account, arn: String) -> Result<Self, EndpointError> {
        let (region, credentials) = (account.region.clone(), account.credentials.clone());
        let endpoint = account.sns()?;
        // A batch waits for its alerts: they are few, and counting must go on.
        let bounds = Bounds { all: Duration::from_secs(10), tries: 3, ..Effort::Patient.bounds() };
        let sns = Signed::new(endpoint, "sns", region, credentials, bounds, read_refusal);
        Ok(Self { sns: Arc::new(sns), arn })
    }

    /// Sends an alert to the topic: text for e-mails, JSON for webhooks.
    pub async fn send(&self, message: &AlertMessage) -> Result<(), StoreError> {
        let (text, json) = (message.to_string(), message.to_json());
        let by_protocol = json!({ "default": text, "email": text, "https": json, "email-json": json });
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "Publish")
            .append_pair("Version", "2010-03-31")
            .append_pair("TopicArn", &self.arn)
            .append_pair("Subject", &message.subject())
            .append_pair("MessageStructure", "json")
            .append_pair("Message", &by_protocol.to_string())
            .finish();
        let call = Call {
            path: "",
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            header: None,
            body: body.into(),
        };
        let sent = self.sns.call(&call).await;
        sent.map(drop)
            .map_err(|fault| StoreError { action: "sending of an alert".to_owned(), source: fault.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_sns_is_read() {
        let xml = "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
                   <Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>";
        let table = [
            (xml, Some(("NotFound", "Topic does not exist"))),
            ("<Code>Throttling</Code>", Some(("Throttling", ""))),
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
