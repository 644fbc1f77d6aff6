//! The JSON Schema of `regions.toml`, for editors: generated from these types, held equal to the parser
//! by a test.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};

/// Settings of an ipgeo service.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "regions.toml")]
struct Root {
    #[expect(dead_code, reason = "read by the generator only")]
    service: ServiceSchema,
    #[expect(dead_code, reason = "read by the generator only")]
    runtime: Option<RuntimeSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    compat: Option<CompatSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    geo: Option<GeoSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    tiers: TiersSchema,
    #[expect(dead_code, reason = "read by the generator only")]
    usage: Option<UsageSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    alarms: Option<AlarmsSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    alerts: Option<AlertsSchema>,
    #[expect(dead_code, reason = "read by the generator only")]
    emulator: Option<EmulatorSchema>,
    /// The regions to run in, each named as AWS names it; a region's fields stand before those of `runtime`.
    #[expect(dead_code, reason = "read by the generator only")]
    regions: BTreeMap<String, RuntimeSchema>,
}

/// What is run, and where it is at home.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct ServiceSchema {
    /// Begins the name of everything that is made: 2 to 20 of a-z, 0-9 and -.
    #[schemars(length(min = 2, max = 20))]
    name: String,
    /// Tells several services of one account apart. Default: "prod".
    #[schemars(length(min = 2, max = 12))]
    environment: Option<String>,
    /// The API's domain, such as "api.example.com". Without one the edges keep their own endpoints.
    domain: Option<String>,
    /// The name of the Route 53 zone that the domain is in.
    hosted_zone: Option<String>,
    /// The region that holds what exists once: ledger, stream, counter. It can't be changed later.
    home: String,
    /// What every API key begins with. Default: "ipg".
    #[schemars(length(min = 2, max = 16))]
    key_prefix: Option<String>,
}

/// Settings of the function and the API in every region.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct RuntimeSchema {
    /// Memory of the function, MB. Default: 256.
    #[schemars(range(min = 128, max = 10240))]
    memory_mb: Option<u32>,
    /// The function's processor. Default: "arm64".
    architecture: Option<ArchitectureSchema>,
    /// Seconds that an edge remembers an API key's record. Default: 10.
    #[schemars(range(min = 0, max = 3600))]
    access_cache_s: Option<u32>,
    /// Seconds that one request may take. Default: 5.
    #[schemars(range(min = 1, max = 30))]
    timeout_s: Option<u32>,
    /// Environments at most at once. Default: the account's limit.
    #[schemars(range(min = 1, max = 10000))]
    reserved_concurrency: Option<u32>,
    /// Requests a second that the API lets through. Default: 500.
    #[schemars(range(min = 1, max = 10000))]
    throttle_rate: Option<u32>,
    /// Requests at once above the rate. Default: 250.
    #[schemars(range(min = 1, max = 5000))]
    throttle_burst: Option<u32>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the generator only")]
enum ArchitectureSchema {
    /// AWS Graviton; a fifth cheaper.
    #[schemars(rename = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[schemars(rename = "x86_64")]
    X86,
}

/// How strictly ipdata's behaviour is kept.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct CompatSchema {
    /// Status for an unknown API key: 401, or 403 as ipdata answers.
    unknown_key_status: Option<u16>,
    /// Status for over quota: 429, or 403 as ipdata answers.
    quota_status: Option<u16>,
    /// Accept API keys in other formats than ipgeo's, such as those of a service that moves here: 16 to 128 printable
    /// ASCII characters. Such a text then costs a read before it can be refused. Default: false.
    foreign_api_keys: Option<bool>,
}

/// How usage is counted: what counting costs against how late and how roughly a limit holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct UsageSchema {
    /// Seconds that home gathers usage lines before it counts them; a limit holds so much later. Default: 300.
    #[schemars(range(min = 0, max = 300))]
    window_s: Option<u32>,
    /// Thousandths of an anonymous limit that one environment lets through unread and counts together with
    /// all other quiet callers. 0: every address and every site has a row of its own. Default: 4.
    #[schemars(range(min = 0, max = 100))]
    quiet_permille: Option<u32>,
}

