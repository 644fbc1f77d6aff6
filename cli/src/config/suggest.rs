//! "Did you mean": finds the known name that a mistyped one resembles. Used by every error of the tool that names an
//! unknown field, region, tier or owner.

/// Lowest Jaro-Winkler similarity of a suggestion (0 to 1).
const SIMILARITY_MIN: f64 = 0.7;

/// The known name that is most similar to `unknown`, if any is similar enough.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
