//! `ipgeo usage export`.

use clap::Args;
use ipgeo_contract::Month;

use super::report::Kind;
use crate::cli::Shared;
use crate::cmd::numbers::month;
use crate::cmd::{Target, load_config};
use crate::ui::output::{self, Format};
use crate::usage::report::export_rows;

/// Flags of `ipgeo usage export`.
#[derive(Debug, Args)]
#[command(after_help = "\
One row for each count: identity, month, part, name, count. Parts are `calls` (of the month), `day`, `region` and
`verdict`. As CSV unless -o says jsonl or json.
Examples:
  ipgeo usage export --month 2026-11 > 2026-11.csv
  ipgeo usage export -o jsonl | gzip > ledger.jsonl.gz")]
pub struct ExportArgs {
    /// Only a month, such as 2026-11; else all that the ledger holds
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Month>,
    /// Only identities of a kind
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
        output::print_note(&format!("skipped: ledger row `{}` can't be read", row.escape_debug()));
    }
    items.retain(|item| kind.is_none_or(|kind| item.identity.kind() == kind));
    items.sort_by(|a, b| (a.month, &a.identity).cmp(&(b.month, &b.identity)));
    if items.is_empty() {
        output::print_note("no calls counted yet");
    }
    let format = if shared.format() == Format::Table { Format::Csv } else { shared.format() };
    Ok(output::print_data(&output::format_rows(format, &[], &export_rows(&items), |_| Vec::new())?)?)
}
