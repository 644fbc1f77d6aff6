//! Naming an API key without writing it: by its hash, the beginning of it, its hint or its last four.

use ipgeo_contract::{Identity, KeyRecord, foreign_key_hash};

use super::secret::is_api_key;

/// Characters of a hash that are enough to try.
const HASH_CHARS_MIN: usize = 8;

/// Why no API key was chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// Somebody typed an API key.
    #[error(
        "that is an API key itself: it is in your shell's history now. Name it by its hint or hash, or give it on \
         standard input with `-`; consider `ipgeo keys rotate`"
    )]
    Secret,
    /// Nothing fits.
    #[error("no API key is named `{0}`; `ipgeo keys list` shows hints and hashes")]
    None(String),
    /// Several fit.
    #[error("`{text}` names {count} API keys: {list}; name one by more of its hash", count = .found.len(), list = .found.join(", "))]
    Several {
        /// What was typed.
        text: String,
        /// `hint (beginning of the hash)` of each.
        found: Vec<String>,
    },
}

/// The one API key that a text names.
pub fn choose<'a>(
    text: &str,
    keys: &'a [(Identity, KeyRecord)],
) -> Result<&'a (Identity, KeyRecord), ChooseError> {
    let hash = foreign_key_hash(text).map(|hash| Identity::key(&hash));
    let is_one = || keys.iter().any(|(identity, _)| Some(identity) == hash.as_ref());
    if is_api_key(text) || is_one() {
        return Err(ChooseError::Secret);
    }
    let names = |(identity, record): &&'a (Identity, KeyRecord)| {
        let by_hash = text.len() >= HASH_CHARS_MIN && identity.name().starts_with(text);
        let last_four = record.hint.rsplit('…').next();
        by_hash || record.hint == text || last_four == Some(text)
    };
    let found: Vec<&(Identity, KeyRecord)> = keys.iter().filter(names).collect();
    match found.as_slice() {
        [] => Err(ChooseError::None(text.to_owned())),
        [one] => Ok(one),
        several => Err(ChooseError::Several {
            text: text.to_owned(),
            found: several
                .iter()
                .map(|(identity, record)| format!("{} ({})", record.hint, &identity.name()[..12]))
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{ApiKey, Limit, Status, Window};

    use super::*;

    fn key(hash: &str, hint: &str) -> (Identity, KeyRecord) {
        let record = KeyRecord {
            owner: "acme".into(),
            tier: "startup".into(),
            limit: Limit { calls: 1, window: Window::Day },
            status: Status::Active,
            expires: None,
            sites: vec![],
            networks: vec![],
            hint: hint.into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            published: None,
        };
        (format!("key#{hash}").parse().expect("an identity"), record)
    }

    #[test]
    fn one_is_named_or_the_reason_is_told() {
        let keys = [
            key(&"a".repeat(64), "ipg_…x3Kq"),
            key(&format!("{}b", "a".repeat(63)), "ipg_…Zz09"),
            key(&"c".repeat(64), "ipg_…Zz09"),
        ];
        let chosen = |text: &str| choose(text, &keys).map(|(identity, _)| identity.name().to_owned());
        assert_eq!(chosen("ipg_…x3Kq"), Ok("a".repeat(64)));
        assert_eq!(chosen("x3Kq"), Ok("a".repeat(64)));
        assert_eq!(chosen("cccccccc"), Ok("c".repeat(64)));
        assert_eq!(chosen(&"a".repeat(64)), Ok("a".repeat(64)));
        assert_eq!(chosen("ccccccc"), Err(ChooseError::None("ccccccc".into())));
        let several = chosen("Zz09").expect_err("two").to_string();
        assert!(several.contains("ipg_…Zz09 (aaaaaaaaaaaa), ipg_…Zz09 (cccccccccccc)"), "{several}");
        assert!(matches!(chosen("aaaaaaaa"), Err(ChooseError::Several { .. })));
        let secret = ApiKey::generate("ipg", |bytes| bytes.fill(9)).expect("an API key");
        let refused = choose(secret.expose(), &keys).expect_err("refused");
        assert!(refused == ChooseError::Secret && !refused.to_string().contains(secret.expose()));
        // An API key in another format is identified by its hash.
        let foreign = "0123456789abcdef0123";
        let hash = foreign_key_hash(foreign).expect("a hash").to_string();
        assert_eq!(choose(foreign, &[key(&hash, "…0123")]).map(drop), Err(ChooseError::Secret));
    }
}
