//! Errors with their causes, for logs and for people.

use std::error::Error;

/// An error and its causes, joined by `separator`. A cause that the text before it already ends with is left out.
pub fn error_chain(error: &(dyn Error + 'static), separator: &str) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let own = error.to_string();
        if !text.ends_with(&own) {
            if !text.is_empty() {
                text.push_str(separator);
            }
            text.push_str(&own);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn chain(texts: &[&'static str]) -> String {
        let link = texts.iter().rev().fold(None, |source, text| Some(Box::new(Link { text, source })));
        error_chain(&*link.expect("an error"), ": ")
    }

    #[test]
    fn every_cause_is_printed_once() {
        let table: [(&[&'static str], &str); 6] = [
            (&["save"], "save"),
            (&["save", "write x", "disk full"], "save: write x: disk full"),
            (&["it: no", "no"], "it: no"),
            (&["a", "a", "a"], "a"),
            (&["it: no", "no", "why"], "it: no: why"),
            (&["save", "", "disk full"], "save: disk full"),
        ];
        for (texts, expected) in table {
            assert_eq!(chain(texts), expected);
        }
    }
}
