//! What `regions.toml` may contain. Each field is described once, here: its name, type, default, range, format and
//! documentation. The checks with places (`check`), the JSON Schema for editors (`schema`) and the comments that
//! `ipgeo init` writes are derived from these structs, so a new field needs no second entry anywhere.
//!
//! Defaults and ranges must be written as serde and schemars attributes or in `Default`, not in the text.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use ipgeo_contract::{Limit, QUIET_PERMILLE_MAX, Rate, RateLimit, Rates, RegionName, Thresholds};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::geo::Geo;

/// Settings of an ipgeo service.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "regions.toml")]
pub(super) struct File {
    pub service: Service,
    // Kept as a table: each region's own fields override it.
    #[serde(default)]
    #[schemars(with = "RuntimeSettings")]
    pub runtime: toml::Table,
    #[serde(default)]
    pub compat: Compat,
    #[serde(default)]
    pub web: Web,
    #[serde(default)]
    pub geo: Geo,
    pub tiers: Tiers,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub deploy: Deploy,
    #[serde(default)]
    pub alarms: Alarms,
    #[serde(default)]
    pub alerts: Alerts,
    pub emulator: Option<Emulator>,
    /// The AWS regions to deploy to, by AWS name. Fields of a region override those of `[runtime]`.
    #[schemars(
        with = "BTreeMap<String, RuntimeSettings>",
        extend("minProperties" = 1, "propertyNames" = {"format": "aws-region"})
    )]
    pub regions: BTreeMap<String, toml::Table>,
}

/// A valid `regions.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub service: Service,
    pub compat: Compat,
    pub web: Web,
    pub geo: Geo,
    pub tiers: Tiers,
    pub usage: Usage,
    pub deploy: Deploy,
    pub alarms: Alarms,
    pub alerts: Alerts,
    pub emulator: Option<Emulator>,
    /// Regions in file order; the home region is one of them.
    pub regions: Vec<Region>,
}

impl Config {
    /// In the order of the file.
    pub fn region_names(&self) -> impl Iterator<Item = &RegionName> {
        self.regions.iter().map(|region| &region.name)
    }

    pub fn home(&self) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == self.service.home)
    }
}

/// The service: its names, domain and home region.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Prefix of the name of every AWS resource.
    #[schemars(length(min = 2, max = 20), extend("format" = "resource-name"))]
    pub name: String,
    /// Separates services in one account, such as `prod` and `staging`.
    #[serde(default = "prod")]
    #[schemars(length(min = 2, max = 12), extend("format" = "resource-name"))]
    pub environment: String,
    /// Number of the only AWS account that may be used, such as `123456789012`. Credentials of another account are
    /// refused before anything else.
    #[schemars(extend("format" = "aws-account"))]
    pub account: Option<String>,
    /// Domain of the API, such as `api.example.com`. Without it, each region has only its own endpoint.
    #[schemars(extend("format" = "certified-domain"))]
    pub domain: Option<String>,
    /// Name of the Route 53 hosted zone that contains `domain`, or its ID (`Z…`) if several public zones have that name.
    #[schemars(extend("format" = "hosted-zone"))]
    pub hosted_zone: Option<String>,
    /// Region of the ledger, the usage stream and the usage function. It cannot be changed later.
    #[schemars(with = "String")]
    pub home: RegionName,
    /// ARN of the permissions boundary of every role that the service creates. With it, whoever has the policies of
    /// `ipgeo iam policy` can create no role with other rights.
    #[schemars(extend("format" = "policy-arn"))]
    pub permissions_boundary: Option<String>,
    /// Prefix of every API key.
    #[serde(default = "ipg")]
    #[schemars(length(min = 2, max = 16), extend("format" = "key-prefix"))]
    pub key_prefix: String,
}

fn prod() -> String {
    "prod".to_owned()
}

fn ipg() -> String {
    "ipg".to_owned()
}

