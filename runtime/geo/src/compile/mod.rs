//! The compiler of the geo database: source databases in, one compiled `.mmdb` file out.
//!
//! Sources are search trees already, so no network is inserted one by one: `merge` walks all trees at once, and where every
//! source has reached a leaf, the result gets a leaf. `extract` reads a source's record into one common shape, `clean`
//! removes placeholders and invalid values, `combine` decides between sources, `countries` adds facts about the country,
//! `record` turns it all into the texts that are served, `pages` orders the nodes, and `write` encodes the file with `section`.
//!
//! Nothing is written to disk here: [`CompiledDatabase::write`] takes any writer. The same sources always give the same
//! bytes. Modules import only modules above them in that chain, never each other.

mod build;
mod clean;
mod combine;
mod countries;
mod diff;
mod error;
mod explain;
mod extract;
mod facts;
mod feeds;
mod kind;
mod merge;
mod networks;
mod pages;
mod progress;
mod ranges;
mod record;
mod regions;
mod sample;
mod section;
mod source;
#[cfg(test)]
mod tests;
mod threat;
mod tree;
mod write;
mod zone;

pub use build::{BuildSource, SourceData, build};
pub use countries::{CountryFacts, CountryTable, CurrencyFacts, LanguageFacts};
pub use diff::{CorrectionCount, CountryMove, DatabaseDiff, DiffError, DiffSample, count_corrections, diff};
pub use error::BuildError;
pub use explain::{ExplainedField, SourceValue, explain};
pub use facts::{Blocklist, Crawler, FLAGS, Flags, NetworkUse, SourceGives};
pub use feeds::{Correction, JsonPath, RangeFormat, read_corrections, write_corrections};
pub use kind::other_kind;
pub use networks::Networks;
pub use progress::{BuildPhase, BuildProgress, NoProgress};
pub use ranges::{RangeSet, Skipped};
pub use sample::{SAMPLE_NAME, compile_text, sample};
pub use source::{Parts, Source};
pub use write::{CompiledDatabase, DataDescription};
