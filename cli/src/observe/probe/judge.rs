//! What a deploy's gates and `ipgeo status` ask an edge, and what is wrong with its answers.

use serde_json::Value;

use super::client::{ProbeClient, ProbeReply};
use crate::infra::cloud::{Probe, ProbeError, ProbeTarget};
use crate::infra::plan::ProbeSpec;

/// The requests, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// `/health`: it answers, as the right region.
    Health,
    /// An address: its country is right.
    Lookup,
    /// The same with the probes' API key: the access table can be read and has the key.
    WithKey,
}

impl Question {
    const ALL: [Self; 3] = [Self::Health, Self::Lookup, Self::WithKey];

    fn path(self, spec: &ProbeSpec) -> String {
        match self {
            // The same as /health to an edge; emulators answer /health themselves.
            Self::Health => "/health/".to_owned(),
            Self::Lookup | Self::WithKey => format!("/{}", spec.address),
        }
    }
}

/// What is wrong with a region's answer.
fn judge(question: Question, region: &str, spec: &ProbeSpec, reply: &ProbeReply) -> Result<(), String> {
    let path = question.path(spec);
    let json: Value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
    if reply.status != 200 {
        let why = json["message"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
        let with = if question == Question::WithKey { " with the probes' API key" } else { "" };
        return Err(format!("{path}{with} answers {}{why}", reply.status));
    }
    let (field, expected) = match question {
        Question::Health => ("region", Some(region)),
        Question::Lookup => ("country_code", spec.country_code.as_deref()),
        // An unknown API key is refused, so status 200 is enough.
        Question::WithKey => return Ok(()),
    };
    match (json[field].as_str(), expected) {
        (Some(found), Some(expected)) if found != expected => {
            Err(format!("{path} answers {field} {found}, expected {expected}"))
        }
        (None, Some(_)) => Err(format!("{path} has no {field}")),
        _ => Ok(()),
    }
}

impl Probe for ProbeClient {
    async fn probe(&self, target: &ProbeTarget, spec: &ProbeSpec) -> Result<f64, ProbeError> {
        let without_key = ProbeTarget { api_key: None, ..target.clone() };
        let mut first_byte_ms = 0.0;
        for question in Question::ALL {
            let target = match question {
                Question::WithKey if target.api_key.is_none() => continue,
                Question::WithKey => target,
                Question::Health | Question::Lookup => &without_key,
            };
            let reply = self.ask(target, &question.path(spec)).await;
            let named = |why: String| format!("{}: {why}", target.host);
            let reply = reply.map_err(|error| match error {
                ProbeError::NotReady(why) => ProbeError::NotReady(named(why)),
                ProbeError::Wrong(why) => ProbeError::Wrong(named(why)),
            })?;
            first_byte_ms = reply.times.first_byte;
            judge(question, &target.region, spec, &reply).map_err(ProbeError::Wrong)?;
        }
        Ok(first_byte_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_they_say() {
        let known =
            ProbeSpec { address: "8.8.8.8".into(), country_code: Some("US".into()), ..ProbeSpec::default() };
        let unknown = ProbeSpec { country_code: None, ..known.clone() };
        let table = [
            (Question::Health, &known, 200, r#"{"region":"eu-west-1"}"#, None),
            (
                Question::Health,
                &known,
                200,
                r#"{"region":"us-east-1"}"#,
                Some("/health/ answers region us-east-1, expected eu-west-1"),
            ),
            (Question::Health, &known, 200, "<html>", Some("/health/ has no region")),
            (
                Question::Health,
                &known,
                500,
                r#"{"message":"Internal Server Error"}"#,
                Some("/health/ answers 500: Internal Server Error"),
            ),
            (Question::Lookup, &known, 200, r#"{"country_code":"US"}"#, None),
            (
                Question::Lookup,
                &known,
                200,
                r#"{"country_code":"FR"}"#,
                Some("/8.8.8.8 answers country_code FR, expected US"),
            ),
            (Question::Lookup, &known, 200, "{}", Some("/8.8.8.8 has no country_code")),
            (Question::Lookup, &unknown, 200, "{}", None),
            (Question::WithKey, &known, 200, r#"{"count":"3"}"#, None),
            (
                Question::WithKey,
                &known,
                401,
                r#"{"message":"no"}"#,
                Some("/8.8.8.8 with the probes' API key answers 401: no"),
            ),
        ];
        for (question, spec, status, body, expected) in table {
            let reply = ProbeReply { status, body: body.to_owned(), ..ProbeReply::default() };
            let fault = judge(question, "eu-west-1", spec, &reply).err();
            assert_eq!(fault.as_deref(), expected, "{question:?} {body}");
        }
    }
}
