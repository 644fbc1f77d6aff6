//! `ipgeo geo`: fetch, build, inspect, diff, pin; `rollout` is a file of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use ipgeo_geo::compile::{BuildPhase, BuildProgress, diff as compare};
use ipgeo_geo::{Database, DatabaseInfo};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Mutex;

use super::numbers::{addresses, percent};
use super::{geo_rollout as rollout, load_config};
use crate::cli::Shared;
use crate::config::Config;
use crate::fs::require_folder;
use crate::geo::licence::{Copy, Standing, Terms, standing};
use crate::geo::sources::{self, Lock, LockError, LockedDatabase, Places, Web};
use crate::infra::artifacts::purge_artifacts;
use crate::ui::output::{self, Column, Exit, Format, Formats, UsageError, grouped};

/// Verbs of `ipgeo geo`.
#[derive(Debug, Subcommand)]
pub enum GeoVerb {
    /// Get the source databases of regions.toml
    Fetch(FetchArgs),
    /// Compile source databases into the one that is served
    Build(BuildArgs),
    /// Say what a compiled database says of itself
    Inspect(InspectArgs),
    /// Say how much a compiled database differs from another
    Diff(DiffArgs),
    /// Keep a source as it is: fetch won't move it
    Pin(PinArgs),
    /// Give the regions the compiled database, and nothing else
    Rollout(rollout::RolloutArgs),
    /// Give the regions the database that they had before
    Rollback(rollout::RollbackArgs),
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
    /// The file to write; else the compiled one
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Build the sample database
    #[arg(long, conflicts_with = "sources")]
    sample: bool,
}

