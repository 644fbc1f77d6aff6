//! `ipgeo simulate`.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::cost::{first_regions, parse_calls};
use super::load_config;
use crate::cli::Shared;
use crate::keys::parse_grace;
use crate::output::{self, Column, Exit, Format};
use crate::simulate::{Outage, Outcome, Scenario, run as simulate};

/// Flags of `ipgeo simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo simulate
  ipgeo simulate --calls 10B
  ipgeo simulate --window 60s --over 30 --home-loss 30m --json")]
pub struct SimulateArgs {
    /// Calls a month: 25M, 10B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = parse_calls)]
    calls: f64,
    /// Only so many regions of the file, home first
    #[arg(long, value_name = "N")]
    regions: Option<usize>,
    /// How long is simulated
    #[arg(long, default_value = "24h", value_name = "DURATION")]
    span: String,
    /// API keys that call; by Zipf's law
    #[arg(long, default_value_t = 500, value_name = "N")]
    keys: u32,
    /// Percent of the API keys that ask for more than their limit of the day
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT")]
    over: f64,
    /// The longest time that a log line takes to the stream; else 180s
    #[arg(long, value_name = "DURATION")]
    log_lag: Option<String>,
    /// How long home gathers lines; else as regions.toml says
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// How long replication takes; else 1s
    #[arg(long, value_name = "DURATION")]
    replication_lag: Option<String>,
    /// Percent of the records that are in the stream twice
    #[arg(long, default_value_t = 0.1, value_name = "PERCENT")]
    duplicates: f64,
    /// Percent of the batches that are delivered again after they were counted
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT")]
    redelivered: f64,
    /// Lose a region for so long, a quarter into the span
    #[arg(long, value_name = "DURATION")]
    region_loss: Option<String>,
    /// Lose home's counting for so long, a quarter into the span
    #[arg(long, value_name = "DURATION")]
    home_loss: Option<String>,
    /// The same seed gives the same run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

fn seconds(text: &str) -> anyhow::Result<f64> {
    Ok(parse_grace(text)?.as_secs_f64())
}

impl SimulateArgs {
    fn scenario(&self, config: &crate::config::Config) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::of(config, self.calls);
        scenario.hours = seconds(&self.span)? / 3_600.0;
        scenario.keys = self.keys;
        scenario.over_share = self.over.clamp(0.0, 100.0) / 100.0;
        scenario.duplicates = self.duplicates.clamp(0.0, 100.0) / 100.0;
        scenario.redelivered = self.redelivered.clamp(0.0, 100.0) / 100.0;
        scenario.seed = self.seed;
        let way = &mut scenario.pipeline;
        for (flag, part) in [
            (&self.log_lag, &mut way.log_s),
            (&self.window, &mut way.window_s),
            (&self.replication_lag, &mut way.replication_s),
        ] {
            if let Some(text) = flag {
                *part = seconds(text)?;
            }
        }
        let from_s = scenario.hours * 900.0;
        let away = |text: &Option<String>| -> anyhow::Result<Option<Outage>> {
            text.as_deref().map(|text| Ok(Outage { from_s, for_s: seconds(text)? })).transpose()
        };
        scenario.region_loss = away(&self.region_loss)?;
        scenario.home_loss = away(&self.home_loss)?;
        Ok(scenario)
    }
}

#[derive(Serialize)]
struct Row {
    what: String,
    value: String,
}

/// Runs a simulation.
pub(crate) async fn run(args: SimulateArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let mut config = first_regions(config, args.regions)?;
    let scenario = args.scenario(&config)?;
    if let Some(window) = &args.window {
        // The bill is of the same window.
        config.usage.window_s = parse_grace(window)?.as_secs().try_into().unwrap_or(0);
    }
    let outcome = simulate(&scenario, &config).await.context("simulate")?;
    print(&outcome, shared)?;
    Ok(if outcome.bound_holds && outcome.counted_exactly { Exit::Done } else { Exit::Failed })
}

fn print(outcome: &Outcome, shared: &Shared) -> anyhow::Result<()> {
    match shared.format() {
        Format::Json => return Ok(output::data(&serde_json::to_string_pretty(outcome)?)?),
        Format::Jsonl => return Ok(output::data(&serde_json::to_string(outcome)?)?),
        Format::Table | Format::Csv => {}
    }
    let rows: Vec<Row> =
        outcome.rows().into_iter().map(|(what, value)| Row { what: what.to_owned(), value }).collect();
    let columns = [Column::text("what"), Column::number("value")];
    let table =
        output::rows(shared.format(), &columns, &rows, |row| vec![row.what.clone(), row.value.clone()])?;
    output::data(&table)?;
    for line in outcome.approximated() {
        output::say(&format!("approximated: {line}"));
    }
    Ok(())
}
