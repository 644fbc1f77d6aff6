//! The usage path, end to end: one marked call through each region, followed until the ledger has counted it or to where
//! it is stuck.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ipgeo_contract::RegionName;
use jiff::Timestamp;

use super::check::Check;
use crate::infra::cloud::Problem;

/// Sending marked calls and looking for them.
pub(crate) trait UsagePath: Sync {
    /// Makes sure that every region knows the probes' API key, which marks the calls.
    fn ready(&self) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Sends a marked call to a region's edge.
    fn call(&self, region: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether a region's log has a marked call since an instant.
    fn logged(
        &self,
        region: &RegionName,
        since: Timestamp,
    ) -> impl Future<Output = Result<bool, Problem>> + Send;

    /// The number of marked calls in the ledger, by region.
    fn counted(&self) -> impl Future<Output = Result<BTreeMap<String, u64>, Problem>> + Send;
}

/// How often and how long to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TracePace {
    /// Between two checks.
    pub pause: Duration,
    /// How long to wait until a call is counted.
    pub patience: Duration,
    /// How long log pipe and counter may take; later is a warning.
    pub lag: Duration,
}

/// How far a region's marked call got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TracedCall {
    pub region: RegionName,
    pub answered: Result<(), String>,
    /// Seconds until its line was in the log; `None`: not seen there.
    pub logged_after_s: Option<f64>,
    /// Seconds until the ledger had counted it; `None`: not counted.
    pub counted_after_s: Option<f64>,
    /// Why the ledger or the log could not be read.
    pub unread: Option<Problem>,
}

impl TracedCall {
    /// Whether it can still arrive.
    fn waits(&self) -> bool {
        self.answered.is_ok() && self.counted_after_s.is_none()
    }
}

/// Sends a marked call through each region and follows them all. `progress` is called after each look.
pub(crate) async fn trace<P: UsagePath>(
    path: &P,
    regions: &[RegionName],
    pace: TracePace,
    now: Timestamp,
    progress: &(dyn Fn(&[TracedCall]) + Sync),
) -> Result<Vec<TracedCall>, Problem> {
    path.ready().await?;
    let before = path.counted().await?;
    let started = Instant::now();
    let answers = join_all(regions.iter().map(|region| path.call(region))).await;
    let mut traced: Vec<TracedCall> = regions
        .iter()
        .zip(answers)
        .map(|(region, answered)| TracedCall {
            region: region.clone(),
            answered,
            logged_after_s: None,
            counted_after_s: None,
            unread: None,
        })
        .collect();
    loop {
        check(path, &mut traced, &before, started, now).await;
        progress(&traced);
        if !traced.iter().any(TracedCall::waits) || started.elapsed() >= pace.patience {
            return Ok(traced);
        }
        tokio::time::sleep(pace.pause).await;
    }
}

/// Checks once where every call is that has not arrived.
async fn check<P: UsagePath>(
    path: &P,
    traced: &mut [TracedCall],
    before: &BTreeMap<String, u64>,
    started: Instant,
    since: Timestamp,
) {
    let counted = path.counted().await;
    let elapsed = started.elapsed().as_secs_f64();
    for one in traced.iter_mut().filter(|one| one.waits()) {
        match &counted {
            Ok(counted) => {
                let calls =
                    |counts: &BTreeMap<String, u64>| counts.get(one.region.as_str()).copied().unwrap_or(0);
                if calls(counted) > calls(before) {
                    one.counted_after_s = Some(elapsed);
                }
            }
            Err(error) => one.unread = Some(error.clone()),
        }
    }
    let unseen: Vec<&mut TracedCall> =
        traced.iter_mut().filter(|one| one.waits() && one.logged_after_s.is_none()).collect();
    let logs = join_all(unseen.iter().map(|one| path.logged(&one.region, since))).await;
    let elapsed = started.elapsed().as_secs_f64();
    for (one, logged) in unseen.into_iter().zip(logs) {
        match logged {
            Ok(true) => one.logged_after_s = Some(elapsed),
            Ok(false) => {}
            Err(error) => one.unread = Some(error),
        }
    }
}

