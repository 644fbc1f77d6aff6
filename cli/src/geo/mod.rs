//! Geo data: its sources and the terms of its licences.

pub mod licence;
pub mod sources;
