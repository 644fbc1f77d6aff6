//! Logs of several regions as one: in the order of time, each line with its region.
//!
//! `line` is a line for people and for programs, `merge` puts regions together, `files` reads the logs of a
//! running world, `follow` goes on.

mod files;
mod follow;
mod line;
mod merge;

pub use files::WorldLogs;
pub use follow::{Follow, read_once};
pub use line::{Line, Told};
pub use merge::merge;

use std::future::Future;

use jiff::Timestamp;

use crate::infra::cloud::Problem;

/// Where logs are read from.
pub trait LogSource: Sync {
    /// Lines of a region from an instant on, in the order of time; a line that came late may be in an
    /// answer though it is older than one that was read before. `filter` must be in a line, as [`Line::has`] looks.
    fn lines(
        &self,
        region: &str,
        since: Timestamp,
        filter: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Line>, Problem>> + Send;
}
