//! Looks addresses up, one or millions, in a compiled database or through the API. Reads the addresses, prints the answers,
//! and adds columns to CSV files. Used by `ipgeo lookup` and `ipgeo bulk`.

mod api;
mod bulk;
mod fields;
mod hint;
mod input;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use api::{Api, ApiOptions, api_key};
pub(crate) use bulk::{Bulk, BulkOptions, BulkOutcome};
pub(crate) use fields::{MAIN_FIELDS, columns};
pub(crate) use hint::hint;
pub(crate) use input::Input;
pub(crate) use source::{BLOCK, Source, Wanted};
pub(crate) use summary::SummaryView;
pub(crate) use views::{CsvView, FieldView, JsonView, TableView, View};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ui::output::grouped;

/// A request to stop, shared by the work and whoever may stop it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl StopFlag {
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if a stop was requested.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}

/// A count of addresses: `1 address`, `1,500 addresses`.
pub(crate) fn addresses(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "address" } else { "addresses" })
}