impl Service {
    /// Prefix of the names of all resources: `ipgeo-prod`.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.name, self.environment)
    }

    pub fn access_table(&self) -> String {
        format!("{}-{}-access", self.name, self.environment)
    }

    pub fn ledger_table(&self) -> String {
        format!("{}-{}-ledger", self.name, self.environment)
    }
}

/// What browsers get from the API. `curl`, other programs and official clients always get JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Serve browsers a page at `/` with their address, its place and a lookup form, and documentation at `/docs`. Pages are
    /// not counted; lookups on them are ordinary anonymous calls.
    pub page: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self { page: true }
    }
}

/// How usage is counted: lower cost against stricter and faster limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Seconds that usage lines are collected before they are counted. Limits take effect that much later.
    #[schemars(range(min = 0, max = 300))]
    pub window_s: u32,
    /// Share of an anonymous limit, in thousandths, that a function instance allows without reading the access table
    /// and charges to the pooled anonymous callers. 0: every address and site is counted on its own.
    #[schemars(range(min = 0, max = QUIET_PERMILLE_MAX))]
    pub quiet_permille: u32,
    /// How CloudWatch Logs passes usage lines to the home region's stream: through a log `destination`, or by invoking a
    /// function in each region, the `forwarder`. A running service can be moved from one to the other.
    pub pipe: LogPipe,
}

impl Default for Usage {
    fn default() -> Self {
        Self { window_s: 300, quiet_permille: 4, pipe: LogPipe::Destination }
    }
}

/// How usage lines get from a region's log to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogPipe {
    /// A log destination. It costs nothing and needs no code.
    Destination,
    /// A function: the way that AWS documents within one account.
    Forwarder,
}

/// How a deploy watches what it changes, and what it retains for a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deploy {
    /// Seconds that a region's errors, throttles and p99 are watched after its probe; beyond a threshold, the deploy halts
    /// and rolls the region back. CloudWatch shows a minute's calls about a minute later. 0: they are not watched.
    #[schemars(range(min = 0, max = 3_600))]
    pub bake_s: u32,
    /// Versions of each function that are retained for `ipgeo rollback`, the serving one among them.
    #[schemars(range(min = 2, max = 50))]
    pub keep_versions: u32,
}

impl Default for Deploy {
    fn default() -> Self {
        Self { bake_s: 120, keep_versions: 5 }
    }
}

/// CloudWatch alarms. Three alarms of the home region are always created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// Create alarms in every region too. The first ten alarms of an account are free.
    pub edges: bool,
    /// Hours without any usage line in the stream after which an alarm of the home region goes off: callers are silent, or
    /// no line arrives. 0: no such alarm, since a new service may be silent for days. A scheduled `ipgeo probe` ends silence,
    /// so the alarm then watches the log pipes.
    #[schemars(range(min = 0, max = 24))]
    pub silence_h: u32,
    /// E-mail address that receives alarms. Without it, alarms only show in CloudWatch.
    #[schemars(extend("format" = "email"))]
    pub email: Option<String>,
}

/// Percentages of a limit at which an alert is sent by default.
const ALERT_PERCENTS: [u8; 2] = [80, 100];

/// Alerts about API keys that approach their limit, one per threshold and period.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Percentages of the limit; an empty list disables alerts.
    #[serde(deserialize_with = "thresholds")]
    #[schemars(
        with = "Vec<u8>",
        length(max = 10),
        inner(range(min = 1, max = 100)),
        extend("uniqueItems" = true, "default" = ALERT_PERCENTS)
    )]
    pub thresholds: Thresholds,
    /// E-mail address that receives alerts. Without it and `webhook`, alerts are only recorded.
    #[schemars(extend("format" = "email"))]
    pub email: Option<String>,
    /// HTTPS URL that alerts are posted to as JSON.
    #[schemars(extend("format" = "https-url"))]
    pub webhook: Option<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        let thresholds = Thresholds::new(ALERT_PERCENTS.to_vec()).unwrap_or_default();
        Self { thresholds, email: None, webhook: None }
    }
}

