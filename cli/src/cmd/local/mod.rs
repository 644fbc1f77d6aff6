//! Verbs of this machine.

pub(crate) mod dev;
