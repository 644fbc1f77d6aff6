//! `ipgeo cost`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::numbers::{api_keys, bytes, calls, milliseconds, percent, usd};
use crate::cmd::support::{first_regions, load_config, path_to_write};
use crate::config::Config;
use crate::cost::{self, Allowances, Bill, BillLine, BillRow, CostPage, GroupBy, Prices, TrafficModel};
use crate::fs::write_page;
use crate::infra::stacks::STREAM_SHARDS;
use crate::quota::Pipeline;
use crate::ui::format::decimal;
use crate::ui::output::{self, Column, ColumnOf, Exit, Format};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo cost
  ipgeo cost --calls 1B --by line,region -o csv
  ipgeo cost --max-monthly 60                status 6 if a month costs more
  ipgeo cost --html cost.html                a page, 1M to 10B calls")]
pub(crate) struct CostArgs {
    /// Calls a month: 25M, 1B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = calls)]
    calls: f64,
    /// Price only the first N regions (home first)
    #[arg(long, value_name = "N")]
    regions: Option<usize>,
    /// Break the bill down by
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS", default_value = "line")]
    by: Vec<GroupBy>,
    /// Exit with status 6 if a month costs more than this
    #[arg(long, value_name = "USD", value_parser = usd)]
    max_monthly: Option<f64>,
    /// Ignore the AWS free tier
    #[arg(long)]
    no_allowances: bool,
    /// Use us-east-1's prices, which are exact, for every region
    #[arg(long)]
    base_prices: bool,
    /// Also write a self-contained page: the bill by line and region, and the curve from 1M to 10B calls
    #[arg(long, value_name = "FILE", value_parser = path_to_write())]
    html: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
}

/// The shape of the traffic.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shape {
    /// Percentage of calls with an API key
    #[arg(long, default_value = "80", value_name = "PERCENT", value_parser = percent)]
    keyed: f64,
    /// Number of active API keys; their traffic follows Zipf's law
    #[arg(long, default_value = "500", value_name = "N", value_parser = api_keys)]
    keys: u32,
    /// Size of a response on the wire, in bytes
    #[arg(long, default_value = "1000", value_name = "BYTES", value_parser = bytes)]
    answer_bytes: f64,
    /// Duration of a request that reads the access table, in milliseconds
    #[arg(long, default_value = "5", value_name = "MS", value_parser = milliseconds)]
    read_ms: f64,
    /// Duration of a request that is answered from memory, in milliseconds
    #[arg(long, default_value = "2", value_name = "MS", value_parser = milliseconds)]
    memory_ms: f64,
}

impl Shape {
    fn model(&self, calls: f64) -> TrafficModel {
        TrafficModel {
            keyed_share: self.keyed / 100.0,
            keys: self.keys,
            answer_bytes: self.answer_bytes,
            read_ms: self.read_ms,
            memory_ms: self.memory_ms,
            ..TrafficModel::typical(calls)
        }
    }
}

/// A quotation: the bill and its assumptions.
#[derive(Serialize)]
struct Quotation<'a> {
    calls: f64,
    currency: &'a str,
    total: f64,
    total_2018: f64,
    /// The same at the base region's prices everywhere.
    total_at_base_prices: f64,
    /// Whether `total` is at those prices, too.
    base_prices: bool,
    max_monthly: Option<f64>,
    over_budget: bool,
    prices: PriceNote<'a>,
    accuracy: Accuracy,
    model: &'a TrafficModel,
    rows: &'a [BillRow],
}

#[derive(Serialize)]
struct PriceNote<'a> {
    date: &'a str,
    source: &'a str,
    base_region: &'a str,
    /// Whether an estimated price is in the bill, and what that means.
    estimated: bool,
    estimate: &'a str,
}

/// What the bill buys in accuracy.
#[derive(Serialize)]
struct Accuracy {
    /// Counts in the ledger are exact.
    counts: &'static str,
    /// Seconds until a reached limit holds everywhere.
    holds_within_s: f64,
    /// The same with early counts.
    holds_early_within_s: f64,
    /// Thousandths of an anonymous limit that each environment lets through without a read.
    quiet_permille: u32,
    /// Seconds that a batch of usage lines gathers, and ledger and replicated writes a month.
    window_s: f64,
    ledger_writes: f64,
    replicated_writes: f64,
    shards_needed: u32,
}

