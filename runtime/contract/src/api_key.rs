//! API keys: `<prefix>_<30 base62 random><6 base62 of CRC-32>`.
//!
//! A double click selects all of it, because of the underscore. The checksum lets an edge refuse typing errors and junk
//! without a read (the format follows GitHub's tokens). Only the SHA-256 is ever stored.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::hex_text::hex_text;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;
const PREFIX_CHARS_MAX: usize = 16;

/// A well-formed API key. Its `Debug` only shows the hint.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
}

/// The SHA-256 of an API key, which is stored and looked up instead of it; written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

/// Minimum and maximum length of an API key in another format than ours. Shorter ones could be guessed: 16 hex digits are
/// 64 bits, which thousands of guesses a second do not find in a lifetime; 8 are 32 bits, found within days.
const FOREIGN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// The hash of a text that may be an API key in another format than ours (from another service): 16 to 128
/// printable ASCII characters without a space. `None` if it can't be one.
pub fn foreign_key_hash(text: &str) -> Option<KeyHash> {
    let sound = FOREIGN_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then(|| KeyHash(Sha256::digest(text.as_bytes()).into()))
}

/// Text that is not an API key. No message repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Not `<prefix>_<36 base62 characters>`.
    #[error("not of the form <prefix>_<{len} letters and digits>", len = RANDOM_CHARS + CHECKSUM_CHARS)]
    Shape,
    /// The last six characters do not match the rest: a typing error.
    #[error("its checksum does not match: a character is wrong, missing or swapped")]
    Checksum,
}

/// Text that is not a key hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hex digits")]
pub struct KeyHashError;

