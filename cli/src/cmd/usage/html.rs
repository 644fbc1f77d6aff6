//! The page of `ipgeo usage report --html`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::Context;
use futures_util::{StreamExt as _, TryStreamExt as _};
use ipgeo_contract::{Identity, IdentityKind, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::report::ReportArgs;
use super::selection::{Records, days, read, records};
use crate::args::Shared;
use crate::aws::Home;
use crate::cmd::support::{load_config, open_in_browser};
use crate::config::{Config, PLACES, suggestion};
use crate::cost::{MonthToDate, Prices, TrafficModel, month_to_date};
use crate::quota::Pipeline;
use crate::ui::output::{self, UsageError};
use crate::usage::report::{DayRange, ReportRow, lags};
use crate::usage::report_page::{
    CountingLag, KeyCalls, MonthBefore, MonthCost, PageFacts, PageSums, Projection, RegionCalls, by_tier,
    headroom, page, projection,
};

/// API keys whose successors are looked up at once.
const LOOKUPS: usize = 16;

pub(super) async fn write_page(
    file: &Path,
    args: &ReportArgs,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let facts = facts(args, &config, &home, now).await?;
    let page = page(&facts)?;
    if file == Path::new("-") {
        return Ok(output::print_data(page.trim_end())?);
    }
    crate::fs::write_page(file, &page).with_context(|| format!("cannot write {}", file.display()))?;
    output::print_note(&format!("wrote {}", file.display()));
    if args.open {
        // A launcher may take a relative name for something else.
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        if !open_in_browser(&path.display().to_string()) {
            output::print_note("cannot open a browser in this session; open the file yourself");
        }
    }
    Ok(())
}

async fn facts(args: &ReportArgs, config: &Config, home: &Home, now: Timestamp) -> anyhow::Result<PageFacts> {
    let (span, (first, last)) = days(args.month, args.since, now)?;
    let owner = args.owner.as_deref();
    let keys = records(home).await?;
    if let Some(owner) = owner {
        require_owner(owner, &keys)?;
    }
    let month = args.since.is_none().then_some(first);
    let before = month.map(month_before).transpose()?;
    let months = (before.unwrap_or(first), last);
    let sums = sums(PageSums::new(month, span, now), home, months, owner, &keys).await?;
    let rotated = rotated(home, &sums.ending).await?;
    let (callers, is_empty) = (sums.callers(), sums.is_empty());
    let counted = (sums.charged, sums.keyed, sums.keys);
    let no_records = Records::new();
    let is_over = month.is_some_and(|month| month.end() <= now);
    let days = every_day(span, &sums.days.rows(&no_records), now);
    let before = before.zip(sums.before).map(|(month, sums)| MonthBefore {
        name: month.to_string(),
        days: calls_of(every_day_of(month), &sums.rows(&no_records)),
    });
    let called_before = before.as_ref().is_some_and(|before| before.days.iter().any(|(_, n)| *n > 0));
    let project = |month| projection(&days, every_day_of(month).len(), called_before);
    let projection = month.filter(|_| !is_over).and_then(project);
    let called: Vec<KeyCalls> = sums.called.rows(&keys).into_iter().filter_map(key_calls).collect();
    let is_operators = owner.is_none();
    let regions = month.map(|_| every_region(config, sums.regions.rows(&no_records), is_operators));
    let lag = if is_operators && !is_over {
        let names: Vec<_> = config.region_names().cloned().collect();
        let rows = lags(&home.ledger.newest().await?, &names, now);
        Some(CountingLag { rows, late_ms: late_ms(config) })
    } else {
        None
    };
    Ok(PageFacts {
        service: match owner {
            Some(_) => config.service.domain.clone().unwrap_or_else(|| config.service.name.clone()),
            None => config.service.full_name(),
        },
        owner: args.owner.clone(),
        period: month.map_or_else(|| format!("{} to {}", span.from, span.to), |month| month.to_string()),
        is_month: month.is_some(),
        is_over,
        made: now,
        projection,
        before,
        regions: regions.unwrap_or_default(),
        callers: is_operators.then_some(callers),
        tiers: if is_operators { by_tier(&called) } else { Vec::new() },
        keys: called,
        verdicts: if month.is_some() { sums.verdicts.into_iter().collect() } else { Vec::new() },
        statuses: (config.compat.unknown_key_status, config.compat.quota_status),
        headroom: headroom(sums.headroom, &rotated),
        rotated: rotated.len(),
        thresholds: config.alerts.thresholds.percents().to_vec(),
        lag,
        cost: match month.filter(|_| is_operators && !(is_over && is_empty)) {
            Some(month) => Some(cost(config, month, counted, projection, now, args.max_monthly)?),
            None => None,
        },
        days,
    })
}

/// Adds what the ledger has in `months`; for a customer's page only API keys, and only theirs.
async fn sums(
    mut sums: PageSums,
    home: &Home,
    months: (Month, Month),
    owner: Option<&str>,
    keys: &Records,
) -> anyhow::Result<PageSums> {
    read(home, months, owner.map(|_| IdentityKind::Key), |item| {
        if owner.is_none_or(|owner| is_of(item, owner, keys)) {
            sums.add(item, keys);
        }
    })
    .await?;
    Ok(sums)
}

fn require_owner(owner: &str, keys: &Records) -> anyhow::Result<()> {
    if keys.values().any(|record| record.owner == owner) {
        return Ok(());
    }
    let owners = keys.values().map(|record| record.owner.as_str());
    let text = format!("no API key has the owner `{owner}`{}", suggestion(owner, owners));
    Err(UsageError(text).into())
}

fn is_of(item: &LedgerItem, owner: &str, keys: &Records) -> bool {
    keys.get(&item.identity).is_some_and(|record| record.owner == owner)
}

fn key_calls(row: ReportRow) -> Option<KeyCalls> {
    let calls = row.calls.filter(|calls| *calls > 0)?;
    Some(KeyCalls { name: row.name, owner: row.owner, tier: row.tier, calls })
}

fn month_before(month: Month) -> anyhow::Result<Month> {
    Ok(Month::from_date(month.first().yesterday().context("the first month has none before it")?))
}

/// The API keys that have a successor. Rotation sets an expiry, so that only those with one are looked up.
async fn rotated(home: &Home, ending: &HashSet<Identity>) -> anyhow::Result<HashSet<Identity>> {
    let lookups = ending.iter().map(async |identity| {
        let successor = home.access.successor(identity).await?;
        anyhow::Ok(successor.map(|_| identity.clone()))
    });
    let found: Vec<_> = futures_util::stream::iter(lookups).buffer_unordered(LOOKUPS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Counting that takes longer than this is late.
fn late_ms(config: &Config) -> i64 {
    let seconds = Pipeline::from_config(config).lag_s().clamp(1.0, 86_400.0);
    i64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).unwrap_or(i64::MAX)
}

/// What a month has cost until now, and what it will cost with the projected calls. The counts: all calls in it, those with an
/// API key, and the number of API keys that called.
fn cost(
    config: &Config,
    month: Month,
    (calls, keyed, keys): (u64, u64, u32),
    projection: Option<Projection>,
    now: Timestamp,
    budget_usd: Option<f64>,
) -> anyhow::Result<MonthCost> {
    let (begin, end) = (month.begin(), month.end());
    let passed = now.duration_since(begin).as_secs_f64() / end.duration_since(begin).as_secs_f64();
    let counted = MonthToDate { calls, keyed, keys, part: passed.clamp(0.0, 1.0) };
    let prices = Prices::committed()?;
    let bill = month_to_date(config, counted, &prices).context("estimate the bill")?;
    let at_end = projection.map(|Projection { calls, .. }| {
        // The share of calls with an API key stays the same.
        let keyed = u128::from(counted.keyed) * u128::from(calls) / u128::from(counted.calls.max(1));
        let keyed = u64::try_from(keyed).unwrap_or(u64::MAX);
        month_to_date(config, MonthToDate { calls, keyed, part: 1.0, ..counted }, &prices)
    });
    let at_end = at_end.transpose().context("estimate the bill of the month")?;
    let estimated = if bill.is_exact() { String::new() } else { format!("; {}", prices.estimate) };
    let basis = format!(
        "the counted calls at prices of {}, answers of {} bytes{estimated}",
        prices.date,
        TrafficModel::typical(1.0).answer_bytes
    );
    Ok(MonthCost { so_far_usd: bill.total(), month_usd: at_end.map(|bill| bill.total()), budget_usd, basis })
}

fn every_day_of(month: Month) -> Vec<Date> {
    let days = month.first().series(jiff::Span::new().days(1));
    days.take_while(|day| Month::from_date(*day) == month).collect()
}

/// Every day of a span until now, those without a call too.
fn every_day(span: DayRange, rows: &[ReportRow], now: Timestamp) -> Vec<(String, u64)> {
    let last = span.to.min(TimeZone::UTC.to_datetime(now).date());
    calls_of(span.from.series(jiff::Span::new().days(1)).take_while(|day| *day <= last), rows)
}

fn calls_of(days: impl IntoIterator<Item = Date>, rows: &[ReportRow]) -> Vec<(String, u64)> {
    let calls: BTreeMap<&str, u64> =
        rows.iter().map(|row| (row.part.as_str(), row.calls.unwrap_or(0))).collect();
    let day = |day: Date| {
        let day = day.to_string();
        let n = calls.get(day.as_str()).copied().unwrap_or(0);
        (day, n)
    };
    days.into_iter().map(day).collect()
}

/// The regions with calls, those that are no more included, and, if `with_idle`, all of the file.
fn every_region(config: &Config, rows: Vec<ReportRow>, with_idle: bool) -> Vec<RegionCalls> {
    let silent = config.regions.iter().map(|region| region.name.clone());
    let silent: Vec<String> = silent
        .filter(|name| with_idle && rows.iter().all(|row| row.part != **name))
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
        let span = |from: &str, to: &str| DayRange {
            from: from.parse().expect("a date"),
            to: to.parse().expect("a date"),
        };
        let days = every_day(span("2026-11-01", "2026-11-30"), &[row("2026-11-02", 7)], now);
        assert_eq!(days, [("2026-11-01".into(), 0), ("2026-11-02".into(), 7), ("2026-11-03".into(), 0)]);
        assert_eq!(every_day(span("2026-10-30", "2026-11-03"), &[], now).len(), 5);
        assert!(every_day(span("2026-12-01", "2026-12-31"), &[], now).is_empty());
        assert_eq!(every_day_of("2026-02".parse().expect("a month")).len(), 28);
    }
}
