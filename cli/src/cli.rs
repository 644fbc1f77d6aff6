//! The command line: every verb, and the program that runs one.

use std::borrow::Cow;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use ipgeo_contract::without_api_keys;

use crate::args::Shared;
use crate::cmd::cost::{cost, quota, simulate};
use crate::cmd::deploy::{deploy, destroy, drift, iam, plan, render, rollback, traffic};
use crate::cmd::geo::{bulk, lookup};
use crate::cmd::groups::with_groups;
use crate::cmd::local::dev;
use crate::cmd::observe::{doctor, logs, probe, status};
use crate::cmd::setup::{completions, init, man, schema};
use crate::cmd::support::command_line;
use crate::cmd::{geo, keys, usage};
use crate::completion::{COMPLETE_VARIABLE, with_candidates};
use crate::ui::output::{self, Exit, Formats, report_error};

/// Run a worldwide, metered IP-geolocation API from one regions.toml.
#[derive(Debug, Parser)]
#[command(name = "ipgeo", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start here: run every region on this machine
    Dev(dev::DevArgs),
    /// Write the CloudFormation templates of every stack
    Render(render::RenderArgs),
    /// Preview the changes a deploy would make
    Plan(plan::PlanArgs),
    /// Deploy every region in regions.toml
    Deploy(deploy::DeployArgs),
    /// Return to an older version of the code, in seconds
    Rollback(rollback::RollbackArgs),
    /// Attach or drain regions in DNS
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo traffic show
  ipgeo traffic drain us-east-1
  ipgeo traffic attach us-east-1")]
    Traffic(traffic::TrafficVerb),
    /// Detect changes made outside CloudFormation
    Drift(drift::DriftArgs),
    /// Delete the service, but retain its data
    ///
    /// Delete the service. Data is retained unless --delete-data is given.
    Destroy(destroy::DestroyArgs),
    /// Print the IAM policy that a deployer needs
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo iam policy --account 123456789012 --dir policies")]
    Iam(iam::IamVerb),
    /// Create and manage API keys
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo keys create --dev --owner acme --tier startup
  ipgeo keys list --owner acme")]
    Keys(keys::KeysVerb),
    /// Report usage, and recover counts
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo usage report --dev
  ipgeo usage lag")]
    Usage(usage::UsageVerb),
    /// Fetch, compile, compare and roll out geo databases
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo geo fetch && ipgeo geo build
  ipgeo geo rollout")]
    Geo(geo::GeoVerb),
    /// Look up addresses, offline or through the API
    Lookup(lookup::LookupArgs),
    /// Add locations to a CSV file or a list of addresses
    Bulk(bulk::BulkArgs),
    /// Show the status of each region
    Status(status::StatusArgs),
    /// Measure each region's latency from this machine
    Probe(probe::ProbeArgs),
    /// Show the logs of all regions, merged by time
    Logs(logs::LogsArgs),
    /// Check the deployment and suggest fixes
    Doctor(doctor::DoctorArgs),
    /// Estimate the monthly bill
    Cost(cost::CostArgs),
    /// Simulate a day of traffic: quota overshoot, lag, writes
    Simulate(simulate::SimulateArgs),
    /// Explain limits
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo quota explain --tier startup --rate 20")]
    Quota(quota::QuotaVerb),
    /// Create a regions.toml
    Init(init::InitArgs),
    /// Print the JSON Schema of regions.toml
    #[command(after_long_help = "\
Examples:
  ipgeo schema > regions.schema.json")]
    Schema,
    /// Generate shell completions
    Completions(completions::CompletionsArgs),
    /// Generate manual pages
    Man(man::ManArgs),
}

impl Verb {
    /// The output formats that the verb supports.
    fn forms(&self) -> Formats {
        match self {
            Self::Keys(_)
            | Self::Plan(_)
            | Self::Drift(_)
            | Self::Cost(_)
            | Self::Simulate(_)
            | Self::Quota(_)
            | Self::Probe(_)
            | Self::Lookup(_)
            | Self::Doctor(_) => Formats::ALL,
            Self::Bulk(_) => Formats::CSV,
            Self::Render(args) => args.forms(),
            Self::Status(args) => args.forms(),
            Self::Traffic(verb) => verb.forms(),
            Self::Usage(verb) => verb.forms(),
            Self::Geo(verb) => verb.forms(),
            Self::Logs(args) => args.forms(),
            Self::Deploy(_) | Self::Destroy(_) | Self::Rollback(_) | Self::Dev(_) => Formats::EVENTS,
            Self::Iam(_) | Self::Schema => Formats::DOCUMENT,
            Self::Init(_) | Self::Completions(_) | Self::Man(_) => Formats::TEXT,
        }
    }

