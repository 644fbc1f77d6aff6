//! The command line: verbs and the flags that all of them share.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;

use crate::cmd::{completions, dev, geo, init, keys, man, schema, usage};
use crate::complete::with_candidates;
use crate::output::{Exit, Format, report_error};

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
pub struct Shared {
    /// The regions.toml to use; else the nearest one above this folder
    #[arg(long, global = true, value_name = "FILE", env = "IPGEO_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where `ipgeo dev` keeps its state, and the geo databases are
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".ipgeo", env = "IPGEO_STATE")]
    pub state: PathBuf,
    /// The form of the output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    /// The same as --output json
    #[arg(long, global = true)]
    pub json: bool,
}

impl Shared {
    /// The form of the output.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
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
    /// Print the JSON Schema of regions.toml
    Schema,
    /// Write a first regions.toml
    Init(init::InitArgs),
    /// Print what makes a shell complete ipgeo's verbs, regions and API keys
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write a page for every verb
    Man(man::ManArgs),
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // What can't be printed can't be told about either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report_error(&anyhow::Error::from(error).context("start the program's runtime"));
            return Exit::Failed;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            report_error(&error);
            Exit::Failed
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Verb::Dev(args) => dev::run(args, &cli.shared).await,
        Verb::Keys(verb) => keys::run(verb, &cli.shared).await,
        Verb::Usage(verb) => usage::run(verb, &cli.shared).await,
        Verb::Geo(verb) => geo::run(verb, &cli.shared),
        Verb::Schema => schema::run(),
        Verb::Init(args) => init::run(args, &cli.shared),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args, command()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
