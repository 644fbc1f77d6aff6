//! What the library renders, fetches and measures, compared with independent tools and against servers on loopback.
//!
//! One test program, because each one links the whole AWS SDK.

#[path = "../support/python.rs"]
mod python;
#[path = "../support/stacks.rs"]
mod stacks;

mod fetch_sources;
mod iam;
mod probe_phases;
mod templates;
