//! Deploys carried out against the cloud in memory: what they leave, whatever fails in between.

mod broken;
mod carried_out;
pub(crate) mod harness;
mod random;
mod time;
