//! From sources to artifacts: builds the function where that is possible, checks it, zips it and the geo
//! database, and holds both against Lambda's limit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipgeo_runtime::geo::{Database, GeoError};

use super::bundle::{BundleError, Entry, bundle, digest_of};
use super::elf::{ElfError, check_bootstrap};
use super::index::{Built, Index, IndexError};
use super::toolchain::{ToolchainError, ToolchainFacts, build_command, target};
use crate::config::{Architecture, Config};
use crate::infra::plan::ArtifactFile;
use crate::infra::stacks::{ArtifactRef, ArtifactSet};

/// What code and layer may have together, unpacked (Lambda quotas: 250 MB).
pub const UNPACKED_BYTES_MAX: u64 = 250 * 1024 * 1024;
/// The database's name in its layer; functions find it below `/opt`.
pub(super) const DATABASE_NAME: &str = "ipgeo.mmdb";
/// The name of the note beside it: what it is, under which licence, of which date.
pub(super) const NOTE_NAME: &str = "ipgeo.txt";

/// Where artifacts come from.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// The function's program or zip, brought by the operator.
    pub artifact: Option<&'a Path>,
    /// The compiled geo database.
    pub database: &'a Path,
    /// A folder of this project's sources, to build the function from.
    pub project: Option<PathBuf>,
}

/// Artifacts, ready to be uploaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// As stacks name them.
    pub set: ArtifactSet,
    /// The zips.
    pub files: Vec<ArtifactFile>,
}

/// Why there are no artifacts.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The function can't be built here.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// No sources to build from.
    #[error(
        "the sources of ipgeo are not here, so the function can't be built; bring it with --artifact FILE"
    )]
    NoProject,
    /// The build failed.
    #[error("`cargo {0}` failed")]
    Build(String),
    /// A program can't be started.
    #[error("`{program}` can't be started")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The program is not Lambda's.
    #[error("{path} can't be the function's program")]
    Program {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: ElfError,
    },
    /// The geo database can't be read.
    #[error("{path} is no geo database of ipgeo")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: GeoError,
    },
    /// Too large.
    #[error(
        "code and geo database have {found} MB unpacked, and Lambda takes {limit} MB; compile fewer sources",
        found = .0.div_ceil(1024 * 1024), limit = UNPACKED_BYTES_MAX / 1024 / 1024
    )]
    TooLarge(u64),
    /// One program for two processors.
    #[error("--artifact is one program, and regions.toml asks for two architectures; make them one")]
    TwoArchitectures,
    /// A zip can't be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The index can't be written.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Makes the artifacts of a configuration; what was zipped before is not zipped again.
pub fn prepare(
    config: &Config,
    sources: &Sources<'_>,
    tell: &dyn Fn(&str),
) -> Result<Prepared, PrepareError> {
    let mut index = Index::read(sources.state);
    let folder = Index::folder(sources.state);
    let architectures: BTreeSet<&'static str> =
        config.regions.iter().map(|region| region.runtime.architecture.as_str()).collect();
    if sources.artifact.is_some() && architectures.len() > 1 {
        return Err(PrepareError::TwoArchitectures);
    }
    let geo = geo_zip(config, sources.database, index.geo.take(), &folder, tell)?;
    let mut files = vec![file_of("geo", &geo, &folder)];
    let mut set = ArtifactSet {
        code: std::collections::BTreeMap::new(),
        geo: ArtifactRef::new("geo", &geo.digest),
        geo_description: geo.description.clone(),
    };
    let geo_bytes = geo.unpacked_bytes;
    index.geo = Some(geo);
    for architecture in [Architecture::Arm64, Architecture::X86_64] {
        let name = architecture.as_str();
        if !architectures.contains(name) {
            continue;
        }
        let program = match sources.artifact {
            Some(path) => path.to_owned(),
            None => build(architecture, sources, tell)?,
        };
        let code = code_zip(&program, architecture, index.code.remove(name), &folder)?;
        if code.unpacked_bytes + geo_bytes > UNPACKED_BYTES_MAX {
            return Err(PrepareError::TooLarge(code.unpacked_bytes + geo_bytes));
        }
        files.push(file_of("code", &code, &folder));
        set.code.insert(name, ArtifactRef::new("code", &code.digest));
        index.code.insert(name.to_owned(), code);
    }
    index.write(sources.state)?;
    Ok(Prepared { set, files })
}

pub(super) fn file_of(kind: &str, built: &Built, folder: &Path) -> ArtifactFile {
    let file = folder.join(format!("{}.zip", built.digest));
    let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    ArtifactFile { artifact: ArtifactRef::new(kind, &built.digest), file, bytes }
}

