//! Getting source databases: from a file, an address, or an npm package; verified, then swapped in whole.

mod npm;
mod place;
mod url;

use std::path::{Path, PathBuf};

use ipgeo_runtime::geo::raw::{Layout, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Config, GeoSource, Origin};
use crate::geo::{self, About, Built, Progress};

pub use place::{Fetched, Outcome};

/// A source database is at most this large; more is a mistake, or somebody's bad joke.
const BYTES_MAX: u64 = 4 << 30;

/// Why a source was not fetched. What was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The configuration names none.
    #[error("regions.toml names no source; add one as [[geo.sources]]")]
    NoSource,
    /// A file of this machine can't be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address did not give the file.
    #[error("{url} could not be fetched")]
    Download {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `npm` is not there or failed.
    #[error("`npm pack {package}` failed; is npm installed? A source can be a `url` or a `file` instead")]
    Npm {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The package does not hold a file.
    #[error("the npm package {package} does not hold `{file}`")]
    NotInPackage {
        /// The package.
        package: String,
        /// The file.
        file: String,
    },
    /// What came is no database, or a strange one.
    #[error("what came for `{name}` is not used: {fault}")]
    Unsound {
        /// The source.
        name: String,
        /// What is wrong.
        fault: String,
    },
    /// It can't be compiled.
    #[error(transparent)]
    Build(#[from] geo::BuildError),
}

/// The folder of a source below the state folder.
fn folder(state: &Path, source: &GeoSource) -> PathBuf {
    state.join("geo").join("sources").join(&source.name)
}

/// The files that a source consists of once it is fetched.
fn files(state: &Path, source: &GeoSource) -> Vec<PathBuf> {
    let folder = folder(state, source);
    match &source.origin {
        Origin::Npm { files, .. } => {
            files.iter().map(|file| folder.join(Path::new(file).file_name().unwrap_or_default())).collect()
        }
        Origin::File(_) | Origin::Url(_) => vec![folder.join(format!("{}.mmdb", source.name))],
    }
}

/// The files of all sources, if every one of them is there.
pub fn fetched(config: &Config, state: &Path) -> Option<Vec<PathBuf>> {
    let files: Vec<PathBuf> = config.geo.sources.iter().flat_map(|source| files(state, source)).collect();
    (!files.is_empty() && files.iter().all(|file| file.is_file())).then_some(files)
}

/// Fetches every source. `here` is the folder that paths of `file` sources start from; `npm` the program
/// to run for npm packages.
pub fn fetch(
    config: &Config,
    here: &Path,
    state: &Path,
    npm: &Path,
    now: Timestamp,
) -> Result<Vec<Fetched>, FetchError> {
    if config.geo.sources.is_empty() {
        return Err(FetchError::NoSource);
    }
    let mut all = Vec::new();
    for source in &config.geo.sources {
        let folder = folder(state, source);
        std::fs::create_dir_all(&folder)
            .map_err(|error| FetchError::Write { path: folder.clone(), source: error })?;
        let targets = files(state, source);
        // Everything of a source is got and verified before anything of it is swapped in.
        let got = match &source.origin {
            Origin::File(path) => vec![place::copied(&here.join(path), &folder)?],
            Origin::Url(pattern) => vec![url::download(pattern, &folder, now)?],
            Origin::Npm { package, files } => npm::pack(npm, package, files, &folder)?,
        };
        for (file, target) in got.iter().zip(&targets) {
            place::verify(file.path(), target, &source.name)?;
        }
        for (file, target) in got.into_iter().zip(targets) {
            all.push(place::swap_in(file, &target, &source.name)?);
        }
    }
    Ok(all)
}

/// Compiles fetched sources into the database `out`.
pub fn compile(
    config: &Config,
    files: &[PathBuf],
    out: &Path,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<Built, FetchError> {
    let sources =
        files.iter().map(|file| geo::Source::open(file)).collect::<Result<Vec<geo::Source>, _>>()?;
    let about = About {
        name: config.geo.name.clone(),
        date: TimeZone::UTC.to_datetime(data_date(files).unwrap_or(now)).date().to_string(),
        licence: config.geo.licence.clone(),
        attribution: config.geo.attribution.clone(),
        attribution_link: config.geo.attribution_link.clone(),
        build_epoch: u64::try_from(now.as_second()).unwrap_or(0),
    };
    Ok(geo::build(&sources, &about, out, progress)?)
}

/// When the newest of the sources was made, by its own word.
fn data_date(files: &[PathBuf]) -> Option<Timestamp> {
    files
        .iter()
        .filter_map(|file| {
            let bytes = place::map(file).ok()?;
            let (_, metadata) = Layout::read(&bytes).ok()?;
            let epoch = metadata.get("build_epoch").and_then(Value::uint)?;
            Timestamp::from_second(i64::try_from(epoch).ok()?).ok()
        })
        .max()
}
