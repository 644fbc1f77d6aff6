//! The expected ledger and publications, computed from the events by plain counting.

use std::collections::BTreeMap;

use ipgeo_contract::{Identity, Limit, Month, Period, Published, UsageEvent, Window, publish_step};

use super::MemoryItem;

/// Items by identity and month.
pub type Ledger = BTreeMap<(Identity, Month), MemoryItem>;

/// The expected ledger, without watermarks.
pub fn counted<'a>(events: impl IntoIterator<Item = &'a UsageEvent>) -> Ledger {
    let mut ledger = Ledger::new();
    for event in events {
        for charge in &event.charges {
            let month = Month::from_time(event.time);
            let item = ledger.entry((charge.identity.clone(), month)).or_default();
            item.charged += event.cost;
            *item.verdicts.entry(event.verdict).or_default() += 1;
            if event.cost > 0 {
                let Period::Day(date) = Period::new(Window::Day, event.time) else { unreachable!() };
                *item.days.entry(date.day()).or_default() += event.cost;
                *item.regions.entry(event.region.to_string()).or_default() += event.cost;
            }
        }
    }
    ledger
}

/// A ledger without its watermarks; every item must have had one.
pub fn without_watermarks(mut ledger: Ledger) -> Result<Ledger, String> {
    for ((identity, month), item) in &mut ledger {
        item.before_gaps.clear();
        if std::mem::take(&mut item.watermarks).is_empty() {
            return Err(format!("{identity} of {month} has no watermark"));
        }
    }
    Ok(ledger)
}

/// Whether an identity's publications never decrease within a period, and end at the ledger's step in every period that no
/// later one has replaced.
pub fn publications_are_right(
    ledger: &Ledger,
    identity: &Identity,
    limit: Limit,
    history: &[Published],
) -> Result<(), String> {
    if identity.is_pooled() {
        return if history.is_empty() { Ok(()) } else { Err("the crowd has no limit".into()) };
    }
    for pair in history.windows(2) {
        if !(pair[0].period < pair[1].period || pair[0].used < pair[1].used) {
            return Err(format!("{identity}: {:?} after {:?}", pair[1], pair[0]));
        }
    }
    // Edges decide by the latest period with calls.
    let items = ledger.iter().filter(|((id, _), item)| id == identity && item.charged > 0);
    let Some(((_, month), item)) = items.max_by_key(|((_, month), _)| *month) else { return Ok(()) };
    let (period, used) = match limit.window {
        Window::Month => (Period::Month(*month), item.charged),
        Window::Day => {
            let Some((day, used)) = item.days.last_key_value() else { return Ok(()) };
            (Period::Day(month.first() + jiff::Span::new().days(day - 1)), *used)
        }
    };
    let shown = history.last().filter(|last| last.period == period).map_or(0, |last| last.used);
    let step = |used| publish_step(identity.kind(), used, limit);
    if step(shown) == step(used) {
        Ok(())
    } else {
        Err(format!("{identity}: the ledger has {used} of {limit} in {period}, the edges know {shown}"))
    }
}
