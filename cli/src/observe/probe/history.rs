//! Previous runs of `ipgeo probe`, for the status page: a file with a line of JSON for each day and for each of the last
//! runs, the newest last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipgeo_contract::RegionName;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::summary::{ProbeRow, ProbeState};
use crate::fs::{Replace, write_private};

/// Runs that are kept: a day with one every five minutes. Older ones are in the sums of their days.
const RUNS_MAX: usize = 288;
pub(super) const DAYS_MAX: usize = 90;
/// A larger file is not ours and is ignored.
const BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbeRun {
    pub at: Timestamp,
    pub regions: BTreeMap<RegionName, RegionRun>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RegionRun {
    pub state: ProbeState,
    pub samples: usize,
    pub failed: usize,
    pub p50_ms: Option<f64>,
}

/// Requests to a region, and those that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub samples: usize,
    pub failed: usize,
}

/// All runs of a day, UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct DayLine {
    day: Date,
    regions: BTreeMap<RegionName, Requests>,
}

/// Runs, the oldest first, and the sums of their days.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProbeHistory {
    pub runs: Vec<ProbeRun>,
    pub days: BTreeMap<Date, BTreeMap<RegionName, Requests>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Run(ProbeRun),
    Day(DayLine),
}

impl Requests {
    /// The state of a day: one lost request in a thousand is not worth a mark.
    pub(super) fn state(self) -> ProbeState {
        match self.samples {
            samples if self.failed.saturating_mul(2) > samples || samples == 0 => ProbeState::Down,
            samples if self.failed.saturating_mul(1_000) > samples => ProbeState::Shaky,
            _ => ProbeState::Up,
        }
    }

    /// `5 of 5`, or, of a thousand and more, `99.98 %`.
    pub(super) fn answered(self) -> String {
        let answered = self.samples.saturating_sub(self.failed);
        if self.samples < 1_000 {
            return format!("{answered} of {}", self.samples);
        }
        // Rounded down: only without a failure it is 100 %.
        let hundredths = answered * 10_000 / self.samples;
        format!("{}.{:02} %", hundredths / 100, hundredths % 100)
    }
}

impl ProbeRun {
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
        let mut history = Self::default();
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Run(run)) => history.runs.push(run),
                Ok(Line::Day(line)) => drop(history.days.insert(line.day, line.regions)),
                Err(_) => {}
            }
        }
        history.runs.sort_by_key(|run| run.at);
        history
    }

    /// Adds a run, drops the oldest beyond the maximum, and rewrites the file.
    pub(crate) fn add(&mut self, run: ProbeRun, path: &Path) -> std::io::Result<()> {
        count(&mut self.days, &run);
        self.runs.push(run);
        let surplus = self.runs.len().saturating_sub(RUNS_MAX);
        self.runs.drain(..surplus);
        while self.days.len() > DAYS_MAX {
            self.days.pop_first();
        }
        let mut text = String::new();
        for (day, regions) in &self.days {
            text += &serde_json::to_string(&DayLine { day: *day, regions: regions.clone() })?;
            text.push('\n');
        }
        for run in &self.runs {
            text += &serde_json::to_string(run)?;
            text.push('\n');
        }
        write_private(path, text.as_bytes(), Replace::Yes)
    }

    /// All requests to a region of the days that are kept.
    pub(super) fn requests(&self, region: &str) -> Requests {
        let days = self.days.values().filter_map(|regions| regions.get(region));
        days.fold(Requests::default(), |sum, day| Requests {
            samples: sum.samples + day.samples,
            failed: sum.failed + day.failed,
        })
    }

    /// Times in which a region did not answer at all, by the runs that are kept: the first such run, and the first with
    /// an answer after it.
    pub(super) fn outages(&self, region: &str) -> Vec<(Timestamp, Option<Timestamp>)> {
        let mut outages: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
        for run in &self.runs {
            let Some(found) = run.regions.get(region) else { continue };
            match (outages.last_mut(), found.state == ProbeState::Down) {
                (Some((_, None)), true) => {}
                (_, true) => outages.push((run.at, None)),
                (Some((_, end @ None)), false) => *end = Some(run.at),
                (_, false) => {}
            }
        }
        outages
    }
}

fn count(days: &mut BTreeMap<Date, BTreeMap<RegionName, Requests>>, run: &ProbeRun) {
    let day = days.entry(TimeZone::UTC.to_datetime(run.at).date()).or_default();
    for (region, found) in &run.regions {
        let sum = day.entry(region.clone()).or_default();
        sum.samples = sum.samples.saturating_add(found.samples);
        sum.failed = sum.failed.saturating_add(found.failed);
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
        assert_eq!(history.requests("eu-west-1"), Requests { samples: 2, failed: 1 });
        assert_eq!(history.requests("us-east-1"), Requests::default());
        history.runs = vec![run(0, true); RUNS_MAX];
        history.add(run(2, true), &path).expect("written");
        assert_eq!((history.runs.len(), ProbeHistory::read(&path).runs.len()), (RUNS_MAX, RUNS_MAX));
    }

    #[test]
    fn days_outlive_their_runs_and_are_bounded_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("probe.jsonl");
        let mut history = ProbeHistory::default();
        for day in 0..100 {
            for hour in 0..4 {
                history.add(run((day * 24 + hour) * 60, day % 10 != 3), &path).expect("written");
            }
        }
        let read = ProbeHistory::read(&path);
        assert_eq!(read, history);
        assert_eq!((read.days.len(), read.runs.len()), (DAYS_MAX, RUNS_MAX));
        assert_eq!(read.requests("eu-west-1"), Requests { samples: 360, failed: 36 });
    }

    #[test]
    fn few_requests_are_counted_and_many_are_a_share() {
        for (samples, failed, text, state) in [
            (0, 0, "0 of 0", ProbeState::Down),
            (5, 0, "5 of 5", ProbeState::Up),
            (5, 1, "4 of 5", ProbeState::Shaky),
            (100, 5, "95 of 100", ProbeState::Shaky),
            (2_880, 0, "100.00 %", ProbeState::Up),
            (288_000, 1, "99.99 %", ProbeState::Up),
            (2_880, 3, "99.89 %", ProbeState::Shaky),
            (2_880, 2_880, "0.00 %", ProbeState::Down),
        ] {
            let requests = Requests { samples, failed };
            assert_eq!((requests.answered().as_str(), requests.state()), (text, state));
        }
    }

    #[test]
    fn an_outage_lasts_until_the_next_answer() {
        let states = [true, false, false, true, false];
        let runs: Vec<ProbeRun> = states.iter().zip(0..).map(|(up, minute)| run(minute, *up)).collect();
        let at = |minute: usize| runs[minute].at;
        let history = ProbeHistory { runs: runs.clone(), ..ProbeHistory::default() };
        assert_eq!(history.outages("eu-west-1"), [(at(1), Some(at(3))), (at(4), None)]);
        assert_eq!(history.outages("us-east-1"), []);
    }
}