impl Alerts {
    /// Whether alerts are sent, not only recorded.
    pub fn are_sent(&self) -> bool {
        !self.thresholds.percents().is_empty() && (self.email.is_some() || self.webhook.is_some())
    }
}

/// An AWS emulator on this machine that is used instead of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// Loopback URL of the emulator, such as `http://127.0.0.1:4566`; functions use it too.
    #[schemars(extend("format" = "loopback-url"))]
    pub endpoint: String,
    /// Path of the compiled geo database, for emulators that do not unpack layers.
    pub geo_database: Option<PathBuf>,
    /// Create log destinations and subscriptions.
    #[serde(default = "yes")]
    pub log_pipe: bool,
}

fn yes() -> bool {
    true
}

/// Processor architecture of the Lambda function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// AWS Graviton; 20 % cheaper than `x86_64`.
    #[serde(rename = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Architecture {
    /// AWS's name: `arm64` or `x86_64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// The function and the API of every region. A region's own fields override these.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSettings {
    /// Memory of the function in MB.
    #[schemars(range(min = 128, max = 10_240))]
    pub memory_mb: u32,
    /// Processor architecture of the function.
    pub architecture: Architecture,
    /// Seconds that a function instance caches an access record: the longest delay until a created or revoked API key
    /// takes effect.
    #[schemars(range(min = 0, max = 3_600))]
    pub access_cache_s: u32,
    /// Timeout of one request in seconds.
    #[schemars(range(min = 1, max = 30))]
    pub timeout_s: u32,
    /// Maximum number of concurrent function instances; without it, the account's limit applies.
    #[schemars(range(min = 1, max = 10_000))]
    pub reserved_concurrency: Option<u32>,
    /// Requests per second that the API accepts.
    #[schemars(range(min = 1, max = 10_000))]
    pub throttle_rate: u32,
    /// Requests that the API accepts in a burst above `throttle_rate`.
    #[schemars(range(min = 1, max = 5_000))]
    pub throttle_burst: u32,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            memory_mb: 256,
            architecture: Architecture::Arm64,
            access_cache_s: 10,
            timeout_s: 5,
            reserved_concurrency: None,
            throttle_rate: 500,
            throttle_burst: 250,
        }
    }
}

/// How strictly the API follows ipdata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compat {
    /// HTTP status for an unknown API key: 401, or 403 as ipdata answers.
    #[schemars(extend("enum" = [401, 403]))]
    pub unknown_key_status: u16,
    /// HTTP status when the quota is exceeded: 429, or 403 as ipdata answers.
    #[schemars(extend("enum" = [429, 403]))]
    pub quota_status: u16,
    /// Accept API keys in other formats, such as those of a service you migrate from: 16 to 128 printable ASCII
    /// characters. Unknown keys in such a format then cost a table read before they are rejected.
    pub foreign_api_keys: bool,
}

impl Default for Compat {
    fn default() -> Self {
        Self { unknown_key_status: 401, quota_status: 429, foreign_api_keys: false }
    }
}

/// Price tiers: `anonymous` and at least one tier of API keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 2, "propertyNames" = {"format": "name"}))]
pub struct Tiers {
    /// Callers without an API key. They are counted by address and by site (the host of the Referer).
    pub anonymous: Anonymous,
    /// Tiers of API keys, in file order.
    #[serde(flatten, deserialize_with = "named_tiers")]
    #[schemars(with = "BTreeMap<String, Tier>")]
    pub paid: Vec<Tier>,
}

impl Tiers {
    /// A tier of API keys by name.
    pub fn find(&self, name: &str) -> Option<&Tier> {
        self.paid.iter().find(|tier| tier.name == name)
    }

