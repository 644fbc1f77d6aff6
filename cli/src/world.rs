//! How verbs find a running `ipgeo dev`: `world.json` in the state folder holds its endpoints, and the lock on `world.lock`
//! beside it shows whether its process is running.
//!
//! The system releases the lock however the process ends. A port that answers proves nothing: another program may have it
//! by now. A random nonce in both files distinguishes runs.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipgeo_contract::RegionName;
use serde::{Deserialize, Serialize};

use crate::fs::{Replace, create_private_folder, open_private, restrict, write_private};

mod key;

pub(crate) use key::{RANDOM_BYTES, WorldKey};

/// Version of the file format.
pub(crate) const SCHEMA: u32 = 1;
const FILE_NAME: &str = "world.json";
const LOCK_NAME: &str = "world.lock";
/// Attempts to take the lock, and the delay between them: a verb that checks for a running `ipgeo dev` holds it briefly.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// A running local service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldFile {
    /// `SCHEMA`.
    pub schema: u32,
    pub pid: u32,
    /// The nonce of the lock's holder.
    pub nonce: String,
    /// URL of the nearest-region port.
    pub nearest: String,
    pub home: RegionName,
    pub access_table: String,
    pub ledger_table: String,
    /// The folder of the usage stream's copy.
    pub stream: PathBuf,
    /// The access key of its stores. Because of it, only the file's owner may read it.
    pub key: WorldKey,
    /// Every region, in the order of regions.toml.
    pub regions: Vec<WorldRegion>,
}

/// One region of a running local service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldRegion {
    pub region: RegionName,
    pub url: String,
    /// URL of the region's DynamoDB.
    pub dynamodb: String,
}

/// The default name of the state folder.
const STATE: &str = ".ipgeo";

/// Creates the state folder, accessible by the owner only. An existing folder with the default name is restricted too;
/// others, such as `/tmp`, are left alone, because the files in them are private themselves.
pub(crate) fn create_state_folder(state: &Path) -> std::io::Result<()> {
    create_private_folder(state)?;
    if state.file_name().is_some_and(|name| name == STATE) { restrict(state) } else { Ok(()) }
}

/// Why no running local service was found, or the state folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("`ipgeo dev` is not running in {0}\nhelp: start it, or name its state folder with `--state`")]
    None(PathBuf),
    #[error("`ipgeo dev` in {0} is no longer running\nhelp: start it again")]
    Gone(PathBuf),
    #[error(
        "`ipgeo dev` is already running in {}, as {holder}\nhelp: stop it, or use another folder with `--state`",
        state.display()
    )]
    Running { state: PathBuf, holder: String },
    #[error("can't lock {path}")]
    Lock { path: PathBuf, source: std::io::Error },
    #[error("can't read {path}\nhelp: only the user who runs `ipgeo dev` can use it")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("can't read {path}\nhelp: remove it, and start `ipgeo dev` again")]
    Broken { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("can't write {path}")]
    Write { path: PathBuf, source: std::io::Error },
}

impl WorldFile {
    pub fn home_dynamodb(&self) -> Option<&str> {
        self.regions.iter().find(|region| region.region == self.home).map(|region| region.dynamodb.as_str())
    }

    /// The `ipgeo dev` in a state folder, if its process is still running.
    pub fn find(state: &Path) -> Result<Self, WorldError> {
        let world = Self::read(state)?;
        match Holder::find(state) {
            Some(holder) if holder.nonce == world.nonce => Ok(world),
            _ => Err(WorldError::Gone(state.to_owned())),
        }
    }

    fn read(state: &Path) -> Result<Self, WorldError> {
        let path = state.join(FILE_NAME);
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| WorldError::Broken {
            path: path.clone(),
            source,
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(WorldError::None(state.to_owned()));
            }
            Err(source) => return Err(WorldError::Unreadable { path, source }),
        };
        let world: Self = serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))?;
        if world.schema == SCHEMA {
            Ok(world)
        } else {
            Err(broken(
                format!("its format has version {}; this program reads version {SCHEMA}", world.schema)
                    .into(),
            ))
        }
    }

    pub fn write(&self, state: &Path) -> Result<(), WorldError> {
        let path = state.join(FILE_NAME);
        let failed = |source| WorldError::Write { path: path.clone(), source };
        let json = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        write_private(&path, &json, Replace::Yes).map_err(failed)
    }

    pub fn remove(state: &Path) {
        let _removed_or_gone = std::fs::remove_file(state.join(FILE_NAME));
    }
}

