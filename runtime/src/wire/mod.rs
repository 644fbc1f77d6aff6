//! The Lambda's own client of AWS: the three calls of its tables and one of SNS, signed by the SDK's signer, sent by
//! `hyper` over `rustls`. It is there for what the SDK's client costs a new environment: see `docs/BENCHMARKS.md`.

mod client;
mod connections;
mod endpoint;
mod fault;
mod signed;
mod topic;

pub use client::Client;
pub use endpoint::{Account, EndpointError};
pub use topic::Topic;
