//! The Lambda of ipgeo as a library: the handlers of the `bootstrap` binary, so that `ipgeo dev` and the tests run the same
//! code as AWS.

#[cfg(feature = "operator")]
pub mod dynamo;
pub mod forward;
pub mod lookup;
pub mod store;
pub mod tables;
pub mod usage;
pub mod wire;
