//! The event of an API Gateway HTTP API, payload format 2.0, as far as it is needed.
//!
//! The crates that define this event parse its headers strictly: one header with a character that HTTP does not allow makes
//! the function fail, and the caller gets a 500. So the types are our own, and every field has a default.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// One HTTP request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// `2.0`.
    pub version: String,
    /// The path as sent.
    pub raw_path: String,
    /// The text after the `?`.
    pub raw_query_string: String,
    /// Names in lower case; values of the same name joined by commas.
    pub headers: HashMap<String, String>,
    /// The request's origin and id.
    pub request_context: RequestContext,
    /// The body: text, or base64 when `is_base64_encoded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether `body` is base64.
    pub is_base64_encoded: bool,
}

/// What API Gateway adds to a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// Method, path and the address of the connection.
    pub http: Http,
    /// The request's id in all logs.
    pub request_id: String,
    /// The API's stage; its name is part of the path unless it is `$default`.
    pub stage: String,
}

/// The request line, and its sender.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// In upper case.
    pub method: String,
    /// The address of the immediate connection. The only trusted address.
    pub source_ip: String,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Event {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path without the stage's name.
    pub fn path(&self) -> &str {
        let stage = self.request_context.stage.as_str();
        if stage.is_empty() || stage == "$default" {
            return &self.raw_path;
        }
        let below = self.raw_path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
        below.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(&self.raw_path)
    }
}
