//! The rules for owners of API keys. `keys create`, `update`, `import` and `export` share them, so every stored record can
//! be exported and imported again. Error messages never repeat the text: it may be an API key.

use std::borrow::Cow;

use ipgeo_contract::KeyHash;

use super::secret::contains_api_key;
use crate::config::is_invisible;

/// Maximum length of an owner in bytes.
const BYTES_MAX: usize = 200;
/// Replaces an owner that cannot be adjusted.
const UNNAMED: &str = "unnamed";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OwnerError {
    #[error(
        "an owner must be 1 to {max} bytes, without control characters or surrounding spaces",
        max = BYTES_MAX
    )]
    Invalid,
    #[error("an owner must not contain an API key: owners are stored and shown in plain text")]
    Secret,
}

/// Checks an owner. `hash` is that of its API key, if known.
pub(super) fn check_owner(text: &str, hash: Option<&KeyHash>) -> Result<(), OwnerError> {
    let valid = (1..=BYTES_MAX).contains(&text.len()) && text.trim() == text && !text.contains(is_invisible);
    match valid {
        false => Err(OwnerError::Invalid),
        true if contains_api_key(text, hash) => Err(OwnerError::Secret),
        true => Ok(()),
    }
}

pub(crate) fn parse_owner(text: &str) -> Result<String, OwnerError> {
    check_owner(text, None).map(|()| text.to_owned())
}

/// Adjusts a stored owner to the rules: it may predate them or come from another program.
pub(super) fn repair_owner<'a>(text: &'a str, hash: Option<&KeyHash>) -> Cow<'a, str> {
    match check_owner(text, hash) {
        Ok(()) => return Cow::Borrowed(text),
        Err(OwnerError::Secret) => return Cow::Borrowed(UNNAMED),
        Err(OwnerError::Invalid) => {}
    }
    let visible = text.replace(is_invisible, " ");
    let visible = visible.trim();
    let end =
        (0..=visible.len().min(BYTES_MAX)).rev().find(|end| visible.is_char_boundary(*end)).unwrap_or(0);
    let cut = visible[..end].trim();
    let valid = check_owner(cut, hash).is_ok();
    Cow::Owned(if valid { cut.to_owned() } else { UNNAMED.to_owned() })
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{ApiKey, foreign_key_hash};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_owner_is_a_name_and_never_an_api_key() {
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(5)).expect("an API key");
        let foreign = "sk_live_51aBcDeFgHiJ";
        let hash = foreign_key_hash(foreign);
        let long = "ä".repeat(100);
        for owner in ["a", "Müller, Söhne", "=cmd|' /C calc'!A0", "acme  (EU)", &long] {
            assert_eq!(check_owner(owner, hash.as_ref()), Ok(()), "{owner}");
        }
        let longer = format!("{long}x");
        for owner in ["", " ", " acme", "acme\t", "a\nb", "a\u{1b}[31m", "a\u{202e}b", "a\u{2028}b", &longer]
        {
            assert_eq!(check_owner(owner, None), Err(OwnerError::Invalid), "{owner:?}");
        }
        for owner in [key.expose(), &format!("acme, {}", key.expose()), foreign, &format!("acme {foreign}")] {
            let error = check_owner(owner, hash.as_ref()).expect_err("a secret");
            assert!(error == OwnerError::Secret && !error.to_string().contains(owner), "{owner}");
        }
    }

    proptest! {
        #[test]
        fn any_stored_owner_can_be_repaired(text in "\\PC{0,10}|(.|\\n){0,300}|[ \\t\u{202e}]{0,5}") {
            let repaired = repair_owner(&text, None);
            prop_assert_eq!(check_owner(&repaired, None), Ok(()));
            prop_assert!(check_owner(&text, None).is_err() || repaired == text);
        }
    }
}
