//! `ipgeo simulate`.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::args::Shared;
use crate::cmd::support::numbers::{api_keys, calls, percent, percent_of_limit};
use crate::cmd::support::{first_regions, load_config};
use crate::config::Config;
use crate::cost;
use crate::keys::{Grace, parse_grace};
use crate::simulate::{CallSpread, LimitChange, Outage, Scenario, SimulationReport, run as simulate};
use crate::ui::output::{self, Column, ColumnOf, Exit, Format, UsageError};
use crate::ui::progress::Task;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo simulate
  ipgeo simulate --calls 10B
  ipgeo simulate --window 60s --over 30 --home-loss 30m --json")]
pub(crate) struct SimulateArgs {
    /// Calls a month: 25M, 10B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = calls)]
    calls: f64,
    /// Simulate only the first N regions (home first)
    #[arg(long, value_name = "N")]
    regions: Option<usize>,
    /// Simulated time
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = parse_grace)]
    span: Grace,
    /// Number of active API keys; their traffic follows Zipf's law
    #[arg(long, default_value = "500", value_name = "N", value_parser = api_keys)]
    keys: u32,
    /// Percentage of API keys that exceed their daily limit
    #[arg(long, default_value = "10", value_name = "PERCENT", value_parser = percent)]
    over: f64,
    /// Maximum time from a log line to the stream [default: 180s]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    log_lag: Option<Grace>,
    /// Time that home collects a batch [default: from regions.toml]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    window: Option<Grace>,
    /// Replication time [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    replication_lag: Option<Grace>,
    /// Percentage of records that are in the stream twice
    #[arg(long, default_value = "0.1", value_name = "PERCENT", value_parser = percent, hide_short_help = true)]
    duplicates: f64,
    /// Percentage of batches that are delivered again after being counted
    #[arg(long, default_value = "1", value_name = "PERCENT", value_parser = percent)]
    redelivered: f64,
    /// Take a region down for this long, a quarter into the span
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    region_loss: Option<Grace>,
    /// Stop counting for this long, a quarter into the span
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    home_loss: Option<Grace>,
    /// Simulate only the ledger's path, as if home could not be invoked
    #[arg(long, hide_short_help = true)]
    no_early_counts: bool,
    /// Move the calls of every API key to another region each second
    #[arg(long, hide_short_help = true)]
    hopping: bool,
    /// Change every limit to this percentage of it, halfway through the span
    #[arg(long, value_name = "PERCENT", value_parser = percent_of_limit)]
    change_limits: Option<f64>,
    /// Random seed; the same seed gives the same run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

impl SimulateArgs {
    fn scenario(&self, config: &Config) -> Scenario {
        let mut scenario = Scenario::typical(config, self.calls);
        scenario.hours = self.span.as_secs_f64() / 3_600.0;
        scenario.keys = self.keys;
        scenario.over_share = self.over / 100.0;
        scenario.duplicates = self.duplicates / 100.0;
        scenario.redelivered = self.redelivered / 100.0;
        scenario.seed = self.seed;
        scenario.early_counts = !self.no_early_counts;
        if self.hopping {
            scenario.spread = CallSpread::Hopping;
        }
        let pipeline = &mut scenario.pipeline;
        for (flag, part) in [
            (self.log_lag, &mut pipeline.log_s),
            (self.window, &mut pipeline.window_s),
            (self.replication_lag, &mut pipeline.replication_s),
        ] {
            if let Some(time) = flag {
                *part = time.as_secs_f64();
            }
        }
        let from_s = scenario.hours * 900.0;
        let outage = |time: Option<Grace>| time.map(|time| Outage { from_s, for_s: time.as_secs_f64() });
        scenario.region_loss = outage(self.region_loss);
        scenario.home_loss = outage(self.home_loss);
        let at_s = 2.0 * from_s;
        scenario.limit_change =
            self.change_limits.map(|percent| LimitChange { at_s, share: percent / 100.0 });
        scenario
    }
}

#[derive(Default, Serialize)]
struct Row {
    what: String,
    value: String,
}

pub(crate) async fn run(args: SimulateArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let mut config = first_regions(config, args.regions)?;
    let scenario = args.scenario(&config);
    if let Some(window) = &args.window {
        // The bill is of the same window.
        config.usage.window_s = window.as_secs().try_into().unwrap_or(0);
    }
    scenario.check().map_err(|why| UsageError(why.to_owned()))?;
    let bill = cost::monthly(&config, &scenario.traffic()).context("estimate the bill")?;
    // Without early counts, it is simulated once more.
    let runs = if scenario.early_counts { 2.0 } else { 1.0 };
    let task = Task::share("simulating", 0);
    let mut outcome = simulate(&scenario, &bill, &|share| task.set_share(share / runs)).await;
    if scenario.early_counts {
        let without = Scenario { early_counts: false, ..scenario };
        let without = simulate(&without, &bill, &|share| task.set_share((1.0 + share) / runs)).await;
        outcome.without_early_counts = Some(without.ledger_path_only());
    }
    task.done();
    print(&outcome, shared)?;
    let is_sound = outcome.bound_holds && outcome.counted_exactly && outcome.wrongly_refused == 0;
    Ok(if is_sound { Exit::Done } else { Exit::Failed })
}

fn print(outcome: &SimulationReport, shared: &Shared) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(outcome)?;
    value["approximated"] = outcome.approximated().into();
    let text = match shared.format() {
        Format::Json => output::to_json(&value)?,
        Format::Jsonl => output::to_json_line(&value)?,
        Format::Csv => output::format_rows(Format::Csv, &COLUMNS, &flat(&value))?,
        Format::Table => {
            let rows = outcome.rows().into_iter().map(|(what, value)| Row { what: what.to_owned(), value });
            output::format_rows(Format::Table, &COLUMNS, &rows.collect::<Vec<_>>())?
        }
    };
    output::print_data(&text)?;
    if shared.format() == Format::Table {
        for line in outcome.approximated() {
            output::print_note(&format!("approximated: {line}"));
        }
    }
    Ok(())
}

const COLUMNS: [ColumnOf<Row>; 2] =
    [(Column::free_text("what"), |row| row.what.clone()), (Column::number("value"), |row| row.value.clone())];

/// The figures of an object and of the objects in it, for machines: `overshoot.mean`, `12.5`.
fn flat(value: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => rows.extend(
                flat(value).into_iter().map(|row| Row { what: format!("{name}.{}", row.what), ..row }),
            ),
            Value::Array(_) | Value::Null => {}
            Value::String(text) => rows.push(Row { what: name.clone(), value: text.clone() }),
            _ => {
                rows.push(Row { what: name.clone(), value: output::to_json_line(value).unwrap_or_default() });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_flat_for_machines() {
        let value =
            json!({ "asked": 4663, "each": [1], "lost": null, "holds": true, "way": { "log_s": 180.0 } });
        let rows: Vec<String> =
            flat(&value).into_iter().map(|row| format!("{} {}", row.what, row.value)).collect();
        assert_eq!(rows, ["asked 4663", "holds true", "way.log_s 180.0"]);
    }

    #[test]
    fn figures_fit_a_terminal() {
        let rows = [("calls", "1,234,567"), ("worst lag of a caller that had reached its limit", "496.0 s")]
            .map(|(what, value)| Row { what: what.to_owned(), value: value.to_owned() });
        output::assert_tables("simulate", || {
            output::format_rows(Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
