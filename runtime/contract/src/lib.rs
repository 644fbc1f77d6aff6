//! The contract between the Lambda at the edges, the usage function at home and the operator's command line: API keys, limits
//! and periods, short rates, identities, table keys and attribute names, the usage line, the decision, the publication steps, early counts, quiet
//! callers, the release mark, and the names of environment variables.
//!
//! Everything is pure: no clock, environment, files, network or randomness. The time and the source of random bytes are
//! arguments.

mod access;
mod alert;
mod api_key;
mod decide;
mod early;
pub mod env;
mod error_chain;
mod gap;
mod hex_text;
mod hint;
mod identity;
mod ledger;
mod limit;
mod mask;
mod number;
mod period;
mod pooled;
mod probe;
mod publish;
mod rate;
mod region;
mod release;
mod site;
mod usage_line;

pub use access::{KeyRecord, Published, SECRET_ID, Status, StatusError, access_attr, canonical_network};
pub use alert::{Thresholds, ThresholdsError};
pub use api_key::{ApiKey, ApiKeyError, KeyHash, KeyHashError, foreign_key_hash, prefix_is_valid};
pub use decide::{Caller, QuotaState, Verdict, VerdictError, decide_key, effective_usage};
pub use early::{
    EARLY_COUNTS_MAX, EARLY_GAP_MS, EARLY_REPORT_VERSION, EarlyCell, EarlyCount, EarlyReport,
    EarlyReportError, early_slot, early_step, is_early_publication_due, is_report_due, is_reread_due,
    slot_is_open, slot_is_over,
};
pub use error_chain::error_chain;
pub use gap::{GAP_AGE_S, Gap, RECORD_AGE_S};
pub use hint::{foreign_hint, hash_hint, is_hint};
pub use identity::{AddressSecret, DaySecret, Identity, IdentityError, IdentityKind};
pub use ledger::{LedgerAttr, ledger_attr, padded_sequence};
pub use limit::{Limit, LimitError, Window};
pub use mask::without_api_keys;
pub use number::{Number, NumberError};
pub use period::{Month, Period, PeriodError};
pub use pooled::{QUIET_PERMILLE_MAX, pooled_calls};
pub use probe::{PROBE_OWNER, PROBE_TIER, probe_api_key, probe_record};
pub use publish::{is_to_publish, publish_step};
pub use rate::{Rate, RateBucket, RateError, RateLimit, RateState, RateUnit, Rates, RatesError};
pub use region::{RegionName, RegionNameError};
pub use release::RELEASE_MARK;
pub use site::{Site, SitePattern, SitePatternError, site_is_allowed};
pub use usage_line::{CHARGES_MAX, COST_MAX, Charge, LineError, USAGE_LINE_VERSION, UsageEvent};
