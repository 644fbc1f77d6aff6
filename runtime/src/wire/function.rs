//! Home's counter, which edges send early counts to.

use std::sync::Arc;
use std::time::Duration;

use ipgeo_contract::{EarlyReport, RegionName};
use serde::Deserialize;

use super::endpoint::{Account, EndpointError};
use super::signed::{Call, Signed};
use crate::store::StoreError;
use crate::tables::Bounds;

/// Timeouts of a report. No caller waits for it, and a later one contains its calls too.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(2),
    attempt: Duration::from_secs(3),
    all: Duration::from_secs(5),
    tries: 2,
    pause: Duration::from_millis(100),
};

/// A function in a region.
#[derive(Clone)]
pub struct Function {
    lambda: Arc<Signed>,
    path: String,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Lambda's errors have their code in a header; the body has a message.
fn read_refusal(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default, rename = "Reason", alias = "Type")]
        code: String,
        #[serde(alias = "Message")]
        message: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    Some((refusal.code, refusal.message))
}

impl Function {
    /// The alias `qualifier` of a function with this name in any region.
    pub fn new(
        account: &Account,
        region: RegionName,
        name: &str,
        qualifier: &str,
    ) -> Result<Self, EndpointError> {
        let (endpoint, credentials) = (account.lambda(&region)?, account.credentials.clone());
        let lambda = Signed::new(endpoint, "lambda", region, credentials, BOUNDS, read_refusal);
        let path = format!("2015-03-31/functions/{name}/invocations?Qualifier={qualifier}");
        Ok(Self { lambda: Arc::new(lambda), path })
    }

    /// Invokes the function with a report, asynchronously: the answer only means that Lambda has queued it.
    pub async fn report(&self, report: &EarlyReport) -> Result<(), StoreError> {
        let call = Call {
            path: &self.path,
            content_type: "application/json",
            header: Some(("x-amz-invocation-type", "Event")),
            body: report.to_json().into(),
        };
        let invoked = self.lambda.call(&call).await;
        invoked
            .map(drop)
            .map_err(|fault| StoreError { action: "report of early counts".to_owned(), source: fault.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_lambda_is_read() {
        let table = [
            (r#"{"Type":"User","Message":"Function not found"}"#, Some(("User", "Function not found"))),
            (
                r#"{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}"#,
                Some(("ConcurrentInvocationLimitExceeded", "Rate Exceeded.")),
            ),
            (r#"{"message":"no right"}"#, Some(("", "no right"))),
            ("<html>", None),
        ];
        for (body, expected) in table {
            let read = read_refusal(body.as_bytes());
            let read = read.as_ref().map(|(code, message)| (code.as_str(), message.as_str()));
            assert_eq!(read, expected, "{body}");
        }
    }
}
