//! Hints by which people recognise an API key. Hints are stored, listed, mailed and posted in plain text, so they must
//! never contain more of an API key than its prefix and its last four characters.

use crate::{KeyHash, prefix_is_valid};

/// Characters from the end of an API key in a hint.
const LAST_CHARS_MAX: usize = 4;
/// Hash digits in a hint.
const HASH_DIGITS: usize = 8;

/// Whether a text has a format made by [`crate::ApiKey::hint`], [`foreign_hint`] or [`hash_hint`]:
/// `ipg_…x3Kq`, `…x3Kq`, `sha256 5e884898`.
pub fn is_hint(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("sha256 ") {
        return digits.len() == HASH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let Some((before, last)) = text.split_once('…') else { return false };
    let prefix = before.strip_suffix('_');
    (before.is_empty() || prefix.is_some_and(prefix_is_valid))
        && (1..=LAST_CHARS_MAX).contains(&last.len())
        && last.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The hint of an API key in another format than ours: its last four characters.
pub fn foreign_hint(text: &str) -> String {
    let last: String = text.chars().rev().take(LAST_CHARS_MAX).collect();
    format!("…{}", last.chars().rev().collect::<String>())
}

/// The hint of an API key of which only the hash is known.
pub fn hash_hint(hash: &KeyHash) -> String {
    format!("sha256 {}", &hash.to_string()[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ApiKey, foreign_key_hash};

    #[test]
    fn only_the_forms_that_we_make_are_hints() {
        for hint in ["ipg_…x3Kq", "ipg_live_…x3Kq", "…cdef", "…-=+/", "sha256 5e884898"] {
            assert!(is_hint(hint), "{hint}");
        }
        let key = ApiKey::generate("ipg", |bytes| bytes.fill(7)).expect("an API key");
        for text in [
            key.expose(),
            &format!("…{}", key.expose()),
            &format!("{}…", key.expose()),
            "sk_live_51aBcDeFgHiJ",
            "production",
            "",
            "…",
            "…12345",
            "ipg…x3Kq",
            "ipg_…x3K ",
            "ipg_…x…q",
            "sha256 5e88489",
            "sha256 5e884898d",
            "=cmd…1",
            "…\u{7}",
        ] {
            assert!(!is_hint(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn derived_hints_are_valid_hints(seed in 0_u8..248, foreign in "[!-~]{16,128}") {
            let key = ApiKey::generate("ipg_live", |bytes| bytes.fill(seed)).expect("an API key");
            prop_assert!(is_hint(&key.hint()) && is_hint(&hash_hint(&key.hash())));
            let hint = foreign_hint(&foreign);
            prop_assert!(is_hint(&hint) && hint.ends_with(&foreign[foreign.len() - 4..]));
            prop_assert!(foreign_key_hash(&foreign).is_some_and(|hash| is_hint(&hash_hint(&hash))));
        }
    }
}
