//! What the Lambda at the edges, the usage function at home and the operator's command line must agree
//! on, and nothing else.

mod api_key;
mod limit;
mod period;

pub use api_key::{ApiKey, ApiKeyError, KeyHash, KeyHashError, prefix_is_valid};
pub use limit::{Limit, LimitError, Window};
pub use period::{Month, Period, PeriodError};
