//! Runs of before, for the status page: one line of JSON for each, the newest last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::summary::{Row, State};
use crate::fs::{Replace, write_private};

/// Runs that are kept; one every five minutes for five days.
const RUNS_MAX: usize = 1_440;
/// A history that is larger is not ours.
const BYTES_MAX: u64 = 16 << 20;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When.
    pub at: Timestamp,
    /// Every region that was asked.
    pub regions: BTreeMap<String, Seen>,
}

/// A region in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How it was.
    pub state: State,
    /// Requests made.
    pub samples: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Half of the answers came within this time, ms.
    pub p50_ms: Option<f64>,
}

/// Runs, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The runs.
    pub runs: Vec<Run>,
}

impl Run {
    /// A run of these rows.
    pub fn of(at: Timestamp, rows: &[Row]) -> Self {
        let seen = |row: &Row| Seen {
            state: row.state,
            samples: row.samples,
            failed: row.failed,
            p50_ms: row.total_p50_ms,
        };
        Self { at, regions: rows.iter().map(|row| (row.region.clone(), seen(row))).collect() }
    }
}

impl History {
    /// Where the history of a service is, below the state folder.
    pub fn path(state: &Path, service: &str) -> PathBuf {
        state.join("probe").join(format!("{service}.jsonl"))
    }

    /// Reads a history; lines that are none are left out, a file that is not there is an empty one.
    pub fn read(path: &Path) -> Self {
        let sane = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= BYTES_MAX);
        let text = if sane { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let mut runs: Vec<Run> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        runs.sort_by_key(|run| run.at);
        Self { runs }
    }

    /// Adds a run, forgetting the oldest ones, and writes the file whole.
    pub fn add(&mut self, run: Run, path: &Path) -> std::io::Result<()> {
        self.runs.push(run);
        let surplus = self.runs.len().saturating_sub(RUNS_MAX);
        self.runs.drain(..surplus);
        let mut text = String::new();
        for run in &self.runs {
            text.push_str(&serde_json::to_string(run)?);
            text.push('\n');
        }
        write_private(path, text.as_bytes(), Replace::Yes)
    }

    /// The last `count` states of a region, the oldest first; none where it was not asked.
    pub fn last_states(&self, region: &str, count: usize) -> Vec<Option<(Timestamp, Seen)>> {
        let from = self.runs.len().saturating_sub(count);
        self.runs[from..].iter().map(|run| run.regions.get(region).map(|seen| (run.at, *seen))).collect()
    }

    /// The share of a region's requests that were answered, 0 to 1.
    pub fn answered_share(&self, region: &str) -> Option<f64> {
        let (samples, failed) = self
            .runs
            .iter()
            .filter_map(|run| run.regions.get(region))
            .fold((0, 0), |(samples, failed), seen| (samples + seen.samples, failed + seen.failed));
        #[expect(clippy::cast_precision_loss, reason = "a share of some thousand requests")]
        (samples > 0).then(|| 1.0 - failed.min(samples) as f64 / samples as f64)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    pub(in crate::latency) fn run(minute: i64, up: bool) -> Run {
        let at = Timestamp::from_second(1_795_478_400 + 60 * minute).expect("a time");
        let failed = super::super::measure::Sample { outcome: Err("no".into()) };
        let row = summarise(&edge("eu-west-1"), &[if up { sample(10.0) } else { failed }]);
        Run::of(at, &[row])
    }

    #[test]
    fn runs_are_kept_in_order_and_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = History::path(folder.path(), "geo-prod");
        let mut history = History::read(&path);
        assert_eq!(history, History::default());
        history.add(run(0, true), &path).expect("written");
        history.add(run(1, false), &path).expect("written");
        let broken = std::fs::read_to_string(&path).expect("a file") + "{\"at\":\n";
        std::fs::write(&path, broken).expect("written");
        let mut history = History::read(&path);
        assert_eq!(history.runs, [run(0, true), run(1, false)]);
        assert_eq!(history.answered_share("eu-west-1"), Some(0.5));
        assert_eq!(history.answered_share("us-east-1"), None);
        assert_eq!(history.last_states("eu-west-1", 1).len(), 1);
        history.runs = vec![run(0, true); RUNS_MAX];
        history.add(run(2, true), &path).expect("written");
        assert_eq!((history.runs.len(), History::read(&path).runs.len()), (RUNS_MAX, RUNS_MAX));
    }
}
