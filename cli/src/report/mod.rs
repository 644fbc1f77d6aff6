//! Usage reports: ledger items and API-key records to rows. Pure.

mod rows;

pub use rows::{By, Row, Span, report, top};
