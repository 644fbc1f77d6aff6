//! What may be an API key, and how it is kept out of everything that is stored, shown or printed.

use ipgeo_contract::{ApiKey, ApiKeyError, KeyHash, SitePattern, foreign_key_hash};

/// A run of so many characters may be an API key of any form.
const RUN_CHARS_MIN: usize = 16;

/// Whether a text is an API key of our form; one with a misprint is as good as one.
pub(super) fn is_api_key(text: &str) -> bool {
    matches!(text.parse::<ApiKey>(), Ok(_) | Err(ApiKeyError::Checksum))
}

/// Whether a text that is stored in clear holds an API key: one of our form, or the one of this hash.
pub(super) fn holds_api_key(text: &str, hash: Option<&KeyHash>) -> bool {
    let is_key = |word: &str| is_api_key(word) || (hash.is_some() && foreign_key_hash(word).as_ref() == hash);
    is_key(text)
        || text.split_whitespace().any(is_key)
        || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_key)
}

/// A message without what may be an API key in the text that it is about.
pub(super) fn without_runs_of(text: &str, message: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-+=~".contains(c);
    let runs = text.split(|c| !part(c)).filter(|run| run.len() >= RUN_CHARS_MIN);
    runs.fold(message.to_owned(), |message, run| message.replace(run, &format!("{}…", &run[..2])))
}

/// A site pattern that a flag or a cell gives.
pub(crate) fn parse_site(text: &str) -> Result<SitePattern, String> {
    if holds_api_key(text, None) {
        return Err("a site must not hold an API key: sites are stored and shown in clear".to_owned());
    }
    text.parse::<SitePattern>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_known_wherever_it_stands() {
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(5)).expect("an API key");
        let misprint = format!("{}!", &key.expose()[..key.expose().len() - 1]).replace('!', "é");
        let foreign = "a1b2c3d4-e5f6/0718";
        let hash = foreign_key_hash(foreign);
        for text in [key.expose(), &format!("x={};", key.expose()), foreign, &format!("acme {foreign} eu")] {
            assert!(holds_api_key(text, hash.as_ref()), "{text}");
        }
        for text in ["", "acme", "a1b2c3d4-e5f6/0719", "ipg_…x3Kq", &misprint] {
            assert!(!holds_api_key(text, hash.as_ref()), "{text}");
        }
        assert!(parse_site(key.expose()).is_err_and(|told| !told.contains(key.expose())));
        assert!(parse_site("*.example.com").is_ok());
    }

    #[test]
    fn a_message_keeps_no_long_run_of_its_text() {
        for (text, message, expected) in [
            ("sk_live_51aBcDeFgHiJ", "no tier `sk_live_51aBcDeFgHiJ`", "no tier `sk…`"),
            ("statrup", "no tier `statrup`; is it `startup`?", "no tier `statrup`; is it `startup`?"),
            (
                "2027-13-45T00:00:00Z",
                "`2027-13-45T00:00:00Z` is no time",
                "`2027-13-45T00:00:00Z` is no time",
            ),
        ] {
            assert_eq!(without_runs_of(text, message), expected);
        }
    }
}
