//! The page of `ipgeo usage report --html`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use ipgeo_contract::{IdentityKind, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::selection::{days, read};
use crate::args::Shared;
use crate::cmd::support::{Target, load_config};
use crate::config::{Config, PLACES};
use crate::cost::{MonthToDate, Prices, TrafficModel, month_to_date};
use crate::ui::output;
use crate::usage::report::{GroupBy, ReportRow, lags, report, top};
use crate::usage::report_page::{CostSoFar, KeyCalls, PageFacts, RegionCalls, headroom, page};

/// API keys that the page shows.
const KEYS_SHOWN: usize = 12;

pub(super) async fn write_page(
    file: &Path,
    month: Option<Month>,
    target: &Target,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let (span, months) = days(month, None, now)?;
    let (config, _) = load_config(shared)?;
    let home = target.home(shared, &config).await?;
    let (items, keys) = read(&home, &months, None).await?;
    // A call by an address with a Referer is charged to both: sums over all would count it twice.
    let once: Vec<LedgerItem> =
        items.iter().filter(|item| item.identity.kind() != IdentityKind::Site).cloned().collect();
    let by = |part| report(&once, &keys, false, Some(part), span);
    let regions: Vec<_> = config.regions.iter().map(|region| region.name.clone()).collect();
    let is_over = months[0].end() <= now;
    let facts = PageFacts {
        service: config.service.full_name(),
        month: months.first().map(Month::to_string).unwrap_or_default(),
        made: now,
        days: every_day(months[0], &by(GroupBy::Day), now),
        regions: every_region(&config, by(GroupBy::Region)),
        keys: top(&items, &keys, IdentityKind::Key, KEYS_SHOWN, span)
            .into_iter()
            .map(|row| KeyCalls {
                name: row.name,
                owner: row.owner,
                tier: row.tier,
                calls: row.calls.unwrap_or(0),
            })
            .collect(),
        verdicts: by(GroupBy::Verdict).into_iter().map(|row| (row.part, row.requests.unwrap_or(0))).collect(),
        headroom: headroom(&items, &keys, now, KEYS_SHOWN),
        thresholds: config.alerts.thresholds.percents().to_vec(),
        lag: if is_over { Vec::new() } else { lags(&home.ledger.newest().await?, &regions, now) },
        bill: if is_over && once.is_empty() { None } else { Some(bill(&config, months[0], &once, now)?) },
    };
    crate::fs::write_page(file, &page(&facts)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    output::print_note(&format!("wrote {}", file.display()));
    Ok(())
}

/// What a month has cost until now, by the calls that were counted in it.
fn bill(config: &Config, month: Month, once: &[LedgerItem], now: Timestamp) -> anyhow::Result<CostSoFar> {
    let keyed = || once.iter().filter(|item| item.identity.kind() == IdentityKind::Key);
    let (begin, end) = (month.begin(), month.end());
    let passed = now.duration_since(begin).as_secs_f64() / end.duration_since(begin).as_secs_f64();
    let counted = MonthToDate {
        calls: once.iter().map(|item| item.charged).fold(0, u64::saturating_add),
        keyed: keyed().map(|item| item.charged).fold(0, u64::saturating_add),
        keys: u32::try_from(keyed().count()).unwrap_or(u32::MAX),
        part: passed.clamp(0.0, 1.0),
    };
    let prices = Prices::committed()?;
    let bill = month_to_date(config, counted, &prices).context("estimate the bill")?;
    let estimated = if bill.is_exact() { String::new() } else { format!("; {}", prices.estimate) };
    let basis = format!(
        "the counted calls at prices of {}, answers of {} bytes{estimated}",
        prices.date,
        TrafficModel::typical(1.0).answer_bytes
    );
    Ok(CostSoFar { so_far_usd: bill.total(), basis })
}

/// Every day of a month until now, those without a call too.
fn every_day(month: Month, rows: &[ReportRow], now: Timestamp) -> Vec<(String, u64)> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let calls: BTreeMap<&str, u64> =
        rows.iter().map(|row| (row.part.as_str(), row.calls.unwrap_or(0))).collect();
    let days = month.first().series(jiff::Span::new().days(1));
    days.take_while(|day| Month::from_date(*day) == month && *day <= today)
        .map(|day| {
            let day = day.to_string();
            let n = calls.get(day.as_str()).copied().unwrap_or(0);
            (day, n)
        })
        .collect()
}

/// Every region of the file, those without a call too, and those that are no more.
fn every_region(config: &Config, rows: Vec<ReportRow>) -> Vec<RegionCalls> {
    let silent = config.regions.iter().map(|region| region.name.clone());
    let silent: Vec<String> = silent
        .filter(|name| rows.iter().all(|row| row.part != **name))
        .map(|name| name.to_string())
        .collect();
    let counted = rows.into_iter().map(|row| (row.part, row.calls.unwrap_or(0)));
    counted
        .chain(silent.into_iter().map(|name| (name, 0)))
        .map(|(region, calls)| {
            let place = PLACES.iter().find(|place| place.name == region);
            RegionCalls {
                city: place.map(|place| place.city.to_owned()).unwrap_or_default(),
                place: place.map(|place| (place.latitude, place.longitude)),
                region,
                calls,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_a_call_are_days_too() {
        let row = |part: &str, calls| ReportRow {
            by: "day",
            kind: "",
            name: String::new(),
            owner: String::new(),
            tier: String::new(),
            part: part.into(),
            requests: None,
            calls: Some(calls),
            limit: String::new(),
        };
        let now = "2026-11-03T00:30:00Z".parse().expect("a timestamp");
        let month = |text: &str| text.parse().expect("a month");
        let days = every_day(month("2026-11"), &[row("2026-11-02", 7)], now);
        assert_eq!(days, [("2026-11-01".into(), 0), ("2026-11-02".into(), 7), ("2026-11-03".into(), 0)]);
        assert_eq!(every_day(month("2026-02"), &[], now).len(), 28);
        assert!(every_day(month("2026-12"), &[], now).is_empty());
    }
}
