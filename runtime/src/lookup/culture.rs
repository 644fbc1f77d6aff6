//! Cultures (BCP 47 language tags) such as `fr-FR`, which ipdata's .NET client appends to an address.

/// Two-letter codes of languages, ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy \
     da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii \
     ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr \
     ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl \
     sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh \
     zu";

/// Whether a path segment is a .NET culture: `fr`, `fr-FR`, `es-419`, `zh-Hans-CN`, `ca-ES-valencia`. A language alone
/// must be known, so that a mistyped field name is not mistaken for one.
pub(super) fn is_culture(text: &str) -> bool {
    let mut tags = text.split('-');
    let language = tags.next().unwrap_or_default();
    let tags: Vec<&str> = tags.collect();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && tags.len() <= 3
        && tags.iter().all(|tag| is_subtag(tag))
        && (!tags.is_empty() || LANGUAGES.split_ascii_whitespace().any(|known| known == language))
}

/// A script (`Hans`), a country (`FR`, `419`) or a variant (`valencia`).
fn is_subtag(tag: &str) -> bool {
    match tag.as_bytes() {
        [_, _] => tag.bytes().all(|byte| byte.is_ascii_uppercase()),
        [_, _, _] => tag.bytes().all(|byte| byte.is_ascii_digit()),
        [first, rest @ ..] if rest.len() == 3 => {
            first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase)
        }
        bytes => (5..=8).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_alphanumeric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cultures_are_recognised() {
        for text in
            ["fr", "en", "fr-FR", "es-419", "zh-Hans", "zh-Hans-CN", "ca-ES-valencia", "kok-IN", "yue-HK"]
        {
            assert!(is_culture(text), "{text}");
        }
        for text in [
            "",
            "-",
            "fr-",
            "FR",
            "fr-fr",
            "xx",
            "tz",
            "city",
            "org",
            "isp",
            "planet",
            "is-eu",
            "24",
            "é",
            "f",
            "deutsch-DE",
            "d1-DE",
            "FRA-FR",
            "fr-FR-FR-FR-FR",
            "zh-hans",
            "zh-HANS",
        ] {
            assert!(!is_culture(text), "{text}");
        }
    }
}
