//! The Lambda of ipgeo, as a library.

pub mod geo;
