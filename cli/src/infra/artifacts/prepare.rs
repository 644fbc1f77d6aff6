//! Prepares the artifacts: builds the function or takes a built one, checks it, zips it and the geo database, and checks
//! both against Lambda's size limit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipgeo_geo::{Database, GeoError};

use super::bootstrap::{NoBootstrap, Origin, OtherRelease, check_release};
use super::bundle::{BundleError, Entry, bundle, digest_of};
use super::elf::{ElfError, check_bootstrap};
use super::index::{Built, Index, IndexError};
use super::toolchain::{ToolchainError, ToolchainFacts, build_command, target};
use crate::config::{Architecture, Config};
use crate::infra::plan::ArtifactFile;
use crate::infra::stacks::{ArtifactRef, ArtifactSet};

/// Maximum unpacked size of code and layer together (Lambda quotas: 250 MB).
pub(crate) const UNPACKED_BYTES_MAX: u64 = 250 * 1024 * 1024;
/// The database's name in its layer; functions find it below `/opt`.
pub(super) const DATABASE_NAME: &str = "ipgeo.mmdb";
/// The name of the note in the same zip: name, licence, date and attribution of the data.
pub(super) const NOTE_NAME: &str = "ipgeo.txt";

/// Where artifacts come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources<'a> {
    pub state: &'a Path,
    /// The function's program or zip, from `--artifact`.
    pub artifact: Option<&'a Path>,
    pub database: &'a Path,
    /// A source tree of ipgeo, to build the function from.
    pub project: Option<PathBuf>,
    /// This program's file, symbolic links resolved: a release archive has bootstraps in the same folder.
    pub executable: Option<PathBuf>,
}

