//! Opens files for a build: databases are mapped, files of other formats are read.

use std::path::{Path, PathBuf};

use ipgeo_geo::compile::{
    BuildError, BuildSource, Parts, RangeFormat, RangeSet, Source, SourceData, SourceGives,
};

use crate::config::{Config, GeoSource, SourceFormat, SourcePart};

/// The default name of the file of corrections.
const OVERRIDES_NAME: &str = "overrides.csv";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    /// Its source in `regions.toml`; `None`: named by the operator.
    pub source: Option<GeoSource>,
}

impl From<PathBuf> for SourceFile {
    fn from(path: PathBuf) -> Self {
        Self { path, source: None }
    }
}

/// What a file holds, for a reader.
pub(super) struct SourceForm {
    pub format: SourceFormat,
    parts: Parts,
    /// Whether the source says what its networks are.
    labelled: bool,
    /// `None`: a database.
    pub ranges: Option<RangeFormat>,
}

impl SourceForm {
    /// The form of a file by its name and source.
    pub(super) fn new(name: &str, source: Option<&GeoSource>) -> Self {
        let format = match source {
            Some(source) => source.format_of(name),
            None => SourceFormat::by_name(name).unwrap_or(SourceFormat::Mmdb),
        };
        let paths = source.map(|source| source.paths.clone()).unwrap_or_default();
        let ranges = match format {
            SourceFormat::Mmdb => None,
            SourceFormat::Csv => Some(RangeFormat::Csv),
            SourceFormat::List => Some(RangeFormat::List),
            SourceFormat::Json => Some(RangeFormat::Json(paths)),
            SourceFormat::Geofeed => Some(RangeFormat::Geofeed),
        };
        let parts = match source.and_then(|source| source.takes.as_ref()) {
            None => Parts::ALL,
            Some(takes) => Parts {
                country: takes.contains(&SourcePart::Country),
                city: takes.contains(&SourcePart::City),
                asn: takes.contains(&SourcePart::Asn),
            },
        };
        let labelled = source.is_some_and(|source| source.gives != SourceGives::default());
        Self { format, parts, labelled, ranges }
    }

    /// Reads a file that is not a database.
    pub(super) fn read(&self, path: &Path, format: &RangeFormat) -> Result<RangeSet, BuildError> {
        RangeSet::read(path, format, self.parts, self.labelled)
    }
}

impl SourceFile {
    /// Its name: that of its source, otherwise its path.
    pub(super) fn name(&self) -> String {
        match &self.source {
            Some(source) => source.name.clone(),
            None => self.path.display().to_string(),
        }
    }

    pub(super) fn form(&self) -> SourceForm {
        SourceForm::new(&self.path.to_string_lossy(), self.source.as_ref())
    }

    pub(super) fn open(&self) -> Result<BuildSource, BuildError> {
        let form = self.form();
        let data = match &form.ranges {
            None => SourceData::Mmdb(Source::open(&self.path)?.only(form.parts)),
            Some(format) => SourceData::Ranges(form.read(&self.path, format)?),
        };
        let gives = self.source.as_ref().map(|source| source.gives.clone()).unwrap_or_default();
        Ok(BuildSource { name: self.name(), data, gives })
    }
}

/// The file of corrections; `base` is the folder of `regions.toml`.
pub(crate) fn overrides_file(config: &Config, base: &Path) -> PathBuf {
    base.join(config.geo.overrides.as_deref().unwrap_or(Path::new(OVERRIDES_NAME)))
}

/// The file of corrections if it exists, or if `regions.toml` names it.
pub(crate) fn overrides_path(config: &Config, base: &Path) -> Option<PathBuf> {
    let file = overrides_file(config, base);
    (config.geo.overrides.is_some() || file.is_file()).then_some(file)
}

pub(super) fn open_overrides(path: &Path) -> Result<BuildSource, BuildError> {
    let ranges = RangeSet::read(path, &RangeFormat::Corrections, Parts::ALL, false)?;
    let name = "overrides".to_owned();
    Ok(BuildSource { name, data: SourceData::Ranges(ranges), gives: SourceGives::default() })
}
