//! Verbs that estimate: the bill, a day of traffic, a limit.

#[expect(clippy::module_inception, reason = "the group has the name of its main verb")]
pub mod cost;
pub mod quota;
pub mod simulate;
