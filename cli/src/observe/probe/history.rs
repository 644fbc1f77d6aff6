//! Previous runs of `ipgeo probe`, for the status page: a file with one line of JSON per run, the newest last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipgeo_contract::RegionName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::summary::{ProbeRow, ProbeState};
use crate::fs::{Replace, write_private};

/// Length of the history: five days with a run every five minutes.
const RUNS_MAX: usize = 1_440;
/// A larger file is not ours and is ignored.
const BYTES_MAX: u64 = 16 << 20;

/// One run of `ipgeo probe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbeRun {
    /// When it started.
    pub at: Timestamp,
    /// The regions that it probed.
    pub regions: BTreeMap<RegionName, RegionRun>,
}

/// A region in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RegionRun {
    /// Whether it answered.
    pub state: ProbeState,
    pub samples: usize,
    pub failed: usize,
    /// The median time of an answer, ms.
    pub p50_ms: Option<f64>,
}

/// Runs, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProbeHistory {
    pub runs: Vec<ProbeRun>,
}

impl ProbeRun {
    /// The run that measured these rows.
    pub(crate) fn new(at: Timestamp, rows: &[ProbeRow]) -> Self {
        let region = |row: &ProbeRow| RegionRun {
            state: row.state,
            samples: row.samples,
            failed: row.failed,
            p50_ms: row.total_p50_ms,
        };
        Self { at, regions: rows.iter().map(|row| (row.region.clone(), region(row))).collect() }
    }
}

impl ProbeHistory {
    /// The path of a service's history in the state folder.
    pub(crate) fn path(state: &Path, service: &str) -> PathBuf {
        state.join("probe").join(format!("{service}.jsonl"))
    }

    /// Reads a history. Malformed lines are skipped; a missing file is an empty history.
    pub(crate) fn read(path: &Path) -> Self {
        let sane = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= BYTES_MAX);
        let text = if sane { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let mut runs: Vec<ProbeRun> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        runs.sort_by_key(|run| run.at);
        Self { runs }
    }

    /// Adds a run, drops the oldest beyond the maximum, and rewrites the file.
    pub(crate) fn add(&mut self, run: ProbeRun, path: &Path) -> std::io::Result<()> {
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

    /// A region's part of the last `count` runs, the oldest first; `None` where it was not probed.
    pub(crate) fn last_runs(&self, region: &str, count: usize) -> Vec<Option<(Timestamp, RegionRun)>> {
        let from = self.runs.len().saturating_sub(count);
        self.runs[from..].iter().map(|run| run.regions.get(region).map(|region| (run.at, *region))).collect()
    }

    /// The share of a region's requests that were answered, 0 to 1.
    pub(crate) fn answered_share(&self, region: &str) -> Option<f64> {
        let (samples, failed) = self
            .runs
            .iter()
            .filter_map(|run| run.regions.get(region))
            .fold((0, 0), |(samples, failed), region| (samples + region.samples, failed + region.failed));
        #[expect(clippy::cast_precision_loss, reason = "a share of some thousand requests")]
        (samples > 0).then(|| 1.0 - failed.min(samples) as f64 / samples as f64)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::summary::summarise;
    use super::super::summary::tests::{edge, sample};
    use super::*;

    pub(in crate::observe::probe) fn run(minute: i64, up: bool) -> ProbeRun {
        let at = Timestamp::from_second(1_795_478_400 + 60 * minute).expect("a time");
        let sample = if up { sample(10.0) } else { Err("no".into()) };
        let row = summarise(&edge("eu-west-1"), &[sample]);
        ProbeRun::new(at, &[row])
    }

    #[test]
    fn the_history_is_sorted_and_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = ProbeHistory::path(folder.path(), "geo-prod");
        let mut history = ProbeHistory::read(&path);
        assert_eq!(history, ProbeHistory::default());
        history.add(run(0, true), &path).expect("written");
        history.add(run(1, false), &path).expect("written");
        let broken = std::fs::read_to_string(&path).expect("a file") + "{\"at\":\n";
        std::fs::write(&path, broken).expect("written");
        let mut history = ProbeHistory::read(&path);
        assert_eq!(history.runs, [run(0, true), run(1, false)]);
        assert_eq!(history.answered_share("eu-west-1"), Some(0.5));
        assert_eq!(history.answered_share("us-east-1"), None);
        assert_eq!(history.last_runs("eu-west-1", 1).len(), 1);
        history.runs = vec![run(0, true); RUNS_MAX];
        history.add(run(2, true), &path).expect("written");
        assert_eq!((history.runs.len(), ProbeHistory::read(&path).runs.len()), (RUNS_MAX, RUNS_MAX));
    }
}
