//! The Lambda of ipgeo, as a library: the very handlers that the `bootstrap` binary serves, so that
//! `ipgeo dev` and the tests run the same code as AWS does.

#[cfg(feature = "operator")]
pub mod dynamo;
pub mod lookup;
pub mod store;
pub mod tables;
pub mod usage;
pub mod wire;
