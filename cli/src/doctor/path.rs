//! The usage path, end to end: one marked call through each region, followed until the ledger has counted it,
//! or to where it got stuck.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::check::Check;
use crate::infra::cloud::Problem;

/// Sending marked calls and looking for them.
pub trait UsagePath: Sync {
    /// Makes sure that every region knows the mark.
    fn ready(&self) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Makes a marked call to a region's edge.
    fn call(&self, region: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether a region's log has a marked call since an instant.
    fn logged(&self, region: &str, since: Timestamp) -> impl Future<Output = Result<bool, Problem>> + Send;

    /// Marked calls that the ledger has counted, by region.
    fn counted(&self) -> impl Future<Output = Result<BTreeMap<String, u64>, Problem>> + Send;
}

/// How often to look, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks.
    pub pause: Duration,
    /// Until a call that is not counted is given up.
    pub patience: Duration,
}

/// What became of a region's marked call.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// The region.
    pub region: String,
    /// Whether it was answered.
    pub answered: Result<(), String>,
    /// Seconds until its line was in the log; none: it was not seen there.
    pub logged_after_s: Option<f64>,
    /// Seconds until the ledger had counted it; none: it has not.
    pub counted_after_s: Option<f64>,
    /// Why the ledger or the log could not be looked at.
    pub unread: Option<Problem>,
}

/// Sends a marked call through each region and follows all of them. `tell` is called with the number that are
/// counted.
pub async fn trace<P: UsagePath>(
    path: &P,
    regions: &[String],
    pace: Pace,
    now: Timestamp,
    tell: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Traced>, Problem> {
    path.ready().await?;
    let before = path.counted().await?;
    let began = Instant::now();
    let answers = join_all(regions.iter().map(|region| path.call(region))).await;
    let mut traced: Vec<Traced> = regions
        .iter()
        .zip(answers)
        .map(|(region, answered)| Traced {
            region: region.clone(),
            answered,
            logged_after_s: None,
            counted_after_s: None,
            unread: None,
        })
        .collect();
    loop {
        look(path, &mut traced, &before, began, now).await;
        let waits = |one: &Traced| one.answered.is_ok() && one.counted_after_s.is_none();
        tell(traced.iter().filter(|one| one.counted_after_s.is_some()).count());
        if !traced.iter().any(waits) || began.elapsed() >= pace.patience {
            return Ok(traced);
        }
        tokio::time::sleep(pace.pause).await;
    }
}

/// Looks once for every call that is still on its way.
async fn look<P: UsagePath>(
    path: &P,
    traced: &mut [Traced],
    before: &BTreeMap<String, u64>,
    began: Instant,
    since: Timestamp,
) {
    let counted = path.counted().await;
    let elapsed = began.elapsed().as_secs_f64();
    for one in traced.iter_mut().filter(|one| one.answered.is_ok() && one.counted_after_s.is_none()) {
        match &counted {
            Ok(counted) => {
                let of = |counts: &BTreeMap<String, u64>| counts.get(&one.region).copied().unwrap_or(0);
                if of(counted) > of(before) {
                    one.counted_after_s = Some(elapsed);
                }
            }
            Err(error) => one.unread = Some(error.clone()),
        }
    }
    let unseen: Vec<&mut Traced> = traced
        .iter_mut()
        .filter(|one| one.answered.is_ok() && one.counted_after_s.is_none() && one.logged_after_s.is_none())
        .collect();
    let logs = join_all(unseen.iter().map(|one| path.logged(&one.region, since))).await;
    let elapsed = began.elapsed().as_secs_f64();
    for (one, logged) in unseen.into_iter().zip(logs) {
        match logged {
            Ok(true) => one.logged_after_s = Some(elapsed),
            Ok(false) => {}
            Err(error) => one.unread = Some(error),
        }
    }
}

/// CloudWatch Logs passes lines on within three minutes, it says; later is worth a look.
const LATE_S: f64 = 240.0;

/// Findings of followed calls.
pub fn judge_path(traced: &[Traced], pace: Pace) -> Vec<Check> {
    let patience = pace.patience.as_secs();
    traced
        .iter()
        .map(|one| {
            let name = "usage path";
            let check = match (&one.answered, one.counted_after_s, one.logged_after_s) {
                (Err(why), _, _) => {
                    let found = format!("the marked call was not answered: {why}");
                    Check::fail(name, found, "`ipgeo probe` and `ipgeo status` show how the edge is")
                }
                (Ok(()), Some(after), _) if after > LATE_S => {
                    let found = format!("counted after {after:.0} s: limits are held late");
                    Check::warn(name, found, "look at the checks `stream` and `counter`, and at the stream's iterator age")
                }
                (Ok(()), Some(after), _) => Check::ok(name, format!("counted after {after:.1} s")),
                (Ok(()), None, Some(after)) => Check::fail(
                    name,
                    format!("in the log after {after:.1} s, not in the ledger after {patience} s: stuck between log and ledger"),
                    "look at the checks `subscription`, `stream` and `counter`; then at the counter's errors",
                ),
                (Ok(()), None, None) => match &one.unread {
                    Some(error) => Check::unread(name, error),
                    None => Check::fail(
                        name,
                        format!("answered, and its line is not in the log after {patience} s: stuck before the log"),
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

    /// A path in memory that gets stuck where its region's name says.
    #[derive(Default)]
    struct Memory {
        calls: Mutex<Vec<String>>,
        looks: Mutex<u64>,
    }

    impl UsagePath for Memory {
        async fn ready(&self) -> Result<(), Problem> {
            Ok(())
        }

        async fn call(&self, region: &str) -> Result<(), String> {
            self.calls.lock().expect("a lock").push(region.to_owned());
            if region == "deaf" { Err("no answer".into()) } else { Ok(()) }
        }

        async fn logged(&self, region: &str, _since: Timestamp) -> Result<bool, Problem> {
            match region {
                "blind" => Err(Problem::new("no permission", "grant it")),
                "unlogged" => Ok(false),
                _ => Ok(true),
            }
        }

        async fn counted(&self) -> Result<BTreeMap<String, u64>, Problem> {
            let mut looks = self.looks.lock().expect("a lock");
            *looks += 1;
            // Calls of before are there from the first look; ours on the third.
            let ours = u64::from(*looks >= 3);
            Ok(BTreeMap::from([("well".into(), 7 + ours), ("uncounted".into(), 3)]))
        }
    }

    #[tokio::test]
    async fn a_call_is_followed_to_the_ledger_or_to_where_it_is_stuck() {
        let memory = Memory::default();
        let regions = ["well", "deaf", "unlogged", "uncounted", "blind"].map(str::to_owned);
        let pace = Pace { pause: Duration::from_millis(1), patience: Duration::from_millis(60) };
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
        for (check, (mark, says)) in checks.iter().zip(expected) {
            assert!(check.mark == mark && check.found.contains(says), "{check:?}");
        }
    }

    #[test]
    fn a_late_count_is_a_warning() {
        let one = Traced {
            region: "a".into(),
            answered: Ok(()),
            logged_after_s: Some(1.0),
            counted_after_s: Some(300.0),
            unread: None,
        };
        let pace = Pace { pause: Duration::ZERO, patience: Duration::from_mins(10) };
        assert_eq!(judge_path(&[one], pace)[0].mark, Mark::Warn);
    }
}
