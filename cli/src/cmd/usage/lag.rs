//! `ipgeo usage lag`.

use clap::Args;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{Target, load_config};
use crate::ui::format::duration_ms;
use crate::ui::output::{self, Column, ColumnOf, Format};
use crate::usage::report::{LagRow, lags};

#[derive(Debug, Args)]
#[command(after_long_help = "\
`behind` is the time since a region's newest counted call; it also grows while a region has no calls.
`took` is the time from that call until it was counted: the latest lag of log pipe, stream and counter.

Examples:
  ipgeo usage lag --dev
  ipgeo usage lag --json")]
pub(crate) struct LagArgs {
    #[command(flatten)]
    target: Target,
}

const COLUMNS: [ColumnOf<LagRow>; 4] = [
    (Column::text("region"), |row| row.region.to_string()),
    (Column::text("newest counted call"), |row| {
        let newest = row.newest.as_deref().and_then(|text| text.parse().ok());
        newest.map_or_else(|| "none".to_owned(), output::instant)
    }),
    (Column::number("behind"), |row| duration_or_never(row.behind_ms)),
    (Column::number("took"), |row| duration_or_never(row.took_ms)),
];

fn duration_or_never(ms: Option<i64>) -> String {
    ms.map_or_else(|| "never".to_owned(), duration_ms)
}

pub(super) async fn run(args: LagArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let regions: Vec<_> = config.region_names().cloned().collect();
    let rows = lags(&home.ledger.newest().await?, &regions, now);
    output::print_rows(shared.format(), &COLUMNS, &rows)?;
    if shared.format() == Format::Table
        && let Some(slowest) = rows.iter().filter_map(|row| row.took_ms).max()
    {
        output::print_note(&format!(
            "the newest counted calls took up to {} to be counted",
            duration_ms(slowest)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_fit_a_terminal() {
        let row = |region: &str, newest: Option<&str>, behind_ms, took_ms| LagRow {
            region: ipgeo_contract::RegionName::new(region),
            newest: newest.map(str::to_owned),
            behind_ms,
            took_ms,
        };
        let rows = [
            row("ap-southeast-1", Some("2026-11-24T12:00:00Z"), Some(15_120_000), Some(185_000)),
            row("eu-central-1", None, None, None),
        ];
        output::assert_tables("usage lag", || {
            output::format_rows(Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
