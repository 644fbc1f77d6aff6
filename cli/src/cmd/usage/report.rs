//! `ipgeo usage report` and `ipgeo usage top`.

use std::path::PathBuf;

use clap::Args;
use ipgeo_contract::{IdentityKind, Month};
use jiff::Timestamp;

use super::hours::print_hours;
use super::html::write_page;
use super::selection::{Kind, days, read, records};
use crate::args::Shared;
use crate::cmd::support::numbers::{month, rows, usd};
use crate::cmd::support::{Target, load_config};
use crate::keys::{Grace, parse_grace};
use crate::ui::format::counted;
use crate::ui::output::{self, Column, Format, Formats, UsageError, grouped};
use crate::usage::report::{DayRange, GroupBy, ReportRow, Sums};

/// Flags of `ipgeo usage report`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo usage report --dev
  ipgeo usage report --by key,day --since 7d
  ipgeo usage report --by key,day,region,verdict --json
  ipgeo usage report --by hour --since 6h
  ipgeo usage report --by verdict --month 2026-11 -o csv
  ipgeo usage report --dev --html usage.html    a page with charts
  ipgeo usage report --html usage.html --open
  ipgeo usage report --owner acme --html acme.html")]
pub(crate) struct ReportArgs {
    /// Break down by these; with `key`, for each API key [default: a summary of each]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(super) by: Vec<GroupBy>,
    /// Month: 2026-11 [default: this month]
    #[arg(long, value_name = "MONTH", conflicts_with = "since", value_parser = month)]
    pub(super) month: Option<Month>,
    /// Start this many days ago: 7d; with `--by hour`, hours: 6h [default for hours: 24h]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    pub(super) since: Option<Grace>,
    /// Only identities of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub(super) kind: Option<Kind>,
    /// Only API keys of this owner
    #[arg(long, value_name = "NAME")]
    pub(super) owner: Option<String>,
    /// Write a self-contained page with charts and tables (`-`: print it); with --owner, one to send to that customer
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by", "kind"])]
    html: Option<PathBuf>,
    /// Open the page in a browser
    #[arg(long, requires = "html")]
    pub(super) open: bool,
    /// Budget of a month, USD: the page shows whether the forecast is within it
    #[arg(long, value_name = "USD", value_parser = usd, requires = "html", conflicts_with_all = ["since", "owner"])]
    pub(super) max_monthly: Option<f64>,
    #[command(flatten)]
    pub(super) target: Target,
}

impl ReportArgs {
    /// With `--html` the page is written to a file and nothing is printed.
    pub(crate) fn forms(&self) -> Formats {
        if self.html.is_some() { Formats::TEXT } else { Formats::ALL }
    }
}

/// Flags of `ipgeo usage top`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo usage top --dev
  ipgeo usage top --by site -n 20 --month 2026-11")]
pub(crate) struct TopArgs {
    /// Kind of identity
    #[arg(long, value_enum, default_value_t = Kind::Key, value_name = "KIND")]
    by: Kind,
    /// Number of rows
    #[arg(short = 'n', long, default_value = "10", value_name = "N", value_parser = rows)]
    count: u32,
    /// Month: 2026-11 [default: this month]
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Month>,
    #[command(flatten)]
    target: Target,
}

/// One table of a report: per identity or in total, broken down by a part or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) by_identity: bool,
    pub(super) part: Option<GroupBy>,
}

impl Section {
    fn sums(self, span: DayRange) -> Sums {
        Sums::new(self.by_identity, self.part, span)
    }
}

/// The tables for `--by`. The ledger counts days, regions and verdicts separately, so each has its own table. Sums by
/// region and verdict are by month: with `days_only`, a summary omits them, and requesting them is an error.
fn sections(by: &[GroupBy], days_only: bool) -> anyhow::Result<Vec<Section>> {
    let monthly = |part: &GroupBy| matches!(part, GroupBy::Region | GroupBy::Verdict);
    if by.is_empty() {
        let parts = [GroupBy::Day, GroupBy::Region, GroupBy::Verdict]
            .into_iter()
            .filter(|part| !(days_only && monthly(part)));
        let summary = parts.map(|part| Section { by_identity: false, part: Some(part) });
        return Ok(std::iter::once(Section { by_identity: true, part: None }).chain(summary).collect());
    }
    if days_only && by.iter().any(monthly) {
        let why = "--since: the ledger counts regions and verdicts by whole months; use --month with them";
        return Err(UsageError(why.to_owned()).into());
    }
    let by_identity = by.contains(&GroupBy::Key);
    let mut parts: Vec<GroupBy> = by.iter().copied().filter(|part| *part != GroupBy::Key).collect();
    parts.dedup();
    if parts.is_empty() {
        return Ok(vec![Section { by_identity, part: None }]);
    }
    Ok(parts.into_iter().map(|part| Section { by_identity, part: Some(part) }).collect())
}