pub(crate) fn run(args: &CostArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let config = first_regions(config, args.regions)?;
    let model = args.shape.model(args.calls);
    let listed = Prices::committed()?;
    let prices = if args.base_prices { listed.clone().at_base() } else { listed.clone() };
    let allowances = if args.no_allowances { Allowances::None } else { Allowances::All };
    let ours = cost::priced(&config, &model, &prices, allowances).context("estimate the bill")?;
    let design_2018 = cost::priced_2018(&config, &model, &prices, allowances)?;
    let at_base = cost::priced(&config, &model, &listed.at_base(), allowances)?.total();
    let rows = cost::rows(&ours, &design_2018, &args.by);
    // A budget is compared in cents, as it is shown.
    let over = args.max_monthly.is_some_and(|most| ours.total() > most + 0.005);
    let replicas = u32::try_from(config.regions.len()).unwrap_or(u32::MAX);
    let quotation = Quotation {
        calls: args.calls,
        currency: &prices.currency,
        total: ours.total(),
        total_2018: design_2018.total(),
        total_at_base_prices: at_base,
        base_prices: args.base_prices,
        max_monthly: args.max_monthly,
        over_budget: over,
        prices: PriceNote {
            date: &prices.date,
            source: &prices.source,
            base_region: &prices.base_region,
            estimated: !ours.is_exact(),
            estimate: &prices.estimate,
        },
        accuracy: accuracy(&config, &ours, f64::from(replicas)),
        model: &model,
        rows: &rows,
    };
    print(&quotation, &ours, shared)?;
    if let Some(file) = &args.html {
        let (curve, tiers) = cost::curve(&config, |calls| args.shape.model(calls), &prices, allowances)?;
        let service = config.service.full_name();
        let page = CostPage {
            service: &service,
            calls: args.calls,
            ours: &ours,
            of_2018: &design_2018,
            curve: &curve,
            tiers: &tiers,
            budget_usd: args.max_monthly,
            prices: &prices,
        };
        write_page(file, &page.html()?).with_context(|| format!("write {}", file.display()))?;
        output::print_note(&format!("wrote {}", file.display()));
    }
    if let (true, Some(most)) = (over, args.max_monthly) {
        output::print_note(&format!(
            "over budget: a month costs ${}, more than ${}",
            decimal(ours.total(), 2),
            decimal(most, 2)
        ));
    }
    Ok(if over { Exit::OverBudget } else { Exit::Done })
}

fn accuracy(config: &Config, bill: &Bill, replicas: f64) -> Accuracy {
    Accuracy {
        counts: "exact",
        // A batch that is full is counted before its window is over.
        holds_within_s: Pipeline { window_s: bill.window_s, ..Pipeline::from_config(config) }.lag_s(),
        holds_early_within_s: Pipeline::from_config(config).early_lag_s(),
        quiet_permille: config.usage.quiet_permille,
        window_s: bill.window_s,
        ledger_writes: bill.ledger_writes,
        replicated_writes: bill.publications * replicas,
        shards_needed: bill.shards_needed,
    }
}

fn print(quotation: &Quotation<'_>, bill: &Bill, shared: &Shared) -> anyhow::Result<()> {
    if shared.format() == Format::Json {
        return Ok(output::print_data(&output::to_json(quotation)?)?);
    }
    output::print_rows(shared.format(), &columns(quotation.rows), quotation.rows)?;
    if shared.format() == Format::Table {
        print_assumptions(quotation, bill);
    }
    Ok(())
}

