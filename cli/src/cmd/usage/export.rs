//! `ipgeo usage export`.

use clap::Args;
use ipgeo_contract::Month;
use ipgeo_runtime::dynamo::LedgerItem;

use super::selection::Kind;
use crate::args::Shared;
use crate::cmd::support::numbers::month;
use crate::cmd::support::{Target, load_config};
use crate::ui::output::{self, Format, ReaderGone, RowStream};
use crate::usage::report::{CountRow, export_rows};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a row for each count: identity, month, part, name, count. Parts are `calls` (of the month), `day`, \
`region` and `verdict`. Prints CSV, or JSON with -o json or -o jsonl. Rows are sorted by month and \
identity; those of a ledger with more than 20,000 items in parts, as they are read, so that memory does not \
grow with the ledger.

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

/// Items that are sorted together: 50 MB of memory.
const SORTED_ITEMS: usize = 20_000;
/// Items whose rows are printed together.
const PRINTED_ITEMS: usize = 500;

pub(super) async fn run(args: ExportArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let format = if shared.format() == Format::Table { Format::Csv } else { shared.format() };
    let (mut rows, mut items) = (RowStream::new(format), Vec::new());
    let months = args.month.map(|month| (month, month));
    let read = home.ledger.for_each(months, args.kind.map(Into::into), |item| {
        match item {
            Ok(item) => items.push(item),
            Err(row) if args.month.is_none() => {
                output::print_note(&format!("skipped: ledger row `{}` is unreadable", row.escape_debug()));
            }
            Err(_) => {}
        }
        if items.len() == SORTED_ITEMS { print(&mut items, &mut rows) } else { Ok(()) }
    });
    match read.await.and_then(|()| print(&mut items, &mut rows)).and_then(|()| rows.end()) {
        Err(error) if error.is::<ReaderGone>() => Ok(()),
        Ok(false) => {
            output::print_note("no calls counted yet");
            Ok(())
        }
        printed => printed.map(drop),
    }
}

/// Prints these items in order, and forgets them.
fn print(items: &mut Vec<LedgerItem>, rows: &mut RowStream<CountRow>) -> anyhow::Result<()> {
    items.sort_by(|a, b| (a.month, &a.identity).cmp(&(b.month, &b.identity)));
    items.chunks(PRINTED_ITEMS).try_for_each(|items| rows.print(&export_rows(items)))?;
    items.clear();
    Ok(())
}
