//! Verbs that look at a running service.

mod checkup;
pub mod doctor;
pub mod logs;
pub mod probe;
pub mod status;
