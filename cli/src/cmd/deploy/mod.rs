//! Verbs that deploy: what would change, the change itself, and its end.

#[expect(clippy::module_inception, reason = "the group has the name of its main verb")]
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod drift;
pub(crate) mod iam;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod rollback;
pub(crate) mod traffic;
