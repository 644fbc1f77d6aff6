//! `ipgeo usage lag`.

use clap::Args;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{Target, load_config};
use crate::ui::output::{self, Column, Format};
use crate::usage::report::{LagRow, lags};

/// Flags of `ipgeo usage lag`.
#[derive(Debug, Args)]
#[command(after_help = "\
`behind` is from a region's newest counted call until now: it grows while a region is quiet too. `took` is from
that call until it was counted: the lag of log pipe, stream and counter as it was measured last.")]
pub struct LagArgs {
    #[command(flatten)]
    target: Target,
}

/// Seconds as people say them: `2.4 s`, `3 m 5 s`, `4 h 12 m`.
pub(super) fn spoken(ms: i64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        ..60 => format!("{}.{} s", seconds, (ms % 1_000).abs() / 100),
        60..3_600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3_600, seconds % 3_600 / 60),
    }
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
    let regions: Vec<&str> = config.regions.iter().map(|region| region.name.as_str()).collect();
    let rows = lags(&home.ledger.newest().await?, &regions, now);
    let told = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), spoken);
    let text = output::rows(shared.format(), &COLUMNS, &rows, |row: &LagRow| {
        let newest = row.newest.as_deref().and_then(|text| text.parse().ok());
        let newest = newest.map_or_else(|| "none".to_owned(), output::instant);
        vec![row.region.clone(), newest, told(row.behind_ms), told(row.took_ms)]
    })?;
    output::data(&text)?;
    if shared.format() == Format::Table
        && let Some(slowest) = rows.iter().filter_map(|row| row.took_ms).max()
    {
        output::say(&format!("the newest counted calls took up to {} to be counted", spoken(slowest)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_as_people_say_them() {
        for (ms, text) in [
            (0, "0.0 s"),
            (2_449, "2.4 s"),
            (59_999, "59.9 s"),
            (185_000, "3 m 5 s"),
            (15_120_000, "4 h 12 m"),
        ] {
            assert_eq!(spoken(ms), text);
        }
    }
}
