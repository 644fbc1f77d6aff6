//! Selects an API key without the key itself: by its hash or a prefix of it, its hint, or its last four characters. A
//! secret typed as an argument is refused, and never repeated in a message.

use ipgeo_contract::{Identity, KeyRecord, foreign_key_hash};

use super::secret::is_api_key;

const HASH_CHARS_MIN: usize = 8;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChooseError {
    #[error(
        "this is the API key itself, and it is now in your shell's history\nhelp: name it by its hint or hash, or pass it on \
         standard input with `-`; rotate it with `ipgeo keys rotate`"
    )]
    Secret,
    #[error("no API key matches `{0}`\nhelp: `ipgeo keys list` shows hints and hashes")]
    None(String),
    #[error("`{text}` matches {count} API keys: {list}\nhelp: use a longer prefix of the hash", count = .found.len(), list = .found.join(", "))]
    Several {
        text: String,
        /// `hint (prefix of the hash)` of each.
        found: Vec<String>,
    },
}

/// Selects the one API key that matches `text`.
pub(crate) fn choose<'a>(
    text: &str,
    keys: &'a [(Identity, KeyRecord)],
) -> Result<&'a (Identity, KeyRecord), ChooseError> {
    let hash = foreign_key_hash(text).map(|hash| Identity::key(&hash));
    let is_foreign_key = || keys.iter().any(|(identity, _)| Some(identity) == hash.as_ref());
    if is_api_key(text) || is_foreign_key() {
        return Err(ChooseError::Secret);
    }
    let matches = |(identity, record): &&'a (Identity, KeyRecord)| {
        let by_hash = text.len() >= HASH_CHARS_MIN && identity.name().starts_with(text);
        let last_four = record.hint.rsplit('…').next();
        by_hash || record.hint == text || last_four == Some(text)
    };
    let found: Vec<&(Identity, KeyRecord)> = keys.iter().filter(matches).collect();
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
    use ipgeo_contract::ApiKey;

    use super::super::testing::key_record;
    use super::*;

    fn key(hash: &str, hint: &str) -> (Identity, KeyRecord) {
        let record = KeyRecord { hint: hint.into(), ..key_record("1/day") };
        (format!("key#{hash}").parse().expect("an identity"), record)
    }

    #[test]
    fn one_api_key_matches_or_the_error_says_why() {
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
