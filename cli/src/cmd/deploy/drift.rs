//! `ipgeo drift`.

use clap::Args;
use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{RegionArgs, check_drift, load_config, read_deployed};
use crate::infra::cloud::Ask;
use crate::infra::stacks::StackKind;
use crate::ui::output::{self, Column, Exit};

/// Flags of `ipgeo drift`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo drift
  ipgeo drift --check --regions 'eu-*'        status 3 if anything has drifted")]
pub(crate) struct DriftArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Exit with status 3 if anything has drifted
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Default, Serialize)]
struct DriftRow {
    region: RegionName,
    stack: String,
    resource: String,
    status: String,
    properties: Vec<String>,
}

/// Detects changes made outside CloudFormation.
pub(crate) async fn run(args: DriftArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None)).await?;
    let stacks = observed.regions.iter().filter(|(name, _)| scope.whole || scope.regions.contains(*name));
    let stacks: Vec<(RegionName, StackKind)> = stacks
        .flat_map(|(name, region)| region.stacks.keys().map(move |kind| (name.clone(), *kind)))
        .collect();
    let results = check_drift(&aws, &stacks).await;
    let (mut rows, mut failed) = (Vec::new(), 0);
    for ((region, stack), found) in stacks.into_iter().zip(results) {
        match found {
            Ok(drifts) => rows.extend(drifts.into_iter().map(|drift| DriftRow {
                region: region.clone(),
                stack: stack.to_string(),
                resource: format!("{} ({})", drift.name, drift.kind),
                status: drift.status,
                properties: drift.properties,
            })),
            Err(error) => {
                failed += 1;
                output::print_note(&format!("error: {region}: cannot check the {stack} stack: {error}"));
            }
        }
    }
    print(&rows, shared)?;
    Ok(match (failed, rows.is_empty()) {
        (0, false) if args.check => Exit::Changes,
        (0, _) => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

fn print(rows: &[DriftRow], shared: &Shared) -> anyhow::Result<()> {
    if rows.is_empty() && shared.format() == output::Format::Table {
        output::print_note("no changes outside CloudFormation");
        return Ok(());
    }
    Ok(output::print_data(&table(rows, shared.format())?)?)
}

fn table(rows: &[DriftRow], format: output::Format) -> anyhow::Result<String> {
    let columns = [
        Column::text("region"),
        Column::text("stack").rank(1),
        Column::free_text("resource"),
        Column::state("status"),
        Column::free_text("properties"),
    ];
    output::format_rows(format, &columns, rows, |row| {
        vec![
            row.region.to_string(),
            row.stack.clone(),
            row.resource.clone(),
            row.status.clone(),
            row.properties.join("; "),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_fits_a_terminal() {
        let row = |resource: &str, status: &str, properties: &[&str]| DriftRow {
            region: RegionName::new("ap-southeast-1"),
            stack: "edge".to_owned(),
            resource: resource.to_owned(),
            status: status.to_owned(),
            properties: properties.iter().map(|property| (*property).to_owned()).collect(),
        };
        let rows = [
            row(
                "LookupFunction (AWS::Lambda::Function)",
                "MODIFIED",
                &["MemorySize: 256 → 512", "Timeout: 5 → 10"],
            ),
            row("UsageLogSubscription (AWS::Logs::SubscriptionFilter)", "DELETED", &[]),
        ];
        output::assert_tables("drift", || table(&rows, output::Format::Table).expect("a table"));
    }
}
