//! Where the geo databases come from and what their licences ask for.

pub mod licence;
pub mod sources;
