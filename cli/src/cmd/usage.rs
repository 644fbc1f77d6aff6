//! `ipgeo usage`.

use std::collections::HashMap;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use ipgeo_contract::{Identity, IdentityKind, KeyRecord, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};

use super::{Target, load_config};
use crate::aws::Home;
use crate::cli::Shared;
use crate::keys::{KeyStore, parse_grace};
use crate::output::{self, Column, Format, grouped};
use crate::report::{By, Row, Span, report, top};

/// Verbs of `ipgeo usage`.
#[derive(Debug, Subcommand)]
pub enum UsageVerb {
    /// Who used what, exactly: by API key, day, region or verdict
    Report(ReportArgs),
    /// The busiest API keys, sites or addresses
    Top(TopArgs),
}

/// Flags of `ipgeo usage report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo usage report --dev
  ipgeo usage report --by key,day --since 7d
  ipgeo usage report --by verdict --month 2026-11 -o csv")]
pub struct ReportArgs {
    /// What to report by: key, or one of day, region, verdict, or key with one of them
    #[arg(long, value_enum, value_delimiter = ',', default_value = "key", value_name = "PARTS")]
    by: Vec<By>,
    /// A month, such as 2026-11; else this one
    #[arg(long, value_name = "MONTH", conflicts_with = "since")]
    month: Option<String>,
    /// From so long ago until now: 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Only identities of a kind
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only API keys of an owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo usage top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The kind of identity
    #[arg(long, value_enum, default_value_t = Kind::Key, value_name = "KIND")]
    by: Kind,
    /// How many
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    count: usize,
    /// A month, such as 2026-11; else this one
    #[arg(long, value_name = "MONTH")]
    month: Option<String>,
    #[command(flatten)]
    target: Target,
}

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

/// Runs a verb.
pub(crate) async fn run(verb: UsageVerb, shared: &Shared) -> anyhow::Result<()> {
    let now = Timestamp::now();
    match verb {
        UsageVerb::Report(args) => print_report(args, shared, now).await,
        UsageVerb::Top(args) => print_top(args, shared, now).await,
    }
}

/// Days to report, and the months that they are in.
fn days(month: Option<&str>, since: Option<&str>, now: Timestamp) -> anyhow::Result<(Span, Vec<Month>)> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let (from, to) = match (month, since) {
        (Some(month), _) => {
            let month: Month = month.parse()?;
            (month.first(), month.first().last_of_month())
        }
        (None, Some(since)) => {
            let from = now.checked_sub(parse_grace(since)?).context("that is too long ago")?;
            (TimeZone::UTC.to_datetime(from).date(), today)
        }
        (None, None) => (today.first_of_month(), today.last_of_month()),
    };
    let mut months = Vec::new();
    let mut month = Month::of_date(from);
    while month.first() <= to && months.len() < 120 {
        months.push(month);
        month = month.next();
    }
    Ok((Span { from, to }, months))
}

/// What a list of parts asks for: by identity or not, and at most one part more.
fn parts(by: &[By]) -> anyhow::Result<(bool, Option<By>)> {
    let by_identity = by.contains(&By::Key);
    let mut others: Vec<By> = by.iter().copied().filter(|part| *part != By::Key).collect();
    others.dedup();
    match others.as_slice() {
        [] => Ok((by_identity, None)),
        [one] => Ok((by_identity, Some(*one))),
        _ => bail!(
            "the ledger holds days, regions and verdicts each by itself: name one of them, perhaps with `key`"
        ),
    }
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

async fn print_report(args: ReportArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (by_identity, part) = parts(&args.by)?;
    let (span, months) = days(args.month.as_deref(), args.since.as_deref(), now)?;
    if args.since.is_some() && matches!(part, Some(By::Region | By::Verdict)) {
        bail!("the ledger holds regions and verdicts by whole months: use --month with them");
    }
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let (mut items, keys) = read(&home, &months, args.kind.map(Into::into)).await?;
    if let Some(owner) = &args.owner {
        items.retain(|item| keys.get(&item.identity).is_some_and(|record| record.owner == *owner));
    }
    // A call by an address with a Referer is charged to both: sums over all would count it twice.
    if !by_identity && args.kind.is_none() {
        items.retain(|item| item.identity.kind() != IdentityKind::Site);
    }
    let rows = report(&items, &keys, by_identity, part, span);
    print(&rows, by_identity, part, span, shared)
}

fn print(
    rows: &[Row],
    by_identity: bool,
    part: Option<By>,
    span: Span,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut columns = Vec::new();
    if by_identity {
        columns.extend([
            Column::text("who"),
            Column::text("name"),
            Column::text("owner"),
            Column::text("tier"),
        ]);
    }
    match part {
        Some(By::Day) => columns.push(Column::text("day")),
        Some(By::Region) => columns.push(Column::text("region")),
        Some(By::Verdict) => columns.push(Column::text("verdict")),
        _ => {}
    }
    let counts = if part == Some(By::Verdict) { "requests" } else { "calls" };
    columns.push(Column::number(counts));
    let text = output::rows(shared.format(), &columns, rows, |row| {
        let mut cells = Vec::new();
        if by_identity {
            cells.extend([row.kind.to_owned(), row.name.clone(), row.owner.clone(), row.tier.clone()]);
        }
        if part.is_some() {
            cells.push(row.part.clone());
        }
        cells.push(grouped(row.calls));
        cells
    })?;
    output::data(&text)?;
    if shared.format() == Format::Table {
        let total: u64 = rows.iter().filter(|row| row.kind != "site").map(|row| row.calls).sum();
        let word = |from: Date, to: Date| format!("{from} to {to}, UTC");
        output::say(&format!("{} {counts} in all, {}", grouped(total), word(span.from, span.to)));
    }
    Ok(())
}

async fn print_top(args: TopArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (span, months) = days(args.month.as_deref(), None, now)?;
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let kind = args.by.into();
    let (items, keys) = read(&home, &months, Some(kind)).await?;
    print(&top(&items, &keys, kind, args.count, span), true, None, span, shared)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let (span, months) = days(month, since, now).expect("days");
            assert_eq!(
                (span.from.to_string(), span.to.to_string(), months.len()),
                (from.into(), to.into(), count)
            );
        }
        assert!(days(Some("november"), None, now).is_err());
        assert!(days(None, Some("soon"), now).is_err());
    }

    #[test]
    fn what_the_ledger_can_tell() {
        assert_eq!(parts(&[By::Key]).expect("told"), (true, None));
        assert_eq!(parts(&[By::Day]).expect("told"), (false, Some(By::Day)));
        assert_eq!(parts(&[By::Key, By::Region]).expect("told"), (true, Some(By::Region)));
        assert!(parts(&[By::Day, By::Region]).is_err());
    }
}
