//! Published usage never falls, never exceeds the truth, is bounded in number and reaches every region; alerts are sent once.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_runtime::tables::{Item, Value};

use super::limits::constant_limit;
use super::{Facts, charged, period};
use crate::history::{AccessWrite, Answered};
use crate::home::THRESHOLDS;
use crate::scenario::Mood;
use crate::shared::{HOME, LEDGER, access_table};

/// Most publications of an identity in a period.
const PUBLICATIONS_MAX: usize = 110;

pub(super) fn violations(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut publications: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for write in &facts.history.access {
        found.extend(falls(write));
        found.extend(misfits(write));
        if write.region == HOME {
            found.extend(exceeds(facts, write));
            if write.before.as_ref().is_none_or(|before| before.used != write.after.used) {
                *publications.entry((&write.id, &write.after.period)).or_default() += 1;
            }
        }
    }
    if facts.history.operations.iter().all(|operation| !operation.what.contains("limit")) {
        let many = publications.into_iter().filter(|(_, count)| *count > PUBLICATIONS_MAX);
        found.extend(
            many.map(|((id, period), count)| {
                format!("publications are bounded: {count} of {id} in {period}")
            }),
        );
    }
    found.extend(at_rest(facts));
    found.extend(alerts(facts));
    found
}

/// What must hold whenever nothing is in progress.
pub(super) fn at_rest(facts: &Facts<'_>) -> Vec<String> {
    let mut found: Vec<String> =
        facts.keys().filter_map(|(caller, id)| last_step(facts, caller, id)).collect();
    found.extend(replicas(facts));
    let scenario = &facts.world.shared.scenario;
    if scenario.mood == Mood::Calm && scenario.has_early_counts {
        found.extend(facts.keys().flat_map(|(caller, id)| early(facts, caller, id)));
    }
    found
}

/// Milliseconds between two reports of an environment. What it allows meanwhile is reported after its next answer.
const REPORT_GAP_MS: u64 = 100;

/// Without trouble, an environment keeps less than a fiftieth of the limit to itself, and what it allowed right after a report.
fn early(facts: &Facts<'_>, caller: usize, id: &str) -> Vec<String> {
    let Some(limit) = constant_limit(facts, id) else { return Vec::new() };
    let mut periods: BTreeMap<String, BTreeMap<usize, Vec<&Answered>>> = BTreeMap::new();
    for answer in facts.answers(caller).filter(|answer| charged(answer) > 0) {
        let environments = periods.entry(period(limit.window, answer.clock_ms)).or_default();
        environments.entry(answer.environment).or_default().push(answer);
    }
    let rows = facts.world.shared.rows(LEDGER, &format!("early/{}", id.replace('#', "/")));
    let mut found = Vec::new();
    for (period, environments) in periods {
        let is_of = |row: &&Item| row.get("month").and_then(Value::text) == Some(&period);
        let sum = rows.iter().find(is_of).and_then(|row| row.get("n")?.digits()?.parse::<u64>().ok());
        let (mut calls, mut kept) = (0, 0);
        for answers in environments.values() {
            let until_ms = answers.last().map_or(0, |answer| answer.ms);
            let is_late = |answer: &&&Answered| answer.ms + REPORT_GAP_MS + 20 >= until_ms;
            calls += answers.iter().map(|answer| charged(answer)).sum::<u64>();
            kept +=
                limit.calls / 50 + answers.iter().filter(is_late).map(|answer| charged(answer)).sum::<u64>();
        }
        if calls > sum.unwrap_or(0) + kept {
            found.push(format!(
                "calls are reported early: {sum:?} of {calls} of {id} in {period}, at most {kept} less"
            ));
        }
    }
    found
}

/// Within a window, neither the period nor its usage goes back.
fn falls(write: &AccessWrite) -> Option<String> {
    let before = write.before.as_ref()?;
    let after = &write.after;
    let is_same = before.window == after.window && before.period.len() == after.period.len();
    let falls = (&after.period, after.used) < (&before.period, before.used);
    (is_same && falls).then(|| format!("published usage never falls: {write:?}"))
}

