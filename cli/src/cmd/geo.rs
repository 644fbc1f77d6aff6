//! `ipgeo geo`: fetch, build, inspect.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use ipgeo_runtime::geo::Database;
use jiff::Timestamp;
use std::sync::Mutex;

use super::load_config;
use crate::cli::Shared;
use crate::geo::{Phase, Progress};
use crate::output::{self, Column, Format, grouped};
use crate::{fetch, geo};

/// Verbs of `ipgeo geo`.
#[derive(Debug, Subcommand)]
pub enum GeoVerb {
    /// Get the source databases of regions.toml
    Fetch(FetchArgs),
    /// Compile source databases into the one that is served
    Build(BuildArgs),
    /// Say what a compiled database says of itself
    Inspect(InspectArgs),
}

/// Flags of `ipgeo geo fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The npm program, for sources that are npm packages
    #[arg(long, value_name = "PROGRAM", default_value = "npm")]
    npm: PathBuf,
}

/// Flags of `ipgeo geo build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Source databases, the most trusted first; else those that were fetched
    #[arg(value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// The file to write; else the one that `ipgeo dev` serves
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Build the sample database
    #[arg(long, conflicts_with = "sources")]
    sample: bool,
}

/// Flags of `ipgeo geo inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The compiled database; else the one that `ipgeo dev` serves
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Where the compiled database is, below the state folder.
fn served(state: &Path) -> PathBuf {
    state.join("geo").join("ipgeo.mmdb")
}

/// Draws a build's progress on standard error: a bar on a terminal, a line a phase elsewhere.
#[derive(Default)]
pub(crate) struct Bar(Mutex<Option<ProgressBar>>);

impl Progress for Bar {
    fn begin(&self, phase: Phase, total: u64) {
        let word = match phase {
            Phase::Merge => "merging",
            Phase::Write => "writing",
        };
        if !output::stderr_is_terminal() {
            output::say(&format!("{word} the geo database"));
            return;
        }
        let bar = ProgressBar::new(total).with_message(word);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {percent}% {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        if let Ok(mut current) = self.0.lock()
            && let Some(done) = current.replace(bar)
        {
            done.finish_and_clear();
        }
    }

    fn done(&self, steps: u64) {
        if let Ok(current) = self.0.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.inc(steps);
        }
    }
}

/// Runs a verb.
pub(crate) fn run(verb: GeoVerb, shared: &Shared) -> anyhow::Result<()> {
    match verb {
        GeoVerb::Fetch(args) => fetch_sources(&args, shared),
        GeoVerb::Build(args) => build(args, shared),
        GeoVerb::Inspect(args) => inspect(args, shared),
    }
}

fn fetch_sources(args: &FetchArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let here = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    output::say("fetching the source databases of regions.toml");
    let fetched = fetch::fetch(&config, here, &shared.state, &args.npm, Timestamp::now())?;
    let columns = [Column::text("source"), Column::text("file"), Column::number("bytes"), Column::text("")];
    let text = output::rows(shared.format(), &columns, &fetched, |file| {
        let outcome = format!("{:?}", file.outcome).to_lowercase();
        vec![file.source.clone(), file.file.display().to_string(), grouped(file.bytes), outcome]
    })?;
    output::data(&text)?;
    output::say("now `ipgeo geo build` compiles them");
    Ok(())
}

fn build(args: BuildArgs, shared: &Shared) -> anyhow::Result<()> {
    let out = args.out.unwrap_or_else(|| served(&shared.state));
    if args.sample {
        geo::write_sample(&out)?;
        return inspect(InspectArgs { file: Some(out) }, shared);
    }
    let (config, _) = load_config(shared)?;
    let sources = if args.sources.is_empty() {
        let Some(fetched) = fetch::fetched(&config, &shared.state) else {
            bail!("the sources of regions.toml are not here; `ipgeo geo fetch` gets them")
        };
        fetched
    } else {
        args.sources
    };
    let bar = Bar::default();
    fetch::compile(&config, &sources, &out, Timestamp::now(), &bar)?;
    inspect(InspectArgs { file: Some(out) }, shared)
}

fn inspect(args: InspectArgs, shared: &Shared) -> anyhow::Result<()> {
    let file = args.file.unwrap_or_else(|| served(&shared.state));
    let database = Database::open(&file)?;
    let info = database.info();
    if shared.format() != Format::Table {
        return Ok(output::data(&serde_json::to_string_pretty(info)?)?);
    }
    let built = i64::try_from(info.build_epoch).ok().and_then(|s| Timestamp::from_second(s).ok());
    let lines = [
        ("file", file.display().to_string()),
        ("name", info.name.clone()),
        ("date", info.date.clone()),
        ("licence", info.licence.clone()),
        ("credit", format!("{} {}", info.attribution, info.attribution_link)),
        ("built", built.map(|built| built.to_string()).unwrap_or_default()),
        ("records", grouped(info.records)),
        ("nodes", grouped(info.nodes.into())),
        ("bytes", grouped(info.bytes)),
    ];
    let text: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name:<8}  {}", value.trim())).collect();
    Ok(output::data(&text.join("\n"))?)
}
