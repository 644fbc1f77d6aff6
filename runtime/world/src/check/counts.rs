//! Every call is counted exactly once: the ledger's rows against the answers.

use std::collections::BTreeMap;

use ipgeo_runtime::tables::{Item, Value};

use super::{Facts, charged, date};
use crate::edges::Caller;
use crate::shared::LEDGER;

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(Value::digits).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Calls by day, as the rows of some identities have them, and their sum by the rows' totals.
fn counted(facts: &Facts<'_>, begins: &str) -> (BTreeMap<String, u64>, u64, u64) {
    let (mut days, mut all, mut requests) = (BTreeMap::new(), 0, 0);
    for row in facts.world.shared.rows(LEDGER, begins) {
        let month = row.get("month").and_then(Value::text).unwrap_or_default();
        all += number(&row, "n");
        for name in row.keys() {
            match name.split_once('#') {
                Some(("d", day)) => *days.entry(format!("{month}-{day}")).or_default() += number(&row, name),
                Some(("v", _)) => requests += number(&row, name),
                _ => {}
            }
        }
    }
    days.retain(|_, calls| *calls > 0);
    (days, all, requests)
}

fn add(days: &mut BTreeMap<String, u64>, clock_ms: i64, calls: u64) {
    if calls > 0 {
        *days.entry(date(clock_ms)).or_default() += calls;
    }
}

pub(super) fn violations(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (caller, id) in facts.keys() {
        found.extend(key(facts, caller, id));
    }
    let (mut addresses, mut sites) = (BTreeMap::new(), BTreeMap::new());
    for answer in &facts.history.answers {
        let calls = match (&facts.callers[answer.caller], answer.status) {
            (_, 401) => 1,
            (Caller::Address { .. } | Caller::Site { .. }, _) => charged(answer),
            _ => 0,
        };
        if answer.has_secret {
            add(&mut addresses, answer.clock_ms, calls);
        }
        if matches!(facts.callers[answer.caller], Caller::Site { .. }) {
            add(&mut sites, answer.clock_ms, charged(answer));
        }
    }
    for (begins, expected) in [("addr#", addresses), ("site#", sites)] {
        let (days, _, _) = counted(facts, begins);
        if days != expected {
            found.push(format!(
                "counted exactly once: {begins} rows have {days:?}, answered were {expected:?}"
            ));
        }
    }
    found
}

fn key(facts: &Facts<'_>, caller: usize, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (days, all, requests) = counted(facts, id);
    let (mut expected, mut answered) = (BTreeMap::new(), 0);
    for answer in facts.answers(caller) {
        add(&mut expected, answer.clock_ms, charged(answer));
        // The verdict of a guess is counted for its address.
        answered += u64::from(matches!(answer.status, 200 | 400 | 403 | 429) && !answer.is_unknown);
    }
    if days != expected || all != expected.values().sum::<u64>() {
        found.push(format!(
            "counted exactly once: caller {caller} has {all} in {days:?}, answered were {expected:?}"
        ));
    }
    if requests != answered {
        found.push(format!(
            "every request has one verdict: caller {caller} has {requests}, answered were {answered}"
        ));
    }
    let (acknowledged, attempted) = (facts.history.acknowledged[caller], facts.history.attempted[caller]);
    if !(acknowledged <= all && all <= attempted) {
        found.push(format!("acknowledged <= counted <= attempted: {acknowledged} <= {all} <= {attempted}"));
    }
    found
}
