//! API keys as their operator handles them: pure but for the trait that stores them.

mod choose;
mod spec;
mod store;
mod storing;
mod transfer;

pub use choose::{ChooseError, choose};
pub(crate) use spec::parse_quota;
pub use spec::{Expiry, Grace, SpecError, parse_expiry, parse_grace, parse_since, tier_of};
pub use store::KeyStore;
pub use storing::{StoringError, store_all};
pub use transfer::{ImportFaults, ImportPlan, Imported, TransferRow, export_rows, plan_import, read_csv};
