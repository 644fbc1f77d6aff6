//! Home's steps: limits of tiers, the stack, replicas of the access table, secrets.
//!
//! The access table is a `AWS::DynamoDB::GlobalTable`, and what CloudFormation does with it shapes this file. A new
//! table may have any number of replicas; an existing one gains or loses one replica per stack update, and AWS advises
//! to change nothing else in that update (CloudFormation user guide, `AWS::DynamoDB::GlobalTable`, *Replicas*). So an
//! update of home may take several steps: first everything but the replicas, then each new replica on its own.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;

use super::edit;
use super::guards::{home_template_unreadable, stack_not_updatable};
use super::input::{Findings, PlanInput};
use super::model::{Action, Step, TierLimit};
use super::observed::{ObservedStack, replica_states};
use super::problem::Problem;
use super::{stack_step, versions};
use crate::infra::stacks::{
    DataPolicy, FunctionKind, RenderError, Replica, Stack, StackKind, Template, tier_limits,
};

/// Regions of the access table and whether each is protected from deletion.
type Replicas = BTreeMap<RegionName, bool>;

/// Home's steps. An edge needs a replica in its region, so a deploy of some regions changes home's stack even if home is
/// not one of them; then only the replicas are edited into the deployed template, and the rest of home stays as it was
/// deployed.
pub(super) fn steps(input: &PlanInput<'_>, findings: &mut Findings) -> Result<Vec<Step>, RenderError> {
    let home = input.home();
    let deployed = input.observed.home_stack(home);
    let wanted: BTreeSet<RegionName> = input.selected().map(|region| region.name.clone()).collect();
    let replicas = initial_replicas(input, deployed, &wanted);
    let missing: Vec<RegionName> =
        wanted.iter().filter(|region| !replicas.contains_key(*region)).cloned().collect();
    let mut steps = Vec::new();
    match deployed.filter(|_| !wanted.contains(home)) {
        Some(deployed) => {
            // The stack itself is not compared, so its state is checked here.
            if !missing.is_empty() {
                let name = input.names().stack(StackKind::Home);
                let recreate = input.options.recreate_failed;
                findings.problems.extend(stack_not_updatable(
                    home,
                    StackKind::Home,
                    &name,
                    deployed,
                    recreate,
                ));
            }
            check_undeclared(input, findings, &missing);
            steps.extend(added_by_editing(input, findings, deployed, &wanted, &missing));
        }
        None => {
            steps.extend(tier_steps(input, findings, deployed));
            let stack = input.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
            let mut now = stack.text.clone();
            match (stack_step::from_observed(input, findings, stack, BTreeMap::new()), deployed) {
                // Nothing to do: later steps start from the text that is deployed, which may differ in comments.
                (None, Some(deployed)) => now.clone_from(&deployed.text),
                (step, _) => steps.extend(step),
            }
            let switch = versions::to_stack(input, home, FunctionKind::Counter, &steps);
            steps.extend(switch);
            check_undeclared(input, findings, &missing);
            steps.extend(added_by_rendering(input, findings, now, replicas, missing)?);
        }
    }
    // Last, because it writes into the table that the stack creates. It does nothing if the secret exists: a table that
    // an earlier stack has retained keeps its secret, or all addresses would change their pseudonyms.
    if !input.observed.access.as_ref().is_some_and(|access| access.ready) {
        steps.push(Step::new(home, Action::Secret));
    }
    Ok(steps)
}

/// The replicas of the first update: those that are declared now. A table that an earlier stack has retained is imported
/// with the replicas that it has, because an import changes nothing and the template must not lie about it. A new table
/// gets all at once.
fn initial_replicas(
    input: &PlanInput<'_>,
    deployed: Option<&ObservedStack>,
    wanted: &BTreeSet<RegionName>,
) -> Replicas {
    let home = input.home();
    let mut replicas = match deployed {
        Some(stack) => replica_states(&stack.text),
        None => {
            let retained = input.observed.replicas(home);
            let initial = if retained.is_empty() { wanted } else { &retained };
            initial.iter().map(|region| (region.clone(), true)).collect()
        }
    };
    replicas.insert(home.to_owned(), true);
    // A run that stopped between releasing and removing a replica leaves it unprotected. It stays so for the next run to
    // remove, unless its region is in the file again.
    for region in &input.config.regions {
        replicas.entry(region.name.clone()).and_modify(|protected| *protected = true);
    }
    replicas
}

/// Adds replicas, and the trust that the regions' log pipes need, to the deployed template, and changes nothing else in it:
/// a rendered template would also update home, which was not requested.
fn added_by_editing(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    deployed: &ObservedStack,
    wanted: &BTreeSet<RegionName>,
    missing: &[RegionName],
) -> Vec<Step> {
    let (home, mut now, mut steps) = (input.home(), deployed.text.clone(), Vec::new());
    // Before the edges: CloudFormation creates a log destination only if CloudWatch Logs may assume the role.
    let trusting = edit::with_log_regions(&now, wanted).and_then(|text| stack_from_text(input, text));
    if let Some(trusting) = trusting {
        let text = trusting.text.clone();
        steps.extend(stack_step::from_template(input, findings, trusting, &now));
        now = text;
    }
    for region in missing {
        let next = edit::with_replica(&now, home, region).and_then(|text| stack_from_text(input, text));
        let Some(next) = next else {
            findings.problems.push(home_template_unreadable(home));
            break;
        };
        let text = next.text.clone();
        steps.extend(stack_step::from_template(input, findings, next, &now));
        now = text;
    }
    steps
}

