//! Counts in messages.

use crate::ui::output::grouped;

/// A number and its noun: `1 call`, `2,000 calls`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(
            [0u64, 1, 2_000].map(|count| counted(count, "call")),
            ["0 calls", "1 call", "2,000 calls"]
        );
    }
}
