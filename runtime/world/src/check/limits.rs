//! No caller within its limit is refused, and a limit that is reached holds everywhere after the promised time.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::Window;

use super::{Facts, charged, period};
use crate::edges::{Caller, KEYS_ADDRESS};
use crate::history::{AccessRow, Answered, Known};
use crate::pipe::LOG_LAG_MS;
use crate::scenario::{CACHE_S, Mood};
use crate::shared::{HOME, access_table};
use crate::weather::Link;

/// Milliseconds after which an environment has read a record again: the cache, and a read that began before.
const KNOWN_AFTER_MS: u64 = CACHE_S as u64 * 1_000 + 15_000;
/// Milliseconds after which every region refuses, with early counts.
const EARLY_LAG_MS: u64 = 5_000;
/// Most calls of a request here.
const CALLS_MAX: u64 = 6;

pub(super) fn violations(facts: &Facts<'_>) -> Vec<String> {
    let mut found = refusals(facts);
    for (caller, id) in facts.keys() {
        found.extend(known(facts, caller, id));
        found.extend(alone(facts, caller));
        // A clock that was set back hides own calls until it is where it was.
        if facts.world.shared.scenario.mood != Mood::Clocks {
            found.extend(added(facts, caller));
        }
        if facts.world.shared.scenario.mood == Mood::Calm {
            found.extend(overshoot(facts, caller, id));
        }
    }
    found
}

/// The address that a caller's calls are charged to.
fn address(caller: &Caller) -> Option<&str> {
    match caller {
        Caller::Address { address } | Caller::Site { address, .. } => Some(address),
        _ => None,
    }
}

/// No refused call was within its limit.
fn refusals(facts: &Facts<'_>) -> Vec<String> {
    let scenario = &facts.world.shared.scenario;
    let (mut found, mut sums) = (Vec::new(), BTreeMap::<(String, String), u64>::new());
    for answer in &facts.history.answers {
        let who = &facts.callers[answer.caller];
        let day = period(Window::Day, answer.clock_ms);
        let mut counts: Vec<(String, String, Option<u64>)> = Vec::new();
        match who {
            Caller::Key { .. } if answer.is_unknown => {
                counts.push((format!("guesses {KEYS_ADDRESS}"), day, Some(scenario.address_limit.calls)));
            }
            Caller::Key { id, .. } => {
                let of = |window| (id.clone(), period(window, answer.clock_ms));
                for window in [Window::Day, Window::Month] {
                    let limit = answer.known.filter(|known| known.window == window).map(|known| known.calls);
                    counts.push((of(window).0, of(window).1, limit));
                }
            }
            Caller::Address { .. } | Caller::Site { .. } => {
                if let Some(address) = address(who) {
                    counts.push((format!("calls {address}"), day, Some(scenario.address_limit.calls)));
                }
                if let Caller::Site { host, .. } = who {
                    let window = period(scenario.site_limit.window, answer.clock_ms);
                    counts.push((host.clone(), window, Some(scenario.site_limit.calls)));
                }
            }
            Caller::Guess { address } => {
                counts.push((format!("guesses {address}"), day, Some(scenario.address_limit.calls)));
            }
        }
        let is_guess = answer.is_unknown || matches!(who, Caller::Guess { .. });
        let cost = if is_guess { 1 } else { answer.calls.max(1) };
        // A request without a call is refused at the limit, too.
        let used = |sums: &BTreeMap<_, u64>, id: &String, period: &String| {
            sums.get(&(id.clone(), period.clone())).copied().unwrap_or(0)
        };
        let is_beyond = counts
            .iter()
            .any(|(id, period, limit)| limit.is_some_and(|limit| used(&sums, id, period) + cost > limit));
        if answer.is_over_quota && !is_beyond {
            found.push(format!("no call within its limit is refused: {counts:?}, {answer:?}"));
        }
        let cost = if answer.status == 401 { 1 } else { charged(answer) };
        for (id, period, _) in counts {
            *sums.entry((id, period)).or_default() += cost;
        }
    }
    found
}

/// Why an edge that has a row must refuse its API key.
fn refused_by(row: &AccessRow, clock_ms: i64) -> Option<&'static str> {
    if row.status != "active" {
        return Some("is not active");
    }
    let window = row.known()?.window;
    let is_used_up = row.period == period(window, clock_ms) && row.used >= row.limit;
    is_used_up.then_some("has used up its limit")
}

/// No edge allows what its replica has forbidden for longer than the edge caches it.
fn known(facts: &Facts<'_>, caller: usize, id: &str) -> Vec<String> {
    let weather = facts.world.shared.weather();
    let mut found = Vec::new();
    for answer in facts.answers(caller).filter(|answer| charged(answer) > 0) {
        let since_ms = answer.sent_ms.saturating_sub(KNOWN_AFTER_MS);
        let is_stepped =
            facts.world.shared.scenario.mood == Mood::Clocks && answer.set_ms + 180_000 > since_ms;
        if is_stepped || !weather.was_fine(Link::Replica(answer.region), since_ms, answer.ms) {
            continue;
        }
        let writes =
            facts.history.access.iter().filter(|write| write.region == answer.region && write.id == id);
        let mut forbids = None;
        for write in writes.take_while(|write| write.ms <= answer.ms) {
            let reason = refused_by(&write.after, answer.clock_ms);
            // What was forbidden before and still is, is forbidden since then.
            forbids = reason.map(|reason| forbids.map_or((write.ms, reason), |(ms, _)| (ms, reason)));
        }
        if let Some((ms, reason)) = forbids.filter(|(ms, _)| *ms < since_ms) {
            found.push(format!("caller {caller} {reason} since {ms} ms and is allowed: {answer:?}"));
        }
    }
    found
}