/// Whether `prefix` may start an API key: 2 to 16 of `a-z 0-9 _`, a letter first, no `_` last.
pub fn prefix_is_valid(prefix: &str) -> bool {
    (2..=PREFIX_CHARS_MAX).contains(&prefix.len())
        && prefix.as_bytes()[0].is_ascii_lowercase()
        && !prefix.ends_with('_')
        && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl ApiKey {
    /// Generates an API key; `fill` must fill a buffer with random bytes from a cryptographic source. Fails with
    /// [`ApiKeyError::Shape`] if `prefix` is invalid (see [`prefix_is_valid`]).
    pub fn generate(prefix: &str, mut fill: impl FnMut(&mut [u8])) -> Result<Self, ApiKeyError> {
        if !prefix_is_valid(prefix) {
            return Err(ApiKeyError::Shape);
        }
        let mut text = format!("{prefix}_");
        let length = text.len() + RANDOM_CHARS;
        while text.len() < length {
            let mut bytes = [0_u8; 64];
            fill(&mut bytes);
            // 248 is the largest multiple of 62 in a byte: higher values would favour the first characters.
            let unbiased = bytes.iter().filter(|b| **b < 248);
            for byte in unbiased.take(length - text.len()) {
                text.push(char::from(BASE62[usize::from(byte % 62)]));
            }
        }
        text.push_str(&checksum(&text));
        Ok(Self { text })
    }

    /// The full API key, to show it once to its owner. Never log or store it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The hash that is stored instead.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.text.as_bytes()).into())
    }

    /// The hint by which people recognise it: the prefix and the last four characters, `ipg_…x3Kq`.
    pub fn hint(&self) -> String {
        let prefix = self.text.rsplit_once('_').map_or("", |(prefix, _)| prefix);
        format!("{prefix}_…{}", &self.text[self.text.len() - 4..])
    }
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let (prefix, rest) = text.rsplit_once('_').ok_or(ApiKeyError::Shape)?;
        let shaped = prefix_is_valid(prefix)
            && rest.len() == RANDOM_CHARS + CHECKSUM_CHARS
            && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        if !shaped {
            return Err(ApiKeyError::Shape);
        }
        let (body, given) = text.split_at(text.len() - CHECKSUM_CHARS);
        if checksum(body) != given {
            return Err(ApiKeyError::Checksum);
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.hint())
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_text(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(KeyHashError);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyHashError)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_from(seed: u8) -> ApiKey {
        let mut next = seed;
        ApiKey::generate("ipg", |buffer| {
            for byte in buffer {
                next = next.wrapping_mul(167).wrapping_add(13);
                *byte = next;
            }
        })
        .expect("a valid prefix")
    }

    #[test]
    fn shape_hint_and_hash() {
        let key = key_from(7);
        assert_eq!(key.expose().len(), "ipg_".len() + 36);
        assert!(key.expose().starts_with("ipg_"));
        assert_eq!(key.hint(), format!("ipg_…{}", &key.expose()[36..]));
        assert_eq!(key.hash().to_string().len(), 64);
        assert_eq!(key.hash().to_string().parse(), Ok(key.hash()));
        assert_eq!(format!("{key:?}"), format!("ApiKey({})", key.hint()));
        assert_eq!(format!("{:?}", key.hash()), format!("KeyHash({})", key.hash()));
    }

    #[test]
    fn an_api_key_is_made_of_its_random_bytes_without_a_bias() {
        // 255 down to 192: the first eight bytes are above the largest multiple of 62. The checksum is by Python's zlib.
        let fill = |buffer: &mut [u8]| (0..=255).rev().zip(buffer).for_each(|(byte, place)| *place = byte);
        let key = ApiKey::generate("ipg", fill).expect("a valid prefix");
        assert_eq!(key.expose(), "ipg_zyxwvutsrqponmlkjihgfedcbaZYXW4SRof3");
    }

    #[test]
    fn an_api_key_of_another_form_has_the_same_hash_as_any_text() {
        let key = key_from(3);
        assert_eq!(foreign_key_hash(key.expose()), Some(key.hash()));
        for (text, sound) in [
            ("a1b2c3d4e5f60718", true),
            (&"f".repeat(128), true),
            ("a1b2c3d4e5f6071", false),
            ("a1b2c3d4", false),
            (&"f".repeat(129), false),
            ("a1b2c3d4 e5f60718", false),
            ("ключключключключ", false),
        ] {
            assert_eq!(foreign_key_hash(text).is_some(), sound, "{text}");
        }
    }

    #[test]
    fn a_prefix_may_hold_an_underscore() {
        let key = ApiKey::generate("ipg_live", |buffer| buffer.fill(61)).expect("valid");
        assert_eq!(key.expose().parse(), Ok(key.clone()));
        assert!(key.hint().starts_with("ipg_live_…"));
        for prefix in ["", "a", "Ipg", "1pg", "ipg_", "ip g", "ipgipgipgipgipgip"] {
            assert!(!prefix_is_valid(prefix), "{prefix}");
            assert_eq!(ApiKey::generate(prefix, |_| ()).map(|_| ()), Err(ApiKeyError::Shape));
        }
    }

    #[test]
    fn junk_is_refused_by_name() {
        let good = key_from(1).expose().to_owned();
        let table = [
            (String::new(), ApiKeyError::Shape),
            ("test".into(), ApiKeyError::Shape),
            ("_".into(), ApiKeyError::Shape),
            (good.to_uppercase(), ApiKeyError::Shape),
            (format!("{good}x"), ApiKeyError::Shape),
            (good[..good.len() - 1].into(), ApiKeyError::Shape),
            (format!("ipg_{}", "é".repeat(18)), ApiKeyError::Shape),
            (good.replacen("ipg", "ipx", 1), ApiKeyError::Checksum),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<ApiKey>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_is_always_noticed(seed: u8, at in 4_usize..40, to in 0_usize..62) {
            let good = key_from(seed).expose().to_owned();
            let mut bytes = good.clone().into_bytes();
            prop_assume!(bytes[at] != BASE62[to]);
            bytes[at] = BASE62[to];
            let bad = String::from_utf8(bytes).expect("ascii");
            prop_assert_eq!(bad.parse::<ApiKey>(), Err(ApiKeyError::Checksum));
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            if let Ok(key) = text.parse::<ApiKey>() {
                prop_assert_eq!(key.expose(), text);
            }
        }
    }
}
