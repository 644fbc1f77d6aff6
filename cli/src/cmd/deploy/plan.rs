//! `ipgeo plan`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ipgeo_contract::RegionName;
use serde::Serialize;
use serde_json::json;

use crate::args::Shared;
use crate::cmd::support::{
    Deployment, PlanFlags, numbers::calls, path_to_write, print_plan, report_faults, shell_line,
};
use crate::cost::CostChange;
use crate::fs::{Replace, write_output};
use crate::infra::plan::{Action, Op, Plan, Problem, SCHEMA, Summary};
use crate::ui::output::{self, Exit, Format};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo plan
  ipgeo plan --regions 'eu-*' --verbose
  ipgeo plan --out plan.json
  ipgeo plan --check --json                  status 3 if there are changes")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    flags: PlanFlags,
    /// List every resource of new stacks
    #[arg(short, long)]
    verbose: bool,
    /// Exit with status 3 if there are changes
    #[arg(long)]
    check: bool,
    /// Write the plan to this file, for `ipgeo deploy FILE`
    #[arg(long, value_name = "FILE", value_parser = path_to_write())]
    out: Option<PathBuf>,
    /// Show the bill for this many calls a month: 25M, 1B
    #[arg(long, default_value = "25M", value_name = "CALLS", value_parser = calls)]
    calls: f64,
}

pub(crate) async fn run(args: PlanArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let deployment = Deployment::prepare(&args.flags, shared).await?;
    let observed = deployment.observe().await?;
    let mut plan = match deployment.plan(&observed) {
        Ok(plan) => plan,
        Err(error) => {
            let faults = error.into_problems()?;
            output::print_data(&faults_document(&faults, shared.format())?)?;
            return Ok(report_faults(&faults));
        }
    };
    if let Some(path) = &args.out {
        let file = deployment.plan_file(&plan, &observed, args.flags.planned());
        write_output(path, file.text().as_bytes(), Replace::Yes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        output::print_note(&format!("run this plan with: {}", deploy_command(path, &args.flags, shared)));
    }
    let cost = deployment.cost(&observed, &plan, args.calls)?;
    if shared.format() == Format::Table {
        plan.notes.push(cost.summary());
        print_plan(&plan, args.verbose)?;
    } else {
        output::print_data(&document(&plan, &cost, shared.format())?)?;
    }
    Ok(if args.check && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}

/// The command that runs a plan in a file. The file has the flags that select regions; those that name files on this
/// machine, and the profile, must be given again.
fn deploy_command(plan: &Path, flags: &PlanFlags, shared: &Shared) -> String {
    let mut words = vec!["ipgeo".to_owned(), "deploy".to_owned(), plan.display().to_string()];
    let files = [
        ("--artifact", flags.artifacts.artifact.as_deref()),
        ("--database", flags.artifacts.database.as_deref()),
        ("--config", shared.config.as_deref()),
        ("--state", shared.state_flag()),
    ];
    for (flag, file) in files {
        words.extend(file.into_iter().flat_map(|file| [flag.to_owned(), file.display().to_string()]));
    }
    words.extend(flags.profile().into_iter().flat_map(|name| ["--profile".to_owned(), name.to_owned()]));
    shell_line(words)
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
        return output::to_json(&Document { schema: SCHEMA, summary: plan.summary(), plan, cost });
    }
    output::format_rows(format, &[], &change_rows(plan))
}

/// What blocks a plan, for programs; empty for the table format, which reports it on standard error.
fn faults_document(faults: &[Problem], format: Format) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(String::new()),
        Format::Json => output::to_json(&json!({ "schema": SCHEMA, "faults": faults })),
        Format::Jsonl | Format::Csv => output::format_rows(format, &[], faults),
    }
}

#[derive(Debug, Default, Serialize)]
struct ChangeRow {
    wave: &'static str,
    region: RegionName,
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
    use clap::Parser as _;

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
        let text = include_str!("../../../../regions.toml").replace("[service]\nname = \"ipgeo\"", domain);
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
            follow: None,
            today: String::new(),
        };
        let observed = Observed { account: "123456789012".to_owned(), zone, ..Observed::default() };
        plan(&config, &artifacts, &observed, &options)
            .map_err(|error| error.into_problems().expect("rendered"))
    }

    /// A plan in every form: from nothing, and with nothing to do.
    #[test]
    fn a_plan_is_a_document_in_every_form() {
        let first =
            first_plan(Some(Zone { name: "example.com".to_owned(), ..Zone::default() })).expect("a plan");
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
    fn the_command_that_runs_a_plan_names_the_files_of_this_machine() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            plan: PlanArgs,
            #[command(flatten)]
            shared: Shared,
        }
        let table = [
            ("", "ipgeo deploy p.json"),
            ("--regions eu-west-1 --recreate-failed --json", "ipgeo deploy p.json"),
            ("--artifact ../boot\u{2423}strap", "ipgeo deploy p.json --artifact '../boot strap'"),
            (
                "--database d --config c --state s --profile me",
                "ipgeo deploy p.json --database d --config c --state s --profile me",
            ),
        ];
        for (flags, expected) in table {
            let words = flags.split(' ').filter(|word| !word.is_empty());
            let words: Vec<String> = words.map(|word| word.replace('\u{2423}', " ")).collect();
            let line = Line::try_parse_from(std::iter::once("ipgeo".to_owned()).chain(words)).expect("flags");
            assert_eq!(deploy_command(Path::new("p.json"), &line.plan.flags, &line.shared), expected);
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
}
