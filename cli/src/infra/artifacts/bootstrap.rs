//! Where the function's program comes from: `--artifact`, a source tree, or the bootstrap in the release archive of
//! `ipgeo`. Also checks a program's release. Pure.

use std::path::{Path, PathBuf};

use ipgeo_contract::RELEASE_MARK;

use super::elf::position_of;
use crate::config::Architecture;

/// Maximum length of a version: limits the search after a broken mark.
const VERSION_BYTES_MAX: usize = 64;

/// Where a program comes from, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file given with `--artifact`.
    Given(PathBuf),
    /// Built from the source tree in this folder.
    Built(PathBuf),
    /// A file installed with `ipgeo`.
    Shipped(PathBuf),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no bootstrap for {architecture}: there is no source tree of ipgeo to build it from, and {searched}\n\
     help: install `ipgeo` together with the bootstraps in its release archive, pass --artifact FILE, or run ipgeo in a \
     clone of its repository"
)]
pub(crate) struct NoBootstrap {
    architecture: &'static str,
    searched: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot use {path}: it is {found}, but this is ipgeo {}\n\
     help: install `ipgeo` and its bootstraps from one release archive, or pass --artifact FILE to use it anyway",
    env!("CARGO_PKG_VERSION")
)]
pub(crate) struct OtherRelease {
    path: PathBuf,
    found: String,
}

impl Origin {
    /// Finds the program for an architecture: `given`, then `project`, then a file near `executable`, whose symbolic links
    /// must be resolved.
    pub(super) fn find(
        given: Option<&Path>,
        project: Option<&Path>,
        executable: Option<&Path>,
        architecture: Architecture,
        is_file: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, NoBootstrap> {
        if let Some(given) = given {
            return Ok(Self::Given(given.to_owned()));
        }
        if let Some(project) = project {
            return Ok(Self::Built(project.to_owned()));
        }
        let folders = executable.map(shipped_folders).unwrap_or_default();
        let name = format!("bootstrap-{}", architecture.as_str());
        let shipped = folders.iter().map(|folder| folder.join(&name)).find(|path| is_file(path));
        shipped.map(Self::Shipped).ok_or_else(|| NoBootstrap {
            architecture: architecture.as_str(),
            searched: if folders.is_empty() {
                "the folder of this program is unknown".to_owned()
            } else {
                let folders: Vec<String> =
                    folders.iter().map(|folder| folder.display().to_string()).collect();
                format!("none of these folders has a file `{name}`: {}", folders.join(", "))
            },
        })
    }
}

/// The folders to search for bootstraps: the program's own, and those of packages that reserve `bin/` for programs.
fn shipped_folders(executable: &Path) -> Vec<PathBuf> {
    let Some(folder) = executable.parent() else { return Vec::new() };
    let below_prefix = |name: &str| folder.parent().map(|prefix| prefix.join(name).join("ipgeo"));
    [Some(folder.to_owned()), below_prefix("lib"), below_prefix("share")].into_iter().flatten().collect()
}

/// Checks that a program is of this release of `ipgeo`: both must agree on tables, variables and usage lines.
pub(super) fn check_release(path: &Path, program: &[u8]) -> Result<(), OtherRelease> {
    let own = release_of(RELEASE_MARK.as_bytes());
    let found = release_of(program);
    if found == own {
        return Ok(());
    }
    let found = found.map_or("not a bootstrap of any release".to_owned(), |version| {
        format!("the bootstrap of ipgeo {}", String::from_utf8_lossy(version))
    });
    Err(OtherRelease { path: path.to_owned(), found })
}

/// The version in a program's release mark.
fn release_of(program: &[u8]) -> Option<&[u8]> {
    let (start, _) = RELEASE_MARK.rsplit_once(' ')?;
    let version = program.get(position_of(program, start.as_bytes())? + start.len() + 1..)?;
    let end = version.iter().take(VERSION_BYTES_MAX).position(|byte| *byte == b'>')?;
    version.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--artifact`, the source tree, this program and the files that exist; the origin, or a part of the error.
    type Case = (
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
        &'static [&'static str],
        Result<Origin, &'static str>,
    );

    #[test]
    fn a_given_file_is_preferred_to_a_source_tree_and_that_to_a_shipped_program() {
        let program = Some("/opt/bin/ipgeo");
        let table: [Case; 8] = [
            (Some("x"), Some("/src"), program, &["/opt/bin/bootstrap-arm64"], Ok(Origin::Given("x".into()))),
            (None, Some("/src"), program, &["/opt/bin/bootstrap-arm64"], Ok(Origin::Built("/src".into()))),
            (
                None,
                None,
                program,
                &["/opt/share/ipgeo/bootstrap-arm64", "/opt/bin/bootstrap-arm64"],
                Ok(Origin::Shipped("/opt/bin/bootstrap-arm64".into())),
            ),
            (
                None,
                None,
                program,
                &["/opt/share/ipgeo/bootstrap-arm64", "/opt/lib/ipgeo/bootstrap-arm64"],
                Ok(Origin::Shipped("/opt/lib/ipgeo/bootstrap-arm64".into())),
            ),
            (
                None,
                None,
                program,
                &["/opt/share/ipgeo/bootstrap-arm64"],
                Ok(Origin::Shipped("/opt/share/ipgeo/bootstrap-arm64".into())),
            ),
            // Another architecture, or the plain name from a build's target folder.
            (
                None,
                None,
                program,
                &["/opt/bin/bootstrap-x86_64", "/opt/bin/bootstrap"],
                Err(
                    "no bootstrap for arm64: there is no source tree of ipgeo to build it from, and none of these folders has a \
                     file `bootstrap-arm64`: /opt/bin, /opt/lib/ipgeo, /opt/share/ipgeo\nhelp: ",
                ),
            ),
            (None, None, Some("/ipgeo"), &[], Err("`bootstrap-arm64`: /\nhelp: ")),
            (None, None, None, &[], Err("the folder of this program is unknown\nhelp: ")),
        ];
        for (given, project, executable, files, expected) in table {
            let path = |text: Option<&'static str>| text.map(Path::new);
            let is_file = |path: &Path| files.iter().any(|file| path == Path::new(file));
            let found =
                Origin::find(path(given), path(project), path(executable), Architecture::Arm64, &is_file);
            match (&found, expected) {
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{files:?}"),
            }
        }
    }

    #[test]
    fn a_program_of_another_release_is_rejected() {
        let own = format!("\x7fELF\0\0{RELEASE_MARK}\0");
        let table = [
            (own.as_str(), None),
            (RELEASE_MARK, None),
            (
                "\0<ipgeo bootstrap 0.0.9>\0",
                Some("cannot use f: it is the bootstrap of ipgeo 0.0.9, but this is ipgeo "),
            ),
            ("\0<ipgeo bootstrap 0.0", Some("cannot use f: it is not a bootstrap of any release, ")),
            ("\0<ipgeo bootstrap", Some("cannot use f: it is not a bootstrap of any release, ")),
            ("\x7fELF", Some("cannot use f: it is not a bootstrap of any release, ")),
        ];
        for (program, expected) in table {
            let checked = check_release(Path::new("f"), program.as_bytes());
            match expected {
                None => assert_eq!(checked, Ok(())),
                Some(part) => {
                    let error = checked.expect_err("refused").to_string();
                    assert!(error.starts_with(part) && error.contains("\nhelp: "), "{error}");
                }
            }
        }
    }
}
