//! `[geo]`: the sources of geo data, what each gives and under which terms. Part of `model`, with the same rules.

use std::path::PathBuf;

use ipgeo_geo::compile::{Flags, JsonPath, NetworkUse, SourceGives};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The geo data. Without it, a small sample is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Geo {
    /// Name of the data set.
    pub name: String,
    /// Licence of the sources that name none.
    pub licence: String,
    /// Attribution that the licence requires; sent with every response.
    pub attribution: String,
    /// URL that the attribution links to.
    #[schemars(extend("format" = "web-url"))]
    pub attribution_link: String,
    /// CSV file of corrections, relative to regions.toml; default: overrides.csv, if it exists. They win over all sources.
    pub overrides: Option<PathBuf>,
    /// Sources; earlier ones take precedence. Geofeeds come before all others, the newest first.
    #[schemars(with = "Vec<SourceFields>")]
    pub sources: Vec<GeoSource>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "SourceFields")]
pub struct GeoSource {
    pub name: String,
    pub origin: Origin,
    /// The format of all its files; `None`: by their names.
    pub format: Option<SourceFormat>,
    /// Where the networks are in its JSON.
    pub paths: Vec<JsonPath>,
    /// What of its data is taken; `None`: everything.
    pub takes: Option<Vec<SourcePart>>,
    /// What all its networks are.
    pub gives: SourceGives,
    /// Whether a fetch goes on without it.
    pub optional: bool,
    /// Its own terms; `None`: those of `[geo]`.
    pub terms: Option<SourceTerms>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTerms {
    pub licence: String,
    pub attribution: String,
    pub attribution_link: String,
}

/// Where a source is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A local file; the path is relative to `regions.toml`.
    File(PathBuf),
    /// A URL template.
    Url(String),
    /// Files of a package.
    Package {
        registry: Registry,
        /// The package, optionally with a version.
        package: String,
        /// Paths in the package.
        files: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    Npm,
    Pypi,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// A `MaxMind` DB file.
    Mmdb,
    /// Rows that begin with a first and last address, or with a network.
    Csv,
    /// A network, address or range a line.
    List,
    /// Networks at the paths of `path`.
    Json,
    /// RFC 8805: networks and where they are, as their owners publish it.
    Geofeed,
}

/// A part of a source's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourcePart {
    /// Country and continent.
    Country,
    /// Everything about the place, the country too.
    City,
    /// The autonomous system.
    Asn,
}

/// The kind of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum NetworkKind {
    /// Servers for rent; its addresses get `is_datacenter`.
    Hosting,
    /// A content delivery network.
    Cdn,
    /// A company's own network.
    Business,
    /// An internet provider for homes.
    Isp,
    /// A university or school.
    Education,
    /// A government's network.
    Government,
}

impl NetworkKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hosting => "hosting",
            Self::Cdn => "cdn",
            Self::Business => "business",
            Self::Isp => "isp",
            Self::Education => "education",
            Self::Government => "government",
        }
    }
}

/// A source: exactly one of `file`, `url`, `npm` and `pypi`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SourceFields {
    /// Name of the folder that the source is stored in.
    #[schemars(extend("format" = "name"))]
    name: String,
    /// Path of a local file, relative to regions.toml.
    file: Option<PathBuf>,
    /// URL of a file, also packed as .gz; {YYYY} and {MM} are replaced by the year and month, ${NAME} by an environment variable.
    #[schemars(extend("format" = "source-url"))]
    url: Option<String>,
    /// npm package, optionally with @version.
    #[schemars(extend("format" = "npm-package"))]
    npm: Option<String>,
    /// PyPI package, optionally with ==version.
    #[schemars(extend("format" = "pypi-package"))]
    pypi: Option<String>,
    /// Paths of the files in the package.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "source-file"}))]
    files: Vec<String>,
    /// Format of the files; default: by their names, otherwise mmdb.
    #[serde(default)]
    #[schemars(with = "SourceFormat")]
    format: Option<SourceFormat>,
    /// Where the networks are in a JSON file: members with `.` between them, `[]` for every element, `*` for every member; several with `,`.
    #[schemars(extend("format" = "json-path"))]
    path: Option<String>,
    /// What is taken of a database or CSV file; default: everything. An empty list takes only the networks.
    gives: Option<Vec<SourcePart>>,
    /// Flags that all its networks have, such as `is_tor`.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "threat-flag"}))]
    flags: Vec<String>,
    /// What all its networks are used for.
    #[serde(default)]
    #[schemars(with = "NetworkFields")]
    network: Option<NetworkFields>,
    /// The crawler that uses its networks, as published by its operator.
    #[serde(default)]
    #[schemars(with = "CrawlerFields")]
    crawler: Option<CrawlerFields>,
    /// The blocklist that it is: its name is served with its flags.
    #[serde(default)]
    #[schemars(with = "BlocklistFields")]
    blocklist: Option<BlocklistFields>,
    /// If it is unavailable or invalid, keep the previous copy and print a warning.
    #[serde(default)]
    optional: bool,
    /// Its licence; default: that of `[geo]`, with its attribution.
    licence: Option<String>,
    /// Attribution that its licence requires.
    attribution: Option<String>,
    /// URL that its attribution links to.
    #[schemars(extend("format" = "web-url"))]
    attribution_link: Option<String>,
}

