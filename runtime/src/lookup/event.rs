//! The event of an API Gateway HTTP API, payload format 2.0: the part that is read.
//!
//! The shape is our own and lenient. The crates that carry this event parse its headers strictly, so
//! that one header with a letter that HTTP does not allow turns the whole request into an error of the
//! function, and the caller sees a 500. Here every field has a default.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// One HTTP request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// `2.0`.
    pub version: String,
    /// The path as it was sent.
    pub raw_path: String,
    /// What follows the `?`.
    pub raw_query_string: String,
    /// Names in lower case; values of the same name joined by commas.
    pub headers: HashMap<String, String>,
    /// Where the request came from and by what name.
    pub request_context: RequestContext,
    /// The body: text, or base64 when `is_base64_encoded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether `body` is base64.
    pub is_base64_encoded: bool,
}

/// What API Gateway knows of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// Method, path and the address of the connection.
    pub http: Http,
    /// The request's name in all logs.
    pub request_id: String,
    /// The API's stage; its name is part of the path unless it is `$default`.
    pub stage: String,
}

/// The request line, and who sent it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// In capitals.
    pub method: String,
    /// The address of the immediate connection. The only address that is ever trusted.
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
