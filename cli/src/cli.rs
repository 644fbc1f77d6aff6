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
use crate::cmd::observe::{doctor, logs, open, probe, status};
use crate::cmd::setup::{completions, config, init, man, schema, validate};
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
    /// Open the service in a browser
    Open(open::OpenArgs),
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
    /// Check regions.toml offline and report every problem
    Validate(validate::ValidateArgs),
    /// Show the settings in use
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo config show --origin
  ipgeo config show runtime")]
    Config(config::ConfigVerb),
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
            | Self::Open(_)
            | Self::Validate(_)
            | Self::Config(_)
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

    /// Whether the verb handles Ctrl-C itself, because it follows something or writes an output bit by bit.
    fn ends_in_its_own_way(&self) -> bool {
        match self {
            Self::Bulk(_) | Self::Logs(_) => true,
            Self::Status(args) => args.is_repeated(),
            _ => false,
        }
    }

    /// Whether Ctrl-C reports what was changed and the command that continues. For others there is nothing to report.
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
    with_candidates(with_groups(without_empty_variables(Cli::command())))
}

/// A variable that is set to nothing counts as not set, as `NO_COLOR` and those of AWS do.
fn without_empty_variables(command: Command) -> Command {
    let variables =
        [("config", "IPGEO_CONFIG"), ("state_flag", "IPGEO_STATE"), ("progress", "IPGEO_PROGRESS")];
    let is_empty = |name| std::env::var_os(name).is_some_and(|value| value.is_empty());
    variables
        .into_iter()
        .filter(|(_, name)| is_empty(*name))
        .fold(command, |command, (id, _)| command.mut_arg(id, |arg| arg.env(None::<&'static str>)))
}

/// Answers a shell that requests completion. Returns whether one did.
fn completed() -> bool {
    let current = std::env::current_dir().ok();
    let request = CompleteEnv::with_factory(command).var(COMPLETE_VARIABLE).bin("ipgeo");
    // A shell cannot show an error.
    request.try_complete(std::env::args_os(), current.as_deref()).unwrap_or(true)
}

pub fn main() -> Exit {
    if completed() {
        return Exit::Done;
    }
    let parsed = command().try_get_matches();
    let (mut cli, matches) = match parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)))
    {
        Ok(parsed) => parsed,
        Err(error) => {
            output::apply_color(std::env::args());
            let text = error.render();
            if error.use_stderr() {
                // The message repeats the wrong argument, which may be an API key in the wrong place.
                match without_api_keys(&text.to_string()) {
                    Cow::Borrowed(_) => output::print_painted_note(text.ansi().to_string().trim_end()),
                    Cow::Owned(masked) => output::print_note(masked.trim_end()),
                }
                return Exit::Usage;
            }
            return match output::print_painted(text.ansi().to_string().trim_end()) {
                Ok(()) => Exit::Done,
                Err(error) => {
                    report_error(&anyhow::Error::from(error));
                    Exit::Failed
                }
            };
        }
    };
    cli.shared = cli.shared.settled(&matches);
    if std::env::args_os().any(|word| word == "--dev") {
        output::suggest_dev();
    }
    cli.shared.color.apply();
    if let Some(style) = cli.shared.progress {
        style.apply();
    }
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
    if !cli.verb.ends_in_its_own_way() {
        let again = cli.verb.reports_interruption().then(command_line);
        shared.interrupts.watch(again).context("listen for Ctrl-C")?;
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
        Verb::Open(args) => Box::pin(open::run(args, shared)).await?,
        Verb::Validate(args) => return validate::run(args, shared),
        Verb::Config(verb) => Box::pin(config::run(verb, shared)).await?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