/// The process that holds the lock, as written in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    nonce: String,
}

impl Holder {
    /// The process that holds a folder's lock, if any.
    fn find(state: &Path) -> Option<Self> {
        let mut file = File::open(state.join(LOCK_NAME)).ok()?;
        // A shared lock, so that verbs that check at the same time do not see each other. It is released with the file.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Self::read(&mut file),
            _ => None,
        }
    }

    /// `None`: the lock's holder has not written its details yet.
    fn read(file: &mut File) -> Option<Self> {
        let mut text = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut text)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// The lock on a state folder, held until dropped or until the process ends in any way.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
    nonce: String,
}

impl StateLock {
    /// Locks a folder, or reports which process holds it. `nonce` is random. Removes the file of a run that has ended.
    pub(crate) fn take(state: &Path, nonce: String) -> Result<Self, WorldError> {
        let path = state.join(LOCK_NAME);
        let failed = |source| WorldError::Lock { path: path.clone(), source };
        let mut file = open_private(&path).map_err(failed)?;
        let mut tries_left = LOCK_TRIES;
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::Error(source) => return Err(failed(source)),
                TryLockError::WouldBlock if tries_left == 0 => {
                    let holder = Holder::read(&mut file);
                    let holder = holder
                        .map_or("another process".to_owned(), |holder| format!("process {}", holder.pid));
                    return Err(WorldError::Running { state: state.to_owned(), holder });
                }
                TryLockError::WouldBlock => {
                    tries_left -= 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
            }
        }
        let holder = Holder { pid: std::process::id(), nonce };
        let json = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&json));
        written.map_err(failed)?;
        WorldFile::remove(state);
        Ok(Self { _file: file, nonce: holder.nonce })
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(nonce: &str) -> WorldFile {
        WorldFile {
            schema: SCHEMA,
            pid: 1,
            nonce: nonce.to_owned(),
            nearest: "http://127.0.0.1:9".into(),
            home: RegionName::new("eu-central-1"),
            access_table: "a".into(),
            ledger_table: "l".into(),
            stream: PathBuf::new(),
            key: WorldKey::new([1; RANDOM_BYTES]),
            regions: vec![],
        }
    }

    #[test]
    fn a_service_is_found_while_its_process_holds_the_lock_and_not_confused_with_another_run() {
        let state = tempfile::tempdir().expect("a folder");
        let find = || WorldFile::find(state.path());
        assert!(matches!(find(), Err(WorldError::None(_))));
        let lock = StateLock::take(state.path(), "one".into()).expect("it is free");
        world("one").write(state.path()).expect("it writes");
        assert_eq!(find().expect("it runs"), world("one"));
        drop(lock);
        // Killed: the file is left.
        assert!(matches!(find(), Err(WorldError::Gone(_))));
        let lock = StateLock::take(state.path(), "two".into()).expect("it is free");
        assert!(matches!(find(), Err(WorldError::None(_))), "the new one is not ready");
        world("one").write(state.path()).expect("it writes");
        assert!(matches!(find(), Err(WorldError::Gone(_))), "that is another run's");
        std::fs::write(state.path().join(FILE_NAME), "{").expect("a file");
        assert!(matches!(find(), Err(WorldError::Broken { .. })));
        WorldFile::remove(state.path());
        std::fs::create_dir(state.path().join(FILE_NAME)).expect("a folder");
        let unreadable = find().expect_err("it is a folder");
        assert!(
            matches!(unreadable, WorldError::Unreadable { .. }) && !unreadable.to_string().contains("remove")
        );
        std::fs::remove_dir(state.path().join(FILE_NAME)).expect("removed");
        drop(lock);
        WorldFile::remove(state.path());
        assert!(matches!(find(), Err(WorldError::None(_))));
    }

    #[test]
    fn a_second_process_learns_which_process_holds_the_lock() {
        let state = tempfile::tempdir().expect("a folder");
        let lock = StateLock::take(state.path(), "one".into()).expect("it is free");
        let refused = StateLock::take(state.path(), "two".into()).expect_err("it is taken");
        let expected = format!("as process {}", std::process::id());
        assert!(refused.to_string().contains(&expected), "{refused}");
        drop(lock);
        StateLock::take(state.path(), "two".into()).expect("it is free");
        assert!(StateLock::take(&state.path().join("none"), "x".into()).is_err());
    }
}
