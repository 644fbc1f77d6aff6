//! "Did you mean": finds the known name that a mistyped one resembles. Used by every error of the tool that names an
//! unknown field, region, tier or owner.

/// Lowest Jaro-Winkler similarity of a suggestion (0 to 1).
const SIMILARITY_MIN: f64 = 0.7;

/// Other names of processors. By similarity alone, `amd64` would suggest `arm64`, the other processor.
const SYNONYMS: [(&str, &str); 6] = [
    ("aarch64", "arm64"),
    ("amd64", "x86_64"),
    ("intel", "x86_64"),
    ("x64", "x86_64"),
    ("x86", "x86_64"),
    ("x86-64", "x86_64"),
];

/// The known name that is most similar to `unknown`, if any is similar enough.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let synonym = SYNONYMS.iter().find(|(other, name)| *other == unknown && known.contains(name));
    if let Some((_, name)) = synonym {
        return Some(name);
    }
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// `; did you mean …?`, or an empty text.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(unknown, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_similar_or_another_name_of_the_same() {
        let processors = ["arm64", "x86_64"];
        let table = [
            ("amd64", &processors[..], Some("x86_64")),
            ("aarch64", &processors, Some("arm64")),
            ("x86-64", &processors, Some("x86_64")),
            ("arm", &processors, Some("arm64")),
            ("mips", &processors, None),
            // A synonym of something that is not a choice.
            ("amd64", &["eu-west-1"], None),
        ];
        for (unknown, known, expected) in table {
            assert_eq!(did_you_mean(unknown, known.iter().copied()), expected, "{unknown}");
        }
    }
}
