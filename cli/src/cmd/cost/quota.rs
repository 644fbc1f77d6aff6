//! `ipgeo quota`.

use clap::{Args, Subcommand};
use ipgeo_contract::{IdentityKind, Limit, Month, Period, RateLimit};
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::numbers::rate;
use crate::cmd::support::{Target, find_key, load_config};
use crate::config::Config;
use crate::keys::find_tier;
use crate::quota::{Explanation, KeyUsage, LimitSubject, Pipeline, explain};
use crate::ui::output::{self, Format, UsageError};

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaVerb {
    /// Explain a limit: its usage, its reset, its worst-case overshoot
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo quota explain 6XLr --dev
  ipgeo quota explain --tier startup --rate 20
  ipgeo quota explain --tier anonymous --json")]
pub(crate) struct ExplainArgs {
    /// API key: hint, last four characters or hash; `-` reads it from stdin
    #[arg(value_name = "KEY", conflicts_with = "tier")]
    key: Option<String>,
    /// Tier in regions.toml, or `anonymous`
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Also show the overshoot at this rate, in calls per second
    #[arg(long, value_name = "CALLS", value_parser = rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(verb: QuotaVerb, shared: &Shared) -> anyhow::Result<()> {
    let QuotaVerb::Explain(args) = verb;
    let (config, _) = load_config(shared)?;
    let now = Timestamp::now();
    let explanations = match (&args.tier, &args.key) {
        (Some(tier), _) => explain_tier(tier, &config, args.rate, now)?,
        (None, Some(key)) => vec![explain_key(key, &args, &config, shared, now).await?],
        (None, None) => {
            return Err(UsageError(
                "no API key or tier given; pass an API key, or a tier with --tier".to_owned(),
            )
            .into());
        }
    };
    print(&explanations, shared)
}

fn explain_tier(
    name: &str,
    config: &Config,
    rate: Option<f64>,
    now: Timestamp,
) -> anyhow::Result<Vec<Explanation>> {
    let anonymous = config.tiers.anonymous;
    let rates = config.tiers.rates();
    let limits: Vec<(String, IdentityKind, Limit, Option<RateLimit>)> = if name == "anonymous" {
        vec![
            ("tier anonymous, one address".to_owned(), IdentityKind::Address, anonymous.limit, rates.address),
            ("tier anonymous, one site".to_owned(), IdentityKind::Site, anonymous.site_limit, rates.site),
        ]
    } else {
        let tier = find_tier(name, &config.tiers).map_err(|error| UsageError(error.to_string()))?;
        vec![(format!("tier {name}"), IdentityKind::Key, tier.limit, tier.rate_limit())]
    };
    let explanations = limits.into_iter().map(|(title, kind, limit, short)| {
        let short = short.map(|short| (short, config.regions.len()));
        let subject = LimitSubject { name: title, tier: name.to_owned(), kind, limit, rate: short };
        explain(&subject, None, Pipeline::from_config(config), config.usage.quiet_permille, rate, now)
    });
    Ok(explanations.collect())
}

async fn explain_key(
    key: &str,
    args: &ExplainArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<Explanation> {
    let home = args.target.home(shared, config).await?;
    let (identity, record) = find_key(key, &home).await?;
    let item = home.ledger.item(&identity, Month::from_time(now)).await?;
    let ledger = item.map_or(0, |item| item.used_in(Period::new(record.limit.window, now)));
    let counted = KeyUsage { ledger, published: record.published };
    let of_tier = || config.tiers.find(&record.tier)?.rate_limit();
    let rate = record.rate.or_else(of_tier).map(|rate| (rate, config.regions.len()));
    let subject = LimitSubject {
        name: format!("{} of {}, tier {}", record.hint, record.owner, record.tier),
        tier: record.tier,
        kind: IdentityKind::Key,
        limit: record.limit,
        rate,
    };
    let pipeline = Pipeline::from_config(config);
    Ok(explain(&subject, Some(counted), pipeline, config.usage.quiet_permille, args.rate, now))
}

fn print(explanations: &[Explanation], shared: &Shared) -> anyhow::Result<()> {
    match (shared.format(), explanations) {
        (Format::Table, explanations) => {
            let texts: Vec<String> = explanations.iter().map(Explanation::text).collect();
            output::print_data(&texts.join("\n\n"))?;
        }
        // One limit is one object; an address's and a site's are a list.
        (Format::Json, [one]) => output::print_data(&output::to_json(one)?)?,
        (Format::Json, several) => output::print_data(&output::to_json(several)?)?,
        (Format::Jsonl, explanations) => {
            let lines: anyhow::Result<Vec<String>> = explanations.iter().map(output::to_json_line).collect();
            output::print_data(&lines?.join("\n"))?;
        }
        (Format::Csv, explanations) => output::print_data(&csv(explanations)?)?,
    }
    Ok(())
}

/// A row for each rate of each limit.
#[derive(Default, serde::Serialize)]
struct CsvRow<'a> {
    name: &'a str,
    kind: &'a str,
    limit: u64,
    window: &'a str,
    period: &'a str,
    resets: &'a str,
    counted: Option<u64>,
    edges_know: Option<u64>,
    holds_within_s: f64,
    holds_early_within_s: f64,
    rate: &'a str,
    calls_per_s: f64,
    beyond_calls: f64,
    beyond_percent: f64,
}

fn csv(explanations: &[Explanation]) -> anyhow::Result<String> {
    let rows: Vec<CsvRow<'_>> = explanations
        .iter()
        .flat_map(|one| {
            one.beyond.iter().map(move |excess| CsvRow {
                name: &one.name,
                kind: one.kind,
                limit: one.limit,
                window: one.window,
                period: &one.period,
                resets: &one.resets,
                counted: one.counted,
                edges_know: one.edges_know,
                holds_within_s: one.holds_within_s,
                holds_early_within_s: one.holds_early_within_s,
                rate: excess.rate,
                calls_per_s: excess.calls_per_s,
                beyond_calls: excess.calls,
                beyond_percent: excess.percent,
            })
        })
        .collect();
    output::format_rows(Format::Csv, &[], &rows)
}
