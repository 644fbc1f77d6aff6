//! The two tables through the AWS SDK, for the operator's tool and `ipgeo dev`: scans, queries, transactions and whole
//! tables, which the Lambda does not need. Behind the feature `operator`, so the Lambda is built without the SDK.

mod access;
mod client;
mod ledger;
mod recovered;
mod shadow;
mod tables;
mod values;

pub use crate::tables::{
    Effort, KeyChange, KeyWriteError, LedgerItem, RecordedAlert, RegionNewest, ShardNewest,
};
pub use access::AccessTable;
pub use client::client;
pub use ledger::LedgerTable;
pub use recovered::{RecoveringLedger, Transact};
pub use shadow::Replaced;
pub use tables::{create_access_table, create_tables};

use aws_sdk_dynamodb::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::store::StoreError;

fn failed<E>(action: impl Into<String>, error: E) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
{
    StoreError { action: action.into(), source: Box::new(Described(Box::new(error))) }
}

/// The result of a conditional write: `false` if its condition did not hold.
fn held<T, E, R>(
    written: Result<T, SdkError<E, R>>,
    action: impl FnOnce() -> String,
) -> Result<bool, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(action(), error)),
    }
}

/// An SDK error prints as `service error`; this prints its whole chain in one fragment.
#[derive(Debug)]
struct Described(BoxError);

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chain = DisplayErrorContext(self.0.as_ref()).to_string();
        // The chain ends with a debug dump of the raw response, which helps nobody.
        f.write_str(chain.split(" (").next().unwrap_or(&chain))
    }
}

impl std::error::Error for Described {}