    /// The short rates of anonymous callers and of every tier.
    pub fn rates(&self) -> Rates {
        let anonymous = &self.anonymous;
        let tiers = self.paid.iter().filter_map(|tier| Some((tier.name.clone(), tier.rate_limit()?)));
        Rates {
            address: rate_limit(anonymous.rate, anonymous.burst),
            site: rate_limit(anonymous.site_rate, anonymous.site_burst),
            tiers: tiers.collect(),
        }
    }
}

/// Limits of callers without an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// Calls per day and address, such as `1500/day`.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "String", extend("format" = "limit"))]
    pub limit: Limit,
    /// Calls of all visitors of one site together, such as `50k/day`; without it, the same as `limit`.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>", extend("format" = "limit"))]
    pub site_limit: Limit,
    /// Calls per second or minute and address beside `limit`, such as `10/s` or `600/min`; without it, only the limit applies.
    #[serde(default, deserialize_with = "parsed_rate")]
    #[schemars(with = "Option<String>", extend("format" = "rate"))]
    pub rate: Option<Rate>,
    /// Calls that may come at the same time after a pause; without it, those of one second, at least 2.
    #[schemars(range(min = 1, max = RateLimit::BURST_MAX))]
    pub burst: Option<u32>,
    /// The rate of all visitors of one site together; without it, only `site_limit` applies.
    #[serde(default, deserialize_with = "parsed_rate")]
    #[schemars(with = "Option<String>", extend("format" = "rate"))]
    pub site_rate: Option<Rate>,
    /// The burst of `site_rate`; without it, the calls of one second, at least 2.
    #[schemars(range(min = 1, max = RateLimit::BURST_MAX))]
    pub site_burst: Option<u32>,
}

impl Anonymous {
    /// Limits without rates.
    pub fn new(limit: Limit, site_limit: Limit) -> Self {
        Self { limit, site_limit, rate: None, burst: None, site_rate: None, site_burst: None }
    }
}

/// A tier of API keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    #[serde(skip)]
    pub name: String,
    /// Calls per day or month (UTC), such as `50k/day` or `100_000/month`.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "String", extend("format" = "limit"))]
    pub limit: Limit,
    /// Calls per second or minute of each API key beside `limit`, such as `10/s` or `600/min`; without it, only the limit applies.
    /// An API key's own rate replaces it.
    #[serde(default, deserialize_with = "parsed_rate")]
    #[schemars(with = "Option<String>", extend("format" = "rate"))]
    pub rate: Option<Rate>,
    /// Calls that may come at the same time after a pause; without it, those of one second, at least 2.
    #[schemars(range(min = 1, max = RateLimit::BURST_MAX))]
    pub burst: Option<u32>,
}

impl Tier {
    /// A tier without a rate.
    pub fn new(name: impl Into<String>, limit: Limit) -> Self {
        Self { name: name.into(), limit, rate: None, burst: None }
    }

    /// The short rate of each of its API keys.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        rate_limit(self.rate, self.burst)
    }
}

/// A rate with its burst, whose range the schema checks.
fn rate_limit(rate: Option<Rate>, burst: Option<u32>) -> Option<RateLimit> {
    RateLimit::new(rate?, burst).ok()
}

#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    pub name: RegionName,
    /// The nearest city.
    pub city: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its settings: its own fields, then those of `[runtime]`, then defaults.
    pub runtime: RuntimeSettings,
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(value: D) -> Result<T, D::Error> {
    String::deserialize(value)?.parse().map_err(D::Error::custom)
}

fn parsed_rate<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Rate>, D::Error> {
    parsed(value).map(Some)
}

fn thresholds<'de, D: Deserializer<'de>>(value: D) -> Result<Thresholds, D::Error> {
    Thresholds::new(Vec::deserialize(value)?).map_err(D::Error::custom)
}

fn named_tiers<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<Tier>, D::Error> {
    let tiers = BTreeMap::<String, Tier>::deserialize(value)?;
    Ok(tiers.into_iter().map(|(name, tier)| Tier { name, ..tier }).collect())
}
