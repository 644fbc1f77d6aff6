//! `ipgeo usage`.

mod alerts;
mod export;
mod generation;
mod html;
mod lag;
mod recover;
mod replay;
mod report;

use std::collections::HashMap;

use clap::Subcommand;
use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use alerts::AlertsArgs;
pub use export::ExportArgs;
pub use generation::{AdoptArgs, DiffArgs, DiscardArgs};
pub use lag::LagArgs;
pub use recover::RecoverArgs;
pub use replay::{RebuildArgs, ReplayArgs};
pub use report::{Kind, ReportArgs, TopArgs};

use crate::aws::Home;
use crate::cli::Shared;
use crate::keys::{Grace, KeyStore};
use crate::ui::output::{Forms, UsageError};
use crate::usage::report::Span;

/// Verbs of `ipgeo usage`.
#[derive(Debug, Subcommand)]
pub enum UsageVerb {
    /// Who used what, exactly: by API key, day, region or verdict
    Report(ReportArgs),
    /// The busiest API keys, sites or addresses
    Top(TopArgs),
    /// How far the counting is behind, by region
    Lag(LagArgs),
    /// Every count of the ledger, for other programs
    Export(ExportArgs),
    /// Quota alerts that were told, and whether they were sent
    Alerts(AlertsArgs),
    /// Count the stream again from a time; what is counted stays counted once
    Replay(ReplayArgs),
    /// Count the batches that Lambda gave up, from the failure bucket
    Recover(RecoverArgs),
    /// Count what a restored ledger lacks
    Rebuild(RebuildArgs),
    /// Where the ledger and a generation differ
    Diff(DiffArgs),
    /// Take a generation's counts over into the ledger
    Adopt(AdoptArgs),
    /// Delete a generation
    Discard(DiscardArgs),
}

impl UsageVerb {
    /// The output formats that the verb supports.
    pub(crate) fn forms(&self) -> Forms {
        if let Self::Report(args) = self { args.forms() } else { Forms::ALL }
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: UsageVerb, shared: &Shared) -> anyhow::Result<()> {
    let now = Timestamp::now();
    match verb {
        UsageVerb::Report(args) => report::print_report(args, shared, now).await,
        UsageVerb::Top(args) => report::print_top(args, shared, now).await,
        UsageVerb::Lag(args) => lag::run(args, shared, now).await,
        UsageVerb::Export(args) => export::run(args, shared).await,
        UsageVerb::Alerts(args) => alerts::run(args, shared, now).await,
        UsageVerb::Replay(args) => replay::replay(args, shared, now).await,
        UsageVerb::Recover(args) => recover::run(args, shared, now).await,
        UsageVerb::Rebuild(args) => replay::rebuild(args, shared, now).await,
        UsageVerb::Diff(args) => generation::diff(args, shared).await,
        UsageVerb::Adopt(args) => generation::adopt(args, shared, now).await,
        UsageVerb::Discard(args) => generation::discard(args, shared).await,
    }
}

/// Days to report, and the months that they are in.
fn days(month: Option<Month>, since: Option<Grace>, now: Timestamp) -> anyhow::Result<(Span, Vec<Month>)> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let (from, to) = match (month, since) {
        (Some(month), _) => (month.first(), month.first().last_of_month()),
        (None, Some(since)) => {
            let from = now.checked_sub(since).map_err(|_| UsageError::of("--since is too long ago"))?;
            (TimeZone::UTC.to_datetime(from).date(), today)
        }
        (None, None) => (today.first_of_month(), today.last_of_month()),
    };
    let mut months = Vec::new();
    let mut month = Month::from_date(from);
    while month.first() <= to && months.len() < 120 {
        months.push(month);
        month = month.next();
    }
    Ok((Span { from, to }, months))
}

async fn read(
    home: &Home,
    months: &[Month],
    kind: Option<IdentityKind>,
) -> anyhow::Result<(Vec<LedgerItem>, HashMap<Identity, KeyRecord>)> {
    let mut items = Vec::new();
    for month in months {
        items.extend(home.ledger.month(*month, kind).await?);
    }
    Ok((items, home.list().await?.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::parse_grace;

    #[test]
    fn spans_and_their_months() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
        let table = [
            (None, None, "2026-11-01", "2026-11-30", 1),
            (Some("2026-02"), None, "2026-02-01", "2026-02-28", 1),
            (None, Some("7d"), "2026-11-17", "2026-11-24", 1),
            (None, Some("40d"), "2026-10-15", "2026-11-24", 2),
        ];
        for (month, since, from, to, count) in table {
            let month = month.map(|text| text.parse().expect("a month"));
            let since = since.map(|text| parse_grace(text).expect("a duration"));
            let (span, months) = days(month, since, now).expect("days");
            assert_eq!(
                (span.from.to_string(), span.to.to_string(), months.len()),
                (from.into(), to.into(), count)
            );
        }
    }
}