fn added_by_rendering(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    mut now: String,
    mut replicas: Replicas,
    missing: Vec<RegionName>,
) -> Result<Vec<Step>, RenderError> {
    let mut steps = Vec::new();
    for region in missing {
        replicas.insert(region, true);
        let next = input.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
        let text = next.text.clone();
        steps.extend(stack_step::from_template(input, findings, next, &now));
        now = text;
    }
    Ok(steps)
}

/// The home stack with a template that was not rendered but edited; `None` if it is no template.
pub(super) fn stack_from_text(input: &PlanInput<'_>, text: String) -> Option<Stack> {
    let template = Template::parse(&text).ok()?;
    let name = input.names().stack(StackKind::Home);
    Some(Stack { kind: StackKind::Home, region: input.home().clone(), name, text, template })
}

/// A replica that the table has and the stack does not declare: a failed update may leave one, because CloudFormation
/// does not roll back a replica that was created. It does no harm until its region is added: then CloudFormation fails
/// with "a replica already exists", and only an operator can remove it.
fn check_undeclared(input: &PlanInput<'_>, findings: &mut Findings, missing: &[RegionName]) {
    let home = input.home();
    let table = &input.names().access_table;
    for region in input.observed.undeclared_replicas(home) {
        let what = format!("the access table has a replica in {region} that home's stack does not know");
        let remedy = format!(
            "remove it: aws dynamodb update-table --table-name {table} --region {home} --replica-updates 'Delete={{RegionName={region}}}'"
        );
        if missing.contains(&region) {
            findings.problems.push(Problem::new(what, remedy).in_region(home));
        } else {
            findings.notes.push(format!("{what}; {remedy}"));
        }
    }
}

/// Moves API keys of a tier from its deployed limit to the one in the file. The deployed limits are an output of home's
/// stack. Keys are moved before the stack is updated: if the run stops between the two, the output still has the old
/// limit, and the next run finds the keys that are left.
fn tier_steps(input: &PlanInput<'_>, findings: &mut Findings, deployed: Option<&ObservedStack>) -> Vec<Step> {
    let output = deployed.and_then(|stack| stack.outputs.get("Tiers"));
    let before = output.map(String::as_str).unwrap_or_default();
    let after = tier_limits(&input.config.tiers);
    let after: BTreeMap<&str, &str> = after.split(' ').filter_map(|tier| tier.split_once('=')).collect();
    let counts = input.observed.access.as_ref().map(|access| &access.limits);
    let mut steps = Vec::new();
    for (tier, from) in before.split(' ').filter_map(|tier| tier.split_once('=')) {
        let key = (tier.to_owned(), from.to_owned());
        let api_keys = counts.and_then(|counts| counts.get(&key)).copied().unwrap_or(0);
        match after.get(tier) {
            Some(to) if *to != from && api_keys > 0 => {
                let (tier, from, to) = (tier.to_owned(), from.to_owned(), (*to).to_owned());
                let limit = TierLimit { tier, from, to, api_keys };
                steps.push(Step::new(input.home(), Action::Tier(limit)));
            }
            None if api_keys > 0 => findings
                .notes
                .push(format!("tier `{tier}` is no longer in the file; its {api_keys} API keys keep {from}")),
            _ => {}
        }
    }
    steps
}

fn replica_list(replicas: &Replicas) -> Vec<Replica> {
    let replica =
        |(region, protected): (&RegionName, &bool)| Replica { region: region.clone(), protected: *protected };
    replicas.iter().map(replica).collect()
}

/// Removes replicas, beginning with the template that the home wave leaves. Two updates each: CloudFormation refuses to
/// remove a protected replica, and an update that removes one should do nothing else, so protection ends in an update of
/// its own.
pub(super) fn replica_removals(
    input: &PlanInput<'_>,
    findings: &mut Findings,
    mut now: String,
    removed: &BTreeSet<RegionName>,
) -> Result<Vec<Step>, RenderError> {
    let mut replicas = replica_states(&now);
    let mut steps = Vec::new();
    for region in removed.iter().filter(|region| *region != input.home()) {
        if !replicas.contains_key(region) {
            continue;
        }
        replicas.insert(region.clone(), false);
        let released = input.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
        replicas.remove(region);
        let without = input.renderer.home(&replica_list(&replicas), DataPolicy::Keep)?;
        for stack in [released, without] {
            let text = stack.text.clone();
            steps.extend(stack_step::from_template(input, findings, stack, &now));
            now = text;
        }
    }
    Ok(steps)
}
