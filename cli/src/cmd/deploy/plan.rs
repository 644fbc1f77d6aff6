//! `ipgeo plan`.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::args::Shared;
use crate::cmd::support::{Deployment, PlanFlags, numbers::calls, print_plan, report_faults};
use crate::cost::CostChange;
use crate::infra::plan::{Action, Fault, Op, Plan, SCHEMA, Summary};
use crate::ui::output::{self, Exit, Format};

/// Flags of `ipgeo plan`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo plan
  ipgeo plan --regions 'eu-*' --verbose
  ipgeo plan --check --json                  status 3 if there are changes")]
pub struct PlanArgs {
    #[command(flatten)]
    flags: PlanFlags,
    /// List every resource of new stacks
    #[arg(short, long)]
    verbose: bool,
    /// Exit with status 3 if there are changes
    #[arg(long)]
    check: bool,
    /// Show the bill for this many calls a month: 25M, 1B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = calls)]
    calls: f64,
}

/// Shows what a deploy would change.
pub(crate) async fn run(args: PlanArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let deployment = Deployment::prepare(&args.flags, shared).await?;
    let observed = deployment.observe().await?;
    let mut plan = match deployment.plan(&observed)? {
        Ok(plan) => plan,
        Err(faults) => {
            output::data(&faults_document(&faults, shared.format())?)?;
            return Ok(report_faults(&faults));
        }
    };
    let cost = deployment.cost(&observed, &plan, args.calls)?;
    if shared.format() == Format::Table {
        plan.notes.push(cost.told());
        print_plan(&plan, args.verbose)?;
    } else {
        output::data(&document(&plan, &cost, shared.format())?)?;
    }
    Ok(if args.check && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}

/// A plan for programs: one JSON value, or a row for each step and each changed resource of a stack.
fn document(plan: &Plan, cost: &CostChange, format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            summary: Summary,
            plan: &'a Plan,
            cost: &'a CostChange,
        }
        return output::json(&Document { schema: SCHEMA, summary: plan.summary(), plan, cost });
    }
    output::rows(format, &[], &change_rows(plan), |_| Vec::new())
}

/// What blocks a plan, for programs; empty for the table format, which reports it on standard error.
fn faults_document(faults: &[Fault], format: Format) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(String::new()),
        Format::Json => output::json(&json!({ "schema": SCHEMA, "faults": faults })),
        Format::Jsonl | Format::Csv => output::rows(format, &[], faults, |_| Vec::new()),
    }
}

/// A change of a plan.
#[derive(Debug, Default, Serialize)]
struct ChangeRow {
    wave: &'static str,
    region: String,
    step: String,
    /// `add`, `modify`, `replace` or `remove`; `None`: the step changes no stack.
    op: Option<Op>,
    resource: Option<String>,
    kind: Option<String>,
    /// Paths of the properties that change.
    properties: Vec<String>,
    /// New IAM permissions.
    widens: Vec<String>,
}

fn change_rows(plan: &Plan) -> Vec<ChangeRow> {
    let mut rows = Vec::new();
    for (wave, step) in plan.steps() {
        let row = || ChangeRow {
            wave: wave.title(),
            region: step.region.clone(),
            step: step.title(),
            ..ChangeRow::default()
        };
        let changes = match &step.action {
            Action::Stack(stack) => stack.changes.as_slice(),
            _ => &[],
        };
        if changes.is_empty() {
            rows.push(row());
        }
        rows.extend(changes.iter().map(|change| ChangeRow {
            op: Some(change.op),
            resource: Some(change.name.clone()),
            kind: Some(change.kind.clone()),
            properties: change.properties.iter().map(|property| property.path.clone()).collect(),
            widens: change.widens.iter().map(|widening| widening.right.clone()).collect(),
            ..row()
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Model, change};
    use crate::infra::cloud::memory::Memory;
    use crate::infra::deploy::tests::harness::{FOUR, File, HOME, deployed, observed, planned};
    use crate::infra::plan::{templates_after, templates_now};

    /// A plan of a file in every form, from nothing, with nothing to do, and with something that forbids it.
    #[tokio::test(start_paused = true)]
    async fn a_plan_is_a_document_in_every_form() {
        let file = File::of(&FOUR);
        let (fresh, done) = (Memory::new(&file.config()), deployed(&file).await);
        for (cloud, is_empty) in [(&fresh, false), (&done, true)] {
            let plan = planned(cloud, &file).await.expect("a plan");
            let seen = observed(cloud, &file.config()).await.expect("read");
            let (before, after) = (templates_now(&seen), templates_after(&seen, &plan));
            let cost = change(HOME, &before, &after, &Model::of_calls(25e6)).expect("a bill");
            let printed = |format| document(&plan, &cost, format).expect("printed");
            let json: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
            assert_eq!((&json["schema"], &json["plan"]["service"]), (&1.into(), &"ipgeo-prod".into()));
            let rows = change_rows(&plan).len();
            assert_eq!(rows == 0, is_empty);
            let lines = printed(Format::Jsonl);
            assert_eq!(lines.lines().count(), rows);
            for line in lines.lines() {
                let row: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
                assert!(row["region"].is_string() && row["step"].is_string(), "{row}");
            }
            let csv = printed(Format::Csv);
            assert!(csv.starts_with("wave,region,step,op,resource,kind,properties,widens"), "{csv}");
            assert_eq!(
                csv::Reader::from_reader(csv.as_bytes()).records().map_while(Result::ok).count(),
                rows
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_forbids_a_plan_is_a_document_in_every_form() {
        let file = File::of(&FOUR);
        let cloud = Memory::new(&file.config());
        cloud.remove_zone();
        let faults = planned(&cloud, &file).await.expect_err("no zone");
        let printed = |format| faults_document(&faults, format).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!(json["faults"].as_array().map(Vec::len), Some(faults.len()));
        assert_eq!(printed(Format::Jsonl).lines().count(), faults.len());
        assert!(printed(Format::Csv).starts_with("region,what,remedy"));
        assert_eq!(printed(Format::Table), "");
    }
}
