//! `geo.lock`: which geo data is used, to the byte, and where it is from. It stands beside `regions.toml` and is
//! kept with it. The same data gives the same file.

use std::path::{Path, PathBuf};

use ipgeo_geo::DatabaseInfo;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fs::{Replace, write_output};
use crate::geo::licence::Copy;

/// The file's name.
pub const LOCK_NAME: &str = "geo.lock";
/// Version of the file's shape.
const SCHEMA: u32 = 1;
/// A file larger than this is not ours.
const BYTES_MAX: u64 = 1 << 20;
const HEAD: &str = "\
# Which geo data is used. Written by `ipgeo geo fetch`, `build` and `pin`; keep it with regions.toml.
";

/// Everything that is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    schema: u32,
    /// Sources that are not to move.
    #[serde(default, rename = "pin", skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// The sources' files.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<LockedSource>,
    /// The compiled database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<LockedDatabase>,
}

/// A source that is not to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Which.
    pub source: String,
    /// Data of this date or before may be fetched; none: the locked files and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// Its source.
    pub name: String,
    /// Its name.
    pub file: String,
    /// Where it was fetched from.
    pub from: String,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// The date of its data, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// The licence that it is under.
    pub licence: String,
}

/// The compiled database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDatabase {
    /// The name of the data.
    pub name: String,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// The date of its data.
    pub date: String,
    /// The licence that it is under.
    pub licence: String,
    /// The credit that goes with every answer.
    pub attribution: String,
    /// SHA-256 of the sources that it was compiled from, the most trusted first.
    pub from: Vec<String>,
}

impl LockedDatabase {
    /// A database as it says of itself, with its digest and what it was compiled from.
    pub fn of(info: &DatabaseInfo, (sha256, bytes): (String, u64), from: Vec<String>) -> Self {
        Self {
            name: info.name.clone(),
            sha256,
            bytes,
            date: info.date.clone(),
            licence: info.licence.clone(),
            attribution: info.attribution.clone(),
            from,
        }
    }

    /// As its licence is judged by.
    pub fn copy(&self) -> Copy<'_> {
        Copy { name: &self.name, licence: &self.licence, attribution: &self.attribution, date: &self.date }
    }
}

/// Why the lock does not let something pass.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file can't be read or written.
    #[error("{path} can't be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a lock.
    #[error("{path} is not a lock file of this version; `ipgeo geo fetch` after removing it makes it anew")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A source's file is not the locked one.
    #[error(
        "{file} is not the file that {LOCK_NAME} names (SHA-256 {found:.12}… instead of {locked:.12}…); `ipgeo geo fetch` gets it anew"
    )]
    Changed {
        /// The file.
        file: PathBuf,
        /// The locked digest.
        locked: String,
        /// The file's.
        found: String,
    },
    /// A source's file is not locked.
    #[error("{LOCK_NAME} does not name {file}; `ipgeo geo fetch` does")]
    Unlocked {
        /// The file.
        file: PathBuf,
    },
    /// The compiled database is not the locked one.
    #[error(
        "{file} is not the database that {LOCK_NAME} names (of {date}, SHA-256 {locked:.12}…); `ipgeo geo build` compiles that one, or take the lock's older version back"
    )]
    Database {
        /// The file.
        file: PathBuf,
        /// The locked date.
        date: String,
        /// The locked digest.
        locked: String,
    },
    /// A source that is not in the configuration.
    #[error("regions.toml has no source `{0}`")]
    NoSource(String),
    /// There is nothing to pin.
    #[error("`{0}` is not fetched yet; `ipgeo geo fetch` gets it, or pin it by --date")]
    NotFetched(String),
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema: SCHEMA, pins: Vec::new(), sources: Vec::new(), database: None }
    }
}

impl Lock {
    /// Where the lock of a `regions.toml` is.
    pub fn path(config_file: &Path) -> PathBuf {
        config_file.with_file_name(LOCK_NAME)
    }

