//! Verbs that estimate: the bill, a day of traffic, a limit.

#[expect(clippy::module_inception, reason = "the group has the name of its main verb")]
pub(crate) mod cost;
pub(crate) mod quota;
pub(crate) mod simulate;
