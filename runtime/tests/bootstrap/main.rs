//! The Lambda's program as Lambda runs it, and its own client of AWS.

#[path = "../support/lambda.rs"]
mod lambda;
#[path = "../support/network.rs"]
mod network;
#[path = "../support/mod.rs"]
mod support;

mod events;
mod killed;
mod wire_client;