    /// The lock; none: there is no file.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let broken = |source| LockError::Broken { path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(broken("it is larger than 1 MiB".into()));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let lock: Self = toml::from_str(&text).map_err(|error| broken(error.into()))?;
        if lock.schema == SCHEMA {
            return Ok(Some(lock));
        }
        Err(broken(format!("it is of version {}, this program reads {SCHEMA}", lock.schema).into()))
    }

    /// Writes the lock, whole; not at all when it would be the same.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let text = self.text().map_err(|error| failed(std::io::Error::other(error)))?;
        if std::fs::read_to_string(path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        write_output(path, text.as_bytes(), Replace::Yes).map_err(failed)
    }

    fn text(&self) -> Result<String, toml::ser::Error> {
        Ok(format!("{HEAD}{}", toml::to_string(self)?))
    }

    /// The pin of a source.
    pub fn pin(&self, source: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.source == source)
    }

    /// The locked files of a source.
    pub fn files_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a LockedSource> {
        self.sources.iter().filter(move |locked| locked.name == source)
    }

    /// Puts a source's files in place of those that were locked, and forgets sources that are gone.
    pub fn set_source(&mut self, name: &str, files: Vec<LockedSource>) {
        self.sources.retain(|locked| locked.name != name);
        self.sources.extend(files);
    }

    /// Keeps only sources of these names, in their order.
    pub fn keep(&mut self, names: &[&str]) {
        let rank = |name: &str| names.iter().position(|known| *known == name);
        self.sources.retain(|locked| rank(&locked.name).is_some());
        self.pins.retain(|pin| rank(&pin.source).is_some());
        self.sources.sort_by(|a, b| (rank(&a.name), &a.file).cmp(&(rank(&b.name), &b.file)));
        self.pins.sort_by_key(|pin| rank(&pin.source));
    }

    /// Holds a source's file against the lock.
    pub fn verify_source(&self, source: &str, path: &Path, sha256: &str) -> Result<(), LockError> {
        let file = path.to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self.files_of(source).find(|locked| locked.file == name) {
            None => Err(LockError::Unlocked { file }),
            Some(locked) if locked.sha256 == sha256 => Ok(()),
            Some(locked) => {
                Err(LockError::Changed { file, locked: locked.sha256.clone(), found: sha256.to_owned() })
            }
        }
    }

    /// Holds a compiled database against the lock; one that locks none lets any pass.
    pub fn verify_database(&self, path: &Path, sha256: &str) -> Result<(), LockError> {
        match &self.database {
            Some(locked) if locked.sha256 != sha256 => Err(LockError::Database {
                file: path.to_owned(),
                date: locked.date.clone(),
                locked: locked.sha256.clone(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, file: &str, sha256: &str) -> LockedSource {
        LockedSource {
            name: name.into(),
            file: file.into(),
            from: "npm some-package".into(),
            sha256: sha256.into(),
            bytes: 7,
            date: Some("2026-11-01".parse().expect("a date")),
            licence: "CC BY 4.0".into(),
        }
    }

    fn lock() -> Lock {
        let mut lock = Lock::default();
        lock.set_source("city", vec![locked("city", "b.mmdb", "bb"), locked("city", "a.mmdb", "aa")]);
        lock.set_source("asn", vec![locked("asn", "asn.mmdb", "cc")]);
        lock.set_source("gone", vec![locked("gone", "gone.mmdb", "dd")]);
        lock.pins.push(Pin { source: "asn".into(), until: Some("2026-10-01".parse().expect("a date")) });
        lock.keep(&["city", "asn"]);
        lock.database = Some(LockedDatabase {
            name: "City".into(),
            sha256: "ee".into(),
            bytes: 9,
            date: "2026-11-01".into(),
            licence: "CC BY 4.0".into(),
            attribution: "\"Somebody\"".into(),
            from: vec!["aa".into(), "bb".into(), "cc".into()],
        });
        lock
    }

    #[test]
    fn the_file_as_people_read_it_and_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Lock::path(&folder.path().join("regions.toml"));
        assert!(Lock::read(&path).expect("read").is_none());
        lock().write(&path).expect("written");
        assert_eq!(Lock::read(&path).expect("read"), Some(lock()));
        insta::assert_snapshot!(std::fs::read_to_string(&path).expect("a file"));
        for broken in ["schema = 2", "schema = 1\nnew = 3", "{"] {
            std::fs::write(&path, broken).expect("written");
            assert!(matches!(Lock::read(&path), Err(LockError::Broken { .. })), "{broken}");
        }
    }

    #[test]
    fn what_is_not_locked_does_not_pass() {
        let lock = lock();
        let told = |source: &str, file: &str, sha256: &str| {
            lock.verify_source(source, Path::new(file), sha256).map_err(|error| error.to_string())
        };
        assert_eq!(told("city", "x/a.mmdb", "aa"), Ok(()));
        let changed = told("city", "x/a.mmdb", "0123456789abcdef").expect_err("changed");
        assert!(changed.contains("SHA-256 0123456789ab… instead of aa…"), "{changed}");
        assert!(told("asn", "x/a.mmdb", "aa").expect_err("unlocked").contains("does not name"));
        assert!(lock.verify_database(Path::new("d"), "ee").is_ok());
        assert!(lock.verify_database(Path::new("d"), "ff").is_err());
        assert!(Lock::default().verify_database(Path::new("d"), "ff").is_ok());
    }
}
