//! Verbs that deploy: what would change, the change itself, and its end.

#[expect(clippy::module_inception, reason = "the group has the name of its main verb")]
pub mod deploy;
pub mod destroy;
pub mod drift;
pub mod iam;
pub mod plan;
pub mod render;
pub mod traffic;
