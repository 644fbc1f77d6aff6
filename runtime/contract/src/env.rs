//! The names of the environment variables that the operator's tool sets and the Lambda reads: each
//! written once. AWS sets `AWS_REGION`, the credentials and the Runtime API's address by itself.

/// Which handler this function is: [`HANDLER_LOOKUP`] or [`HANDLER_USAGE`].
pub const HANDLER: &str = "IPGEO_HANDLER";
/// Value of [`HANDLER`] at the edges.
pub const HANDLER_LOOKUP: &str = "lookup";
/// Value of [`HANDLER`] at home.
pub const HANDLER_USAGE: &str = "usage";
/// Name of the access table (both handlers).
pub const ACCESS_TABLE: &str = "IPGEO_ACCESS_TABLE";
/// Name of the ledger table (usage).
pub const LEDGER_TABLE: &str = "IPGEO_LEDGER_TABLE";
/// Path of the compiled geo database (lookup).
pub const GEO_DATABASE: &str = "IPGEO_GEO_DATABASE";
/// Seconds that an edge remembers an access record, and the absence of one (lookup).
pub const ACCESS_CACHE_S: &str = "IPGEO_ACCESS_CACHE_S";
/// The anonymous tier's limit by address, such as `1500/day` (lookup).
pub const ANONYMOUS_LIMIT: &str = "IPGEO_ANONYMOUS_LIMIT";
/// The anonymous tier's limit by site, such as `1500/day` (lookup).
pub const ANONYMOUS_SITE_LIMIT: &str = "IPGEO_ANONYMOUS_SITE_LIMIT";
/// Thousandths of an anonymous limit that are charged to the crowd; see [`crate::quiet_calls`] (lookup).
pub const QUIET_PERMILLE: &str = "IPGEO_QUIET_PERMILLE";
/// Status of an answer to an unknown API key: 401, or 403 for strict ipdata behaviour (lookup).
pub const UNKNOWN_KEY_STATUS: &str = "IPGEO_UNKNOWN_KEY_STATUS";
/// Status of an answer over quota: 429, or 403 for strict ipdata behaviour (lookup).
pub const QUOTA_STATUS: &str = "IPGEO_QUOTA_STATUS";
/// `1` when API keys of another form than ours may be stored, so that none is refused by its form (lookup).
pub const FOREIGN_API_KEYS: &str = "IPGEO_FOREIGN_API_KEYS";
/// Percents of a limit at which an alert is told, such as `80,100` (usage).
pub const ALERT_THRESHOLDS: &str = "IPGEO_ALERT_THRESHOLDS";
/// The SNS topic that alerts are sent to; without one they are recorded only (usage).
pub const ALERT_TOPIC: &str = "IPGEO_ALERT_TOPIC";
/// Another SNS endpoint, as every AWS tool reads it (usage).
pub const ENDPOINT_SNS: &str = "AWS_ENDPOINT_URL_SNS";
/// Another DynamoDB endpoint, as every AWS tool reads it (both handlers).
pub const ENDPOINT_DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
/// Another endpoint for all services, as every AWS tool reads it (both handlers).
pub const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// A file of certificates that are trusted in place of the built-in roots, as AWS tools read it (both handlers).
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
