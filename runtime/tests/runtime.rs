//! The Lambda: its answers, its counting, and its program as Lambda runs it.
//!
//! One test program, because each one compiles and links the AWS SDK's calls.

#[path = "support/lambda.rs"]
mod lambda;
#[path = "support/network.rs"]
mod network;
#[path = "../../cli/tests/support/npm.rs"]
mod npm;
#[path = "../../cli/tests/support/python.rs"]
mod python;
mod support;

mod bootstrap;
mod lookup_answers;
mod usage;
