//! The file by which the operator's verbs find a running `ipgeo dev`: `world.json` in the state folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::whole::{narrow, private_folder};

mod key;

pub use key::{RANDOM_BYTES, WorldKey};

/// Version of the file's shape.
pub const SCHEMA: u32 = 1;
const FILE_NAME: &str = "world.json";

/// A running world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldFile {
    /// Version of this shape.
    pub schema: u32,
    /// The process that runs it.
    pub pid: u32,
    /// URL of the nearest-region port.
    pub nearest: String,
    /// The home region.
    pub home: String,
    /// Name of the access table.
    pub access_table: String,
    /// Name of the ledger.
    pub ledger_table: String,
    /// The folder of the copy that is kept of the usage stream; none: the world is in memory only.
    #[serde(default)]
    pub stream: Option<PathBuf>,
    /// What its stores are called with; so this file is its owner's alone.
    #[serde(default)]
    pub key: WorldKey,
    /// Every region, in the file's order.
    pub regions: Vec<WorldRegion>,
}

/// One region of a running world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldRegion {
    /// Its name.
    pub region: String,
    /// URL of its API.
    pub url: String,
    /// URL of its DynamoDB.
    pub dynamodb: String,
}

/// The name of a state folder that nobody has named otherwise.
const STATE: &str = ".ipgeo";

/// Makes the state folder, for its owner alone. One that is there and bears our own name is made so; another, such as
/// `/tmp`, is somebody's, and what lies below it is private by itself.
pub fn make_state(state: &Path) -> std::io::Result<()> {
    private_folder(state)?;
    if state.file_name().is_some_and(|name| name == STATE) { narrow(state) } else { Ok(()) }
}

/// Why there is no running world to talk to.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// There is no file.
    #[error("no world is running in {0}; start one with `ipgeo dev`")]
    None(PathBuf),
    /// The file is there and nobody answers.
    #[error("the world of {0} has ended without a word; start it again with `ipgeo dev`")]
    Gone(PathBuf),
    /// The file is there and is not ours.
    #[error("{path} can't be read; remove it, and start a world with `ipgeo dev`")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl WorldFile {
    /// URL of home's DynamoDB.
    pub fn home_dynamodb(&self) -> Option<&str> {
        self.regions.iter().find(|region| region.region == self.home).map(|region| region.dynamodb.as_str())
    }

    /// The world that runs in a state folder, if it still answers.
    pub fn find(state: &Path) -> Result<Self, WorldError> {
        let world = Self::read(state)?;
        if world.answers() { Ok(world) } else { Err(WorldError::Gone(state.to_owned())) }
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
            Err(error) => return Err(broken(error.into())),
        };
        let world: Self = serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))?;
        if world.schema == SCHEMA {
            Ok(world)
        } else {
            Err(broken(format!("it is of version {}, this program reads {SCHEMA}", world.schema).into()))
        }
    }

    /// Whether somebody listens where the world was.
    fn answers(&self) -> bool {
        let address = self.nearest.trim_start_matches("http://").parse();
        address.is_ok_and(|address: std::net::SocketAddr| {
            std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(1)).is_ok()
        })
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, state: &Path) -> Result<(), WorldError> {
        let path = state.join(FILE_NAME);
        let failed = |source| WorldError::Write { path: path.clone(), source };
        let json = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let mut file = tempfile::NamedTempFile::new_in(state).map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Removes the file of an ended world; one that is gone already is as good.
    pub fn remove(state: &Path) {
        let _removed_or_gone = std::fs::remove_file(state.join(FILE_NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_found_while_it_answers() {
        let state = tempfile::tempdir().expect("a folder");
        assert!(matches!(WorldFile::find(state.path()), Err(WorldError::None(_))));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let world = WorldFile {
            schema: SCHEMA,
            pid: 1,
            nearest: format!("http://{}", listener.local_addr().expect("an address")),
            home: "eu-central-1".into(),
            access_table: "a".into(),
            ledger_table: "l".into(),
            stream: None,
            key: WorldKey::new([1; RANDOM_BYTES]),
            regions: vec![],
        };
        world.write(state.path()).expect("it writes");
        assert_eq!(WorldFile::find(state.path()).expect("it answers"), world);
        drop(listener);
        assert!(matches!(WorldFile::find(state.path()), Err(WorldError::Gone(_))));
        std::fs::write(state.path().join(FILE_NAME), "{").expect("a file");
        assert!(matches!(WorldFile::find(state.path()), Err(WorldError::Broken { .. })));
        WorldFile::remove(state.path());
        assert!(matches!(WorldFile::find(state.path()), Err(WorldError::None(_))));
    }
}
