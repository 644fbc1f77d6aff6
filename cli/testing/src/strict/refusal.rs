//! Errors in the form that each service answers them in.

use serde_json::json;

use super::http::Answer;
use super::policy::{Decision, Request};

/// An error of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self { status: 400, code: "ValidationError", message: message.into() }
    }

    /// Access denied, in AWS's words.
    pub(crate) fn denied(service: &str, who: &str, request: &Request, decision: &Decision) -> Self {
        let json = ["acm", "dynamodb", "kinesis", "logs", "servicequotas", "lambda"].contains(&service);
        let code = if json { "AccessDeniedException" } else { "AccessDenied" };
        let status = if json && service != "lambda" { 400 } else { 403 };
        Self { status, code, message: denial(who, request, decision) }
    }

    /// A throttled call.
    pub(crate) fn throttled(service: &str) -> Self {
        match service {
            "s3" => {
                Self { status: 503, code: "SlowDown", message: "Please reduce your request rate.".to_owned() }
            }
            "cloudformation" | "route53" | "sts" => {
                Self { status: 400, code: "Throttling", message: "Rate exceeded".to_owned() }
            }
            _ => Self { status: 400, code: "ThrottlingException", message: "Rate exceeded".to_owned() },
        }
    }

    /// The answer as a service gives it.
    pub(crate) fn answer(&self, service: &str) -> Answer {
        let (code, message) = (self.code, escape(&self.message));
        match service {
            "s3" => Answer::new(
                self.status,
                &[("content-type", "application/xml")],
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
                     <Message>{message}</Message><RequestId>strict</RequestId></Error>"
                ),
            ),
            "cloudformation" | "sts" | "route53" | "monitoring" | "sns" => Answer::new(
                self.status,
                &[("content-type", "text/xml")],
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
                     </Error><RequestId>strict</RequestId></ErrorResponse>"
                ),
            ),
            _ => Answer::new(
                self.status,
                &[("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)],
                json!({ "__type": format!("com.amazon.coral.service#{code}"), "message": self.message })
                    .to_string(),
            ),
        }
    }
}

/// The sentence by which AWS refuses.
pub(crate) fn denial(who: &str, request: &Request, decision: &Decision) -> String {
    let Request { action, resource, .. } = request;
    let why = match decision {
        Decision::ExplicitDeny(_) => "with an explicit deny in an identity-based policy".to_owned(),
        _ => format!("because no identity-based policy allows the {action} action"),
    };
    format!("User: {who} is not authorized to perform: {action} on resource: {resource} {why}")
}

/// Text for XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
