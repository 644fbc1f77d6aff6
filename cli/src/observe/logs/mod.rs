//! The logs of several regions as one, in the order of time. No line is shown with an address or an API key.

mod files;
mod follow;
mod line;
mod merge;

pub(crate) use files::LocalLogs;
pub(crate) use follow::{LogFollower, read_once};
pub(crate) use line::{LogLine, ShownLine};

use ipgeo_contract::RegionName;
use std::future::Future;

use jiff::Timestamp;

use crate::infra::cloud::Problem;

pub(crate) trait LogSource: Sync {
    /// A region's lines since an instant, in the order of time. A line that arrives late may be older than lines of an
    /// earlier read. Only lines that contain `filter` are read, see [`LogLine::contains`].
    fn lines(
        &self,
        region: &RegionName,
        since: Timestamp,
        filter: Option<&str>,
    ) -> impl Future<Output = Result<Vec<LogLine>, Problem>> + Send;
}
