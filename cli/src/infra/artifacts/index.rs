//! What was zipped from what, so that nothing is zipped twice and `ipgeo render` knows the names: one small
//! file in the state folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Replace, write_private};
use crate::infra::stacks::{ArtifactRef, ArtifactSet};

const SCHEMA: u32 = 1;
const FILE_NAME: &str = "index.json";
/// Stands for what is not built yet.
const UNBUILT: &str = "unbuilt";

/// What was zipped last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    schema: u32,
    /// The function's code, by architecture.
    pub code: BTreeMap<String, Built>,
    /// The geo database.
    pub geo: Option<Built>,
}

/// A zip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// SHA-256 of what was zipped.
    pub input: String,
    /// SHA-256 of the zip.
    pub digest: String,
    /// Bytes of what was zipped.
    pub unpacked_bytes: u64,
    /// What it is, for people.
    pub description: String,
}

/// Why the index can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be written")]
pub struct IndexError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Index {
    /// Where artifacts are, below the state folder.
    pub fn folder(state: &Path) -> PathBuf {
        state.join("artifacts")
    }

    /// The index of a state folder; a missing or broken one counts as empty: it only saves work.
    pub fn read(state: &Path) -> Self {
        let bytes = std::fs::read(Self::folder(state).join(FILE_NAME)).unwrap_or_default();
        serde_json::from_slice(&bytes).ok().filter(|index: &Self| index.schema == SCHEMA).unwrap_or_default()
    }

    /// Writes the index atomically.
    pub fn write(&self, state: &Path) -> Result<(), IndexError> {
        let folder = Self::folder(state);
        let path = folder.join(FILE_NAME);
        let failed = |source| IndexError { path: path.clone(), source };
        let index = Self { schema: SCHEMA, ..self.clone() };
        let json = serde_json::to_vec_pretty(&index).map_err(|error| failed(error.into()))?;
        write_private(&path, &json, Replace::Yes).map_err(failed)
    }
}

/// The artifacts as they were built last, for rendering without building; and whether any is missing.
pub fn built_set(state: &Path) -> (ArtifactSet, bool) {
    let index = Index::read(state);
    let digest = |built: Option<&Built>| built.map_or(UNBUILT, |built| built.digest.as_str()).to_owned();
    let code =
        ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &digest(index.code.get(name)))));
    let set = ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &digest(index.geo.as_ref())),
        geo_description: index.geo.as_ref().map_or(UNBUILT, |geo| &geo.description).to_owned(),
    };
    (set, index.code.is_empty() || index.geo.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_it_was_written_and_a_broken_one_as_empty() {
        let state = tempfile::tempdir().expect("a folder");
        assert!(built_set(state.path()).1);
        let built =
            Built { input: "i".into(), digest: "d".into(), unpacked_bytes: 3, description: "x".into() };
        let index = Index {
            code: BTreeMap::from([("arm64".to_owned(), built.clone())]),
            geo: Some(built),
            ..Index::default()
        };
        index.write(state.path()).expect("written");
        let (set, missing) = built_set(state.path());
        assert!(!missing);
        assert_eq!((set.code["arm64"].key.as_str(), set.geo.key.as_str()), ("code/d.zip", "geo/d.zip"));
        std::fs::write(Index::folder(state.path()).join(FILE_NAME), "{").expect("a file");
        assert_eq!(Index::read(state.path()), Index::default());
    }
}
