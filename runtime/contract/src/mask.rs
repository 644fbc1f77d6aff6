//! Removes API keys from text that is sent back to its sender.

use std::borrow::Cow;

use crate::{ApiKey, ApiKeyError};

/// Characters of an API key after its prefix.
const SECRET_CHARS: usize = 36;
/// Characters that remain, as in a hint.
const SHOWN_CHARS: usize = 4;

/// Whether a word is an API key in our format, with or without its prefix. A wrong checksum counts too: it may be a typing
/// error in a real one.
fn is_api_key(word: &str) -> bool {
    matches!(word.parse::<ApiKey>(), Ok(_) | Err(ApiKeyError::Checksum))
        || (word.len() == SECRET_CHARS && word.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The text with each API key in our format shortened to `…` and its last four characters.
pub fn without_api_keys(text: &str) -> Cow<'_, str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut shown = Cow::Borrowed(text);
    for word in text.split(|c| !part(c)).filter(|word| is_api_key(word)) {
        let hint = format!("…{}", &word[word.len() - SHOWN_CHARS..]);
        shown = Cow::Owned(shown.replace(word, &hint));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_api_key_is_repeated() {
        let key = ApiKey::generate("ipg_live", |bytes| bytes.fill(7)).expect("an API key");
        let (text, last) = (key.expose(), &key.expose()[key.expose().len() - 4..]);
        let bare = &text["ipg_live_".len()..];
        let misprint = format!("{}{}", &text[..text.len() - 1], if text.ends_with('a') { 'b' } else { 'a' });
        for word in [text, bare, &misprint] {
            for around in ["{}", "no field `{}`", "https://{}.test/?api-key={}", "a {} b {}"] {
                let shown = around.replace("{}", word);
                let masked = without_api_keys(&shown);
                assert!(!masked.contains(word) && masked.contains('…'), "{masked}");
            }
        }
        assert_eq!(without_api_keys(&format!("`{text}`")), format!("`…{last}`"));
        let hash = key.hash().to_string();
        for text in ["", "planet", "ipg_…x3Kq", "8.8.8.8", &hash] {
            assert!(matches!(without_api_keys(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