/// An environment that has read an API key knows it, whatever its replica does, and counts its own calls.
fn alone(facts: &Facts<'_>, caller: usize) -> Vec<String> {
    let mut own: BTreeMap<(usize, String), u64> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in facts.answers(caller) {
        let Some(limit) = answer.known else { continue };
        if matches!(answer.status, 401 | 503) {
            found.push(format!("an API key that was read is known: {answer:?}"));
        }
        let used = own.entry((answer.environment, period(limit.window, answer.clock_ms))).or_default();
        *used += charged(answer);
        if charged(answer) > 0 && *used > limit.calls {
            found.push(format!("an environment alone allows no more than a limit: {used}, {answer:?}"));
        }
    }
    found
}

/// To the usage that it has read, an environment adds the calls that it has allowed since.
fn added(facts: &Facts<'_>, caller: usize) -> Vec<String> {
    let mut since: BTreeMap<usize, (u64, String, u64)> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in facts.answers(caller) {
        let Some(limit) = answer.known else { continue };
        let period = period(limit.window, answer.clock_ms);
        let (read, of, own) = since.entry(answer.environment).or_default();
        if (*read, &*of) != (answer.reads, &period) {
            (*read, *of, *own) = (answer.reads, period, 0);
        }
        *own += charged(answer);
        let published = if answer.published.0 == *of { answer.published.1 } else { 0 };
        if charged(answer) > 0 && published + *own > limit.calls {
            found.push(format!(
                "an environment adds its own calls to what it has read: {own} calls, {answer:?}"
            ));
        }
    }
    found
}

/// The limit of an API key, if it was never changed.
pub(super) fn constant_limit(facts: &Facts<'_>, id: &str) -> Option<Known> {
    let writes = facts.history.access.iter().filter(|write| write.region == HOME && write.id == id);
    let limits: BTreeSet<_> = writes.map(|write| (write.after.limit, write.after.window.clone())).collect();
    let (calls, window) = limits.first()?;
    (limits.len() == 1).then_some(Known { calls: *calls, window: window.parse().ok()? })
}

/// Without trouble, the overshoot is bounded: by seconds with early counts, by the lag of lines without.
fn overshoot(facts: &Facts<'_>, caller: usize, id: &str) -> Vec<String> {
    let scenario = &facts.world.shared.scenario;
    let Some(limit) = constant_limit(facts, id) else { return Vec::new() };
    let mut periods: BTreeMap<String, Vec<&Answered>> = BTreeMap::new();
    for answer in facts.answers(caller) {
        periods.entry(period(limit.window, answer.clock_ms)).or_default().push(answer);
    }
    let lag_ms = LOG_LAG_MS + scenario.window_s * 1_000 + 20_000;
    let mut found = Vec::new();
    for (period, answers) in periods {
        let mut used = 0;
        let reached = answers.iter().find(|answer| {
            used += charged(answer);
            used >= limit.calls
        });
        let Some(reached_ms) = reached.map(|answer| answer.ms) else { continue };
        let all: u64 = answers.iter().map(|answer| charged(answer)).sum();
        let late =
            answers.iter().filter(|answer| answer.sent_ms > reached_ms + lag_ms && charged(answer) > 0);
        if let Some(late) = late.max_by_key(|answer| answer.ms) {
            found.push(format!("a limit holds after {lag_ms} ms: reached at {reached_ms} ms, and {late:?}"));
        }
        let soon =
            answers.iter().filter(|answer| (reached_ms..=reached_ms + EARLY_LAG_MS).contains(&answer.ms));
        let soon: u64 = soon.map(|answer| charged(answer)).sum();
        let environments: BTreeSet<usize> = answers.iter().map(|answer| answer.environment).collect();
        let bound = limit.calls + soon + CALLS_MAX * environments.len() as u64 + limit.calls / 100;
        if scenario.has_early_counts && all > bound {
            found.push(format!(
                "a limit holds within seconds: {all} calls of {limit:?} in {period}, at most {bound}"
            ));
        }
    }
    found
}

/// The last calls: what a new environment must answer.
pub(super) fn check_last(facts: &Facts<'_>, answer: &Answered, began_ms: u64, status: Option<u16>) {
    let (shared, caller) = (&facts.world.shared, answer.caller);
    let limit = match &facts.callers[caller] {
        Caller::Key { id, .. } => {
            let rows = shared.rows(&access_table(HOME), id);
            let Some(row) = rows.first() else { return };
            let row = AccessRow::read(row);
            let expires = rows[0].get("expires").and_then(|value| value.digits()?.parse::<i64>().ok());
            if row.status != "active" || expires.is_some_and(|at_ms| at_ms <= answer.clock_ms) {
                if status != Some(403) {
                    shared.wrong(&format!("caller {caller} may not be answered any more: {answer:?}"));
                }
                return;
            }
            row.known()
        }
        Caller::Address { .. } if shared.scenario.quiet_permille == 0 => {
            Some(Known { calls: shared.scenario.address_limit.calls, window: Window::Day })
        }
        _ => None,
    };
    let Some(limit) = limit else { return };
    let period = period(limit.window, answer.clock_ms);
    let before = facts.used(caller, &period, began_ms);
    if before >= limit.calls && status != Some(429) {
        shared.wrong(&format!(
            "a new environment refuses caller {caller} with {before} of {limit:?}: {answer:?}"
        ));
    }
    let now = facts.used(caller, &period, answer.ms) - charged(answer);
    if now < limit.calls && status != Some(200) {
        shared
            .wrong(&format!("a new environment allows caller {caller} with {now} of {limit:?}: {answer:?}"));
    }
}