pub(crate) fn judge_path(traced: &[TracedCall], pace: TracePace) -> Vec<Check> {
    let patience = pace.patience.as_secs();
    traced
        .iter()
        .map(|one| {
            let name = "usage path";
            let check = match (&one.answered, one.counted_after_s, one.logged_after_s) {
                (Err(why), _, _) => {
                    let found = format!("the marked call was not answered: {why}");
                    Check::fail(name, found, "check the edge with `ipgeo probe` and `ipgeo status`")
                }
                (Ok(()), Some(after), _) if after > pace.lag.as_secs_f64() => {
                    let found = format!("counted after {after:.0} s: limits are enforced late");
                    Check::warn(name, found, "see the checks `stream` and `counter`, and the stream's iterator age")
                }
                (Ok(()), Some(after), _) => Check::ok(name, format!("counted after {after:.1} s")),
                (Ok(()), None, Some(after)) => Check::fail(
                    name,
                    format!("in the log after {after:.1} s, not in the ledger after {patience} s: stuck between log and ledger"),
                    "see the checks `subscription`, `stream` and `counter`, then the counter's errors",
                ),
                (Ok(()), None, None) => match &one.unread {
                    Some(error) => Check::unread(name, error),
                    None => Check::fail(
                        name,
                        format!("answered, but its line is not in the log after {patience} s: stuck before the log"),
                        "the function's role may lack logs:PutLogEvents, or its log level hides INFO; see `ipgeo drift`",
                    ),
                },
            };
            check.at(&one.region)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::check::Mark;
    use super::*;

    /// A usage path in memory; the region's name determines where a call gets stuck.
    #[derive(Default)]
    struct Memory {
        calls: Mutex<Vec<RegionName>>,
        checks: Mutex<u64>,
    }

    impl UsagePath for Memory {
        async fn ready(&self) -> Result<(), Problem> {
            Ok(())
        }

        async fn call(&self, region: &str) -> Result<(), String> {
            self.calls.lock().expect("a lock").push(RegionName::new(region));
            if region == "deaf" { Err("no answer".into()) } else { Ok(()) }
        }

        async fn logged(&self, region: &RegionName, _since: Timestamp) -> Result<bool, Problem> {
            match region.as_str() {
                "blind" => Err(Problem::new("no permission", "grant it")),
                "unlogged" => Ok(false),
                _ => Ok(true),
            }
        }

        async fn counted(&self) -> Result<BTreeMap<String, u64>, Problem> {
            let mut checks = self.checks.lock().expect("a lock");
            *checks += 1;
            // Earlier calls are there from the first check; ours at the third.
            let ours = u64::from(*checks >= 3);
            Ok(BTreeMap::from([("well".into(), 7 + ours), ("uncounted".into(), 3)]))
        }
    }

    #[tokio::test]
    async fn a_call_is_followed_to_the_ledger_or_to_where_it_is_stuck() {
        let memory = Memory::default();
        let regions = ["well", "deaf", "unlogged", "uncounted", "blind"].map(RegionName::new);
        let pace = TracePace {
            pause: Duration::from_millis(1),
            patience: Duration::from_millis(60),
            lag: Duration::from_secs(9),
        };
        let traced = trace(&memory, &regions, pace, Timestamp::UNIX_EPOCH, &|_| ()).await.expect("traced");
        assert_eq!(*memory.calls.lock().expect("a lock"), regions, "one call to each");
        let checks = judge_path(&traced, pace);
        let expected = [
            (Mark::Ok, "counted after"),
            (Mark::Fail, "was not answered: no answer"),
            (Mark::Fail, "stuck before the log"),
            (Mark::Fail, "stuck between log and ledger"),
            (Mark::NotChecked, "no permission"),
        ];
        for (check, (mark, part)) in checks.iter().zip(expected) {
            assert!(check.mark == mark && check.found.contains(part), "{check:?}");
        }
    }

    #[test]
    fn a_late_count_is_a_warning() {
        let one = TracedCall {
            region: RegionName::new("a"),
            answered: Ok(()),
            logged_after_s: Some(1.0),
            counted_after_s: Some(300.0),
            unread: None,
        };
        let pace = TracePace {
            pause: Duration::ZERO,
            patience: Duration::from_mins(10),
            lag: Duration::from_mins(4),
        };
        assert_eq!(judge_path(std::slice::from_ref(&one), pace)[0].mark, Mark::Warn);
        let pace = TracePace { lag: Duration::from_mins(8), ..pace };
        assert_eq!(judge_path(&[one], pace)[0].mark, Mark::Ok, "within the lag of a long window");
    }
}
