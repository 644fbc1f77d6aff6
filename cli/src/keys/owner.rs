//! Owners of API keys. Create, update, import and export use the same rules, so that every stored record can be exported
//! and imported again.

use std::borrow::Cow;

use ipgeo_contract::KeyHash;

use super::secret::holds_api_key;
use crate::config::is_invisible;

/// Maximum length of an owner in bytes.
const BYTES_MAX: usize = 200;
/// The owner of a record that has none.
const NOBODY: &str = "unnamed";

/// Why a text is not an owner. The message never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// Empty, padded, too long or with control characters.
    #[error(
        "an owner must be 1 to {max} bytes, without control characters or surrounding spaces",
        max = BYTES_MAX
    )]
    Form,
    /// It holds an API key.
    #[error("an owner must not contain an API key: owners are stored and shown in plain text")]
    Secret,
}

/// Checks an owner. `hash` is that of its API key, if known.
pub fn check_owner(text: &str, hash: Option<&KeyHash>) -> Result<(), OwnerError> {
    let sound = (1..=BYTES_MAX).contains(&text.len()) && text.trim() == text && !text.contains(is_invisible);
    match sound {
        false => Err(OwnerError::Form),
        true if holds_api_key(text, hash) => Err(OwnerError::Secret),
        true => Ok(()),
    }
}

/// Parses an owner from a flag.
pub(crate) fn parse_owner(text: &str) -> Result<String, OwnerError> {
    check_owner(text, None).map(|()| text.to_owned())
}

/// Adjusts a stored owner to the rules: it may predate them or come from another program.
pub fn repaired_owner<'a>(text: &'a str, hash: Option<&KeyHash>) -> Cow<'a, str> {
    match check_owner(text, hash) {
        Ok(()) => return Cow::Borrowed(text),
        Err(OwnerError::Secret) => return Cow::Borrowed(NOBODY),
        Err(OwnerError::Form) => {}
    }
    let visible = text.replace(is_invisible, " ");
    let visible = visible.trim();
    let end =
        (0..=visible.len().min(BYTES_MAX)).rev().find(|end| visible.is_char_boundary(*end)).unwrap_or(0);
    let cut = visible[..end].trim();
    let sound = check_owner(cut, hash).is_ok();
    Cow::Owned(if sound { cut.to_owned() } else { NOBODY.to_owned() })
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
            assert_eq!(check_owner(owner, None), Err(OwnerError::Form), "{owner:?}");
        }
        for owner in [key.expose(), &format!("acme, {}", key.expose()), foreign, &format!("acme {foreign}")] {
            let told = check_owner(owner, hash.as_ref()).expect_err("a secret");
            assert!(told == OwnerError::Secret && !told.to_string().contains(owner), "{owner}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_stored_can_be_repaired(text in "\\PC{0,10}|(.|\\n){0,300}|[ \\t\u{202e}]{0,5}") {
            let repaired = repaired_owner(&text, None);
            prop_assert_eq!(check_owner(&repaired, None), Ok(()));
            prop_assert!(check_owner(&text, None).is_err() || repaired == text);
        }
    }
}
