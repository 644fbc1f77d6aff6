//! What is wrong with an edge's answers. Pure.

use serde_json::Value;

use crate::infra::plan::ProbeSpec;

/// An answer, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// What is asked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// `/health`: that it is there, and which region it is.
    Health,
    /// An address: that its country is right.
    Lookup,
    /// The same with the probes' API key: that the access table is there and knows it.
    WithKey,
}

impl Question {
    pub(super) const ALL: [Self; 3] = [Self::Health, Self::Lookup, Self::WithKey];

    pub(super) fn path(self, spec: &ProbeSpec) -> String {
        match self {
            // The same to an edge; emulators keep the path without the last stroke for themselves.
            Self::Health => "/health/".to_owned(),
            Self::Lookup | Self::WithKey => format!("/{}", spec.address),
        }
    }
}

/// What is wrong with an answer of a region.
pub(super) fn judge(
    question: Question,
    region: &str,
    spec: &ProbeSpec,
    answer: &Answer,
) -> Result<(), String> {
    let path = question.path(spec);
    let json: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    if answer.status != 200 {
        let why = json["message"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
        let with = if question == Question::WithKey { " with the probes' API key" } else { "" };
        return Err(format!("{path}{with} answers {}{why}", answer.status));
    }
    let (field, expected) = match question {
        Question::Health => ("region", Some(region)),
        Question::Lookup => ("country_code", spec.country_code.as_deref()),
        // An API key that is not known is refused: its acceptance says enough.
        Question::WithKey => return Ok(()),
    };
    match (json[field].as_str(), expected) {
        (Some(found), Some(expected)) if found != expected => {
            Err(format!("{path} says {field} {found}, and {expected} is right"))
        }
        (None, Some(_)) => Err(format!("{path} says no {field}")),
        _ => Ok(()),
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
                Some("/health/ says region us-east-1, and eu-west-1 is right"),
            ),
            (Question::Health, &known, 200, "<html>", Some("/health/ says no region")),
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
                Some("/8.8.8.8 says country_code FR, and US is right"),
            ),
            (Question::Lookup, &known, 200, "{}", Some("/8.8.8.8 says no country_code")),
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
            let answer = Answer { status, body: body.to_owned() };
            let told = judge(question, "eu-west-1", spec, &answer).err();
            assert_eq!(told.as_deref(), expected, "{question:?} {body}");
        }
    }
}
