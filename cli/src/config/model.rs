//! The checked result: whatever is in here is sound.

use std::path::PathBuf;

use ipgeo_contract::{Limit, Thresholds};

/// Everything that `regions.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is run, and where it is at home.
    pub service: Service,
    /// How strictly ipdata's behaviour is kept.
    pub compat: Compat,
    /// Where locations come from.
    pub geo: Geo,
    /// Price tiers.
    pub tiers: Tiers,
    /// How usage is counted.
    pub usage: Usage,
    /// Who is told when something is wrong.
    pub alarms: Alarms,
    /// Who is told when an API key nears its limit.
    pub alerts: Alerts,
    /// An emulator of AWS to speak to, in place of AWS.
    pub emulator: Option<Emulator>,
    /// Regions in file order, each with its settings resolved; home is one of them.
    pub regions: Vec<Region>,
}

/// What is run, and where it is at home.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Begins the name of everything that is made.
    pub name: String,
    /// `prod`, `staging`, …: several may live in one account.
    pub environment: String,
    /// The API's domain; without one the edges keep their own endpoints.
    pub domain: Option<String>,
    /// The Route 53 zone of the domain.
    pub hosted_zone: Option<String>,
    /// The home region's name.
    pub home: String,
    /// What every API key begins with.
    pub key_prefix: String,
}

impl Service {
    /// What the names of everything that is made begin with: `ipgeo-prod`.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.name, self.environment)
    }

    /// Name of the access table.
    pub fn access_table(&self) -> String {
        format!("{}-{}-access", self.name, self.environment)
    }

    /// Name of the ledger.
    pub fn ledger_table(&self) -> String {
        format!("{}-{}-ledger", self.name, self.environment)
    }
}

/// How usage is counted: what counting costs against how late and how roughly a limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Seconds that home gathers usage lines before it counts them; 0 to 300.
    pub window_s: u32,
    /// Thousandths of an anonymous limit that one environment charges to the crowd.
    pub quiet_permille: u32,
}

impl Default for Usage {
    fn default() -> Self {
        Self { window_s: 300, quiet_permille: 4 }
    }
}

/// Who is told when something is wrong. Home's three alarms are always there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Whether every edge has alarms too; they are billed beyond the account's first ten.
    pub edges: bool,
    /// Where alarms are sent to.
    pub email: Option<String>,
}

/// Who is told when an API key nears its limit, once for each threshold and period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Percents of the limit; none: nobody is told.
    pub thresholds: Thresholds,
    /// Where alerts are mailed to.
    pub email: Option<String>,
    /// The HTTPS address that alerts are posted to.
    pub webhook: Option<String>,
}

impl Alerts {
    /// Whether alerts are sent, and not only recorded.
    pub fn are_sent(&self) -> bool {
        !self.thresholds.percents().is_empty() && (self.email.is_some() || self.webhook.is_some())
    }
}

/// An emulator of AWS on this machine, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    /// Where all calls go, and the functions' too; always of this machine.
    pub endpoint: String,
    /// The compiled geo database, where layers are not unpacked.
    pub geo_database: Option<PathBuf>,
    /// Whether log destinations are made.
    pub log_pipe: bool,
}

/// The processor that the function is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// AWS Graviton; a fifth cheaper.
    Arm64,
    /// Intel and AMD.
    X86_64,
}

impl Architecture {
    /// AWS's word for it: `arm64`, `x86_64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// Settings of a region's function and API.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeSettings {
    /// Memory of the function, MB.
    pub memory_mb: u32,
    /// Its processor.
    pub architecture: Architecture,
    /// Seconds that it remembers an access record.
    pub access_cache_s: u32,
    /// Seconds that one request may take.
    pub timeout_s: u32,
    /// Environments at most at once; none: the account's limit.
    pub reserved_concurrency: Option<u32>,
    /// Requests a second that the API lets through.
    pub throttle_rate: u32,
    /// Requests at once above the rate.
    pub throttle_burst: u32,
}

/// How strictly ipdata's behaviour is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compat {
    /// Status for an unknown API key: 401, or 403.
    pub unknown_key_status: u16,
    /// Status for over quota: 429, or 403.
    pub quota_status: u16,
    /// Whether API keys of another form than ours are known: those of a service that moved here.
    pub foreign_api_keys: bool,
}

/// Where locations come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geo {
    /// The name of the data.
    pub name: String,
    /// Its licence.
    pub licence: String,
    /// The credit that the licence asks for; empty: none.
    pub attribution: String,
    /// Where the credit leads; may be empty.
    pub attribution_link: String,
    /// Source databases, the most trusted first.
    pub sources: Vec<GeoSource>,
}

/// A source database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoSource {
    /// Names its folder.
    pub name: String,
    /// Where it is fetched from.
    pub origin: Origin,
}

/// Where a source is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of this machine, by a path from `regions.toml`.
    File(PathBuf),
    /// An address, with `{YYYY}` and `{MM}` for the month; `.mmdb` or `.mmdb.gz`.
    Url(String),
    /// Files of an npm package.
    Npm {
        /// The package, perhaps with `@version`.
        package: String,
        /// The files in it.
        files: Vec<String>,
    },
}

/// Price tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers {
    /// Callers without an API key.
    pub anonymous: Anonymous,
    /// Tiers of API keys, in file order.
    pub paid: Vec<Tier>,
}

impl Tiers {
    /// A tier of API keys by name.
    pub fn find(&self, name: &str) -> Option<&Tier> {
        self.paid.iter().find(|tier| tier.name == name)
    }
}

/// The limits of callers without an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anonymous {
    /// By address; a day's.
    pub limit: Limit,
    /// By site (the Referer's host).
    pub site_limit: Limit,
}

/// A price tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Its limit.
    pub limit: Limit,
}

/// A region.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// AWS's name of it.
    pub name: String,
    /// The city that it is near.
    pub city: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its settings: its own, else those of `[runtime]`.
    pub runtime: RuntimeSettings,
}

impl Config {
    /// The home region.
    pub fn home(&self) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == self.service.home)
    }
}
