//! `ipgeo status`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use clap::Args;

use crate::args::{ProfileArgs, Shared};
use crate::aws::Aws;
use crate::cmd::support::{RegionArgs, load_config, probe_cell, probe_edges, report_probes};
use crate::config::Config;
use crate::infra::cloud::{Ask, observe};
use crate::observe::status::{RegionStatus, region_statuses};
use crate::ui::output::{self, Column, ColumnOf, Exit, Format, Formats};
use crate::ui::progress::timed;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit status: 0 if every region answers, 4 if some do not.

Examples:
  ipgeo status
  ipgeo status --watch 10s
  ipgeo status --json | jq '.[] | select(.probe_ms == null)'")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Refresh every DURATION [default without a value: 10s]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "10s", value_parser = crate::keys::parse_grace)]
    watch: Option<jiff::SignedDuration>,
    /// Skip probing the edges
    #[arg(long)]
    no_probe: bool,
    #[command(flatten)]
    profile: ProfileArgs,
}

impl StatusArgs {
    pub(crate) fn is_repeated(&self) -> bool {
        self.watch.is_some()
    }

    /// Repeated output has no CSV form.
    pub(crate) fn forms(&self) -> Formats {
        if self.is_repeated() { Formats::EVENTS } else { Formats::ALL }
    }
}

pub(crate) async fn run(args: StatusArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let aws = Aws::connect(&config, args.profile.name()).await?;
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let reading = Box::pin(read(&config, &aws, args.no_probe));
        // Below a table that is redrawn, progress would flicker.
        let reading = if args.is_repeated() {
            tokio::select! {
                reading = reading => reading,
                _ = &mut interrupted => return Ok(Exit::Done),
            }
        } else {
            timed("reading the status", reading).await
        };
        let mut rows = reading?;
        rows.retain(|row| scope.whole || scope.regions.contains(&row.region));
        // Repeated output prints JSON lines.
        let watched = args.watch.is_some() && shared.format() == Format::Json;
        let format = if watched { Format::Jsonl } else { shared.format() };
        let text = output::format_rows(format, &COLUMNS, &rows)?;
        let Some(pause) = args.watch else {
            output::print_data(&text)?;
            report_probes(rows.iter().map(|row| (&row.region, row.probe_error.as_deref())), shared.format());
            return Ok(exit_of(&rows));
        };
        if output::stdout_is_terminal() {
            // Home and erase below: the table is redrawn in its place.
            output::print_data(&format!(
                "\x1b[H\x1b[J{}\n\n{text}",
                jiff::Timestamp::now().round(jiff::Unit::Second)?
            ))?;
        } else if !output::print_part(&text)? {
            return Ok(exit_of(&rows));
        }
        report_probes(rows.iter().map(|row| (&row.region, row.probe_error.as_deref())), shared.format());
        let pause = Duration::try_from(pause)?.max(Duration::from_secs(1));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut interrupted => return Ok(Exit::Done),
        }
    }
}

/// Reads the deployment and probes every edge.
async fn read(config: &Config, aws: &Aws, no_probe: bool) -> anyhow::Result<Vec<RegionStatus>> {
    let ask = Ask::everywhere(config, None);
    let (observed, replicas) = futures_util::join!(observe(aws, &ask), aws.replicas());
    let (observed, replicas) = (observed?, replicas?);
    let edges = observed.regions_with(crate::infra::stacks::StackKind::Edge).cloned().collect();
    let answers = if no_probe { BTreeMap::new() } else { probe_edges(config, aws, edges).await? };
    Ok(region_statuses(config, &observed, &replicas, &answers))
}

/// `4`, `3 (rolled back)`, at home with the counter's: `4, counter 2`.
fn version(row: &RegionStatus) -> String {
    let Some(version) = row.version else { return String::new() };
    let is_back = row.stack_version.is_some_and(|newest| newest != version);
    let counter = row.counter_version.map(|counter| format!(", counter {counter}")).unwrap_or_default();
    format!("{version}{}{counter}", if is_back { " (rolled back)" } else { "" })
}

/// Whether every probed region answers.
fn exit_of(rows: &[RegionStatus]) -> Exit {
    if rows.iter().any(|row| row.probe_error.is_some()) { Exit::SomeFailed } else { Exit::Done }
}

