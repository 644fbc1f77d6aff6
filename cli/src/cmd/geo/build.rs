//! `ipgeo geo build`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use ipgeo_geo::Database;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{
    BuildTasks, load_config, path_to_write, print_database, purge_databases, served_database,
};
use crate::config::Config;
use crate::fs::{parent_folder, require_folder};
use crate::geo::sources::{self, Lock, LockedDatabase, PathLock, SourceFile};
use crate::ui::output;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo build
  ipgeo geo build --sample
  ipgeo geo build city.mmdb --out compiled.mmdb")]
pub(crate) struct BuildArgs {
    /// Source databases, most trusted first [default: the fetched ones]
    #[arg(value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// File to write [default: the database that is served and deployed]
    #[arg(long, value_name = "FILE", value_parser = path_to_write())]
    out: Option<PathBuf>,
    /// Build the small sample database
    #[arg(long, conflicts_with = "sources")]
    sample: bool,
}

/// The source databases of a build and their digests: the ones given as arguments, otherwise the fetched ones.
fn sources_to_compile(
    named: Vec<PathBuf>,
    config: &Config,
    lock: &Lock,
    shared: &Shared,
) -> anyhow::Result<(Vec<SourceFile>, Vec<String>)> {
    if named.is_empty() {
        let Some(fetched) = sources::fetched(config, &shared.state) else {
            bail!(
                "the sources in regions.toml are missing\nhelp: run `ipgeo geo fetch`, or `ipgeo geo build --sample` for a small sample"
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
    Ok((named.into_iter().map(SourceFile::from).collect(), digests))
}

pub(super) fn run(args: BuildArgs, shared: &Shared) -> anyhow::Result<()> {
    let named = args.out.is_some();
    let out = args.out.unwrap_or_else(|| served_database(&shared.state));
    if named {
        require_folder(&out).with_context(|| format!("cannot write {}", out.display()))?;
    }
    let _exclusive = lock(&out, named, args.sample || !args.sources.is_empty(), &shared.state)?;
    if args.sample {
        if named {
            sources::refuse_foreign_overwrite(&out)?;
        }
        let held = hold(&out)?;
        sources::write_sample(&out)?;
        let digest = sources::sha256_of(&out).with_context(|| format!("read {}", out.display()))?;
        held.settle(&digest.0)?;
        return print_database(&out, shared);
    }
    let (config, path) = load_config(shared)?;
    let lock_path = Lock::path(&path);
    let mut lock = Lock::read(&lock_path)?.unwrap_or_default();
    let (sources, mut digests) = sources_to_compile(args.sources, &config, &lock, shared)?;
    let overrides = sources::overrides_path(&config, parent_folder(&path));
    if let Some(overrides) = &overrides {
        let digest =
            sources::sha256_of(overrides).with_context(|| format!("read {}", overrides.display()))?;
        digests.insert(0, digest.0);
    }
    let paths: Vec<PathBuf> =
        sources.iter().map(|file| file.path.clone()).chain(overrides.iter().cloned()).collect();
    sources::refuse_source_overwrite(&out, &paths)?;
    if named {
        sources::refuse_foreign_overwrite(&out)?;
    }
    let held = hold(&out)?;
    let progress = BuildTasks::default();
    sources::compile(&config, &sources, overrides.as_deref(), &out, Timestamp::now(), &progress)?;
    progress.done();
    let digest = sources::sha256_of(&out).with_context(|| format!("read {}", out.display()))?;
    held.settle(&digest.0)?;
    // A file named by --out is not served, so the lock does not change.
    if !named {
        let info = Database::open(&out)?.info().clone();
        lock.database = Some(LockedDatabase::new(&info, digest, digests));
        lock.write(&lock_path)?;
    } else if !sources::all_redistributable(&config, &sources) {
        output::print_note("note: the licence does not allow passing this file on");
    }
    purge_databases(&config, shared)?;
    print_database(&out, shared)
}

/// Locks what the build reads and writes: the state folder, and an existing file of `--out`.
fn lock(out: &Path, named: bool, reads_no_state: bool, state: &Path) -> anyhow::Result<Vec<PathLock>> {
    let mut locks = Vec::new();
    if !(named && reads_no_state) {
        locks.push(PathLock::of_state(state)?);
    }
    if named && out.is_file() {
        locks.push(PathLock::take(out)?);
    }
    Ok(locks)
}

/// A second name for a database that is being replaced. Dropping this removes the name, unless `settle` kept it.
struct Held {
    out: PathBuf,
    /// Its digest; `None` if no database existed before.
    before: Option<String>,
}

/// Keeps the existing database under a second name while a new one takes its place.
fn hold(out: &Path) -> anyhow::Result<Held> {
    let before = sources::sha256_of(out).ok().map(|(digest, _)| digest);
    let name = sources::held_path(out);
    let _removed_or_none = std::fs::remove_file(&name);
    if before.is_some() {
        std::fs::hard_link(out, &name).with_context(|| format!("keep {}", out.display()))?;
    }
    Ok(Held { out: out.to_owned(), before })
}

impl Held {
    /// Keeps it as the previous database if the new one is another.
    fn settle(self, digest: &str) -> anyhow::Result<()> {
        let name = sources::held_path(&self.out);
        if self.before.as_ref().is_some_and(|before| before != digest) {
            std::fs::rename(&name, sources::previous_path(&self.out))
                .with_context(|| format!("keep {}", name.display()))?;
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _removed_or_none = std::fs::remove_file(sources::held_path(&self.out));
    }
}
