//! The Lambda's own AWS client: three calls of DynamoDB, one each of SNS, Kinesis and Lambda, signed with the SDK's signer, sent with `hyper` over
//! `rustls`. The SDK's clients would slow the start of an environment: see `docs/BENCHMARKS.md`.
//!
//! Every call has timeouts (connection, attempt, all attempts), and transient errors are retried. Connections stay open; the
//! first is opened while the geo database is being mapped. Trusted roots are built in, because reading a machine's takes longer
//! than the rest of the start; `AWS_CA_BUNDLE` names others.

mod client;
mod connections;
mod endpoint;
mod fault;
mod function;
mod signed;
mod stream;
mod topic;

pub use client::Client;
pub use endpoint::{Account, EndpointError};
pub use function::Function;
pub use stream::Stream;
pub use topic::Topic;