const COLUMNS: [ColumnOf<RegionStatus>; 9] = [
    (Column::text("region"), |row| format!("{}{}", row.region, if row.home { " (home)" } else { "" })),
    (Column::state("stacks"), |row| row.stacks.clone()),
    (Column::free_text("version").rank(2), version),
    (Column::text("code").rank(4), |row| row.code.clone().unwrap_or_default()),
    (Column::text("database").rank(3), |row| row.database.clone().unwrap_or_default()),
    (Column::state("replica").rank(1), |row| row.replica.clone().unwrap_or_default()),
    (Column::state("record"), |row| row.record.clone()),
    (Column::number("probe"), |row| probe_cell(row.probe_ms, row.probe_error.as_deref())),
    (Column::free_text("endpoint").rank(5), |row| row.endpoint.clone().unwrap_or_default()),
];

#[cfg(test)]
mod tests {
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::infra::plan::Observed;
    use crate::infra::stacks::test_config;
    use crate::observe::status::EdgeAnswer;

    #[test]
    fn a_region_that_does_not_answer_has_its_own_exit_status_in_every_format() {
        let (seen, config) = (Observed::default(), test_config());
        let names: Vec<&RegionName> = config.regions.iter().map(|region| &region.name).collect();
        let well = |region: &RegionName| (region.clone(), Ok(12.25));
        let mut answers: BTreeMap<RegionName, EdgeAnswer> = names.iter().copied().map(well).collect();
        let rows = |answers: &BTreeMap<RegionName, EdgeAnswer>| {
            region_statuses(&config, &seen, &BTreeMap::new(), answers)
        };
        assert_eq!(exit_of(&rows(&answers)), Exit::Done);
        assert_eq!(exit_of(&rows(&BTreeMap::new())), Exit::Done, "no region was probed");
        answers.insert(RegionName::new("us-east-1"), Err("no answer".to_owned()));
        let rows = rows(&answers);
        assert_eq!(exit_of(&rows), Exit::SomeFailed);
        let json: serde_json::Value =
            serde_json::from_str(&output::format_rows(Format::Json, &COLUMNS, &rows).expect("printed"))
                .expect("JSON");
        assert_eq!(json.as_array().map(Vec::len), Some(names.len()));
        assert_eq!(
            output::format_rows(Format::Jsonl, &COLUMNS, &rows).expect("printed").lines().count(),
            names.len()
        );
        let csv = output::format_rows(Format::Csv, &COLUMNS, &rows).expect("printed");
        assert!(csv.starts_with("region,home,in_file,stacks,") && csv.contains("no answer"), "{csv}");
        assert!(
            output::format_rows(Format::Csv, &COLUMNS, &[]).expect("printed").starts_with("region,home,")
        );
    }

    #[test]
    fn the_status_fits_a_terminal() {
        let row = |region: &str, probe: Result<f64, &str>| RegionStatus {
            region: RegionName::new(region),
            in_file: true,
            stacks: "ok".to_owned(),
            version: Some(12),
            code: Some("a19c6320".to_owned()),
            database: Some("62aec404".to_owned()),
            replica: Some("ACTIVE".to_owned()),
            record: "A AAAA".to_owned(),
            endpoint: Some("https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com".to_owned()),
            probe_ms: probe.ok(),
            probe_error: probe.err().map(str::to_owned),
            ..RegionStatus::default()
        };
        let fault =
            "edge stack UPDATE_ROLLBACK_FAILED: a resource could not be restored to the version before";
        let rows = [
            RegionStatus {
                home: true,
                counter_version: Some(3),
                stack_version: Some(13),
                ..row("eu-central-1", Ok(12.25))
            },
            row(
                "us-east-1",
                Err("connect to a1b2c3d4e5.execute-api.us-east-1.amazonaws.com: connection timed out"),
            ),
            RegionStatus {
                stacks: fault.to_owned(),
                record: "drained".to_owned(),
                ..row("ap-southeast-1", Ok(1_012.0))
            },
        ];
        crate::ui::output::assert_tables("status", || {
            output::format_rows(Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
