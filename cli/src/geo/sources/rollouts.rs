//! The history of databases rolled out to regions, for rollbacks. It is in the state folder; the databases themselves are
//! the zips of `artifacts`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::LockedDatabase;
use crate::fs::{Replace, write_private};

const SCHEMA: u32 = 1;
const ROLLOUTS_MAX: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollout {
    pub at: Timestamp,
    /// SHA-256 of the zip, its name in stacks.
    pub digest: String,
    /// The layer's description.
    pub description: String,
    pub database: LockedDatabase,
    /// Whether it rolls back to an older database.
    pub is_rollback: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollouts {
    schema: u32,
    /// The newest last; each zip once.
    pub rollouts: Vec<Rollout>,
}

impl Rollouts {
    pub(crate) fn path(state: &Path) -> PathBuf {
        state.join("geo").join("rollouts.json")
    }

    /// Reads the history; a missing or invalid file counts as empty.
    pub(crate) fn read(state: &Path) -> Self {
        let bytes = std::fs::read(Self::path(state)).unwrap_or_default();
        serde_json::from_slice(&bytes).ok().filter(|known: &Self| known.schema == SCHEMA).unwrap_or_default()
    }

    /// Appends a rollout and writes the file.
    pub(crate) fn add(&mut self, rollout: Rollout, state: &Path) -> std::io::Result<()> {
        self.schema = SCHEMA;
        self.rollouts.retain(|known| known.digest != rollout.digest);
        self.rollouts.push(rollout);
        let surplus = self.rollouts.len().saturating_sub(ROLLOUTS_MAX);
        self.rollouts.drain(..surplus);
        write_private(&Self::path(state), &serde_json::to_vec_pretty(self)?, Replace::Yes)
    }

    /// The rollout before the newest one that is served, by the first characters of digests. If none of these is in the
    /// history, the newest rollout. A rollback that not every region serves is continued.
    pub(crate) fn before(&self, served: &[&str]) -> Option<&Rollout> {
        let is_served = |known: &Rollout| served.iter().any(|digest| known.digest.starts_with(digest));
        let last = self.rollouts.last().filter(|last| last.is_rollback);
        if let Some(last) = last.filter(|last| served.iter().any(|digest| !last.digest.starts_with(digest))) {
            return Some(last);
        }
        let end = self.rollouts.iter().rposition(is_served).unwrap_or(self.rollouts.len());
        self.rollouts[..end].last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(digest: &str) -> Rollout {
        let database = LockedDatabase {
            name: "City".into(),
            sha256: "ee".into(),
            bytes: 9,
            date: "2026-11-01".into(),
            licence: "CC BY 4.0".into(),
            attribution: String::new(),
            from: vec![],
        };
        Rollout {
            at: Timestamp::UNIX_EPOCH,
            digest: digest.into(),
            description: "City".into(),
            database,
            is_rollback: false,
        }
    }

    #[test]
    fn a_rollback_takes_the_one_before_the_newest_that_is_served() {
        let state = tempfile::tempdir().expect("a folder");
        let mut known = Rollouts::read(state.path());
        assert_eq!(known.before(&["a"]), None);
        for digest in ["a", "b", "c", "b"] {
            known.add(rollout(digest), state.path()).expect("written");
        }
        let known = Rollouts::read(state.path());
        let order: Vec<&str> = known.rollouts.iter().map(|rollout| rollout.digest.as_str()).collect();
        assert_eq!(order, ["a", "c", "b"]);
        // (what the regions serve, what they return to): alone; after a rollout that halted; after `ipgeo rollback`, which
        // leaves an older database; one of another machine.
        let table = [
            (&["b"][..], Some("c")),
            (&["b", "c"], Some("c")),
            (&["c"], Some("a")),
            (&["a", "c"], Some("a")),
            (&["a"], None),
            (&["x"], Some("b")),
        ];
        for (served, back) in table {
            assert_eq!(known.before(served).map(|rollout| rollout.digest.as_str()), back, "{served:?}");
        }
        // A rollback to c, interrupted, is continued; once it is done, the next returns to b.
        let mut known = known;
        known.add(Rollout { is_rollback: true, ..rollout("c") }, state.path()).expect("written");
        for (served, back) in [(&["b", "c"][..], "c"), (&["b"], "c"), (&["c"], "b")] {
            assert_eq!(known.before(served).map(|rollout| rollout.digest.as_str()), Some(back), "{served:?}");
        }
        std::fs::write(Rollouts::path(state.path()), "{").expect("written");
        assert_eq!(Rollouts::read(state.path()), Rollouts::default());
    }
}
