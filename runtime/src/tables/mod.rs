//! The two DynamoDB tables: what is read, what is written and on what condition. Nothing in it depends on the client:
//! the Lambda's small client and the SDK's both implement [`Calls`], and both run the same tests.

mod access;
mod attributes;
mod calls;
mod effort;
mod ledger;
pub(crate) mod rows;
mod value;

pub use access::AccessTable;
pub use attributes::ItemError;
pub use calls::{Calls, Cause, Change, Found, Updated};
pub use effort::{Bounds, Effort};
pub use ledger::LedgerTable;
pub use rows::alert::RecordedAlert;
pub use rows::key::{KeyChange, KeyWriteError};
pub use rows::month::{LedgerItem, NOTHING_COUNTED};
pub use rows::shard::{RegionNewest, ShardNewest};
pub use value::{Item, Value, number, string};

use crate::store::StoreError;

pub(crate) fn failed(action: impl Into<String>, source: impl Into<Cause>) -> StoreError {
    StoreError { action: action.into(), source: source.into() }
}
