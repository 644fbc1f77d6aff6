//! Names of the environment variables that the operator's tool sets and the Lambda reads. AWS itself sets `AWS_REGION`, the
//! credentials and the Runtime API's address.

/// Which handler this function is: [`HANDLER_LOOKUP`], [`HANDLER_USAGE`] or [`HANDLER_FORWARD`].
pub const HANDLER: &str = "IPGEO_HANDLER";
/// Value of [`HANDLER`] at the edges.
pub const HANDLER_LOOKUP: &str = "lookup";
/// Value of [`HANDLER`] at home.
pub const HANDLER_USAGE: &str = "usage";
/// Value of [`HANDLER`] at edges whose log pipe is a forwarder.
pub const HANDLER_FORWARD: &str = "forward";
/// Name of the access table (lookup, usage).
pub const ACCESS_TABLE: &str = "IPGEO_ACCESS_TABLE";
/// Name of the ledger table (usage).
pub const LEDGER_TABLE: &str = "IPGEO_LEDGER_TABLE";
/// Path of the compiled geo database (lookup).
pub const GEO_DATABASE: &str = "IPGEO_GEO_DATABASE";
/// Seconds that an edge caches an access record, or its absence (lookup).
pub const ACCESS_CACHE_S: &str = "IPGEO_ACCESS_CACHE_S";
/// The anonymous tier's limit by address, such as `1500/day` (lookup).
pub const ANONYMOUS_LIMIT: &str = "IPGEO_ANONYMOUS_LIMIT";
/// The anonymous tier's limit by site, such as `1500/day` (lookup).
pub const ANONYMOUS_SITE_LIMIT: &str = "IPGEO_ANONYMOUS_SITE_LIMIT";
/// The short rates of anonymous callers and tiers, as [`crate::Rates`]; unset: no caller has a short rate (lookup).
pub const RATES: &str = "IPGEO_RATES";
/// Thousandths of an anonymous limit that are charged to the pooled anonymous callers; see [`crate::pooled_calls`] (lookup).
pub const QUIET_PERMILLE: &str = "IPGEO_QUIET_PERMILLE";
/// HTTP status for an unknown API key: 401, or 403 for strict ipdata behaviour (lookup).
pub const UNKNOWN_KEY_STATUS: &str = "IPGEO_UNKNOWN_KEY_STATUS";
/// HTTP status for requests over quota: 429, or 403 for strict ipdata behaviour (lookup).
pub const QUOTA_STATUS: &str = "IPGEO_QUOTA_STATUS";
/// `1` if API keys in other formats than ours may be stored: they are then looked up instead of refused (lookup).
pub const FOREIGN_API_KEYS: &str = "IPGEO_FOREIGN_API_KEYS";
/// `1` if browsers get pages at `/` and `/docs` (lookup).
pub const WEB_PAGE: &str = "IPGEO_WEB_PAGE";
/// Percentages of a limit at which an alert is sent, such as `80,100` (usage).
pub const ALERT_THRESHOLDS: &str = "IPGEO_ALERT_THRESHOLDS";
/// The SNS topic that alerts are sent to; if unset, they are only recorded (usage).
pub const ALERT_TOPIC: &str = "IPGEO_ALERT_TOPIC";
/// Name of home's usage function, which early counts are reported to; if unset, none are (lookup).
pub const HOME_FUNCTION: &str = "IPGEO_HOME_FUNCTION";
/// The alias of that function (lookup).
pub const HOME_ALIAS: &str = "IPGEO_HOME_ALIAS";
/// The region of that function (lookup).
pub const HOME_REGION: &str = "IPGEO_HOME_REGION";
/// Name of home's usage stream (forward).
pub const STREAM: &str = "IPGEO_STREAM";
/// The home region, which has the stream (forward).
pub const STREAM_REGION: &str = "IPGEO_STREAM_REGION";
/// Overrides the Kinesis endpoint, as in AWS tools (forward).
pub const ENDPOINT_KINESIS: &str = "AWS_ENDPOINT_URL_KINESIS";
/// Overrides the Lambda endpoint, as in AWS tools (lookup).
pub const ENDPOINT_LAMBDA: &str = "AWS_ENDPOINT_URL_LAMBDA";
/// Overrides the SNS endpoint, as in AWS tools (usage).
pub const ENDPOINT_SNS: &str = "AWS_ENDPOINT_URL_SNS";
/// Overrides the DynamoDB endpoint, as in AWS tools (lookup, usage).
pub const ENDPOINT_DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
/// Overrides the endpoint of all services, as in AWS tools.
pub const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// Path of a PEM file of certificates to trust instead of the built-in roots, as in AWS tools.
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
