//! The compiled geo database in the state folder: where it is, what it says about itself, and what may be done with it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use ipgeo_geo::compile::{BuildPhase, BuildProgress};
use ipgeo_geo::{Database, DatabaseInfo};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::args::Shared;
use crate::config::Config;
use crate::geo::licence::{LicenceStatus, licence_status, may_serve};
use crate::geo::sources::{self, Lock, LockedDatabase, Rollout, Rollouts};
use crate::infra::artifacts::purge_artifacts;
use crate::infra::stacks::ArtifactRef;
use crate::ui::output::{self, grouped};
use crate::ui::progress::Task;

/// Shows how far a build is. Dropping it without [`BuildTasks::done`] means that the build has failed.
#[derive(Default)]
pub(crate) struct BuildTasks(Mutex<Option<Task>>);

impl BuildTasks {
    /// The build has succeeded.
    pub(crate) fn done(self) {
        let task = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        task.into_iter().for_each(Task::done);
    }

    fn current(&self) -> MutexGuard<'_, Option<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BuildProgress for BuildTasks {
    fn begin(&self, phase: BuildPhase, total: u64) {
        let task = match phase {
            BuildPhase::Merge => Task::share("merging the sources", total),
            BuildPhase::Write => Task::time("writing the geo database"),
        };
        let before = self.current().replace(task);
        before.into_iter().for_each(Task::done);
    }

    fn done(&self, steps: u64) {
        if let Some(task) = self.current().as_ref() {
            task.add(usize::try_from(steps).unwrap_or(usize::MAX));
        }
    }
}

/// Today, UTC.
pub(crate) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// Removes previous copies whose retention period has ended.
pub(crate) fn purge_databases(config: &Config, shared: &Shared) -> anyhow::Result<()> {
    for file in sources::purge(&shared.state, sources::strictest_terms(config), today())
        .context("remove previous copies")?
    {
        output::print_note(&format!("removed {}: its licence's retention period has ended", file.display()));
    }
    for file in purge_artifacts(&shared.state, today()).context("remove previous copies")? {
        output::print_note(&format!("removed {}: its licence's retention period has ended", file.display()));
    }
    Ok(())
}

/// Opens a compiled database, or says how to get one.
pub(crate) fn open_database(file: &Path) -> anyhow::Result<Database> {
    if !file.is_file() {
        bail!(
            "no geo database at {}\nhelp: run `ipgeo geo fetch && ipgeo geo build`, or `ipgeo geo build --sample` for a small sample",
            file.display()
        );
    }
    Ok(Database::open(file)?)
}

/// Opens a compiled database to answer from, if its licence allows that.
pub(crate) fn open_served(file: &Path) -> anyhow::Result<Database> {
    let database = open_database(file)?;
    may_serve(database.info().into(), today())?;
    Ok(database)
}

pub(crate) fn print_database(file: &Path, shared: &Shared) -> anyhow::Result<()> {
    let database = open_database(file)?;
    let info = database.info();
    Ok(output::print_data(&output::format_value(shared.format(), info, || lines(file, info))?)?)
}

/// A database's metadata as a table.
fn lines(file: &Path, info: &DatabaseInfo) -> String {
    let built = i64::try_from(info.build_epoch).ok().and_then(|s| Timestamp::from_second(s).ok());
    let terms = match licence_status(info.into(), today()) {
        LicenceStatus::Met => "met".to_owned(),
        LicenceStatus::Unnamed => "unknown licence".to_owned(),
        LicenceStatus::EndsSoon { last_day } => format!("may be used until {last_day}"),
        LicenceStatus::Ended { last_day } => format!("expired on {last_day}"),
        LicenceStatus::NotDerivable => "forbids derived data".to_owned(),
        LicenceStatus::NoCredit => "requires a credit, which is missing".to_owned(),
        LicenceStatus::NoDate => "limits retention, but the date is missing".to_owned(),
    };
    let credit = match info.attribution.as_str() {
        "" => "not required".to_owned(),
        text => format!("{text} {}", info.attribution_link),
    };
    let lines = [
        ("file", file.display().to_string()),
        ("name", info.name.clone()),
        ("date", info.date.clone()),
        ("licence", info.licence.clone()),
        ("terms", terms),
        ("credit", credit),
        ("compiled", built.map(|built| built.to_string()).unwrap_or_default()),
        ("records", grouped(info.records)),
        ("nodes", grouped(info.nodes.into())),
        ("bytes", grouped(info.bytes)),
    ];
    output::format_facts(&lines)
}

/// The locked entry of a compiled database that may be deployed: its licence allows it, and geo.lock has its digest.
pub(crate) fn checked_database(database: &Path, lock: &Lock) -> anyhow::Result<LockedDatabase> {
    if !database.is_file() {
        bail!("no geo database at {}\nhelp: run `ipgeo geo fetch && ipgeo geo build`", database.display());
    }
    let info = Database::open(database)?.info().clone();
    may_serve((&info).into(), today())?;
    let digest = sources::sha256_of(database).with_context(|| format!("read {}", database.display()))?;
    lock.verify_database(database, &digest.0)?;
    Ok(lock.database.clone().unwrap_or_else(|| LockedDatabase::new(&info, digest, Vec::new())))
}

/// The database to deploy: the named one, otherwise the built one, which must be the one in geo.lock.
pub(crate) fn database_to_deploy(
    state: &Path,
    named: Option<&Path>,
    lock_path: &Path,
) -> anyhow::Result<(PathBuf, LockedDatabase)> {
    match named {
        // A named database is the operator's choice: only its licence is checked.
        Some(named) => Ok((named.to_owned(), checked_database(named, &Lock::default())?)),
        None => {
            let built = sources::served_database(state);
            let locked = checked_database(&built, &Lock::read(lock_path)?.unwrap_or_default())?;
            Ok((built, locked))
        }
    }
}

/// Records the database that regions get, so that `ipgeo geo rollback` finds it.
pub(crate) fn remember_database(
    state: &Path,
    artifact: &ArtifactRef,
    description: &str,
    database: LockedDatabase,
    is_rollback: bool,
) -> anyhow::Result<()> {
    let (digest, description) = (artifact.digest.clone(), description.to_owned());
    let rollout = Rollout { at: Timestamp::now(), digest, description, database, is_rollback };
    Rollouts::read(state).add(rollout, state).context("record the deployed database")
}
