//! `ipgeo plan`.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::deployment::{Deployment, PlanFlags};
use super::numbers::calls;
use crate::cli::Shared;
use crate::cost::CostChange;
use crate::infra::plan::{Action, Op, Plan, Problem, SCHEMA, Summary, show};
use crate::ui::output::{self, Exit, Format, Paint, painted};

/// Flags of `ipgeo plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo plan
  ipgeo plan --regions 'eu-*' --verbose
  ipgeo plan --check --json                  exit status 3 when anything would change")]
pub struct PlanArgs {
    #[command(flatten)]
    flags: PlanFlags,
    /// List every resource of new stacks too
    #[arg(short, long)]
    verbose: bool,
    /// End with status 3 when anything would change
    #[arg(long)]
    check: bool,
    /// Calls a month whose bill is told: 25M, 1B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = calls)]
    calls: f64,
}

/// Shows what a deploy would change.
pub(crate) async fn run(args: PlanArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let deployment = Deployment::prepare(&args.flags, shared).await?;
    let observed = deployment.observe().await?;
    let mut plan = match deployment.plan(&observed) {
        Ok(plan) => plan,
        Err(error) => {
            let faults = error.into_problems()?;
            output::data(&faults_document(&faults, shared.format())?)?;
            return Ok(tell_faults(&faults));
        }
    };
    let cost = deployment.cost(&observed, &plan, args.calls)?;
    if shared.format() == Format::Table {
        plan.notes.push(cost.summary());
        print(&plan, args.verbose)?;
    } else {
        output::data(&document(&plan, &cost, shared.format())?)?;
    }
    Ok(if args.check && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}

/// A plan for machines: one JSON value, or a row for each step and each changed resource of a stack.
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

/// Why a plan is blocked, for machines; empty for the table format, which reports it on standard error.
fn faults_document(faults: &[Problem], format: Format) -> anyhow::Result<String> {
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
    /// New rights.
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

/// Prints a plan for people.
pub(super) fn print(plan: &Plan, verbose: bool) -> anyhow::Result<()> {
    let shown = show(plan, verbose);
    let mut text: String = shown.body.lines().map(|line| painted_line(line) + "\n").collect();
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&painted(Paint::Head, &shown.last_line));
    Ok(output::painted_data(&text)?)
}

/// A plan's line in the colour of its sign.
fn painted_line(line: &str) -> String {
    let change = line.split_once(": ").map_or(line, |(_, change)| change).trim_start();
    let paint = if !line.starts_with(' ') && !line.starts_with("note:") {
        Paint::Head
    } else if line.contains("[DATA OR PIPE]") || change.starts_with("-/+") || change.starts_with("- ") {
        Paint::Danger
    } else if change.starts_with("[IAM]") || change.starts_with('~') {
        Paint::Change
    } else if change.starts_with('+') {
        Paint::Add
    } else {
        return line.to_owned();
    };
    painted(paint, line)
}

/// Tells what forbids a plan.
pub(super) fn tell_faults(faults: &[Problem]) -> Exit {
    for fault in faults {
        output::say(&format!("error: {fault}"));
    }
    let count = faults.len();
    output::say(&format!(
        "{count} {} this plan; nothing was changed",
        if count == 1 { "problem blocks" } else { "problems block" }
    ));
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};
    use crate::cost::{TrafficModel, change};
    use crate::infra::plan::{
        ArtifactFile, Observed, PlanOptions, ProbeSpec, Scope, Templates, Zone, plan, templates_after,
    };
    use crate::infra::stacks::{ArtifactRef, test_artifacts};

    fn config() -> Config {
        let domain =
            "[service]\nname = \"ipgeo\"\ndomain = \"api.example.com\"\nhosted_zone = \"example.com\"";
        let text = include_str!("../../../regions.toml").replace("[service]\nname = \"ipgeo\"", domain);
        parse("regions.toml", &text).expect("a sound file")
    }

    /// The plan of a first deploy to an account that has this zone.
    fn first_plan(zone: Option<Zone>) -> Result<Plan, Vec<Problem>> {
        let (config, artifacts) = (config(), test_artifacts());
        let file = |artifact: &ArtifactRef| ArtifactFile {
            artifact: artifact.clone(),
            file: "x.zip".into(),
            bytes: 1,
        };
        let options = PlanOptions {
            scope: Scope {
                regions: config.regions.iter().map(|region| region.name.clone()).collect(),
                whole: true,
            },
            allow_replace: std::collections::BTreeSet::new(),
            recreate_failed: false,
            files: artifacts.code.values().chain([&artifacts.geo]).map(file).collect(),
            probe: ProbeSpec::default(),
        };
        let observed = Observed { account: "123456789012".to_owned(), zone, ..Observed::default() };
        plan(&config, &artifacts, &observed, &options)
            .map_err(|error| error.into_problems().expect("rendered"))
    }

    /// A plan in every form: from nothing, and with nothing to do.
    #[test]
    fn a_plan_is_a_document_in_every_form() {
        let first = first_plan(Some(Zone::default())).expect("a plan");
        let empty = Plan { waves: Vec::new(), ..first.clone() };
        for (plan, is_empty) in [(first, false), (empty, true)] {
            let after = templates_after(&Observed::default(), &plan);
            let home = config().service.home;
            let cost =
                change(&home, &Templates::new(), &after, &TrafficModel::typical(25e6)).expect("a bill");
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

    #[test]
    fn what_forbids_a_plan_is_a_document_in_every_form() {
        let faults = first_plan(None).expect_err("no zone");
        let printed = |format| faults_document(&faults, format).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!(json["faults"].as_array().map(Vec::len), Some(faults.len()));
        assert_eq!(printed(Format::Jsonl).lines().count(), faults.len());
        assert!(printed(Format::Csv).starts_with("region,what,remedy"));
        assert_eq!(printed(Format::Table), "");
    }

    #[test]
    fn a_line_has_the_colour_of_its_sign() {
        let table = [
            ("edges", Some("1m")),
            ("  9 regions: ~ edge LookupFunction: MemorySize 256 → 512", Some("33m")),
            ("  eu-west-1: + edge stack: 14 resources", Some("32m")),
            ("  eu-west-1: -/+ edge Domain: DomainName a → b  [DATA OR PIPE]", Some("31m")),
            ("  eu-west-1: - edge stack ipgeo-prod-edge, whole", Some("31m")),
            ("  eu-west-1: ? /health, /8.8.8.8 and an API key", None),
            ("note: drained, and left so: eu-west-1", None),
        ];
        for (line, code) in table {
            let told = painted_line(line);
            assert_eq!(told == line, code.is_none(), "{told:?}");
            assert!(code.is_none_or(|code| told.contains(code)), "{told:?}");
        }
    }
}
