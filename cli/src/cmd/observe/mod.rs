//! Verbs that look at a running service.

mod checkup;
pub(crate) mod doctor;
pub(crate) mod logs;
pub(crate) mod open;
pub(crate) mod probe;
pub(crate) mod status;