/// Flags of `ipgeo geo inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The compiled database; else the one that `ipgeo geo build` has made
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Flags of `ipgeo geo diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Addresses are drawn from a seed. Drawn from networks, every announced network of either
database counts alike; drawn from addresses, every address of IPv4 does.

Examples:
  ipgeo geo diff                             the compiled one, against the one before
  ipgeo geo diff --check 5                   for CI: status 3 when over 5 % changed country")]
pub struct DiffArgs {
    /// The old database; else the one that was compiled before
    #[arg(value_name = "OLD", requires = "new")]
    old: Option<PathBuf>,
    /// The new database; else the compiled one
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    /// Addresses for each way of drawing
    #[arg(short = 'n', long, value_name = "N", default_value = "100_000", value_parser = addresses)]
    samples: u32,
    /// The seed that addresses are drawn from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Exit with status 3 when more than this share has another country
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    check: Option<f64>,
}

/// Flags of `ipgeo geo pin`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo geo pin dbip-city                    the files of now, by their digests
  ipgeo geo pin dbip-city --date 2026-06-30  data of this day or before
  ipgeo geo pin dbip-city --release")]
pub struct PinArgs {
    /// The source; else the pins are listed
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// Data of this day or before may be fetched; else the files of now and no others
    #[arg(long, value_name = "DATE", requires = "source", value_parser = day)]
    date: Option<Date>,
    /// Let it move again
    #[arg(long, requires = "source", conflicts_with = "date")]
    release: bool,
}

impl GeoVerb {
    /// The output formats that the verb supports.
    pub(crate) fn forms(&self) -> Formats {
        if matches!(self, Self::Rollout(_) | Self::Rollback(_)) { Formats::EVENTS } else { Formats::ALL }
    }
}

/// A pin and the files that it locks.
#[derive(Debug, Default, Serialize)]
struct PinRow {
    source: String,
    /// The newest data that may be fetched; `None`: the files that are locked now.
    until: Option<Date>,
    sha256: Vec<String>,
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day; write it as `2026-06-30`"))
}

/// Where the compiled database is, below the state folder.
pub(super) fn served(state: &Path) -> PathBuf {
    state.join("geo").join("ipgeo.mmdb")
}

/// Draws a build's progress on standard error: a bar on a terminal, a line a phase elsewhere.
#[derive(Default)]
pub(crate) struct Bar(Mutex<Option<ProgressBar>>);

impl BuildProgress for Bar {
    fn begin(&self, phase: BuildPhase, total: u64) {
        let word = match phase {
            BuildPhase::Merge => "merging",
            BuildPhase::Write => "writing",
        };
        if !output::stderr_is_terminal() {
            output::print_note(&format!("{word} the geo database"));
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
pub(crate) async fn run(verb: GeoVerb, shared: &Shared) -> anyhow::Result<Exit> {
    match verb {
        GeoVerb::Fetch(args) => fetch_sources(&args, shared)?,
        GeoVerb::Build(args) => build(args, shared)?,
        GeoVerb::Inspect(args) => inspect(args, shared)?,
        GeoVerb::Pin(args) => pin(&args, shared)?,
        GeoVerb::Diff(args) => return diff(args, shared),
        GeoVerb::Rollout(args) => return Box::pin(rollout::rollout(args, shared)).await,
        GeoVerb::Rollback(args) => return Box::pin(rollout::rollback(args, shared)).await,
    }
    Ok(Exit::Done)
}

/// The day by UTC.
pub(super) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// Removes copies of before that the licence lets nobody keep.
pub(super) fn purge(config: &Config, shared: &Shared) -> anyhow::Result<()> {
    let terms = Terms::of(&config.geo.licence, &config.geo.name);
    for file in sources::purge(&shared.state, terms, today()).context("remove old copies")? {
        output::print_note(&format!("removed {}: its licence lets nobody keep it longer", file.display()));
    }
    for file in purge_artifacts(&shared.state, today()).context("remove old copies")? {
        output::print_note(&format!("removed {}: its licence lets nobody keep it longer", file.display()));
    }
    Ok(())
}

fn fetch_sources(args: &FetchArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let here = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    output::print_note("fetching the source databases of regions.toml");
    let places = Places { here, state: &shared.state, npm: &args.npm, web: Web::default() };
    let fetched = sources::fetch(&config, places, &mut lock, Timestamp::now())?;
    lock.write(&lock_path)?;
    purge(&config, shared)?;
    let columns = [
        Column::text("source"),
        Column::text("file"),
        Column::number("bytes"),
        Column::text("sha-256"),
        Column::text(""),
    ];
    let text = output::format_rows(shared.format(), &columns, &fetched, |file| {
        let outcome = format!("{:?}", file.outcome).to_lowercase();
        let digest = file.sha256.get(..12).unwrap_or_default().to_owned();
        vec![file.source.clone(), file.file.display().to_string(), grouped(file.bytes), digest, outcome]
    })?;
    output::print_data(&text)?;
    output::print_note(&format!("{} names them; now `ipgeo geo build` compiles them", lock_path.display()));
    Ok(())
}

/// The source databases of a build and their digests: the ones given as arguments, otherwise the fetched ones.
fn sources_of(
    named: Vec<PathBuf>,
    config: &Config,
    lock: &Lock,
    shared: &Shared,
) -> anyhow::Result<(Vec<PathBuf>, Vec<String>)> {
    if named.is_empty() {
        let Some(fetched) = sources::fetched(config, &shared.state) else {
            bail!(
                "the source databases of regions.toml are missing; run `ipgeo geo fetch`, or `ipgeo geo build --sample` for a small sample"
            )
        };
        let digests = sources::verify(config, &shared.state, lock)?;
        return Ok((fetched, digests));
    }
    let digest = |file: &PathBuf| {
        let read = sources::sha256_of(file).with_context(|| format!("read {}", file.display()))?;
        Ok(read.0)
    };
    let digests = named.iter().map(digest).collect::<anyhow::Result<_>>()?;
    Ok((named, digests))
}

fn build(args: BuildArgs, shared: &Shared) -> anyhow::Result<()> {
    let named = args.out.is_some();
    let out = args.out.unwrap_or_else(|| served(&shared.state));
    if named {
        require_folder(&out).with_context(|| format!("write {}", out.display()))?;
    }
    if args.sample {
        if named {
            sources::spares_others(&out)?;
        }
        let held = hold(&out)?;
        sources::write_sample(&out)?;
        let digest = sources::sha256_of(&out).with_context(|| format!("read {}", out.display()))?;
        held.settle(&digest.0)?;
        return inspect(InspectArgs { file: Some(out) }, shared);
    }
    let (config, path) = load_config(shared)?;
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    let (sources, digests) = sources_of(args.sources, &config, &lock, shared)?;
    sources::spares_sources(&out, &sources)?;
    if named {
        sources::spares_others(&out)?;
    }
    let held = hold(&out)?;
    sources::compile(&config, &sources, &out, Timestamp::now(), &Bar::default())?;
    let digest = sources::sha256_of(&out).with_context(|| format!("read {}", out.display()))?;
    held.settle(&digest.0)?;
    // A file that was named is not the one that is served: the lock stays.
    if !named {
        let info = Database::open(&out)?.info().clone();
        lock.database = Some(LockedDatabase::of(&info, digest, digests));
        lock.write(&lock_path)?;
    } else if !Terms::of(&config.geo.licence, &config.geo.name).pass_on {
        output::print_note("the licence does not let this file be given to others");
    }
    purge(&config, shared)?;
    inspect(InspectArgs { file: Some(out) }, shared)
}

/// A second name for a database that is being replaced. Dropping this removes the name, unless `settle` kept it.
struct Held {
    out: PathBuf,
    /// Its digest; `None`: there was none.
    before: Option<String>,
}

/// Keeps the existing database under a second name while a new one takes its place.
fn hold(out: &Path) -> anyhow::Result<Held> {
    let before = sources::sha256_of(out).ok().map(|(digest, _)| digest);
    let name = sources::held_of(out);
    let _removed_or_none = std::fs::remove_file(&name);
    if before.is_some() {
        std::fs::hard_link(out, &name).with_context(|| format!("keep {}", out.display()))?;
    }
    Ok(Held { out: out.to_owned(), before })
}

impl Held {
    /// Keeps it as the previous database if the new one is another.
    fn settle(self, digest: &str) -> anyhow::Result<()> {
        let name = sources::held_of(&self.out);
        if self.before.as_ref().is_some_and(|before| before != digest) {
            std::fs::rename(&name, sources::previous_of(&self.out))
                .with_context(|| format!("keep {}", name.display()))?;
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _removed_or_none = std::fs::remove_file(sources::held_of(&self.out));
    }
}

fn diff(args: DiffArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let new = args.new.unwrap_or_else(|| served(&shared.state));
    let old = args.old.unwrap_or_else(|| sources::previous_of(&new));
    if !old.is_file() {
        bail!(
            "{} is not there: no database was compiled before this one; name two with OLD and NEW",
            old.display()
        );
    }
    let found = compare(&old, &new, args.samples, args.seed)?;
    if shared.format() == Format::Json {
        output::print_data(&output::to_json(&found)?)?;
    } else {
        let columns = [
            Column::text("drawn from"),
            Column::text("ip"),
            Column::number("drawn"),
            Column::number("known to both"),
            Column::number("other country"),
            Column::number("other city"),
            Column::number("gained"),
            Column::number("lost"),
        ];
        let text = output::format_rows(shared.format(), &columns, &found.sampled, |one| {
            vec![
                one.drawn_from.to_owned(),
                format!("v{}", one.ip_version),
                grouped(one.drawn),
                grouped(one.known),
                format!("{:.2} %", one.country_percent),
                format!("{:.2} %", one.city_percent),
                grouped(one.gained),
                grouped(one.lost),
            ]
        })?;
        output::print_data(&text)?;
    }
    output::print_note(&format!("{} against {}, seed {}", found.old_date, found.new_date, found.seed));
    for one in &found.moves {
        output::print_note(&format!(
            "{} to {}: {} of the drawn addresses",
            one.from,
            one.to,
            grouped(one.count)
        ));
    }
    match args.check {
        Some(most) if found.country_percent_max() > most => {
            output::print_note(&format!(
                "{:.2} % have another country, more than {most} %",
                found.country_percent_max()
            ));
            Ok(Exit::Changes)
        }
        _ => Ok(Exit::Done),
    }
}

fn pin(args: &PinArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, path) = load_config(shared)?;
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    if let Some(source) = &args.source {
        if lock.pin(source).is_none() && config.geo.sources.iter().all(|known| known.name != *source) {
            bail!(UsageError::new(LockError::NoSource(source.clone())));
        }
        if args.release {
            lock.pins.retain(|pin| pin.source != *source);
        } else {
            sources::pin(&config, &mut lock, source, args.date)?;
        }
        lock.write(&lock_path)?;
    }
    if lock.pins.is_empty() {
        output::print_note("no source is pinned");
    }
    let columns = [Column::text("source"), Column::text("pinned to")];
    let row = |pin: &sources::Pin| PinRow {
        source: pin.source.clone(),
        until: pin.until,
        sha256: lock.files_of(&pin.source).map(|file| file.sha256.clone()).collect(),
    };
    let pins: Vec<PinRow> = lock.pins.iter().map(row).collect();
    let text = output::format_rows(shared.format(), &columns, &pins, |pin| {
        let files: Vec<&str> = pin.sha256.iter().filter_map(|digest| digest.get(..12)).collect();
        let until = pin.until.map(|date| format!("{date} or before")).unwrap_or_default();
        vec![pin.source.clone(), [until, files.join(" ")].join(" ").trim().to_owned()]
    })?;
    if !lock.pins.is_empty() || shared.format() != Format::Table {
        output::print_data(&text)?;
    }
    Ok(())
}

fn inspect(args: InspectArgs, shared: &Shared) -> anyhow::Result<()> {
    let file = args.file.unwrap_or_else(|| served(&shared.state));
    if !file.is_file() {
        bail!(
            "there is no geo database {}; `ipgeo geo build` makes one, `--sample` a small one",
            file.display()
        );
    }
    let database = Database::open(&file)?;
    let info = database.info();
    Ok(output::print_data(&output::format_value(shared.format(), info, || told(&file, info))?)?)
}

/// A database's metadata as a table.
fn told(file: &Path, info: &DatabaseInfo) -> String {
    let built = i64::try_from(info.build_epoch).ok().and_then(|s| Timestamp::from_second(s).ok());
    let terms = match standing(copy_of(info), today()) {
        Standing::Kept => "kept".to_owned(),
        Standing::Unnamed => "none named".to_owned(),
        Standing::EndsSoon { last_day } => format!("may be used until {last_day}"),
        Standing::Ended { last_day } => format!("could be used until {last_day}"),
        Standing::NoCredit => "a credit is asked for, and missing".to_owned(),
        Standing::NoDate => "days are counted, and the date is missing".to_owned(),
    };
    let credit = match info.attribution.as_str() {
        "" => "none is asked for".to_owned(),
        text => format!("{text} {}", info.attribution_link),
    };
    let lines = [
        ("file", file.display().to_string()),
        ("name", info.name.clone()),
        ("date", info.date.clone()),
        ("licence", info.licence.clone()),
        ("terms", terms),
        ("credit", credit),
        ("made", built.map(|built| built.to_string()).unwrap_or_default()),
        ("records", grouped(info.records)),
        ("nodes", grouped(info.nodes.into())),
        ("bytes", grouped(info.bytes)),
    ];
    let text: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name:<8}  {}", output::printable(value.trim()))).collect();
    text.join("\n")
}

/// What a database says of itself, as its licence is judged by.
pub(super) fn copy_of(info: &DatabaseInfo) -> Copy<'_> {
    Copy { name: &info.name, licence: &info.licence, attribution: &info.attribution, date: &info.date }
}
