//! The operator's side of ipgeo.

pub mod config;
pub mod fetch;
pub mod geo;
