//! The checker: holds the promises of `docs/INVARIANTS.md` against the history of a run and the rows of the tables. It has its own
//! arithmetic of periods, sums and steps, and reads rows by the names of their attributes.

mod counts;
mod limits;
mod published;

use std::cell::RefCell;
use std::collections::BTreeMap;

use ipgeo_contract::Window;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::edges::Caller;
use crate::history::{Answered, History};
use crate::run::World;
use crate::shared::lock;

/// What does not hold at the end of a run.
pub(crate) fn violations(world: &World, history: &History) -> Vec<String> {
    let facts = Facts::new(world, history);
    let mut found = counts::violations(&facts);
    found.extend(published::violations(&facts));
    found.extend(limits::violations(&facts));
    found
}

/// What must hold whenever nothing is in progress: everything is counted and published, and replicas are equal.
pub(crate) fn at_rest(world: &World) {
    let found = {
        let history = lock(&world.shared.history);
        let facts = Facts::new(world, &history);
        let mut found = counts::violations(&facts);
        found.extend(published::at_rest(&facts));
        found
    };
    for what in found {
        world.shared.wrong(&what);
    }
}

/// A run, as the parts of the checker read it.
pub(crate) struct Facts<'a> {
    pub(crate) world: &'a World,
    pub(crate) history: &'a History,
    pub(crate) callers: Vec<Caller>,
    /// Charged calls of a caller in a period: when, and the sum up to then.
    sums: BTreeMap<(usize, String), Vec<(u64, u64)>>,
}

thread_local! {
    /// The last date and the number of its day: answers are in order, so most have the date of the one before.
    static LAST_DATE: RefCell<(i64, String)> = RefCell::new((i64::MIN, String::new()));
}

/// The date of a clock, `2026-11-24`; its month is the first seven characters.
pub(crate) fn date(clock_ms: i64) -> String {
    let day = clock_ms.div_euclid(24 * 3_600_000);
    LAST_DATE.with_borrow_mut(|last| {
        if last.0 != day {
            let time = Timestamp::from_millisecond(clock_ms).unwrap_or_default();
            *last = (day, TimeZone::UTC.to_datetime(time).date().to_string());
        }
        last.1.clone()
    })
}

/// The period of a window that a clock is in.
pub(crate) fn period(window: Window, clock_ms: i64) -> String {
    let mut date = date(clock_ms);
    if window == Window::Month {
        date.truncate(7);
    }
    date
}

/// Calls that an answer charged to its caller.
pub(crate) fn charged(answer: &Answered) -> u64 {
    if answer.status == 200 { answer.calls } else { 0 }
}

impl<'a> Facts<'a> {
    fn new(world: &'a World, history: &'a History) -> Self {
        let mut sums: BTreeMap<(usize, String), Vec<(u64, u64)>> = BTreeMap::new();
        let callers = lock(&world.edges.callers).clone();
        for answer in &history.answers {
            // An environment that does not know the secret charges no address.
            let is_charged = answer.has_secret || matches!(callers[answer.caller], Caller::Key { .. });
            let calls = if is_charged { charged(answer) } else { 0 };
            for window in [Window::Day, Window::Month] {
                let of = sums.entry((answer.caller, period(window, answer.clock_ms))).or_default();
                let before = of.last().map_or(0, |(_, sum)| *sum);
                of.push((answer.ms, before + calls));
            }
        }
        Self { world, history, callers, sums }
    }

    /// Calls charged to a caller in a period up to a moment.
    pub(crate) fn used(&self, caller: usize, period: &str, until_ms: u64) -> u64 {
        let Some(of) = self.sums.get(&(caller, period.to_owned())) else { return 0 };
        let after = of.partition_point(|(ms, _)| *ms <= until_ms);
        after.checked_sub(1).map_or(0, |last| of[last].1)
    }

    /// The callers with an API key: their numbers and partition keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (usize, &str)> {
        self.callers.iter().enumerate().filter_map(|(caller, who)| match who {
            Caller::Key { id, .. } => Some((caller, id.as_str())),
            _ => None,
        })
    }

    /// The answers to a caller, in order.
    pub(crate) fn answers(&self, caller: usize) -> impl Iterator<Item = &'a Answered> {
        self.history.answers.iter().filter(move |answer| answer.caller == caller)
    }
}

/// Calls with everything in order and nothing on its way: new environments in every region, twice. At the second time every
/// edge knows of each caller that has used up its limit, and none refuses a caller within it.
pub(crate) async fn last_calls(world: &World) {
    for round in 0..2 {
        let began_ms = world.shared.ms();
        let callers = lock(&world.edges.callers).len();
        let mut last = Vec::new();
        for caller in 0..callers {
            for region in 0..world.shared.scenario.regions {
                let status = world.edges.request(caller, region, 1, true).await;
                last.push((lock(&world.shared.history).answers.len() - 1, status));
            }
        }
        if round == 1 {
            let history = lock(&world.shared.history).clone();
            let facts = Facts::new(world, &history);
            for (answer, status) in last {
                limits::check_last(&facts, &history.answers[answer], began_ms, status);
            }
        }
        world.rest().await;
    }
}
