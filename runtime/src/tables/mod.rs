//! The two tables as the Lambda uses them: what is read, what is written and on what condition. Nothing here knows
//! who makes the calls: [`Calls`] is implemented by the small client of the Lambda and by the SDK's, and both
//! run the same tests.

mod access;
mod calls;
mod effort;
mod items;
mod ledger;
mod notes;
mod value;

pub use access::AccessTable;
pub use calls::{Calls, Cause, Change, Found, Updated};
pub use effort::{Bounds, Effort};
pub use items::{ItemError, identity, key_item, key_record, networks, strings, text_of, time};
pub use ledger::{LedgerItem, LedgerTable, NOTHING_COUNTED, address_ttl};
pub use value::{Item, Value, number, string};

use crate::store::StoreError;

/// A failed call, in the store's words.
pub(crate) fn failed(action: impl Into<String>, source: impl Into<Cause>) -> StoreError {
    StoreError { action: action.into(), source: source.into() }
}