/// Artifacts, ready to be uploaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    pub set: ArtifactSet,
    pub files: Vec<ArtifactFile>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    #[error(transparent)]
    NoBootstrap(#[from] NoBootstrap),
    #[error(transparent)]
    OtherRelease(#[from] OtherRelease),
    #[error("`cargo {0}` failed")]
    Build(String),
    #[error(
        "cannot start `{program}` to build the function\nhelp: install Rust, or pass a built program with --artifact FILE"
    )]
    Start { program: &'static str, source: std::io::Error },
    #[error(
        "cannot read {path}\nhelp: pass --artifact the function's program `bootstrap`, or a zip that contains it"
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a valid program for the function")]
    Program { path: PathBuf, source: ElfError },
    #[error("{path} is not a compiled geo database of ipgeo")]
    Database { path: PathBuf, source: GeoError },
    #[error(
        "code and geo database are too large: {found} MB unpacked, Lambda allows {limit} MB\n\
         help: compile fewer sources",
        found = .0.div_ceil(1024 * 1024), limit = UNPACKED_BYTES_MAX / 1024 / 1024
    )]
    TooLarge(u64),
    #[error(
        "--artifact gives one program, but regions.toml has two architectures\n\
         help: use one `architecture` for all regions"
    )]
    TwoArchitectures,
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Prepares the artifacts of a configuration; unchanged ones are not zipped again.
pub(crate) fn prepare(
    config: &Config,
    sources: &Sources<'_>,
    report: &dyn Fn(&str),
) -> Result<Prepared, PrepareError> {
    let mut index = Index::read(sources.state);
    let folder = Index::folder(sources.state);
    let architectures: BTreeSet<&'static str> =
        config.regions.iter().map(|region| region.runtime.architecture.as_str()).collect();
    if sources.artifact.is_some() && architectures.len() > 1 {
        return Err(PrepareError::TwoArchitectures);
    }
    // First, because zipping takes seconds and this fails at once.
    let (project, executable) = (sources.project.as_deref(), sources.executable.as_deref());
    let mut origins = Vec::new();
    for architecture in [Architecture::Arm64, Architecture::X86_64] {
        if architectures.contains(architecture.as_str()) {
            let is_file = |path: &Path| path.is_file();
            let origin = Origin::find(sources.artifact, project, executable, architecture, &is_file)?;
            origins.push((architecture, origin));
        }
    }
    let geo = geo_zip(config, sources.database, index.geo.take(), &folder, report)?;
    let mut files = vec![file_of("geo", &geo, &folder)];
    let mut set = ArtifactSet {
        code: std::collections::BTreeMap::new(),
        geo: ArtifactRef::new("geo", &geo.digest),
        geo_description: geo.description.clone(),
    };
    let geo_bytes = geo.unpacked_bytes;
    index.geo = Some(geo);
    for (architecture, origin) in origins {
        let name = architecture.as_str();
        let program = program(&origin, architecture, report)?;
        let code = code_zip(&program, architecture, index.code.remove(name), &folder, report)?;
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

/// The last zip, if it was made from the same input and is still what its name says.
fn known(before: Option<Built>, input: &str, folder: &Path, report: &dyn Fn(&str)) -> Option<Built> {
    let built = before.filter(|built| built.input == input)?;
    let file = folder.join(format!("{}.zip", built.digest));
    let intact = is_intact(&file, &built.digest);
    if intact == Some(false) {
        report(&format!("{} is damaged; creating it again", file.display()));
    }
    intact.filter(|intact| *intact).map(|_| built)
}

/// Whether a zip has the content that its name promises; `None`: it does not exist or can't be read.
pub(super) fn is_intact(zip: &Path, digest: &str) -> Option<bool> {
    digest_of(zip).ok().map(|found| found == digest)
}

pub(super) fn geo_zip(
    config: &Config,
    database: &Path,
    before: Option<Built>,
    folder: &Path,
    report: &dyn Fn(&str),
) -> Result<Built, PrepareError> {
    let broken = |source| PrepareError::Database { path: database.to_owned(), source };
    let info = Database::open(database).map_err(broken)?.info().clone();
    let geo = &config.geo;
    let about = format!(
        "{}\nlicence: {}\ndate: {}\n{} {}\n",
        geo.name, geo.licence, info.date, geo.attribution, geo.attribution_link
    );
    let input = format!("{} {}", digest_of(database)?, hex::encode(about.as_bytes()));
    if let Some(built) = known(before, &input, folder, report) {
        return Ok(built);
    }
    report("zipping the geo database");
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

/// Reads or builds the function's program and checks it.
fn program(
    origin: &Origin,
    architecture: Architecture,
    report: &dyn Fn(&str),
) -> Result<Vec<u8>, PrepareError> {
    let path = match origin {
        Origin::Given(path) | Origin::Shipped(path) => path.clone(),
        Origin::Built(project) => build(architecture, project, report)?,
    };
    let bytes =
        std::fs::read(&path).map_err(|source| PrepareError::Unreadable { path: path.clone(), source })?;
    let bytes = unzipped(bytes);
    check_bootstrap(&bytes, architecture)
        .map_err(|source| PrepareError::Program { path: path.clone(), source })?;
    if let Origin::Shipped(path) = origin {
        check_release(path, &bytes)?;
    }
    Ok(bytes)
}

fn code_zip(
    bytes: &[u8],
    architecture: Architecture,
    before: Option<Built>,
    folder: &Path,
    report: &dyn Fn(&str),
) -> Result<Built, PrepareError> {
    let input = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    if let Some(built) = known(before, &input, folder, report) {
        return Ok(built);
    }
    let unpacked_bytes = bytes.len() as u64;
    // Zip again even if the program came in a zip, so that the name depends on the program alone.
    let failed = |source| BundleError::file(folder, source);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let unpacked = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::fs::write(unpacked.path(), bytes).map_err(failed)?;
    let (digest, _) = bundle(vec![Entry::file("bootstrap", unpacked.path(), true)], folder)?;
    let description = format!("ipgeo {} for {}", env!("CARGO_PKG_VERSION"), architecture.as_str());
    Ok(Built { input, digest, unpacked_bytes, description })
}

/// The program in a zip; bytes that are not a zip are returned unchanged.
fn unzipped(bytes: Vec<u8>) -> Vec<u8> {
    let program = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).ok().and_then(|mut zip| {
        let file = zip.by_name("bootstrap").ok()?;
        let mut program = Vec::new();
        // One byte above the limit is enough to detect excess.
        let mut limited = std::io::Read::take(file, UNPACKED_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut limited, &mut program).ok()?;
        Some(program)
    });
    program.unwrap_or(bytes)
}

fn build(architecture: Architecture, project: &Path, report: &dyn Fn(&str)) -> Result<PathBuf, PrepareError> {
    let facts = facts(architecture)?;
    let folder = project.join("target").join("lambda");
    let command = build_command(architecture, &facts, &folder.to_string_lossy())?;
    let line = command.arguments.join(" ");
    report(&format!("building the function: cargo {line}"));
    let status = Command::new("cargo").args(&command.arguments).current_dir(project).status();
    let status = status.map_err(|source| PrepareError::Start { program: "cargo", source })?;
    if !status.success() {
        return Err(PrepareError::Build(line));
    }
    Ok(folder.join(command.program))
}

fn facts(architecture: Architecture) -> Result<ToolchainFacts, PrepareError> {
    let run = |program: &'static str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_err(|source| PrepareError::Start { program, source })
    };
    let version = run("rustc", &["-vV"])?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    let zigbuild = run("cargo", &["zigbuild", "--version"]).is_ok_and(|output| output.status.success());
    let folder = run("rustc", &["--print", "target-libdir", "--target", target(architecture)])?;
    let folder = String::from_utf8_lossy(&folder.stdout).trim().to_owned();
    let has_target = !folder.is_empty() && Path::new(&folder).is_dir();
    Ok(ToolchainFacts { host, zigbuild, has_target })
}
