//! Verbs of this machine.

pub mod dev;
