//! The compiler of the geo database: source databases in, one compiled `.mmdb` out.
//!
//! Sources are search trees already, so they are not taken apart and inserted anew: `merge` walks all of
//! them at once, and each place where every source has reached a leaf becomes one leaf of the result.
//! `extract` reads a source's record, `clean` removes placeholders and invalid values, `facts` adds the facts of
//! its country, `record` turns
//! both into the texts that are served, `pages` orders the nodes, `write` writes the file.

mod build;
mod check;
mod clean;
mod diff;
mod error;
mod extract;
mod facts;
pub mod licence;
mod merge;
mod networks;
mod pages;
mod record;
mod sample;
mod source;
pub mod sources;
mod tree;
mod write;
mod zone;

pub use build::{About, Built, Phase, Progress, Quiet, build, build_bytes};
pub use check::{Checked, check};
pub use diff::{Diff, DiffError, Move, Sampled, diff};
pub use error::BuildError;
pub use facts::{CountryFacts, CurrencyFacts, Facts, LanguageFacts};
pub use networks::Networks;
#[cfg(test)]
pub(crate) use sample::sample_of;
pub use sample::{SAMPLE_NAME, sample, write_sample};
pub use source::Source;
