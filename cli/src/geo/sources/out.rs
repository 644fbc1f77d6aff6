//! Protects files from a build: it never overwrites its sources, or a file that is not a compiled database.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use ipgeo_geo::DATABASE_TYPE;
use ipgeo_geo::raw::{Layout, Value};

use super::keep::previous_path;

#[derive(Debug, thiserror::Error)]
pub enum OutError {
    #[error(
        "{out} would overwrite {source_file}, a source of this build\nhelp: pass another file with --out"
    )]
    Source { out: PathBuf, source_file: PathBuf },
    #[error(
        "{0} exists and is not a compiled geo database\nhelp: delete it, or pass another file with --out"
    )]
    Foreign(PathBuf),
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
}

/// The temporary name of the previous database while the new one is compiled.
pub(crate) fn held_path(out: &Path) -> PathBuf {
    out.with_extension("mmdb.held")
}

/// Whether two paths are the same file, through any links.
fn same(one: &Path, other: &Path) -> bool {
    let files = [one, other].map(|path| std::fs::metadata(path).ok());
    let [Some(one_file), Some(other_file)] = files else { return false };
    let resolved = [one, other].map(|path| std::fs::canonicalize(path).ok());
    (resolved[0].is_some() && resolved[0] == resolved[1]) || same_place(&one_file, &other_file)
}

#[cfg(unix)]
fn same_place(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same_place(_one: &Metadata, _other: &Metadata) -> bool {
    false
}

/// Refuses to overwrite a source, under the output's name or the temporary name of the previous database.
pub(crate) fn refuse_source_overwrite(out: &Path, sources: &[PathBuf]) -> Result<(), OutError> {
    for written in [out.to_owned(), held_path(out), previous_path(out)] {
        if let Some(source) = sources.iter().find(|source| same(source, &written)) {
            return Err(OutError::Source { out: written, source_file: source.clone() });
        }
    }
    Ok(())
}

/// Refuses to overwrite an existing file that is not a compiled database.
pub(crate) fn refuse_foreign_overwrite(out: &Path) -> Result<(), OutError> {
    let failed = |source| OutError::Read { path: out.to_owned(), source };
    match std::fs::metadata(out) {
        Ok(found) if !found.is_file() => return Err(OutError::Foreign(out.to_owned())),
        Ok(found) if found.len() == 0 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    File::open(out).map_err(failed)?;
    let bytes = ipgeo_geo::map_file(out).map_err(failed)?;
    let ours = Layout::read(&bytes).is_ok_and(|(_, metadata)| {
        metadata.get("database_type").and_then(Value::text) == Some(DATABASE_TYPE)
    });
    if ours { Ok(()) } else { Err(OutError::Foreign(out.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_recognised_through_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("x.mmdb"), "source").expect("written");
        std::fs::write(at("other.mmdb"), "source").expect("written");
        std::fs::hard_link(at("x.mmdb"), at("hard.mmdb")).expect("a link");
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("x.mmdb"), at("soft.mmdb")).expect("a link");
        std::fs::write(at("y.mmdb.previous"), "source").expect("written");
        std::fs::write(at("z.mmdb.held"), "source").expect("written");
        let refused = |out: &str, source: &str| {
            refuse_source_overwrite(&at(out), &[at("other.mmdb"), at(source)]).is_err()
        };
        let indirect = format!("../{}/x.mmdb", folder.path().file_name().expect("a name").display());
        for out in ["x.mmdb", "./x.mmdb", "hard.mmdb", "soft.mmdb", &indirect] {
            assert!(refused(out, "x.mmdb"), "{out}");
        }
        assert!(refused("y.mmdb", "y.mmdb.previous") && refused("z.mmdb", "z.mmdb.held"));
        assert!(!refused("new.mmdb", "x.mmdb") && !refused("y.mmdb", "x.mmdb"));
    }

    #[test]
    fn only_a_compiled_database_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("letter.txt"), "dear all").expect("written");
        std::fs::write(at("empty"), "").expect("written");
        crate::geo::sources::write_sample(&at("ours.mmdb")).expect("written");
        assert!(
            refuse_foreign_overwrite(&at("new")).is_ok() && refuse_foreign_overwrite(&at("empty")).is_ok()
        );
        assert!(refuse_foreign_overwrite(&at("ours.mmdb")).is_ok());
        for other in [at("letter.txt"), folder.path().to_owned()] {
            let error = refuse_foreign_overwrite(&other).expect_err("refused").to_string();
            assert!(error.contains("is not a compiled geo database"), "{error}");
        }
        #[cfg(unix)]
        assert!(refuse_foreign_overwrite(Path::new("/dev/null")).is_err());
    }
}