/// The use of a network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NetworkFields {
    /// Kind of network.
    r#type: NetworkKind,
    /// Name, such as `Amazon AWS`.
    #[serde(default)]
    name: String,
    /// Domain, such as `amazon.com`.
    #[serde(default)]
    domain: String,
}

/// A crawler.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CrawlerFields {
    /// Name, such as `Googlebot`.
    name: String,
    /// Operator, such as `Google`.
    operator: String,
}

/// A blocklist.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BlocklistFields {
    /// Name, such as `Spamhaus DROP`.
    name: String,
    /// URL of its operator.
    #[serde(default)]
    #[schemars(extend("format" = "web-url"))]
    site: String,
    /// What it lists, such as `spam`.
    #[serde(default)]
    r#type: String,
}

/// The paths of a `path`; the error says which is invalid.
pub(super) fn json_paths(text: &str) -> Result<Vec<JsonPath>, String> {
    text.split(',').map(|path| path.trim().parse()).collect()
}

impl From<SourceFields> for GeoSource {
    fn from(fields: SourceFields) -> Self {
        let package = |registry, package| Origin::Package { registry, package, files: fields.files };
        let origin = match (fields.file, fields.url, fields.npm) {
            (Some(path), ..) => Origin::File(path),
            (None, Some(url), _) => Origin::Url(url),
            (None, None, Some(name)) => package(Registry::Npm, name),
            (None, None, None) => package(Registry::Pypi, fields.pypi.unwrap_or_default()),
        };
        let own = [&fields.licence, &fields.attribution, &fields.attribution_link];
        let terms = own.iter().any(|field| field.is_some()).then(|| SourceTerms {
            licence: fields.licence.unwrap_or_default(),
            attribution: fields.attribution.unwrap_or_default(),
            attribution_link: fields.attribution_link.unwrap_or_default(),
        });
        let flags = fields.flags.iter().filter_map(|flag| Flags::named(flag));
        let gives = SourceGives {
            flags: flags.fold(Flags::default(), Flags::with),
            network: fields.network.map(|network| NetworkUse {
                kind: network.r#type.as_str().to_owned(),
                name: network.name,
                domain: network.domain,
            }),
            crawler: fields.crawler.map(|crawler| ipgeo_geo::compile::Crawler {
                name: crawler.name,
                operator: crawler.operator,
            }),
            blocklist: fields.blocklist.map(|list| ipgeo_geo::compile::Blocklist {
                name: list.name,
                site: list.site,
                kind: list.r#type,
            }),
        };
        Self {
            name: fields.name,
            origin,
            format: fields.format,
            // The schema has checked them.
            paths: fields.path.and_then(|path| json_paths(&path).ok()).unwrap_or_default(),
            takes: fields.gives,
            gives,
            optional: fields.optional,
            terms,
        }
    }
}

impl SourceFormat {
    /// The format of a file by its name, without `.gz`.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "mmdb" => Some(Self::Mmdb),
            "csv" => Some(Self::Csv),
            "txt" | "list" | "netset" | "ipset" | "cidr" => Some(Self::List),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The ending of a file of this format.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mmdb => "mmdb",
            Self::Csv | Self::Geofeed => "csv",
            Self::List => "txt",
            Self::Json => "json",
        }
    }
}

impl GeoSource {
    /// The format of one of its files.
    pub fn format_of(&self, file: &str) -> SourceFormat {
        self.format.or_else(|| SourceFormat::by_name(file)).unwrap_or(SourceFormat::Mmdb)
    }

    /// Its terms.
    pub fn terms(&self, geo: &Geo) -> SourceTerms {
        self.terms.clone().unwrap_or_else(|| geo.terms())
    }
}

impl Geo {
    /// The terms of sources that have none of their own.
    pub fn terms(&self) -> SourceTerms {
        SourceTerms {
            licence: self.licence.clone(),
            attribution: self.attribution.clone(),
            attribution_link: self.attribution_link.clone(),
        }
    }
}
