//! The operator's side of ipgeo.

pub mod geo;
