//! `ipgeo traffic`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::{Args, Subcommand};
use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{
    ExecuteArgs, carry_out, command_line, confirm_and_lock, confirm_plan, exit_of, load_config, probe_cell,
    probe_edges, read_deployed, report_probes, shown,
};
use crate::infra::cloud::Ask;
use crate::infra::plan::{Observed, TrafficChange, TrafficError, drain_or_attach};
use crate::observe::status::region_statuses;
use crate::ui::output::{self, Column, ColumnOf, Exit, Format, Formats, UsageError};

#[derive(Debug, Subcommand)]
pub(crate) enum TrafficVerb {
    /// Show which regions DNS sends callers to
    #[command(after_long_help = "\
Examples:
  ipgeo traffic show
  ipgeo traffic show --json")]
    Show(ShowArgs),
    /// Remove a region from DNS; its edge keeps running
    #[command(after_long_help = "\
Examples:
  ipgeo traffic drain us-east-1")]
    Drain(ChangeArgs),
    /// Add a region to DNS again, if its edge answers
    #[command(after_long_help = "\
Examples:
  ipgeo traffic attach us-east-1")]
    Attach(ChangeArgs),
}

impl TrafficVerb {
    pub(crate) fn forms(&self) -> Formats {
        if matches!(self, Self::Show(_)) { Formats::ALL } else { Formats::EVENTS }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Region to change
    #[arg(value_name = "REGION")]
    region: RegionName,
    /// Change it even if no other healthy region is left in DNS
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    execute: ExecuteArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Default, Serialize)]
struct TrafficRow {
    region: RegionName,
    record: String,
    leads_to: String,
    probe_ms: Option<f64>,
    probe_error: Option<String>,
}

const COLUMNS: [ColumnOf<TrafficRow>; 4] = [
    (Column::text("region"), |row| row.region.to_string()),
    (Column::state("record"), |row| row.record.clone()),
    (Column::number("probe"), |row| probe_cell(row.probe_ms, row.probe_error.as_deref())),
    (Column::free_text("target"), |row| row.leads_to.clone()),
];

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
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None)).await?;
    let edges = observed.regions_with(crate::infra::stacks::StackKind::Edge).cloned().collect();
    let probes = probe_edges(&config, &aws, edges).await?;
    let rows: Vec<TrafficRow> = region_statuses(&config, &observed, &BTreeMap::new(), &probes)
        .into_iter()
        .map(|status| TrafficRow {
            leads_to: leads_to(&observed, &status.region),
            region: status.region,
            record: status.record,
            probe_ms: status.probe_ms,
            probe_error: status.probe_error,
        })
        .collect();
    output::print_rows(shared.format(), &COLUMNS, &rows)?;
    report_probes(rows.iter().map(|row| (&row.region, row.probe_error.as_deref())), shared.format());
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
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None)).await?;
    let regions = match change {
        TrafficChange::Drain => observed.attached(),
        TrafficChange::Attach => BTreeSet::from([RegionName::new(args.region.as_str())]),
    };
    let probes = probe_edges(&config, &aws, regions).await?;
    let healthy =
        probes.iter().filter(|(_, probe)| probe.is_ok()).map(|(region, _)| region.clone()).collect();
    let plan = drain_or_attach(&config, &observed, change, &args.region, &healthy, args.force);
    let plan = plan.map_err(|error| match error {
        TrafficError::Unknown { .. } => UsageError::new(error).into(),
        error => anyhow::Error::from(error),
    })?;
    if let (TrafficChange::Attach, Some(Err(why))) = (change, probes.get(&args.region)) {
        bail!(TrafficError::Unhealthy(args.region.clone(), why.clone()));
    }
    if plan.is_empty() {
        if shared.format() != Format::Table {
            shown(&plan, false, shared)?;
        }
        let state = match change {
            TrafficChange::Drain => "drained",
            TrafficChange::Attach => "attached",
        };
        output::print_note(&format!("{} is already {state}", args.region));
        return Ok(Exit::Done);
    }
    shown(&plan, false, shared)?;
    let confirm = || confirm_plan("change the records?", &args.execute);
    let lock = confirm_and_lock(&aws, &args.execute, shared, confirm).await?;
    let run = carry_out(&plan, &aws, lock, &args.execute, shared).await?;
    output::print_note(&run.report(&plan, &command_line()));
    if change == TrafficChange::Drain {
        output::print_note("resolvers drop the region within a minute; until then its edge keeps answering");
    }
    Ok(exit_of(&run, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_fit_a_terminal() {
        let row = |region: &str, record: &str, probe_error: Option<&str>| {
            TrafficRow {
            region: RegionName::new(region),
            record: record.to_owned(),
            leads_to: "d-a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com d-f6g7h8i9j0.execute-api.eu-central-1.amazonaws.com".to_owned(),
            probe_ms: probe_error.is_none().then_some(12.25),
            probe_error: probe_error.map(str::to_owned),
        }
        };
        let rows = [
            row("eu-central-1", "A AAAA", None),
            row("ap-southeast-1", "drained", Some("HTTP status 503 Service Unavailable")),
        ];
        output::assert_tables("traffic show", || {
            output::format_rows(Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