/// Who is told when something is wrong.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct AlarmsSchema {
    /// Whether every edge has alarms too; an account's first ten are free. Default: false.
    edges: Option<bool>,
    /// Where alarms are sent to. Default: nowhere; they show in CloudWatch.
    email: Option<String>,
}

/// Who is told when an API key nears its limit, once for each threshold and period.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct AlertsSchema {
    /// Percents of the limit. Default: [80, 100]; []: no alerts.
    #[schemars(length(max = 10), inner(range(min = 1, max = 100)))]
    thresholds: Option<Vec<u8>>,
    /// Where alerts are mailed to. Without this and `webhook` they are recorded only.
    email: Option<String>,
    /// The https:// address that alerts are posted to as JSON.
    webhook: Option<String>,
}

/// An emulator of AWS on this machine, spoken to in place of AWS.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct EmulatorSchema {
    /// Where all calls go: a URL of this machine, such as `http://127.0.0.1:4566`.
    endpoint: String,
    /// The compiled geo database, where layers are not unpacked.
    geo_database: Option<String>,
    /// Whether log destinations are made. Default: true.
    log_pipe: Option<bool>,
}

/// Where locations come from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct GeoSchema {
    /// The name of the data.
    name: Option<String>,
    /// Its licence.
    licence: Option<String>,
    /// The credit that the licence asks for; it is sent with every answer.
    attribution: Option<String>,
    /// Where the credit leads.
    attribution_link: Option<String>,
    /// Source databases, the most trusted first.
    sources: Option<Vec<SourceSchema>>,
}

/// A source database: one of `file`, `url` and `npm`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct SourceSchema {
    /// Names its folder: 1 to 32 of a-z, 0-9, - and _.
    name: String,
    /// A file of this machine, by a path from here.
    file: Option<String>,
    /// An address with {YYYY} and {MM} for the month, of a .mmdb or .mmdb.gz file.
    url: Option<String>,
    /// An npm package, perhaps with @version.
    npm: Option<String>,
    /// The .mmdb files in the npm package.
    files: Option<Vec<String>>,
}

/// Price tiers: `anonymous`, and at least one more.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the generator only")]
struct TiersSchema {
    anonymous: AnonymousSchema,
    #[schemars(flatten)]
    paid: BTreeMap<String, TierSchema>,
}

/// Callers without an API key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct AnonymousSchema {
    /// Calls a day of one address, such as "1500/day".
    limit: String,
    /// Calls of all visitors of one site together. Default: the same as `limit`.
    site_limit: Option<String>,
}

/// A tier of API keys.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the generator only")]
struct TierSchema {
    /// Calls in a window, such as `50k/day` or `100_000/month`.
    limit: String,
}

/// The schema, as the committed file holds it.
pub fn schema_json() -> String {
    let mut json = serde_json::to_string_pretty(&schema_for!(Root)).unwrap_or_default();
    json.push('\n');
    json
}

/// The fields that the schema knows of a kind of table.
#[cfg(test)]
pub(super) fn fields_of(kind: &str) -> std::collections::BTreeSet<String> {
    let schema = match kind {
        "root" => schema_for!(Root),
        "service" => schema_for!(ServiceSchema),
        "runtime" | "region" => schema_for!(RuntimeSchema),
        "compat" => schema_for!(CompatSchema),
        "usage" => schema_for!(UsageSchema),
        "alarms" => schema_for!(AlarmsSchema),
        "alerts" => schema_for!(AlertsSchema),
        "emulator" => schema_for!(EmulatorSchema),
        "geo" => schema_for!(GeoSchema),
        "source" => schema_for!(SourceSchema),
        "anonymous" => schema_for!(AnonymousSchema),
        "tier" => schema_for!(TierSchema),
        other => panic!("the schema has no {other}"),
    };
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    properties.expect("an object").keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/regions.schema.json");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, schema_json()).expect("the schema can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == schema_json(), "docs/regions.schema.json is stale; run the tests with BLESS=1");
    }
}
