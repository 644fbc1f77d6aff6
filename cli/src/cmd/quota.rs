//! `ipgeo quota`.

use clap::{Args, Subcommand};
use ipgeo_contract::{IdentityKind, Limit, Month, Period};
use jiff::Timestamp;

use super::keys::{find, used_in};
use super::numbers::rate;
use super::{Target, load_config};
use crate::cli::Shared;
use crate::config::Config;
use crate::keys::tier_of;
use crate::quota::{Counted, Explanation, Pipeline, Subject, explain};
use crate::ui::output::{self, Format, UsageError};

/// Verbs of `ipgeo quota`.
#[derive(Debug, Subcommand)]
pub enum QuotaVerb {
    /// Tell what a limit is, where its usage is known, and how far beyond it one may come
    Explain(ExplainArgs),
}

/// Flags of `ipgeo quota explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo quota explain 6XLr --dev
  ipgeo quota explain --tier startup --rate 20
  ipgeo quota explain --tier anonymous --json")]
pub struct ExplainArgs {
    /// An API key: its hint, last four characters, or hash; `-` reads it from standard input
    #[arg(value_name = "KEY", conflicts_with = "tier")]
    key: Option<String>,
    /// A tier of regions.toml
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// A rate to reckon with, calls a second
    #[arg(long, value_name = "CALLS", value_parser = rate)]
    rate: Option<f64>,
    #[command(flatten)]
    target: Target,
}

/// Runs a verb.
pub(crate) async fn run(verb: QuotaVerb, shared: &Shared) -> anyhow::Result<()> {
    let QuotaVerb::Explain(args) = verb;
    let (config, _) = load_config(shared)?;
    let now = Timestamp::now();
    let told = match (&args.tier, &args.key) {
        (Some(tier), _) => of_tier(tier, &config, args.rate, now)?,
        (None, Some(key)) => vec![of_key(key, &args, &config, shared, now).await?],
        (None, None) => return Err(UsageError("name an API key, or a tier with --tier".to_owned()).into()),
    };
    print(&told, shared)
}

fn of_tier(
    name: &str,
    config: &Config,
    rate: Option<f64>,
    now: Timestamp,
) -> anyhow::Result<Vec<Explanation>> {
    let anonymous = config.tiers.anonymous;
    let limits: Vec<(String, IdentityKind, Limit)> = if name == "anonymous" {
        vec![
            ("tier anonymous, one address".to_owned(), IdentityKind::Address, anonymous.limit),
            ("tier anonymous, one site".to_owned(), IdentityKind::Site, anonymous.site_limit),
        ]
    } else {
        let tier = tier_of(name, &config.tiers).map_err(|error| UsageError(error.to_string()))?;
        vec![(format!("tier {name}"), IdentityKind::Key, tier.limit)]
    };
    let told = limits.into_iter().map(|(title, kind, limit)| {
        let subject = Subject { name: title, tier: name.to_owned(), kind, limit };
        explain(&subject, None, Pipeline::of(config), config.usage.quiet_permille, rate, now)
    });
    Ok(told.collect())
}

async fn of_key(
    key: &str,
    args: &ExplainArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<Explanation> {
    let home = args.target.home(shared, config).await?;
    let (identity, record) = find(key, &home).await?;
    let item = home.ledger.item(&identity, Month::from_time(now)).await?;
    let ledger = item.map_or(0, |item| used_in(&item, Period::new(record.limit.window, now)));
    let counted = Counted { ledger, published: record.published };
    let subject = Subject {
        name: format!("{} of {}, tier {}", record.hint, record.owner, record.tier),
        tier: record.tier,
        kind: IdentityKind::Key,
        limit: record.limit,
    };
    let pipeline = Pipeline::of(config);
    Ok(explain(&subject, Some(counted), pipeline, config.usage.quiet_permille, args.rate, now))
}

fn print(told: &[Explanation], shared: &Shared) -> anyhow::Result<()> {
    match (shared.format(), told) {
        (Format::Table, told) => {
            let texts: Vec<String> = told.iter().map(Explanation::text).collect();
            output::data(&texts.join("\n\n"))?;
        }
        // One limit is one object; an address's and a site's are a list.
        (Format::Json, [one]) => output::data(&output::json(one)?)?,
        (Format::Json, several) => output::data(&output::json(several)?)?,
        (Format::Jsonl, told) => {
            let lines: anyhow::Result<Vec<String>> = told.iter().map(output::json_line).collect();
            output::data(&lines?.join("\n"))?;
        }
        (Format::Csv, told) => output::data(&csv(told)?)?,
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
    rate: &'a str,
    calls_per_s: f64,
    beyond_calls: f64,
    beyond_percent: f64,
}

fn csv(told: &[Explanation]) -> anyhow::Result<String> {
    let rows: Vec<CsvRow<'_>> = told
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
                rate: excess.rate,
                calls_per_s: excess.calls_per_s,
                beyond_calls: excess.calls,
                beyond_percent: excess.percent,
            })
        })
        .collect();
    output::rows(Format::Csv, &[], &rows, |_| Vec::new())
}