pub(super) async fn print_report(args: ReportArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    if args.owner.is_some() && args.kind.is_some_and(|kind| kind != Kind::Key) {
        return Err(UsageError("only API keys have an owner: use --owner without --kind".to_owned()).into());
    }
    if let Some(file) = &args.html {
        return write_page(file, &args, shared, now).await;
    }
    if args.by.contains(&GroupBy::Hour) {
        return print_hours(&args, shared, now).await;
    }
    let sections = sections(&args.by, args.since.is_some())?;
    let (span, months) = days(args.month, args.since, now)?;
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let keys = records(&home).await?;
    let owner = args.owner.as_deref();
    if let Some(owner) = owner
        && keys.values().all(|record| record.owner != owner)
    {
        output::print_note(&format!(
            "no API key has the owner `{owner}`; `ipgeo keys list` shows the owners"
        ));
    }
    let mut sums: Vec<(Section, Sums)> =
        sections.into_iter().map(|section| (section, section.sums(span))).collect();
    let mut total = Sums::new(false, None, span);
    read(&home, months, args.kind.map(Into::into), |item| {
        if owner.is_some_and(|owner| keys.get(&item.identity).is_none_or(|record| record.owner != owner)) {
            return;
        }
        // A call by an address with a Referer is charged to both: sums over all would count it twice.
        let is_once = args.kind.is_some() || item.identity.kind() != IdentityKind::Site;
        for (_, sums) in sums.iter_mut().filter(|(section, _)| is_once || section.by_identity) {
            sums.add(item);
        }
        if is_once {
            total.add(item);
        }
    })
    .await?;
    let tables: Vec<_> = sums.into_iter().map(|(section, sums)| (section, sums.rows(&keys))).collect();
    if print(&tables, span, shared)? && shared.format() == Format::Table {
        let calls = counted(total.calls(), "call");
        output::print_note(&format!("{calls} from {} to {}, UTC", span.from, span.to));
        if tables.iter().any(|(section, rows)| section.by_identity && has_call_twice(rows)) {
            output::print_note(TWICE);
        }
    }
    Ok(())
}

/// Why the rows of callers have a larger sum than the total.
const TWICE: &str = "a call without an API key but with a Referer is in two rows, of its address and of its site; the total counts it once";

/// Whether calls may be in two rows: of an address and of a site.
fn has_call_twice(rows: &[ReportRow]) -> bool {
    let has = |kind: IdentityKind| rows.iter().any(|row| row.kind == kind.as_str());
    has(IdentityKind::Address) && has(IdentityKind::Site)
}

/// Prints the tables; a note if they are empty. Returns whether there are any rows.
fn print(tables: &[(Section, Vec<ReportRow>)], span: DayRange, shared: &Shared) -> anyhow::Result<bool> {
    let has_rows = print_tables(tables, shared)?;
    if !has_rows && shared.format() == Format::Table {
        output::print_note(&format!("no calls counted from {} to {}, UTC", span.from, span.to));
    }
    Ok(has_rows)
}

/// Tables one below the other as text; all rows together for programs. Returns whether there are any rows.
pub(super) fn print_tables(tables: &[(Section, Vec<ReportRow>)], shared: &Shared) -> anyhow::Result<bool> {
    let has_rows = tables.iter().any(|(_, rows)| !rows.is_empty());
    if shared.format() != Format::Table {
        let rows: Vec<ReportRow> = tables.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect();
        output::print_rows(shared.format(), &[], &rows)?;
    } else if has_rows {
        let texts: Vec<String> = tables.iter().map(|(section, rows)| table(*section, rows)).collect();
        output::print_data(&texts.join("\n\n"))?;
    }
    Ok(has_rows)
}

