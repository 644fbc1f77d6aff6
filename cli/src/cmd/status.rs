//! `ipgeo status`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use super::cloud_args::RegionArgs;
use super::load_config;
use crate::aws::Aws;
use crate::cli::Shared;
use crate::cloud::{Ask, Probe as _, ProbeTargets as _, observe};
use crate::config::Config;
use crate::output::{self, Column};
use crate::plan::ProbeSpec;
use crate::probing::HttpProbe;
use crate::standing::{Asked, Standing, standings};

/// Flags of `ipgeo status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo status
  ipgeo status --watch 10s
  ipgeo status --json | jq '.[] | select(.probe_ms == null)'")]
pub struct StatusArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Look again, so often: 10s, 1m
    #[arg(long, value_name = "PAUSE", num_args = 0..=1, default_missing_value = "10s", value_parser = crate::keys::parse_grace)]
    watch: Option<jiff::SignedDuration>,
    /// Do not ask the edges
    #[arg(long)]
    no_probe: bool,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Shows a line for each region.
pub(crate) async fn run(args: StatusArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let aws = Aws::of(&config, args.profile.as_deref()).await?;
    loop {
        let mut rows = Box::pin(read(&config, &aws, args.no_probe)).await?;
        rows.retain(|row| scope.whole || scope.regions.contains(&row.region));
        let text = table(&rows, shared)?;
        let Some(pause) = args.watch else { return Ok(output::data(&text)?) };
        if output::stdout_is_terminal() {
            // Home and erase below: the table is redrawn in its place.
            output::data(&format!(
                "\x1b[H\x1b[J{}\n\n{text}",
                jiff::Timestamp::now().round(jiff::Unit::Second)?
            ))?;
        } else {
            output::data(&text)?;
        }
        let pause = Duration::try_from(pause)?.max(Duration::from_secs(1));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Reads everything and asks every edge.
async fn read(config: &Config, aws: &Aws, no_probe: bool) -> anyhow::Result<Vec<Standing>> {
    let ask = Ask::everywhere(config, None);
    let (observed, replicas) = futures_util::join!(observe(aws, &ask), aws.replicas());
    let (observed, replicas) = (observed?, replicas?);
    let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
    if !no_probe {
        let edges: Vec<String> =
            observed.regions_with(crate::stacks::StackKind::Edge).map(str::to_owned).collect();
        let answers = join_all(edges.iter().map(|region| probe(config, aws, region))).await;
        asked.extend(edges.into_iter().zip(answers));
    }
    Ok(standings(config, &observed, &replicas, &asked))
}

/// Asks an edge whatever it may answer.
pub(super) async fn probe(config: &Config, aws: &Aws, region: &str) -> Asked {
    let spec = ProbeSpec {
        address: "8.8.8.8".to_owned(),
        country_code: None,
        domain: config.service.domain.clone(),
    };
    match aws.target(region, spec.domain.as_deref()).await {
        Ok(target) => HttpProbe.probe(&target, &spec).await,
        Err(error) => Err(error.to_string()),
    }
}

fn table(rows: &[Standing], shared: &Shared) -> anyhow::Result<String> {
    let columns = [
        Column::text("region"),
        Column::text("stacks"),
        Column::text("code"),
        Column::text("database"),
        Column::text("replica"),
        Column::text("record"),
        Column::number("probe"),
        Column::text("endpoint"),
    ];
    output::rows(shared.format(), &columns, rows, |row| {
        let home = if row.home { " (home)" } else { "" };
        vec![
            format!("{}{home}", row.region),
            row.stacks.clone(),
            row.code.clone().unwrap_or_default(),
            row.database.clone().unwrap_or_default(),
            row.replica.clone().unwrap_or_default(),
            row.record.clone(),
            match (row.probe_ms, &row.probe_error) {
                (Some(ms), _) => format!("{ms:.0} ms"),
                (None, Some(error)) => error.clone(),
                (None, None) => String::new(),
            },
            row.endpoint.clone().unwrap_or_default(),
        ]
    })
}