    /// Whether Ctrl-C reports what was changed and the command that continues. `dev` and verbs that follow something end
    /// in their own way, and for others there is nothing to report.
    fn reports_interruption(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::Deploy(_)
            | Self::Rollback(_)
            | Self::Traffic(_)
            | Self::Drift(_)
            | Self::Destroy(_)
            | Self::Usage(usage::UsageVerb::Recover(_)) => true,
            Self::Geo(verb) => matches!(verb, geo::GeoVerb::Rollout(_) | geo::GeoVerb::Rollback(_)),
            _ => false,
        }
    }
}

fn command() -> Command {
    with_candidates(with_groups(Cli::command()))
}

/// Answers a shell that requests completion. Returns whether one did.
fn completed() -> bool {
    let current = std::env::current_dir().ok();
    let request = CompleteEnv::with_factory(command).var(COMPLETE_VARIABLE).bin("ipgeo");
    // A shell cannot show an error.
    request.try_complete(std::env::args_os(), current.as_deref()).unwrap_or(true)
}

/// Runs the program.
pub fn main() -> Exit {
    if completed() {
        return Exit::Done;
    }
    let mut cli = match command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // The message repeats the wrong argument, which may be an API key in the wrong place.
            let text = error.render().to_string();
            match without_api_keys(&text) {
                // There is no other place to report that printing failed.
                Cow::Borrowed(_) => drop(error.print()),
                Cow::Owned(masked) => output::print_note(masked.trim_end()),
            }
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    cli.shared = cli.shared.settled();
    if std::env::args_os().any(|word| word == "--dev") {
        output::suggest_dev();
    }
    cli.shared.color.apply();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report_error(&anyhow::Error::from(error).context("start the async runtime"));
            return Exit::Failed;
        }
    };
    let ended = runtime.block_on(run(cli));
    // Don't wait for blocking tasks: every result that is needed has been awaited already.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            report_error(&error);
            Exit::from_error(&error)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let shared = &cli.shared;
    cli.verb.forms().check(shared.format())?;
    if cli.verb.reports_interruption() {
        shared.interrupts.watch(command_line()).context("listen for Ctrl-C")?;
    }
    match cli.verb {
        Verb::Plan(args) => return Box::pin(plan::run(args, shared)).await,
        Verb::Deploy(args) => return Box::pin(deploy::run(args, shared)).await,
        Verb::Rollback(args) => return Box::pin(rollback::run(args, shared)).await,
        Verb::Drift(args) => return Box::pin(drift::run(args, shared)).await,
        Verb::Traffic(verb) => return Box::pin(traffic::run(verb, shared)).await,
        Verb::Destroy(args) => return Box::pin(destroy::run(args, shared)).await,
        Verb::Cost(args) => return cost::run(&args, shared),
        Verb::Simulate(args) => return Box::pin(simulate::run(args, shared)).await,
        Verb::Quota(verb) => Box::pin(quota::run(verb, shared)).await?,
        Verb::Render(args) => render::run(&args, shared)?,
        Verb::Status(args) => return Box::pin(status::run(args, shared)).await,
        Verb::Iam(verb) => iam::run(verb, shared)?,
        Verb::Dev(args) => return Box::pin(dev::run(args, shared)).await,
        Verb::Keys(verb) => keys::run(verb, shared).await?,
        Verb::Usage(verb) => return Box::pin(usage::run(verb, shared)).await,
        Verb::Geo(verb) => return Box::pin(geo::run(verb, shared)).await,
        Verb::Lookup(args) => return lookup::run(&args, shared),
        Verb::Bulk(args) => return bulk::run(args, shared).await,
        Verb::Schema => schema::run()?,
        Verb::Init(args) => init::run(args, shared)?,
        Verb::Completions(args) => completions::run(&args)?,
        Verb::Man(args) => man::run(&args, command())?,
        Verb::Logs(args) => return Box::pin(logs::run(args, shared)).await,
        Verb::Probe(args) => return Box::pin(probe::run(args, shared)).await,
        Verb::Doctor(args) => return Box::pin(doctor::run(args, shared)).await,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use ipgeo_contract::Limit;

    use super::*;
    use crate::cmd::groups::GROUPS;

    const DOCS: [&str; 6] = [
        include_str!("../../README.md"),
        include_str!("../../docs/COMMANDS.md"),
        include_str!("../../docs/COST.md"),
        include_str!("../../docs/SECURITY.md"),
        include_str!("../../docs/CI.md"),
        include_str!("../../CONTRIBUTING.md"),
    ];

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    /// A command and all its subcommands, as built by clap, at a width.
    fn commands(width: usize) -> Vec<Command> {
        fn collect(command: &Command, into: &mut Vec<Command>) {
            into.push(command.clone());
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                collect(below, into);
            }
        }
        let (mut root, mut all) = (command().term_width(width), Vec::new());
        root.build();
        collect(&root, &mut all);
        all
    }

    fn name(command: &Command) -> String {
        command.get_bin_name().unwrap_or("ipgeo").to_owned()
    }

    fn helps() -> Vec<String> {
        commands(200).iter_mut().map(|command| command.render_long_help().to_string()).collect()
    }

    /// What the help of every command says is reviewed as a snapshot, and fits a screen.
    #[test]
    fn short_help_fits_a_screen() {
        let mut all = String::new();
        for mut command in commands(80) {
            let text = command.render_help().to_string();
            let name = name(&command);
            assert!(text.lines().count() <= 40, "{name}: {} lines", text.lines().count());
            let wide = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{name}");
            let _infallible = writeln!(all, "$ {name} -h\n{text}");
        }
        insta::assert_snapshot!("short_help", all);
    }

    /// The common options are the same in every help: the snapshot has them once.
    fn without_common_options(text: &str) -> String {
        let mut is_common = false;
        let own = text.lines().filter(|line| {
            if !line.starts_with(' ') && !line.is_empty() {
                is_common = line.starts_with("Common options:");
            }
            !is_common
        });
        own.map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
    }

    #[test]
    fn long_help_adds_details_and_examples() {
        let mut all = String::new();
        for mut command in commands(80) {
            let text = command.render_long_help().to_string();
            let name = name(&command);
            assert!(
                name == "ipgeo" || text.lines().any(|line| line.starts_with("  ipgeo ")),
                "{name} has no example"
            );
            let text = if name == "ipgeo" { text } else { without_common_options(&text) };
            let _infallible = writeln!(all, "$ {name} --help\n{text}");
        }
        insta::assert_snapshot!("long_help", all);
    }

    #[test]
    fn every_verb_is_in_one_group_with_its_description() {
        let command = command();
        let help = command.clone().render_help().to_string();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(grouped, verbs, "the order is the one of the groups, for completions");
        for verb in command.get_subcommands() {
            let about = verb.get_about().expect("a description").to_string();
            let ending = format!("{:<13}{about}", verb.get_name());
            assert_eq!(help.lines().filter(|line| line.ends_with(&ending)).count(), 1, "{ending}");
        }
    }

    #[test]
    fn every_verb_with_the_flag_dev_is_known_to_messages() {
        for command in commands(80) {
            let name = name(&command);
            let first = name.split(' ').nth(1).unwrap_or_default();
            if command.get_subcommands().next().is_none() {
                let has_flag = command.get_arguments().any(|arg| arg.get_long() == Some("dev"));
                assert_eq!(has_flag, output::DEV_VERBS.contains(&first), "{name}");
            }
        }
    }

    #[test]
    fn help_is_a_verb_too() {
        let outcome = |args: &[&str]| command().try_get_matches_from(args).map_err(|error| error.kind());
        for args in [&["ipgeo", "help"][..], &["ipgeo", "help", "plan"], &["ipgeo", "help", "keys", "create"]]
        {
            assert_eq!(outcome(args).err(), Some(clap::error::ErrorKind::DisplayHelp), "{args:?}");
        }
        assert!(outcome(&["ipgeo", "help", "nonsense"]).is_err());
    }

    /// Common options work before and after a verb.
    #[test]
    fn common_options_may_stand_anywhere() {
        for args in [
            ["ipgeo", "--json", "keys", "list"],
            ["ipgeo", "keys", "--json", "list"],
            ["ipgeo", "keys", "list", "--json"],
        ] {
            let matches = command().try_get_matches_from(args).expect("valid");
            assert!(Cli::from_arg_matches(&matches).expect("valid").shared.json, "{args:?}");
        }
    }

    /// The arguments of a shell line, up to the first pipe, redirection or comment.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
        for c in line.chars() {
            match c {
                '\'' => (quoted, started) = (!quoted, true),
                '|' | '>' | '<' | '#' | '&' | ';' if !quoted => break,
                ' ' if !quoted => {
                    if started {
                        words.push(std::mem::take(&mut word));
                    }
                    started = false;
                }
                c => {
                    word.push(c);
                    started = true;
                }
            }
        }
        if started {
            words.push(word);
        }
        words
    }

    /// The program accepts every example of the help texts and the documents: verbs, flags and numbers.
    #[test]
    fn every_example_of_help_and_documents_is_valid() {
        let texts = helps();
        let from_help =
            texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("  ipgeo "));
        let first_deploy = include_str!("../../docs/FIRST_DEPLOY.md");
        let from_first_deploy = first_deploy.lines().filter_map(|line| line.strip_prefix("ipgeo "));
        let from_docs =
            DOCS.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("$ ipgeo "));
        let mut count = 0;
        for line in from_help.chain(from_docs).chain(from_first_deploy) {
            // Two spaces separate a command from its explanation.
            let rest = line.split("  ").next().unwrap_or(line);
            let words = std::iter::once("ipgeo".to_owned()).chain(words(rest));
            let parsed = command().try_get_matches_from(words);
            assert!(
                parsed.is_ok(),
                "{line}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
            count += 1;
        }
        assert!(count > 40, "{count} examples");
    }

    /// Collects the scripts of a workflow's steps.
    fn scripts(value: &serde_yaml::Value, out: &mut Vec<String>) {
        if let Some(run) = value.get("run").and_then(|run| run.as_str()) {
            out.push(run.to_owned());
        }
        let members = value.as_mapping().into_iter().flat_map(|members| members.values());
        let items = value.as_sequence().into_iter().flatten();
        members.chain(items).for_each(|below| scripts(below, out));
    }

    /// The program accepts every `ipgeo` command of the workflows, ours and those that `docs/CI.md` offers; each action is
    /// pinned by a commit.
    #[test]
    fn every_workflow_is_sound_and_its_commands_are_taken() {
        let offered = include_str!("../../docs/CI.md").split("```yaml\n").skip(1);
        let workflows = offered.filter_map(|rest| rest.split("\n```\n").next()).chain([
            include_str!("../../.github/workflows/ci.yml"),
            include_str!("../../.github/workflows/release.yml"),
        ]);
        let (mut count, mut commands) = (0, 0);
        for text in workflows {
            let workflow: serde_yaml::Value = serde_yaml::from_str(text).expect("a workflow");
            assert!(workflow["permissions"].is_mapping() && workflow["jobs"].is_mapping(), "{text}");
            for line in
                text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
            {
                let commit = line.split_once('@').and_then(|(_, rest)| rest.split_once(" # v"));
                let is_pinned = commit.is_some_and(|(commit, _)| commit.len() == 40);
                assert!(is_pinned || line.starts_with("./"), "{line}");
            }
            let mut found = Vec::new();
            scripts(&workflow, &mut found);
            for line in found.iter().flat_map(|script| script.lines()).map(str::trim) {
                let Some(rest) = line.strip_prefix("ipgeo ") else { continue };
                // `2> FILE` is a redirection too.
                let rest = rest.split(" 2>").next().unwrap_or(rest);
                let words = std::iter::once("ipgeo".to_owned()).chain(words(rest));
                let taken = command().try_get_matches_from(words);
                assert!(taken.is_ok(), "{line}: {:?}", taken.err());
                commands += 1;
            }
            count += 1;
        }
        assert_eq!((count, commands), (4, 8));
    }

    /// Every limit in the help, the documents and the shipped file is valid.
    #[test]
    fn every_limit_of_help_and_documents_is_valid() {
        let mut texts: Vec<String> = DOCS.map(str::to_owned).to_vec();
        texts.push(include_str!("../../regions.toml").to_owned());
        texts.extend(helps());
        let mut count = 0;
        let part = |c: char| !(c.is_ascii_alphanumeric() || "_./".contains(c));
        for word in texts.iter().flat_map(|text| text.split(part)) {
            let word = word.trim_end_matches('.');
            let Some((calls, "day" | "month")) = word.split_once('/') else { continue };
            if !calls.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            assert!(word.parse::<Limit>().is_ok(), "{word}");
            count += 1;
        }
        assert!(count > 12, "{count} limits");
    }
}
