//! Finds and reads `regions.toml`: the only part of `config` that reads files.

use std::path::{Path, PathBuf};

use super::model::Config;
use super::parse::parse;
use super::problems::Problems;
use super::settings::{Setting, settings};

pub(crate) const FILE_NAME: &str = "regions.toml";
/// The name of the state folder beside it.
pub(crate) const STATE_NAME: &str = ".ipgeo";
/// A larger file is hardly a configuration.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0} is not UTF-8 text")]
    NotText(PathBuf),
    #[error("{0} is larger than 1 MiB; is it the right file?")]
    TooLarge(PathBuf),
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// The nearest `regions.toml` at or above a folder.
pub(crate) fn find(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file())
}

/// The state folder beside the `regions.toml` in use: the given one, or the nearest in `here` or above; without any, in
/// `here`. The path is relative to `here` where that is shorter.
pub(crate) fn state_folder(named: Option<&Path>, here: &Path) -> PathBuf {
    let file = named.map(Path::to_owned).or_else(|| find(here));
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    folder.strip_prefix(here).unwrap_or(folder).join(STATE_NAME)
}

pub(crate) fn load(path: &Path) -> Result<Config, LoadError> {
    Ok(parse(&path.display().to_string(), &read(path)?)?)
}

/// The effective settings of a file, with their places in it.
pub(crate) fn load_settings(path: &Path) -> Result<Vec<Setting>, LoadError> {
    Ok(settings(&path.display().to_string(), &read(path)?)?)
}

fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > BYTES_MAX {
        return Err(LoadError::TooLarge(path.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| LoadError::NotText(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_above_is_found_and_faults_name_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("folders");
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, "[service]\n").expect("a file");
        assert_eq!(find(&deep), Some(file.clone()));
        let faults = load(&file).expect_err("faults").to_string();
        assert!(faults.contains(&format!("{}:1:1: ", file.display())), "{faults}");
    }

    #[test]
    fn the_state_folder_is_beside_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (top, deep) = (folder.path(), folder.path().join("a/b"));
        std::fs::create_dir_all(&deep).expect("folders");
        // Without a file: here.
        assert_eq!(state_folder(None, &deep), Path::new(".ipgeo"));
        std::fs::write(top.join(FILE_NAME), "").expect("a file");
        assert_eq!(state_folder(None, top), Path::new(".ipgeo"));
        assert_eq!(state_folder(None, &deep), top.join(".ipgeo"));
        for (named, state) in [
            ("regions.toml", ".ipgeo"),
            ("x/staging.toml", "x/.ipgeo"),
            ("../regions.toml", "../.ipgeo"),
            ("/etc/ipgeo/regions.toml", "/etc/ipgeo/.ipgeo"),
        ] {
            assert_eq!(state_folder(Some(Path::new(named)), &deep), Path::new(state), "{named}");
        }
    }

    #[test]
    fn missing_binary_and_oversized_files_are_distinguished() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.toml");
        assert!(matches!(load(&file), Err(LoadError::Read { .. })));
        std::fs::write(&file, [0xff, 0xfe]).expect("a file");
        assert!(matches!(load(&file), Err(LoadError::NotText(_))));
        std::fs::write(&file, vec![b'#'; 2 << 20]).expect("a file");
        assert!(matches!(load(&file), Err(LoadError::TooLarge(_))));
    }
}
