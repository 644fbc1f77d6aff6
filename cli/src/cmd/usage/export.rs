//! `ipgeo usage export`.

use clap::Args;
use ipgeo_contract::Month;

use super::selection::Kind;
use crate::args::Shared;
use crate::cmd::support::numbers::month;
use crate::cmd::support::{Target, load_config};
use crate::ui::output::{self, Format};
use crate::usage::report::export_rows;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a row for each count: identity, month, part, name, count. Parts are `calls` (of the month), `day`, \
`region` and `verdict`. Prints CSV, or JSON with -o json or -o jsonl.

Examples:
  ipgeo usage export --month 2026-11 > 2026-11.csv
  ipgeo usage export -o jsonl | gzip > ledger.jsonl.gz")]
pub(crate) struct ExportArgs {
    /// Only this month: 2026-11 [default: all months]
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Month>,
    /// Only identities of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ExportArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let kind = args.kind.map(Into::into);
    let (mut items, unreadable) = match args.month {
        Some(month) => (home.ledger.month(month, kind).await?, Vec::new()),
        None => home.ledger.everything_and_unreadable().await?,
    };
    for row in unreadable {
        output::print_note(&format!("skipped: ledger row `{}` is unreadable", row.escape_debug()));
    }
    items.retain(|item| kind.is_none_or(|kind| item.identity.kind() == kind));
    items.sort_by(|a, b| (a.month, &a.identity).cmp(&(b.month, &b.identity)));
    if items.is_empty() {
        output::print_note("no calls counted yet");
    }
    let format = if shared.format() == Format::Table { Format::Csv } else { shared.format() };
    output::print_rows(format, &[], &export_rows(&items))
}
