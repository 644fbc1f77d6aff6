//! `ipgeo plan`.

use clap::Args;
use serde_json::json;

use super::deployment::{Deployment, PlanFlags};
use super::numbers::calls;
use crate::cli::Shared;
use crate::cost::CostChange;
use crate::output::{self, Exit, Format, Paint, painted};
use crate::plan::{Fault, Plan, SCHEMA, show};

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
    let mut plan = match deployment.plan(&observed)? {
        Ok(plan) => plan,
        Err(faults) => return tell_faults(&faults, shared),
    };
    let cost = deployment.cost(&observed, &plan, args.calls)?;
    if shared.format() == Format::Table {
        plan.notes.push(cost.told());
        print(&plan, args.verbose)?;
    } else {
        output::data(&json_of(&plan, &cost)?)?;
    }
    Ok(if args.check && !plan.is_empty() { Exit::Changes } else { Exit::Done })
}

/// A plan as one JSON value.
fn json_of(plan: &Plan, cost: &CostChange) -> anyhow::Result<String> {
    let value = json!({ "schema": SCHEMA, "summary": plan.summary(), "plan": plan, "cost": cost });
    Ok(serde_json::to_string_pretty(&value)?)
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
pub(super) fn tell_faults(faults: &[Fault], shared: &Shared) -> anyhow::Result<Exit> {
    if shared.format() != Format::Table {
        output::data(&serde_json::to_string_pretty(&json!({ "schema": SCHEMA, "faults": faults }))?)?;
    }
    for fault in faults {
        output::say(&format!("error: {fault}"));
    }
    let count = faults.len();
    output::say(&format!(
        "{count} {} in the way; nothing was changed",
        if count == 1 { "thing" } else { "things" }
    ));
    Ok(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

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
