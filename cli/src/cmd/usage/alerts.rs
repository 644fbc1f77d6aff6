//! `ipgeo usage alerts`.

use std::collections::HashMap;

use clap::Args;
use ipgeo_contract::Month;
use ipgeo_runtime::usage::AlertMessage;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Shared;
use crate::cmd::numbers::month;
use crate::cmd::{Target, load_config};
use crate::keys::KeyStore as _;
use crate::ui::output::{self, Column, Format, grouped};

/// Flags of `ipgeo usage alerts`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each threshold of [alerts] in regions.toml is told once for an API key and period. It is recorded before it is sent:
one that stands here unsent was lost between the two, or nobody is named to be told.")]
pub struct AlertsArgs {
    /// A month, such as 2026-11; else this one
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

const COLUMNS: [Column; 8] = [
    Column::text("period"),
    Column::number("reached"),
    Column::text("API key"),
    Column::text("owner"),
    Column::number("used"),
    Column::text("limit"),
    Column::text("at"),
    Column::text("sent"),
];

pub(super) async fn run(args: AlertsArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let recorded = home.ledger.alerts(args.month.unwrap_or(Month::from_time(now))).await?;
    let keys: HashMap<_, _> = home.list().await?.into_iter().collect();
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
        output::say(&format!("no API key has reached a threshold ({thresholds} %) in this month"));
        return Ok(());
    }
    let text = output::rows(shared.format(), &COLUMNS, &rows, |row| {
        vec![
            row.period.clone(),
            format!("{} %", row.percent),
            row.api_key.clone(),
            row.owner.clone(),
            grouped(row.used),
            row.limit.clone(),
            row.as_of.clone(),
            row.sent.clone().unwrap_or_else(|| "no".to_owned()),
        ]
    })?;
    Ok(output::data(&text)?)
}
