//! Selects what a verb reads from the ledger: kinds of identities, days and months.

use std::collections::HashMap;

use clap::ValueEnum;
use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::aws::Home;
use crate::cmd::support::all_keys;
use crate::keys::Grace;
use crate::ui::output::UsageError;
use crate::ui::progress::Task;
use crate::usage::report::DayRange;

/// A kind of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// API keys
    Key,
    /// Sites of anonymous callers
    Site,
    /// Addresses of anonymous callers, by day
    Addr,
}

impl From<Kind> for IdentityKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Key => Self::Key,
            Kind::Site => Self::Site,
            Kind::Addr => Self::Address,
        }
    }
}

pub(super) type Records = HashMap<Identity, KeyRecord>;

/// No call is older: the counter rejects lines from before this day.
const FIRST_DAY: Date = jiff::civil::date(2020, 1, 1);

/// Seconds of a day in UTC.
const DAY_S: i64 = 86_400;

/// Days to report, and the first and the last month that they are in.
pub(super) fn days(
    month: Option<Month>,
    since: Option<Grace>,
    now: Timestamp,
) -> anyhow::Result<(DayRange, (Month, Month))> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let (from, to) = match (month, since) {
        (Some(month), _) => (month.first(), month.first().last_of_month()),
        (None, Some(since)) if since.as_secs() % DAY_S != 0 || since.subsec_nanos() != 0 => {
            let why = "--since: the ledger counts by day, UTC; give whole days, such as 1d or 7d\n\
                       help: use `--by hour` for the last day, or `ipgeo logs` for individual calls";
            return Err(UsageError::new(why).into());
        }
        (None, Some(since)) => {
            let from = now.checked_sub(since).map_err(|_| UsageError::new("--since is too long ago"))?;
            (TimeZone::UTC.to_datetime(from).date().max(FIRST_DAY), today)
        }
        (None, None) => (today.first_of_month(), today.last_of_month()),
    };
    Ok((DayRange { from, to }, (Month::from_date(from), Month::from_date(to))))
}

/// Calls `take` with every item of the ledger from the first to the last of `months`, in one pass over the table.
pub(super) async fn read(
    home: &Home,
    months: (Month, Month),
    kind: Option<IdentityKind>,
    mut take: impl FnMut(&LedgerItem),
) -> Result<(), StoreError> {
    let task = Task::items("reading the ledger", "row", None);
    let read = home.ledger.for_each(Some(months), kind, |item| {
        task.add(1);
        // Unreadable rows count nothing.
        if let Ok(item) = item {
            take(&item);
        }
        Ok(())
    });
    read.await?;
    task.done();
    Ok(())
}

/// The records of all API keys.
pub(super) async fn records(home: &Home) -> Result<Records, StoreError> {
    Ok(all_keys(home).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::parse_grace;

    #[test]
    fn spans_and_their_months() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let table = [
            (None, None, "2026-11-01", "2026-11-30"),
            (Some("2026-02"), None, "2026-02-01", "2026-02-28"),
            (None, Some("7d"), "2026-11-17", "2026-11-24"),
            (None, Some("40d"), "2026-10-15", "2026-11-24"),
            (None, Some("36500d"), "2020-01-01", "2026-11-24"),
        ];
        for (month, since, from, to) in table {
            let month = month.map(|text| text.parse().expect("a month"));
            let since = since.map(|text| parse_grace(text).expect("a duration"));
            let (span, (first, last)) = days(month, since, now).expect("days");
            assert_eq!((span.from.to_string(), span.to.to_string()), (from.into(), to.into()));
            assert_eq!((first, last), (Month::from_date(span.from), Month::from_date(span.to)));
        }
        for part_of_a_day in ["10m", "36h", "86399s"] {
            let since = parse_grace(part_of_a_day).expect("a duration");
            let error = days(None, Some(since), now).expect_err(part_of_a_day).to_string();
            assert!(error.contains("whole days, such as 1d"), "{error}");
        }
        let today = days(None, Some(parse_grace("0").expect("a duration")), now).expect("days").0;
        assert_eq!(today.from, today.to);
    }
}
