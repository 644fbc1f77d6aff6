//! `geo.lock`: the digests and origins of the geo data in use. It is stored next to `regions.toml` and belongs in version
//! control with it. The same data gives the same file.

use std::path::{Path, PathBuf};

use ipgeo_geo::DatabaseInfo;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fs::{Replace, write_output};
use crate::geo::licence::LicensedData;

pub(crate) const LOCK_NAME: &str = "geo.lock";
/// The version of the file format.
const SCHEMA: u32 = 1;
/// A file larger than this is not ours.
const BYTES_MAX: u64 = 1 << 20;
const HEAD: &str = "\
# Which geo data is used. Written by `ipgeo geo fetch`, `build` and `pin`; keep it with regions.toml.
";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    schema: u32,
    #[serde(default, rename = "pin", skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<LockedSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<LockedDatabase>,
}

/// A pinned source, which `ipgeo geo fetch` does not update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub source: String,
    /// Data of this date or earlier may be fetched; `None`: only the locked files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    pub name: String,
    pub file: String,
    pub from: String,
    /// Hex.
    pub sha256: String,
    pub bytes: u64,
    /// The date as stated in its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    pub licence: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attribution: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attribution_link: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDatabase {
    pub name: String,
    /// Hex.
    pub sha256: String,
    pub bytes: u64,
    pub date: String,
    pub licence: String,
    pub attribution: String,
    /// SHA-256 of the sources that it was compiled from, most trusted first.
    pub from: Vec<String>,
}

impl LockedDatabase {
    /// A database with the digests of the sources that it was compiled from.
    pub fn new(info: &DatabaseInfo, (sha256, bytes): (String, u64), from: Vec<String>) -> Self {
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

    pub fn licensed_data(&self) -> LicensedData<'_> {
        LicensedData {
            name: &self.name,
            licence: &self.licence,
            attribution: &self.attribution,
            date: &self.date,
        }
    }
}

/// Why the lock can't be used, or data does not match it.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read or write {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} is not a lock file of this version\nhelp: delete it, then run `ipgeo geo fetch` to create a new one"
    )]
    Broken { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "{file} does not match {LOCK_NAME}: its SHA-256 is {found:.12}…, expected {locked:.12}…\nhelp: run `ipgeo geo fetch`"
    )]
    Changed { file: PathBuf, locked: String, found: String },
    #[error("{file} is missing in {LOCK_NAME}\nhelp: run `ipgeo geo fetch`")]
    Unlocked { file: PathBuf },
    #[error(
        "{file} does not match {LOCK_NAME}, which has the database of {date} (SHA-256 {locked:.12}…)\n\
         help: run `ipgeo geo build`, or restore the earlier {LOCK_NAME}"
    )]
    Database { file: PathBuf, date: String, locked: String },
    #[error("regions.toml has no source `{0}`")]
    NoSource(String),
    #[error("cannot pin `{0}`: it is not fetched yet\nhelp: run `ipgeo geo fetch`, or pin it with --date")]
    NotFetched(String),
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema: SCHEMA, pins: Vec::new(), sources: Vec::new(), database: None }
    }
}

impl Lock {
    pub fn path(config_file: &Path) -> PathBuf {
        config_file.with_file_name(LOCK_NAME)
    }

    /// Reads the lock; `None`: no file.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let broken = |source| LockError::Broken { path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(broken("larger than 1 MiB".into()));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let lock: Self = toml::from_str(&text).map_err(|error| broken(error.into()))?;
        if lock.schema == SCHEMA {
            return Ok(Some(lock));
        }
        Err(broken(format!("version {}, but this program reads version {SCHEMA}", lock.schema).into()))
    }

    /// Writes the lock atomically, unless it is unchanged.
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

    pub fn pin(&self, source: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.source == source)
    }

    pub fn files_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a LockedSource> {
        self.sources.iter().filter(move |locked| locked.name == source)
    }

    pub fn set_source(&mut self, name: &str, files: Vec<LockedSource>) {
        self.sources.retain(|locked| locked.name != name);
        self.sources.extend(files);
    }

    /// Retains only these sources, in this order.
    pub fn retain(&mut self, names: &[&str]) {
        let rank = |name: &str| names.iter().position(|known| *known == name);
        self.sources.retain(|locked| rank(&locked.name).is_some());
        self.pins.retain(|pin| rank(&pin.source).is_some());
        self.sources.sort_by(|a, b| (rank(&a.name), &a.file).cmp(&(rank(&b.name), &b.file)));
        self.pins.sort_by_key(|pin| rank(&pin.source));
    }

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

    /// Checks a compiled database against the lock; without a locked database, any passes.
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
            attribution: "By Somebody".into(),
            attribution_link: String::new(),
        }
    }

    fn lock() -> Lock {
        let mut lock = Lock::default();
        lock.set_source("city", vec![locked("city", "b.mmdb", "bb"), locked("city", "a.mmdb", "aa")]);
        lock.set_source("asn", vec![locked("asn", "asn.mmdb", "cc")]);
        lock.set_source("gone", vec![locked("gone", "gone.mmdb", "dd")]);
        lock.pins.push(Pin { source: "asn".into(), until: Some("2026-10-01".parse().expect("a date")) });
        lock.retain(&["city", "asn"]);
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
    fn data_that_is_not_locked_is_rejected() {
        let lock = lock();
        let verify = |source: &str, file: &str, sha256: &str| {
            lock.verify_source(source, Path::new(file), sha256).map_err(|error| error.to_string())
        };
        assert_eq!(verify("city", "x/a.mmdb", "aa"), Ok(()));
        let changed = verify("city", "x/a.mmdb", "0123456789abcdef").expect_err("changed");
        assert!(changed.contains("SHA-256 is 0123456789ab…, expected aa…"), "{changed}");
        assert!(verify("asn", "x/a.mmdb", "aa").expect_err("unlocked").contains("is missing in geo.lock"));
        assert!(lock.verify_database(Path::new("d"), "ee").is_ok());
        assert!(lock.verify_database(Path::new("d"), "ff").is_err());
        assert!(Lock::default().verify_database(Path::new("d"), "ff").is_ok());
    }
}
