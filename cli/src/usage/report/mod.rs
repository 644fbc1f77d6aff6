//! Usage reports: ledger items, usage events and API-key records to rows. Pure.

mod export;
mod hours;
mod lag;
mod rows;

pub(crate) use export::{CountRow, export_rows};
pub(crate) use hours::{HourFilter, hours};
pub use lag::LagRow;
pub(crate) use lag::lags;
pub use rows::{DayRange, GroupBy, Sums};
pub(crate) use rows::{ReportRow, name_of};
