//! API keys as the operator manages them: parsing what is typed, selecting and filtering keys, rotation, import and export.
//! `cmd/keys` and the deploy use it; the store is a trait, so everything here runs without AWS. API keys themselves are
//! never stored or printed: only hashes and hints are.

mod choose;
mod filter;
mod owner;
mod rotation;
#[cfg(test)]
mod round_trip;
mod secret;
mod spec;
mod store;
mod storing;
#[cfg(test)]
pub(crate) mod testing;
mod tiers;
mod transfer;

pub(crate) use choose::{ChooseError, choose};
pub(crate) use filter::KeyFilter;
pub(crate) use owner::parse_owner;
pub(crate) use rotation::check_rotation;
pub(crate) use secret::{parse_note, parse_site};
pub(crate) use spec::{Grace, find_tier, own_rate, parse_expiry, parse_grace, parse_quota, parse_since};
pub use store::KeyStore;
pub(crate) use storing::store_all;
pub(crate) use tiers::change_tier;
pub(crate) use transfer::{ImportProblems, export_rows, plan_import, read_csv, to_millisecond};
