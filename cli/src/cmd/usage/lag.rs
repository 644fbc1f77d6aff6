//! `ipgeo usage lag`.

use clap::Args;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{Target, load_config};
use crate::ui::format::duration_ms;
use crate::ui::output::{self, Column, Format};
use crate::usage::report::{LagRow, lags};

/// Flags of `ipgeo usage lag`.
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

const COLUMNS: [Column; 4] = [
    Column::text("region"),
    Column::text("newest counted call"),
    Column::number("behind"),
    Column::number("took"),
];

pub(super) async fn run(args: LagArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let regions: Vec<_> = config.regions.iter().map(|region| region.name.clone()).collect();
    let rows = lags(&home.ledger.newest().await?, &regions, now);
    output::print_data(&table(&rows, shared.format())?)?;
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

fn table(rows: &[LagRow], format: Format) -> anyhow::Result<String> {
    let text_of = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), duration_ms);
    output::format_rows(format, &COLUMNS, rows, |row| {
        let newest = row.newest.as_deref().and_then(|text| text.parse().ok());
        let newest = newest.map_or_else(|| "none".to_owned(), output::instant);
        vec![row.region.to_string(), newest, text_of(row.behind_ms), text_of(row.took_ms)]
    })
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
        output::assert_tables("usage lag", || table(&rows, Format::Table).expect("a table"));
    }
}
