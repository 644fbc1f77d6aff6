//! Detects text that may be an API key, and keeps it out of everything that is stored or printed: owners, sites, and error
//! messages about a cell of a CSV file.

use ipgeo_contract::{ApiKey, ApiKeyError, KeyHash, SitePattern, foreign_key_hash};

/// A run of at least this many characters may be an API key in any format.
const RUN_CHARS_MIN: usize = 16;

/// Whether a text looks like an API key in ipgeo's format, even with a typo.
pub(super) fn is_api_key(text: &str) -> bool {
    matches!(text.parse::<ApiKey>(), Ok(_) | Err(ApiKeyError::Checksum))
}

pub(crate) fn parse_note(text: &str) -> Result<String, String> {
    if contains_api_key(text, None) {
        return Err("a note must not contain an API key: notes are stored and shown in plain text".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether a text to be stored in plain text contains an API key: one in ipgeo's format, or the one with this hash.
pub(super) fn contains_api_key(text: &str, hash: Option<&KeyHash>) -> bool {
    let is_key = |word: &str| is_api_key(word) || (hash.is_some() && foreign_key_hash(word).as_ref() == hash);
    is_key(text)
        || text.split_whitespace().any(is_key)
        || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_key)
}

/// Shortens what may be an API key in an error message about `text`.
pub(super) fn redact(text: &str, message: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-+=~".contains(c);
    let runs = text.split(|c| !part(c)).filter(|run| run.len() >= RUN_CHARS_MIN);
    runs.fold(message.to_owned(), |message, run| message.replace(run, &format!("{}…", &run[..2])))
}

/// Parses a site pattern from a flag or a CSV cell.
pub(crate) fn parse_site(text: &str) -> Result<SitePattern, String> {
    if contains_api_key(text, None) {
        return Err("a site must not contain an API key: sites are stored and shown in plain text".to_owned());
    }
    text.parse::<SitePattern>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_found_anywhere_in_a_text() {
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(5)).expect("an API key");
        let misprint = format!("{}!", &key.expose()[..key.expose().len() - 1]).replace('!', "é");
        let foreign = "a1b2c3d4-e5f6/0718";
        let hash = foreign_key_hash(foreign);
        for text in [key.expose(), &format!("x={};", key.expose()), foreign, &format!("acme {foreign} eu")] {
            assert!(contains_api_key(text, hash.as_ref()), "{text}");
        }
        for text in ["", "acme", "a1b2c3d4-e5f6/0719", "ipg_…x3Kq", &misprint] {
            assert!(!contains_api_key(text, hash.as_ref()), "{text}");
        }
        assert!(parse_site(key.expose()).is_err_and(|error| !error.contains(key.expose())));
        assert!(parse_site("*.example.com").is_ok());
    }

    #[test]
    fn a_message_repeats_no_long_run_of_its_text() {
        for (text, message, expected) in [
            ("sk_live_51aBcDeFgHiJ", "no tier `sk_live_51aBcDeFgHiJ`", "no tier `sk…`"),
            ("statrup", "no tier `statrup`; is it `startup`?", "no tier `statrup`; is it `startup`?"),
            (
                "2027-13-45T00:00:00Z",
                "`2027-13-45T00:00:00Z` is no time",
                "`2027-13-45T00:00:00Z` is no time",
            ),
        ] {
            assert_eq!(redact(text, message), expected);
        }
    }
}
