//! The index of zips and what they were made from, in the state folder: nothing is zipped twice, and `ipgeo render` knows
//! the names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{Replace, write_private};
use crate::infra::stacks::{ArtifactRef, ArtifactSet};

const SCHEMA: u32 = 1;
const FILE_NAME: &str = "index.json";
/// Placeholder for an artifact that is not built yet.
const UNBUILT: &str = "unbuilt";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    schema: u32,
    /// The function's code, by architecture.
    pub code: BTreeMap<String, Built>,
    pub geo: Option<Built>,
}

/// A zip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Built {
    /// SHA-256 of the input.
    pub input: String,
    /// SHA-256 of the zip.
    pub digest: String,
    pub unpacked_bytes: u64,
    pub description: String,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub(crate) struct IndexError {
    path: PathBuf,
    source: std::io::Error,
}

impl Index {
    pub(crate) fn folder(state: &Path) -> PathBuf {
        state.join("artifacts")
    }

    /// Reads the index; a missing or invalid one counts as empty, as it only saves work.
    pub(crate) fn read(state: &Path) -> Self {
        let bytes = std::fs::read(Self::folder(state).join(FILE_NAME)).unwrap_or_default();
        serde_json::from_slice(&bytes).ok().filter(|index: &Self| index.schema == SCHEMA).unwrap_or_default()
    }

    pub(crate) fn write(&self, state: &Path) -> Result<(), IndexError> {
        let path = Self::folder(state).join(FILE_NAME);
        let failed = |source| IndexError { path: path.clone(), source };
        let index = Self { schema: SCHEMA, ..self.clone() };
        let json = serde_json::to_vec_pretty(&index).map_err(|error| failed(error.into()))?;
        write_private(&path, &json, Replace::Yes).map_err(failed)
    }
}

/// The artifacts of the last build, for rendering without building, and whether any is missing.
pub(crate) fn built_set(state: &Path) -> (ArtifactSet, bool) {
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
    fn a_broken_index_counts_as_empty() {
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
