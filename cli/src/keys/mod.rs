//! API keys as their operator handles them: pure but for the trait that stores them.

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
mod tiers;
mod transfer;

pub use choose::{ChooseError, choose};
pub use filter::{Filtered, KeyFilter};
pub(crate) use owner::parse_owner;
pub use owner::{OwnerError, check_owner, repaired_owner};
pub use rotation::{RotationError, check_rotation};
pub(crate) use secret::parse_site;
pub(crate) use spec::parse_quota;
pub use spec::{Expiry, Grace, SpecError, parse_expiry, parse_grace, parse_since, tier_of};
pub use store::KeyStore;
pub use storing::{StoringError, store_all};
pub use tiers::change_tier;
pub use transfer::{ImportFaults, ImportPlan, Imported, TransferRow, export_rows, plan_import, read_csv};
