//! The Lambda's program as Lambda runs it, and its own client of AWS.

mod events;
mod killed;
mod wire_client;
