//! `ipgeo traffic`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::cloud_args::{ExecuteArgs, again, agreed};
use super::execution::{carry_out, exit_of, shown};
use super::load_config;
use super::status::probe_edges;
use crate::aws::Aws;
use crate::cli::Shared;
use crate::infra::cloud::{Ask, observe};
use crate::infra::plan::{Observed, TrafficChange, TrafficError, drain_or_attach};
use crate::observe::status::region_statuses;
use crate::ui::output::{self, Column, Exit, Format, Formats, UsageError};

/// Verbs of `ipgeo traffic`.
#[derive(Debug, Subcommand)]
pub enum TrafficVerb {
    /// Show which regions callers are sent to
    Show(ShowArgs),
    /// Send no more callers to a region; its edge stays
    Drain(ChangeArgs),
    /// Send callers to a region again, once its edge answers
    Attach(ChangeArgs),
}

impl TrafficVerb {
    /// The output formats that the verb supports.
    pub(crate) fn forms(&self) -> Formats {
        if matches!(self, Self::Show(_)) { Formats::ALL } else { Formats::EVENTS }
    }
}

/// Flags of `ipgeo traffic show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Flags of `ipgeo traffic drain` and `attach`.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The region
    #[arg(value_name = "REGION")]
    region: String,
    /// Do it even if no other region that answers is left to callers
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    execute: ExecuteArgs,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Row {
    region: String,
    record: String,
    leads_to: String,
    probe_ms: Option<f64>,
    probe_error: Option<String>,
}

/// Runs a verb.
pub(crate) async fn run(verb: TrafficVerb, shared: &Shared) -> anyhow::Result<Exit> {
    match verb {
        TrafficVerb::Show(args) => show(args, shared).await,
        TrafficVerb::Drain(args) => change(args, TrafficChange::Drain, shared).await,
        TrafficVerb::Attach(args) => change(args, TrafficChange::Attach, shared).await,
    }
}

async fn show(args: ShowArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    if config.service.domain.is_none() {
        bail!(TrafficError::NoDomain);
    }
    let aws = Aws::of(&config, args.profile.as_deref()).await?;
    let observed = observe(&aws, &Ask::everywhere(&config, None)).await?;
    let edges = observed.regions_with(crate::infra::stacks::StackKind::Edge).map(str::to_owned).collect();
    let asked = probe_edges(&config, &aws, edges).await?;
    let rows: Vec<Row> = region_statuses(&config, &observed, &BTreeMap::new(), &asked)
        .into_iter()
        .map(|status| Row {
            leads_to: leads_to(&observed, &status.region),
            region: status.region,
            record: status.record,
            probe_ms: status.probe_ms,
            probe_error: status.probe_error,
        })
        .collect();
    let columns =
        [Column::text("region"), Column::text("record"), Column::number("probe"), Column::text("leads to")];
    let text = output::format_rows(shared.format(), &columns, &rows, |row| {
        let probe = match (row.probe_ms, &row.probe_error) {
            (Some(ms), _) => format!("{ms:.0} ms"),
            (None, error) => error.clone().unwrap_or_default(),
        };
        vec![row.region.clone(), row.record.clone(), probe, row.leads_to.clone()]
    })?;
    output::print_data(&text)?;
    Ok(Exit::Done)
}

fn leads_to(observed: &Observed, region: &str) -> String {
    let records = observed.zone.iter().flat_map(|zone| &zone.records);
    let places: BTreeSet<&str> =
        records.filter(|record| record.region == region).map(|record| record.alias.domain.as_str()).collect();
    places.into_iter().collect::<Vec<_>>().join(" ")
}

async fn change(args: ChangeArgs, change: TrafficChange, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let aws = Aws::of(&config, args.profile.as_deref()).await?;
    let observed = observe(&aws, &Ask::everywhere(&config, None)).await?;
    let regions = match change {
        TrafficChange::Drain => observed.attached(),
        TrafficChange::Attach => BTreeSet::from([args.region.clone()]),
    };
    let asked = probe_edges(&config, &aws, regions).await?;
    let healthy = asked.iter().filter(|(_, asked)| asked.is_ok()).map(|(region, _)| region.clone()).collect();
    let plan = drain_or_attach(&config, &observed, change, &args.region, &healthy, args.force);
    let plan = plan.map_err(|error| match error {
        TrafficError::Unknown { .. } => UsageError::new(error).into(),
        error => anyhow::Error::from(error),
    })?;
    if let (TrafficChange::Attach, Some(Err(why))) = (change, asked.get(&args.region)) {
        bail!(TrafficError::Unhealthy(args.region.clone(), why.clone()));
    }
    if plan.is_empty() {
        if shared.format() != Format::Table {
            shown(&plan, false, shared)?;
        }
        output::print_note(&format!("{} is so already", args.region));
        return Ok(Exit::Done);
    }
    shown(&plan, false, shared)?;
    if !agreed("change the records?", &args.execute)? {
        output::print_note("nothing was changed");
        return Ok(Exit::Failed);
    }
    let run = carry_out(&plan, &aws, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &again()));
    if change == TrafficChange::Drain {
        output::print_note("resolvers forget the region within a minute; its edge goes on answering");
    }
    Ok(exit_of(&run, 1))
}
