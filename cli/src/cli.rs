//! The command line: verbs and the flags that all of them share.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use ipgeo_contract::without_api_keys;

use crate::cmd::{
    completions, cost, deploy, destroy, dev, doctor, drift, geo, iam, init, keys, logs, man, plan, probe,
    quota, render, schema, simulate, status, traffic, usage,
};
use crate::complete::with_candidates;
use crate::config::state_folder;
use crate::ui::output::{self, Color, Exit, Format, Formats, report_error};

/// The variable by which a shell asks for completion.
pub const COMPLETE_VARIABLE: &str = "IPGEO_COMPLETE";

/// Run a worldwide, metered IP-geolocation API from one regions.toml.
#[derive(Debug, Parser)]
#[command(name = "ipgeo", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Start with `ipgeo dev`: every region on this machine, no account needed.")]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Shared {
    /// The regions.toml to use; else the nearest one above this folder
    #[arg(long, global = true, value_name = "FILE", env = "IPGEO_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder for the state of `ipgeo dev` and the geo databases [default: .ipgeo beside regions.toml]
    #[arg(long = "state", global = true, value_name = "FOLDER", env = "IPGEO_STATE")]
    state_flag: Option<PathBuf>,
    /// The state folder in use: see `Shared::settled`.
    #[arg(skip)]
    pub state: PathBuf,
    /// The form of the output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    /// The same as --output json
    #[arg(long, global = true)]
    pub json: bool,
    /// When colours are used
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

impl Shared {
    /// Sets the state folder: the flag's, relative to the current folder, or the one beside the `regions.toml` in use,
    /// so that every verb finds it from any subfolder.
    fn settled(mut self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let beside = || state_folder(self.config.as_deref(), &here);
        self.state = self.state_flag.clone().unwrap_or_else(beside);
        self
    }

    /// The form of the output.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the CloudFormation templates of every stack
    Render(render::RenderArgs),
    /// Show what a deploy would change; changes nothing
    Plan(plan::PlanArgs),
    /// Deploy every region in regions.toml
    Deploy(deploy::DeployArgs),
    /// Show every region: stacks, code, database, replica, record, latency
    Status(status::StatusArgs),
    /// Find what was changed behind the stacks' back
    Drift(drift::DriftArgs),
    /// Send callers to regions, or no longer
    #[command(subcommand)]
    Traffic(traffic::TrafficVerb),
    /// Take the service down; data is kept unless told otherwise
    Destroy(destroy::DestroyArgs),
    /// Print the rights that a deployer needs
    #[command(subcommand)]
    Iam(iam::IamVerb),
    /// Run every region on this machine
    Dev(dev::DevArgs),
    /// Make and manage API keys
    #[command(subcommand)]
    Keys(keys::KeysVerb),
    /// Report who used what
    #[command(subcommand)]
    Usage(usage::UsageVerb),
    /// Fetch, compile and inspect geo databases
    #[command(subcommand)]
    Geo(geo::GeoVerb),
    /// Tell what a month costs, before it is run
    Cost(cost::CostArgs),
    /// Play a day of calls: how far beyond limits, how late, how many writes
    Simulate(simulate::SimulateArgs),
    /// Explain limits
    #[command(subcommand)]
    Quota(quota::QuotaVerb),
    /// Print the JSON Schema of regions.toml
    Schema,
    /// Show the logs of all regions as one
    Logs(logs::LogsArgs),
    /// Measure every region from here
    Probe(probe::ProbeArgs),
    /// Look whether everything is well, and say what to do where it is not
    Doctor(doctor::DoctorArgs),
    /// Write a first regions.toml
    Init(init::InitArgs),
    /// Print what makes a shell complete ipgeo's verbs, regions and API keys
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write a page for every verb
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
            | Self::Doctor(_) => Formats::ALL,
            Self::Render(args) => args.forms(),
            Self::Status(args) => args.forms(),
            Self::Traffic(verb) => verb.forms(),
            Self::Usage(verb) => verb.forms(),
            Self::Geo(verb) => verb.forms(),
            Self::Logs(args) => args.forms(),
            Self::Deploy(_) | Self::Destroy(_) | Self::Dev(_) => Formats::EVENTS,
            Self::Iam(_) | Self::Schema => Formats::DOCUMENT,
            Self::Init(_) | Self::Completions(_) | Self::Man(_) => Formats::TEXT,
        }
    }
}

/// The whole command line.
fn command() -> Command {
    with_candidates(Cli::command())
}

/// Answers a shell that asks for completion; whether one did.
fn completed() -> bool {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(command).var(COMPLETE_VARIABLE).bin("ipgeo");
    // A shell has no place to show an error in.
    asked.try_complete(std::env::args_os(), here.as_deref()).unwrap_or(true)
}

/// Runs the program.
pub fn main() -> Exit {
    if completed() {
        return Exit::Done;
    }
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // An argument that is wrong is repeated, and may be an API key that stands in the wrong place.
            let text = error.render().to_string();
            match without_api_keys(&text) {
                // What can't be printed can't be told about either.
                Cow::Borrowed(_) => drop(error.print()),
                Cow::Owned(masked) => output::print_note(masked.trim_end()),
            }
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    cli.shared = cli.shared.settled();
    cli.shared.color.apply();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report_error(&anyhow::Error::from(error).context("start the program's runtime"));
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
    match cli.verb {
        Verb::Plan(args) => return Box::pin(plan::run(args, shared)).await,
        Verb::Deploy(args) => return Box::pin(deploy::run(args, shared)).await,
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
        Verb::Usage(verb) => usage::run(verb, shared).await?,
        Verb::Geo(verb) => return Box::pin(geo::run(verb, shared)).await,
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
    use ipgeo_contract::Limit;

    use super::*;

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

    /// Collects the help of a command and its subcommands.
    fn helps(mut command: Command, out: &mut Vec<String>) {
        out.push(command.render_long_help().to_string());
        for below in command.get_subcommands() {
            helps(below.clone(), out);
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
    fn every_example_of_help_and_documents_is_taken() {
        let mut texts = Vec::new();
        helps(command(), &mut texts);
        let of_help =
            texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("  ipgeo "));
        let of_docs =
            DOCS.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("$ ipgeo "));
        let mut count = 0;
        for line in of_help.chain(of_docs) {
            // Two spaces separate a command from its explanation.
            let rest = line.split("  ").next().unwrap_or(line);
            let words = std::iter::once("ipgeo".to_owned()).chain(words(rest));
            let taken = command().try_get_matches_from(words);
            assert!(
                taken.is_ok(),
                "{line}: {}",
                taken.err().map(|error| error.to_string()).unwrap_or_default()
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
    fn every_limit_of_help_and_documents_is_taken() {
        let mut texts: Vec<String> = DOCS.map(str::to_owned).to_vec();
        texts.push(include_str!("../../regions.toml").to_owned());
        helps(command(), &mut texts);
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
