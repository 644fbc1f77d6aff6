//! Corrects publications made while this machine's clock was ahead. A publication is never replaced by one of an earlier
//! period, so one dated next January would disable a limit until then. At start, and whenever the clock is set back, such
//! publications are removed and the ledger's usage of the current period is published.

use std::time::Duration;

use anyhow::Context;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::{AttributeValue, Item};
use ipgeo_contract::{Identity, IdentityKind, Month, Period, Published, access_attr as attr, error_chain};
use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::store::PublishWrite as _;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::copies::{Table, key};
use super::operations::id;
use crate::config::Anonymous;

/// Clock corrections up to this size are ignored.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Access to published usage and to the ledger.
pub(super) struct Publications {
    /// Home's access table, in its store and through the client.
    pub(super) home: Table,
    pub(super) access: AccessTable,
    pub(super) ledger: LedgerTable,
    pub(super) anonymous: Anonymous,
}

impl Publications {
    /// Replaces publications in home's access table that are dated after `now`.
    pub(super) async fn correct(&self, now: Timestamp) -> anyhow::Result<()> {
        for id in published_ahead(&self.home, now)? {
            remove_publication(&self.home, &id)?;
            let Ok(identity) = id.parse::<Identity>() else { continue };
            let limit = match identity.kind() {
                IdentityKind::Key => self.access.key_now(&identity).await?.map(|record| record.limit),
                IdentityKind::Address => Some(self.anonymous.limit),
                IdentityKind::Site => Some(self.anonymous.site_limit),
            };
            let Some(limit) = limit else { continue };
            let item = self.ledger.item(&identity, Month::from_time(now)).await?;
            let period = Period::new(limit.window, now);
            let used = item.map_or(0, |item| item.used_in(period));
            let published = Published { period, used, as_of: now };
            self.access.publish(&identity, limit, published).await?;
        }
        Ok(())
    }

    /// Calls [`Self::correct`] whenever the clock is set back; never returns.
    pub(super) async fn watch(self) {
        let mut last = (Timestamp::now(), Instant::now());
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let now = (Timestamp::now(), Instant::now());
            if was_set_back(last.0, now.0, now.1 - last.1) {
                crate::ui::output::print_note(
                    "the clock was set back: replacing published usage that is dated in the future",
                );
                if let Err(error) = self.correct(now.0).await {
                    crate::ui::output::print_note(&format!("usage: {}", error_chain(error.as_ref(), ": ")));
                }
            }
            last = now;
        }
    }
}

/// Whether the wall clock advanced less than the elapsed time, by more than the tolerated correction.
fn was_set_back(before: Timestamp, now: Timestamp, passed: Duration) -> bool {
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    passed.saturating_sub(now.duration_since(before)) > AHEAD_MAX
}

/// Whether an item's publication is dated after `latest`, Unix milliseconds.
fn is_later(item: &Item, latest: i64) -> bool {
    matches!(item.get(attr::AS_OF), Some(AttributeValue::N(ms)) if ms.parse().is_ok_and(|ms: i64| ms > latest))
}

/// The ids of items whose publication is dated in the future.
fn published_ahead(home: &Table, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let latest = now.saturating_add(AHEAD_MAX).unwrap_or(now).as_millisecond();
    let mut found = Vec::new();
    home.pages(|page| {
        found.extend(page.iter().filter(|item| is_later(item, latest)).filter_map(id).map(str::to_owned));
        Ok(())
    })?;
    Ok(found)
}

fn remove_publication(home: &Table, id: &str) -> anyhow::Result<()> {
    let names = [("#period", attr::PERIOD), ("#used", attr::USED), ("#as_of", attr::AS_OF)];
    let request = UpdateItemRequest {
        table_name: home.name.clone(),
        key: key(id),
        update_expression: Some("REMOVE #period, #used, #as_of".to_owned()),
        expression_attribute_names: Some(names.map(|(short, name)| (short.into(), name.into())).into()),
        ..UpdateItemRequest::default()
    };
    home.database.update_item(request).map(drop).context("remove a publication dated in the future")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clock_corrections_do_not_count_as_set_back() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).expect("in range");
        let table = [
            (0, 10, 10, false),
            (0, 9, 10, false),
            (0, -3_000, 10, false),
            (0, -3_600, 10, true),
            (0, 5_000_000, 10, false),
            (5_000_000, 0, 10, true),
            // The machine was asleep: its clocks may disagree.
            (0, 90_000, 10, false),
        ];
        for (before, now, passed, expected) in table {
            let passed = Duration::from_secs(passed);
            assert_eq!(was_set_back(at(before), at(now), passed), expected, "{before} to {now}");
        }
    }
}
