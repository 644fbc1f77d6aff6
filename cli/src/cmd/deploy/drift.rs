//! `ipgeo drift`.

use clap::Args;
use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{RegionArgs, check_drift, load_config, read_deployed};
use crate::infra::cloud::Ask;
use crate::ui::output::{self, Column, ColumnOf, Exit};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo drift
  ipgeo drift --check --regions 'eu-*'     status 3 if anything has drifted")]
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

const COLUMNS: [ColumnOf<DriftRow>; 5] = [
    (Column::text("region"), |row| row.region.to_string()),
    (Column::text("stack").rank(1), |row| row.stack.clone()),
    (Column::free_text("resource"), |row| row.resource.clone()),
    (Column::state("status"), |row| row.status.clone()),
    (Column::free_text("properties"), |row| row.properties.join("; ")),
];

pub(crate) async fn run(args: DriftArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let observed = read_deployed(&aws, &Ask::everywhere(&config, None)).await?;
    let (mut rows, mut failed) = (Vec::new(), 0);
    for ((region, stack), found) in check_drift(&aws, &observed, &scope).await {
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
    if rows.is_empty() && shared.format() == output::Format::Table {
        output::print_note("no changes outside CloudFormation");
    } else {
        output::print_rows(shared.format(), &COLUMNS, &rows)?;
    }
    Ok(match (failed, rows.is_empty()) {
        (0, false) if args.check => Exit::Changes,
        (0, _) => Exit::Done,
        _ => Exit::SomeFailed,
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
        output::assert_tables("drift", || {
            output::format_rows(output::Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
