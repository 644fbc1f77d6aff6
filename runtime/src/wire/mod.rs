//! The Lambda's own AWS client: three calls of DynamoDB and one of SNS, signed with the SDK's signer, sent with `hyper` over
//! `rustls`. The SDK's clients would slow the start of an environment: see `docs/BENCHMARKS.md`.

mod client;
mod connections;
mod endpoint;
mod fault;
mod signed;
mod topic;

pub use client::Client;
pub use endpoint::{Account, EndpointError};
pub use topic::Topic;
