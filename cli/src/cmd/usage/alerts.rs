//! `ipgeo usage alerts`.

use std::collections::HashMap;

use clap::Args;
use ipgeo_contract::Month;
use ipgeo_runtime::usage::AlertMessage;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::numbers::month;
use crate::cmd::support::{Target, all_keys, load_config};
use crate::ui::format::grouped_limit;
use crate::ui::output::{self, Column, ColumnOf, Format, grouped};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Each threshold of [alerts] in regions.toml is sent once for an API key and period. It is recorded \
before it is sent: an unsent one was interrupted, or [alerts] has no recipient.

Examples:
  ipgeo usage alerts --dev
  ipgeo usage alerts --month 2026-11 --json")]
pub(crate) struct AlertsArgs {
    /// Month: 2026-11 [default: this month]
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<Month>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Default, Serialize)]
struct AlertRow {
    period: String,
    percent: u8,
    api_key: String,
    owner: String,
    used: u64,
    limit: String,
    as_of: String,
    sent: Option<String>,
}

const COLUMNS: [ColumnOf<AlertRow>; 8] = [
    (Column::text("period"), |row| row.period.clone()),
    (Column::number("reached"), |row| format!("{} %", row.percent)),
    (Column::text("API key"), |row| row.api_key.clone()),
    (Column::free_text("owner"), |row| row.owner.clone()),
    (Column::number("used"), |row| grouped(row.used)),
    (Column::text("limit").rank(1), |row| grouped_limit(&row.limit)),
    (Column::text("at").rank(2), |row| row.as_of.clone()),
    (Column::text("sent").rank(1), |row| row.sent.clone().unwrap_or_else(|| "no".to_owned())),
];

pub(super) async fn run(args: AlertsArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let month = args.month.unwrap_or(Month::from_time(now));
    let recorded = home.ledger.alerts(month).await?;
    let keys: HashMap<_, _> = all_keys(&home).await?.into_iter().collect();
    let rows: Vec<AlertRow> = recorded
        .into_iter()
        .map(|recorded| {
            let message = AlertMessage::new(&recorded.alert, keys.get(&recorded.alert.identity));
            AlertRow {
                period: message.period,
                percent: message.percent,
                api_key: message.api_key,
                owner: message.owner,
                used: message.used,
                limit: message.limit,
                as_of: output::instant(recorded.alert.as_of),
                sent: recorded.sent.map(output::instant),
            }
        })
        .collect();
    if rows.is_empty() && shared.format() == Format::Table {
        let thresholds = &config.alerts.thresholds;
        output::print_note(&format!("no API key reached an alert threshold ({thresholds} %) in {month}"));
        return Ok(());
    }
    output::print_rows(shared.format(), &COLUMNS, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_fit_a_terminal() {
        let row = |owner: &str, sent: Option<&str>| AlertRow {
            period: "2026-11".to_owned(),
            percent: 100,
            api_key: "ipg_…x3Kq".to_owned(),
            owner: owner.to_owned(),
            used: 100_012,
            limit: "100000/month".to_owned(),
            as_of: "2026-11-24T12:00:00Z".to_owned(),
            sent: sent.map(str::to_owned),
        };
        let rows = [
            row("acme", None),
            row("Vereinigte Stadtwerke Beispielstadt GmbH & Co. KG", Some("2026-11-24T12:00:01Z")),
        ];
        output::assert_tables("usage alerts", || {
            output::format_rows(Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