/// A publication has a period of its API key's window.
fn misfits(write: &AccessWrite) -> Option<String> {
    let (before, after) = (write.before.as_ref()?, &write.after);
    let length = match after.window.as_str() {
        "day" => 10,
        "month" => 7,
        _ => return None,
    };
    let is_publication = before.window == after.window && before.period != after.period;
    (is_publication && after.period.len() != length)
        .then(|| format!("a publication has a period of the window: {write:?}"))
}

/// At rest, the published usage is at the step of all calls of its period, and no later period has reached one.
fn last_step(facts: &Facts<'_>, caller: usize, id: &str) -> Option<String> {
    let writes: Vec<&AccessWrite> =
        facts.history.access.iter().filter(|write| write.region == HOME && write.id == id).collect();
    let row = &writes.last()?.after;
    let is_constant =
        writes.iter().all(|write| (write.after.limit, &write.after.window) == (row.limit, &row.window));
    let window = row.known()?.window;
    let last = facts.answers(caller).map(|answer| period(window, answer.clock_ms)).max()?;
    let used = facts.used(caller, &last, u64::MAX);
    let published = if row.period == last { row.used } else { 0 };
    let step = |used: u64| (used * 100 / row.limit.max(1)).min(100);
    (is_constant && step(published) < step(used))
        .then(|| format!("usage is published at each step: {used} calls of {id} in {last}, {row:?}"))
}

/// Calls that are published were made.
fn exceeds(facts: &Facts<'_>, write: &AccessWrite) -> Option<String> {
    let (caller, _) = facts.keys().find(|(_, id)| *id == write.id)?;
    let made = facts.used(caller, &write.after.period, write.ms);
    (write.after.used > made && !write.after.period.is_empty())
        .then(|| format!("published usage never exceeds the truth: {made} calls were made, and {write:?}"))
}

/// At rest, all replicas are equal to home.
fn replicas(facts: &Facts<'_>) -> Vec<String> {
    let shared = &facts.world.shared;
    let home = shared.rows(&access_table(HOME), "");
    let differs = |region: &usize| shared.rows(&access_table(*region), "") != home;
    let regions = (1..shared.scenario.regions).filter(differs);
    regions.map(|region| format!("replicas become equal: region {region} differs")).collect()
}

/// No alert is sent twice, and each threshold that was reached has its row.
fn alerts(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut sent = BTreeSet::new();
    for (ms, id) in &facts.history.alerts {
        if !sent.insert(id) {
            found.push(format!("an alert is sent at most once: {id} again at {ms} ms"));
        }
    }
    let rows = facts.world.shared.rows(LEDGER, "alert");
    let rows: Vec<&str> = rows.iter().filter_map(|row| row.get("month").and_then(Value::text)).collect();
    for (caller, id) in facts.keys() {
        let writes: Vec<&AccessWrite> =
            facts.history.access.iter().filter(|write| write.region == HOME && write.id == id).collect();
        let Some(limit) = writes.first().map(|write| (write.after.limit, &write.after.window)) else {
            continue;
        };
        if writes.iter().any(|write| (write.after.limit, &write.after.window) != limit) {
            continue;
        }
        let periods: BTreeSet<&String> = writes.iter().map(|write| &write.after.period).collect();
        for period in periods.into_iter().filter(|period| !period.is_empty()) {
            let used = facts.used(caller, period, u64::MAX);
            for percent in THRESHOLDS {
                let is_reached = used * 100 >= u64::from(percent) * limit.0;
                let begins = format!("{period}#{percent:03}#{id}#");
                if is_reached && !rows.iter().any(|row| row.starts_with(&begins)) {
                    found.push(format!("no alert is lost: {begins} with {used} of {limit:?}"));
                }
            }
        }
    }
    found
}