/// What was zipped before from the same input, if the zip is still there.
fn known(before: Option<Built>, input: &str, folder: &Path) -> Option<Built> {
    before.filter(|built| built.input == input && folder.join(format!("{}.zip", built.digest)).is_file())
}

pub(super) fn geo_zip(
    config: &Config,
    database: &Path,
    before: Option<Built>,
    folder: &Path,
    tell: &dyn Fn(&str),
) -> Result<Built, PrepareError> {
    let broken = |source| PrepareError::Database { path: database.to_owned(), source };
    let info = Database::open(database).map_err(broken)?.info().clone();
    let geo = &config.geo;
    let about = format!(
        "{}\nlicence: {}\ndate: {}\n{} {}\n",
        geo.name, geo.licence, info.date, geo.attribution, geo.attribution_link
    );
    let input = format!("{} {}", digest_of(database)?, hex::encode(about.as_bytes()));
    if let Some(built) = known(before, &input, folder) {
        return Ok(built);
    }
    tell("zipping the geo database");
    let description = format!("{} {}", info.name, info.date);
    let unpacked_bytes = length(database)? + about.len() as u64;
    let entries = vec![Entry::file(DATABASE_NAME, database, false), Entry::text(NOTE_NAME, about)];
    let (digest, _) = bundle(entries, folder)?;
    Ok(Built { input, digest, unpacked_bytes, description })
}

fn length(path: &Path) -> Result<u64, BundleError> {
    let metadata = std::fs::metadata(path);
    metadata.map(|m| m.len()).map_err(|source| BundleError::File { path: path.to_owned(), source })
}

fn code_zip(
    program: &Path,
    architecture: Architecture,
    before: Option<Built>,
    folder: &Path,
) -> Result<Built, PrepareError> {
    let unreadable = |source| BundleError::File { path: program.to_owned(), source };
    let bytes = unzipped(std::fs::read(program).map_err(unreadable)?);
    check_bootstrap(&bytes, architecture)
        .map_err(|source| PrepareError::Program { path: program.to_owned(), source })?;
    let input = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    if let Some(built) = known(before, &input, folder) {
        return Ok(built);
    }
    let unpacked_bytes = bytes.len() as u64;
    // The bytes may come out of a zip: they are zipped anew, so that the name depends on the program alone.
    std::fs::create_dir_all(folder).map_err(unreadable)?;
    let unpacked = tempfile::NamedTempFile::new_in(folder).map_err(unreadable)?;
    std::fs::write(unpacked.path(), &bytes).map_err(unreadable)?;
    let (digest, _) = bundle(vec![Entry::file("bootstrap", unpacked.path(), true)], folder)?;
    let description = format!("ipgeo {} for {}", env!("CARGO_PKG_VERSION"), architecture.as_str());
    Ok(Built { input, digest, unpacked_bytes, description })
}

/// The program in a zip, or what was not a zip as it is.
fn unzipped(bytes: Vec<u8>) -> Vec<u8> {
    let program = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).ok().and_then(|mut zip| {
        let file = zip.by_name("bootstrap").ok()?;
        let mut program = Vec::new();
        // One byte more than allowed is enough to see that it is too large.
        let mut limited = std::io::Read::take(file, UNPACKED_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut limited, &mut program).ok()?;
        Some(program)
    });
    program.unwrap_or(bytes)
}

fn build(
    architecture: Architecture,
    sources: &Sources<'_>,
    tell: &dyn Fn(&str),
) -> Result<PathBuf, PrepareError> {
    let project = sources.project.as_deref().ok_or(PrepareError::NoProject)?;
    let facts = facts(architecture)?;
    let folder = project.join("target").join("lambda");
    let command = build_command(architecture, &facts, &folder.to_string_lossy())?;
    let line = command.arguments.join(" ");
    tell(&format!("building the function: cargo {line}"));
    let status = Command::new("cargo").args(&command.arguments).current_dir(project).status();
    let status = status.map_err(|source| PrepareError::Start { program: "cargo", source })?;
    if !status.success() {
        return Err(PrepareError::Build(line));
    }
    Ok(folder.join(command.program))
}

fn facts(architecture: Architecture) -> Result<ToolchainFacts, PrepareError> {
    let ask = |program: &'static str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_err(|source| PrepareError::Start { program, source })
    };
    let version = ask("rustc", &["-vV"])?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    let zigbuild = ask("cargo", &["zigbuild", "--version"]).is_ok_and(|output| output.status.success());
    let folder = ask("rustc", &["--print", "target-libdir", "--target", target(architecture)])?;
    let folder = String::from_utf8_lossy(&folder.stdout).trim().to_owned();
    let has_target = !folder.is_empty() && Path::new(&folder).is_dir();
    Ok(ToolchainFacts { host, zigbuild, has_target })
}
