//! Usage reports: ledger items and API-key records to rows. Pure.

mod export;
mod lag;
mod rows;

pub use export::{CountRow, export_rows};
pub use lag::{LagRow, lags};
pub use rows::{By, Row, Span, name_of, report, top};
