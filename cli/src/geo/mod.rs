//! Geo data: its sources and the terms of its licences.

pub(crate) mod licence;
pub(crate) mod sources;