fn table(section: Section, rows: &[ReportRow]) -> String {
    let mut columns = Vec::new();
    if section.by_identity {
        columns.extend([
            Column::text("kind").rank(2),
            Column::free_text("name"),
            Column::free_text("owner"),
            Column::text("tier").rank(1),
        ]);
    }
    columns.extend(section.part.map(|part| match part {
        GroupBy::Verdict => Column::state(part.word()),
        part => Column::text(part.word()),
    }));
    columns.push(Column::number(if section.part == Some(GroupBy::Verdict) { "requests" } else { "calls" }));
    output::format_table(&columns, rows, |row| {
        let mut cells = Vec::new();
        if section.by_identity {
            cells.extend([row.kind.to_owned(), row.name.clone(), row.owner.clone(), row.tier.clone()]);
        }
        cells.extend(section.part.map(|_| row.part.clone()));
        cells.push(grouped(row.calls.or(row.requests).unwrap_or(0)));
        cells
    })
}

pub(super) async fn print_top(args: TopArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (span, months) = days(args.month, None, now)?;
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let kind = args.by.into();
    let keys = records(&home).await?;
    let section = Section { by_identity: true, part: None };
    let mut sums = section.sums(span);
    read(&home, months, Some(kind), |item| {
        // Pooled callers are not one caller.
        if !item.identity.is_pooled() {
            sums.add(item);
        }
    })
    .await?;
    let mut rows = sums.rows(&keys);
    rows.truncate(args.count as usize);
    if print(&[(section, rows)], span, shared)? && shared.format() == Format::Table {
        output::print_note(&format!("calls from {} to {}, UTC", span.from, span.to));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_follow_what_the_ledger_counts() {
        let split = |by: &[GroupBy], days_only| {
            let found = sections(by, days_only).ok()?;
            Some(found.into_iter().map(|section| (section.by_identity, section.part)).collect::<Vec<_>>())
        };
        let (day, region, verdict) = (Some(GroupBy::Day), Some(GroupBy::Region), Some(GroupBy::Verdict));
        assert_eq!(
            split(&[], false),
            Some(vec![(true, None), (false, day), (false, region), (false, verdict)])
        );
        assert_eq!(split(&[], true), Some(vec![(true, None), (false, day)]));
        assert_eq!(split(&[GroupBy::Key], true), Some(vec![(true, None)]));
        assert_eq!(split(&[GroupBy::Day], true), Some(vec![(false, day)]));
        let all = [GroupBy::Key, GroupBy::Day, GroupBy::Region, GroupBy::Verdict];
        assert_eq!(split(&all, false), Some(vec![(true, day), (true, region), (true, verdict)]));
        assert_eq!(split(&[GroupBy::Region], true), None);
    }

    fn row(name: &str, owner: &str, part: &str) -> ReportRow {
        ReportRow {
            kind: "key",
            name: name.to_owned(),
            owner: owner.to_owned(),
            tier: "startup".to_owned(),
            part: part.to_owned(),
            calls: Some(1_234_567),
            ..ReportRow::default()
        }
    }

    #[test]
    fn only_an_address_and_a_site_together_have_a_call_in_two_rows() {
        let of_kind = |kind: &'static str| ReportRow { kind, ..row("", "", "") };
        for (kinds, expected) in [
            (&["key", "addr", "site"][..], true),
            (&["site", "addr"], true),
            (&["key", "addr"], false),
            (&["key", "site"], false),
            (&[], false),
        ] {
            let rows: Vec<ReportRow> = kinds.iter().copied().map(of_kind).collect();
            assert_eq!(has_call_twice(&rows), expected, "{kinds:?}");
        }
    }

    #[test]
    fn reports_fit_their_terminal() {
        let rows = [
            row("ipg_…x3Kq", "Vereinigte Stadtwerke Beispielstadt GmbH & Co. KG", "2026-11-24"),
            row("a-rather-long-name-of-a-shop.in-some-country.example.com", "", "2026-11-25"),
        ];
        let verdicts = [row("", "", "allowed"), row("", "", "over_quota")];
        let section = |by_identity, part| Section { by_identity, part };
        output::assert_tables("usage report", || {
            let tables = [
                table(section(true, None), &rows),
                table(section(true, Some(GroupBy::Day)), &rows),
                table(section(false, Some(GroupBy::Verdict)), &verdicts),
            ];
            tables.join("\n\n")
        });
        output::assert_tables("usage top", || table(section(true, None), &rows));
    }
}