fn columns(rows: &[BillRow]) -> Vec<ColumnOf<BillRow>> {
    let by_region = rows.iter().any(|row| !row.region.is_empty());
    let by_line = rows.len() < 2 || rows.iter().rev().skip(1).any(|row| !row.line.is_empty());
    let mut columns: Vec<ColumnOf<BillRow>> = Vec::new();
    if by_line || !by_region {
        columns.push((Column::text("line"), |row| row.line.clone()));
    }
    if by_region && by_line {
        columns.push((Column::text("region"), |row| row.region.clone()));
    } else if by_region {
        // The total is of no region: its name is in this column.
        columns.push((Column::text("region"), |row| {
            if row.region.is_empty() { row.line.clone() } else { row.region.clone() }
        }));
    }
    if by_line {
        columns
            .push((Column::number("amount").rank(1), |row| row.amount.map(amount_text).unwrap_or_default()));
        columns.push((Column::text("unit").rank(2), |row| row.unit.clone()));
    }
    columns.push((Column::number("$ a month"), |row| {
        format!("{} {}", decimal(row.usd, 2), if row.estimate { '~' } else { ' ' })
    }));
    columns.push((Column::number("2018 design").rank(3), |row| decimal(row.usd_2018, 2)));
    columns
}

/// An amount with three decimals, or without any if it is whole. What is too small for them is not shown as a whole zero.
fn amount_text(amount: f64) -> String {
    let whole = amount.round();
    let is_whole = (amount - whole).abs() < 0.000_5 && (whole != 0.0 || amount == 0.0);
    decimal(amount, if is_whole { 0 } else { 3 })
}

fn print_assumptions(quotation: &Quotation<'_>, bill: &Bill) {
    let (prices, accuracy) = (&quotation.prices, &quotation.accuracy);
    output::print_note("2018 design: the architecture that this one replaces, for comparison");
    output::print_note(&format!("prices of {}: {}", prices.date, prices.source));
    if quotation.base_prices {
        output::print_note(&format!("every region is billed at {}'s prices", prices.base_region));
    } else if prices.estimated {
        output::print_note(&format!("~ {}", prices.estimate));
        let base = quotation.total_at_base_prices;
        output::print_note(&format!(
            "at {}'s prices in every region: ${}",
            prices.base_region,
            decimal(base, 2)
        ));
    }
    let free = |line: &BillLine| *line >= BillLine::FreeFunctionRequests;
    let taken: f64 = bill.entries.iter().filter(|entry| free(&entry.line)).map(|entry| entry.usd).sum();
    if taken < 0.0 {
        output::print_note(&format!("the AWS free tier saves ${}", decimal(-taken, 2)));
    }
    output::print_note(&format!(
        "counts are exact; a limit takes effect everywhere within {:.1} s, and if early counts fail, within {:.0} s: then a caller at \
         1 call/s exceeds it by at most {:.0} calls; each environment allows {} % of an anonymous limit without a read",
        accuracy.holds_early_within_s,
        accuracy.holds_within_s,
        accuracy.holds_within_s,
        f64::from(accuracy.quiet_permille) / 10.0
    ));
    if accuracy.shards_needed > STREAM_SHARDS {
        output::print_note(&format!(
            "the busiest second needs {} shards, which are included in the bill; the home stack has {STREAM_SHARDS}",
            accuracy.shards_needed
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_amounts_have_no_decimals() {
        let table = [
            (25.000_000_1, "25"),
            (-1.0, "-1"),
            (-27_257.764, "-27,257.764"),
            (0.076, "0.076"),
            (0.0, "0"),
            (0.000_4, "0.000"),
            (-0.000_4, "0.000"),
            (24.999_4, "24.999"),
        ];
        for (amount, text) in table {
            assert_eq!(amount_text(amount), text, "{amount}");
        }
    }

    #[test]
    fn a_bill_fits_a_terminal() {
        let row = |line: &str, region: &str, usd| BillRow {
            line: line.to_owned(),
            region: region.to_owned(),
            amount: Some(25_915.604),
            unit: "M write units".to_owned(),
            usd,
            usd_2018: 13_596.25,
            estimate: true,
        };
        let both = [row("replicated writes", "ap-southeast-1", 1_642.1), row("total", "", 12_345.6)];
        let lines = [row("replicated writes", "", 1_642.1), row("total", "", 12_345.6)];
        output::assert_tables("cost", || {
            [both.as_slice(), &lines]
                .map(|rows| output::format_rows(Format::Table, &columns(rows), rows).expect("a table"))
                .join("\n\n")
        });
    }
}
