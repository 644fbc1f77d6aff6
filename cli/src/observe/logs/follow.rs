//! Reads logs once, or again and again: a line that arrives late is shown late, and no line is shown twice.

use std::collections::{HashSet, VecDeque};

use futures_util::future::join_all;
use ipgeo_contract::RegionName;
use jiff::{SignedDuration, Timestamp};

use super::LogSource;
use super::line::LogLine;
use super::merge::merge;
use crate::infra::cloud::Problem;

/// How late a line may arrive after newer ones.
const LATE: SignedDuration = SignedDuration::from_secs(120);
/// Ids of shown lines that are remembered, per region.
const SHOWN_MAX: usize = 50_000;

/// The lines of all regions, merged, and the regions that could not be read.
pub(crate) async fn read_once<S: LogSource>(
    source: &S,
    regions: &[RegionName],
    since: Timestamp,
    filter: Option<&str>,
) -> (Vec<LogLine>, Vec<(RegionName, Problem)>) {
    let reads = join_all(regions.iter().map(|region| source.lines(region, since, filter))).await;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for (region, read) in regions.iter().zip(reads) {
        match read {
            Ok(found) => lines.push(found),
            Err(error) => failed.push((region.clone(), error)),
        }
    }
    (merge(lines), failed)
}

/// Reads what is new since the last read.
#[derive(Debug)]
pub(crate) struct LogFollower {
    since: Timestamp,
    shown: HashSet<(RegionName, String)>,
    order: VecDeque<(RegionName, String)>,
}

impl LogFollower {
    pub(crate) fn new(since: Timestamp) -> Self {
        Self { since, shown: HashSet::new(), order: VecDeque::new() }
    }

    /// The lines that are new since the last call.
    pub(crate) async fn next<S: LogSource>(
        &mut self,
        source: &S,
        regions: &[RegionName],
        filter: Option<&str>,
    ) -> (Vec<LogLine>, Vec<(RegionName, Problem)>) {
        let (mut lines, failed) = read_once(source, regions, self.since, filter).await;
        lines.retain(|line| self.shown.insert((line.region.clone(), line.id.clone())));
        for line in &lines {
            self.order.push_back((line.region.clone(), line.id.clone()));
        }
        // Older lines are not read again, unless a region failed: it must be read from the same instant.
        if failed.is_empty()
            && let Some(newest) = lines.last().map(|line| line.time)
        {
            self.since = self.since.max(newest.saturating_sub(LATE).unwrap_or(newest));
        }
        while self.order.len() > SHOWN_MAX * regions.len().max(1) {
            if let Some(old) = self.order.pop_front() {
                self.shown.remove(&old);
            }
        }
        (lines, failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Logs in memory; a region named `closed` can't be read.
    #[derive(Default)]
    struct Memory(Mutex<Vec<LogLine>>);

    impl Memory {
        fn put(&self, region: &str, second: i64, id: &str) {
            let time = Timestamp::from_second(second).expect("a time");
            let line = LogLine { time, region: RegionName::new(region), id: id.into(), text: id.into() };
            self.0.lock().expect("a lock").push(line);
        }
    }

    impl LogSource for Memory {
        async fn lines(
            &self,
            region: &RegionName,
            since: Timestamp,
            filter: Option<&str>,
        ) -> Result<Vec<LogLine>, Problem> {
            if *region == "closed" {
                return Err(Problem::new("it is closed", "open it"));
            }
            let lines = self.0.lock().expect("a lock");
            let wanted = |line: &&LogLine| {
                line.region == *region && line.time >= since && filter.is_none_or(|f| line.text.contains(f))
            };
            let mut found: Vec<LogLine> = lines.iter().filter(wanted).cloned().collect();
            found.sort();
            Ok(found)
        }
    }

    fn ids(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.id.as_str()).collect()
    }

    #[tokio::test]
    async fn late_lines_are_shown_once_and_late() {
        let memory = Memory::default();
        let regions = ["a", "b"].map(RegionName::new);
        memory.put("a", 1_000, "a1");
        memory.put("b", 999, "b1");
        let mut follow = LogFollower::new(Timestamp::from_second(500).expect("a time"));
        let (lines, failed) = follow.next(&memory, &regions, None).await;
        assert_eq!((ids(&lines), failed.len()), (vec!["b1", "a1"], 0));
        memory.put("a", 1_001, "a2");
        memory.put("b", 950, "b0");
        let (lines, _) = follow.next(&memory, &regions, None).await;
        assert_eq!(ids(&lines), ["b0", "a2"]);
        assert!(follow.next(&memory, &regions, None).await.0.is_empty());
    }

    #[tokio::test]
    async fn an_unreachable_region_hides_no_other_and_misses_nothing() {
        let memory = Memory::default();
        memory.put("a", 1_000, "a1");
        let regions = ["a", "closed"].map(RegionName::new);
        let mut follow = LogFollower::new(Timestamp::from_second(10).expect("a time"));
        let (lines, failed) = follow.next(&memory, &regions, Some("a1")).await;
        assert_eq!((ids(&lines), failed[0].0.as_str()), (vec!["a1"], "closed"));
        assert_eq!(follow.since, Timestamp::from_second(10).expect("a time"));
        let (none, _) = read_once(&memory, &regions, follow.since, Some("other")).await;
        assert!(none.is_empty());
    }
}
