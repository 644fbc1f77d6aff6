//! Text to a checked configuration, or to everything that is wrong with it.

use std::ops::Range;

use ipgeo_contract::{Limit, QUIET_PERMILLE_MAX, Thresholds, Window, prefix_is_valid};
use toml::de::DeTable;

use super::model::{
    Alarms, Alerts, Anonymous, Architecture, Compat, Config, Emulator, Geo, GeoSource, Origin, Region,
    RuntimeSettings, Service, Tier, Tiers, Usage,
};
use super::places::{PLACES, other_partition};
use super::problems::{Collector, Problems};
use super::reader::{Table, did_you_mean, suggestion, tables};
use super::{rules, sources};

/// The tier of callers without an API key.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Where parsed tables leave the names of the fields that they asked for; tests compare them with the schema.
type Seen<'s> = &'s mut dyn FnMut(&str, &Table<'_>);

/// Reads `regions.toml`. `file` is its name in messages.
pub fn parse(file: &str, text: &str) -> Result<Config, Problems> {
    parse_seen(file, text, &mut |_, _| ())
}

pub(super) fn parse_seen(file: &str, text: &str, seen: Seen<'_>) -> Result<Config, Problems> {
    let mut out = Collector::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        out.add(&error.span().unwrap_or(0..0), message);
    }
    if !out.is_empty() {
        // What follows a broken line would be blamed for it.
        return Err(out.into_problems(file, text));
    }
    let config = read(document.get_ref(), seen, &mut out);
    match config {
        Some(config) if out.is_empty() => Ok(config),
        _ => Err(out.into_problems(file, text)),
    }
}

fn read<'a>(document: &'a DeTable<'a>, seen: Seen<'_>, out: &mut Collector) -> Option<Config> {
    let mut root = Table::new(document, "the file", 0..0);
    let service = root.need("service", out).and_then(|_| root.table("service", out));
    let service = service.map(|table| read_service(table, seen, out));
    let runtime = root.table("runtime", out);
    let runtime =
        runtime.map_or_else(defaults, |table| read_runtime(table, &defaults(), "runtime", seen, out));
    let compat = root
        .table("compat", out)
        .map_or(Compat { unknown_key_status: 401, quota_status: 429, foreign_api_keys: false }, |table| {
            read_compat(table, seen, out)
        });
    let geo = root.table("geo", out).map(|table| read_geo(table, seen, out)).unwrap_or_default();
    let tiers = root.need("tiers", out).and_then(|_| root.table("tiers", out));
    let tiers = tiers.and_then(|table| read_tiers(&table, seen, out));
    let usage = root.table("usage", out).map(|table| read_usage(table, seen, out)).unwrap_or_default();
    let alarms = root.table("alarms", out).map(|table| read_alarms(table, seen, out)).unwrap_or_default();
    let alerts = root.table("alerts", out);
    let alerts = alerts.map_or_else(default_alerts, |table| read_alerts(table, seen, out));
    let emulator = root.table("emulator", out).map(|table| read_emulator(table, seen, out));
    let regions = root.need("regions", out).and_then(|_| root.table("regions", out));
    let regions = regions.map(|table| read_regions(&table, &runtime, seen, out)).unwrap_or_default();
    seen("root", &root);
    root.finish(out);

    let (service, home_span) = service?;
    if !service.home.is_empty() && !regions.is_empty() && !regions.iter().any(|r| r.name == service.home) {
        let hint = suggestion(&service.home, regions.iter().map(|region| region.name.as_str()));
        let told = format!("`home` is `{}`, which is not in [regions]{hint}", service.home);
        out.add(&home_span, other_partition(&service.home).unwrap_or(told));
    }
    Some(Config { service, compat, geo, tiers: tiers?, usage, alarms, alerts, emulator, regions })
}

/// Checks a text by a rule, and takes it even if it fails: the fault is noted.
fn ruled(
    field: &str,
    found: Option<(&str, Range<usize>)>,
    rule: impl Fn(&str) -> Result<(), String>,
    out: &mut Collector,
) -> Option<String> {
    let (text, span) = found?;
    if let Err(fault) = rule(text) {
        out.add(&span, format!("`{field}` {fault}"));
    }
    Some(text.to_owned())
}

fn read_service(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> (Service, Range<usize>) {
    table.need("name", out);
    table.need("home", out);
    let name = table.text("name", out);
    let named = |text: &str, most| rules::resource_name(text, most).and_then(|()| rules::bucket_part(text));
    let name = ruled("name", name, |text| named(text, 20), out);
    let environment = table.text("environment", out);
    let environment = ruled("environment", environment, |text| named(text, 12), out);
    let domain_found = table.text("domain", out);
    let domain = ruled("domain", domain_found.clone(), rules::certified_domain, out);
    let zone_found = table.text("hosted_zone", out);
    let hosted_zone = ruled("hosted_zone", zone_found.clone(), rules::domain, out);
    match (&domain_found, &zone_found) {
        (Some((_, span)), None) => {
            out.add(span, "`domain` needs `hosted_zone`: the name of the Route 53 zone that it is in");
        }
        (None, Some((_, span))) => out.add(span, "`hosted_zone` is of no use without `domain`"),
        (Some((domain, span)), Some((zone, _))) if !rules::is_below(domain, zone) => {
            out.add(span, format!("`domain` `{domain}` is not in the zone `{zone}`"));
        }
        _ => {}
    }
    let home = table.text("home", out);
    let home = home.filter(|(text, span)| {
        if text.trim().is_empty() {
            out.add(span, "`home` is empty; set it to one of [regions], such as `eu-central-1`");
        }
        !text.trim().is_empty()
    });
    let home_span = home.as_ref().map_or_else(|| table.span.clone(), |(_, span)| span.clone());
    let key_prefix = table.text("key_prefix", out);
    if let Some((text, span)) = &key_prefix
        && !prefix_is_valid(text)
    {
        out.add(span, "`key_prefix` is 2 to 16 of a-z, 0-9 and _, with a letter first and no _ last");
    }
    seen("service", &table);
    table.finish(out);
    let service = Service {
        name: name.unwrap_or_default(),
        environment: environment.unwrap_or_else(|| "prod".to_owned()),
        domain,
        hosted_zone,
        home: home.map(|(text, _)| text.to_owned()).unwrap_or_default(),
        key_prefix: key_prefix.map_or_else(|| "ipg".to_owned(), |(text, _)| text.to_owned()),
    };
    (service, home_span)
}

fn defaults() -> RuntimeSettings {
    RuntimeSettings {
        memory_mb: 256,
        architecture: Architecture::Arm64,
        access_cache_s: 10,
        timeout_s: 5,
        reserved_concurrency: None,
        throttle_rate: 500,
        throttle_burst: 250,
    }
}

fn read_runtime(
    mut table: Table<'_>,
    default: &RuntimeSettings,
    kind: &str,
    seen: Seen<'_>,
    out: &mut Collector,
) -> RuntimeSettings {
    let architectures = [("arm64", Architecture::Arm64), ("x86_64", Architecture::X86_64)];
    let settings = RuntimeSettings {
        memory_mb: table.number("memory_mb", 128, 10_240, out).unwrap_or(default.memory_mb),
        architecture: table.word("architecture", &architectures, out).unwrap_or(default.architecture),
        access_cache_s: table.number("access_cache_s", 0, 3_600, out).unwrap_or(default.access_cache_s),
        timeout_s: table.number("timeout_s", 1, 30, out).unwrap_or(default.timeout_s),
        reserved_concurrency: table
            .number("reserved_concurrency", 1, 10_000, out)
            .or(default.reserved_concurrency),
        throttle_rate: table.number("throttle_rate", 1, 10_000, out).unwrap_or(default.throttle_rate),
        throttle_burst: table.number("throttle_burst", 1, 5_000, out).unwrap_or(default.throttle_burst),
    };
    seen(kind, &table);
    table.finish(out);
    settings
}

fn read_compat(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Compat {
    let mut status = |field: &'static str, ours: u32, out: &mut Collector| {
        let span = table.find(field).map(|(_, span)| span);
        let status = table.number(field, 400, 499, out).unwrap_or(ours);
        if let Some(span) = span
            && ![ours, 403].contains(&status)
        {
            out.add(&span, format!("`{field}` is {ours}, or 403 for strict ipdata behaviour"));
        }
        u16::try_from(status).unwrap_or(403)
    };
    let compat = Compat {
        unknown_key_status: status("unknown_key_status", 401, out),
        quota_status: status("quota_status", 429, out),
        foreign_api_keys: table.flag("foreign_api_keys", out).unwrap_or(false),
    };
    seen("compat", &table);
    table.finish(out);
    compat
}

fn read_usage(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Usage {
    let default = Usage::default();
    let usage = Usage {
        window_s: table.number("window_s", 0, 300, out).unwrap_or(default.window_s),
        quiet_permille: table
            .number("quiet_permille", 0, QUIET_PERMILLE_MAX, out)
            .unwrap_or(default.quiet_permille),
    };
    seen("usage", &table);
    table.finish(out);
    usage
}

fn read_alarms(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Alarms {
    let email = table.text("email", out);
    let alarms = Alarms {
        edges: table.flag("edges", out).unwrap_or(false),
        email: ruled("email", email, rules::email, out),
    };
    seen("alarms", &table);
    table.finish(out);
    alarms
}

/// Percents of a limit that are told of when the file names none.
const ALERT_PERCENTS: [u8; 2] = [80, 100];

fn default_alerts() -> Alerts {
    let thresholds = Thresholds::new(ALERT_PERCENTS.to_vec()).unwrap_or_default();
    Alerts { thresholds, email: None, webhook: None }
}

fn read_alerts(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Alerts {
    let thresholds = match table.numbers("thresholds", out) {
        None => default_alerts().thresholds,
        Some((percents, span)) => {
            let percents: Result<Vec<u8>, _> = percents.into_iter().map(u8::try_from).collect();
            let thresholds = percents.ok().and_then(|percents| Thresholds::new(percents).ok());
            if thresholds.is_none() {
                out.add(&span, "`thresholds` are at most 10 whole percents, 1 to 100, each once");
            }
            thresholds.unwrap_or_default()
        }
    };
    let (email, webhook) = (table.text("email", out), table.text("webhook", out));
    let alerts = Alerts {
        thresholds,
        email: ruled("email", email, rules::email, out),
        webhook: ruled("webhook", webhook, rules::https_url, out),
    };
    seen("alerts", &table);
    table.finish(out);
    alerts
}

fn read_emulator(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Emulator {
    table.need("endpoint", out);
    let endpoint = table.text("endpoint", out);
    let endpoint = ruled("endpoint", endpoint, rules::loopback_url, out).unwrap_or_default();
    let emulator = Emulator {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        geo_database: table.text("geo_database", out).map(|(path, _)| path.into()),
        log_pipe: table.flag("log_pipe", out).unwrap_or(true),
    };
    seen("emulator", &table);
    table.finish(out);
    emulator
}

fn read_geo(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Geo {
    let mut text = |field, out: &mut Collector| {
        table.text(field, out).map(|(text, _)| text.to_owned()).unwrap_or_default()
    };
    let (name, licence) = (text("name", out), text("licence", out));
    let attribution = text("attribution", out);
    let link = table.text("attribution_link", out).filter(|(link, _)| !link.is_empty());
    let attribution_link = ruled("attribution_link", link, rules::web_url, out).unwrap_or_default();
    let mut sources: Vec<GeoSource> = Vec::new();
    for source in tables(table.find("sources"), "[[geo.sources]]", out) {
        let span = source.span.clone();
        if let Some(source) = read_source(source, seen, out) {
            if sources.iter().any(|known| known.name == source.name) {
                out.add(&span, format!("there are two sources named `{}`", source.name));
            }
            sources.push(source);
        }
    }
    seen("geo", &table);
    table.finish(out);
    Geo { name, licence, attribution, attribution_link, sources }
}

fn read_source(mut table: Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Option<GeoSource> {
    table.need("name", out);
    let name = table.text("name", out);
    let name = ruled("name", name, rules::plain_name, out);
    let (file, url, npm) = (table.text("file", out), table.text("url", out), table.text("npm", out));
    let files = table.texts("files", out);
    for (file, span) in &files {
        if !has_extension(file, "mmdb") {
            out.add(span, format!("`files` are `.mmdb` files, not `{file}`"));
        }
    }
    let origin = match (file, url, npm) {
        (Some((path, _)), None, None) => Some(Origin::File(path.into())),
        (None, Some((url, span)), None) => {
            if let Err(fault) = sources::source_url(url) {
                out.add(&span, fault);
            }
            Some(Origin::Url(url.to_owned()))
        }
        (None, None, Some((package, span))) => {
            if files.is_empty() {
                out.add(&span, "`npm` needs `files`: the `.mmdb` files in the package");
            }
            if !sources::is_registry_package(package) {
                out.add(&span, "`npm` must be an npm package name, optionally with `@version`");
            }
            let files: Vec<String> = files.iter().map(|(file, _)| (*file).to_owned()).collect();
            if let Err(fault) = sources::names_of_files(&files) {
                out.add(&span, fault);
            }
            Some(Origin::Npm { package: package.to_owned(), files })
        }
        _ => {
            out.add(&table.span, "a source has one of `file`, `url` and `npm`");
            None
        }
    };
    seen("source", &table);
    table.finish(out);
    Some(GeoSource { name: name?, origin: origin? })
}

fn has_extension(file: &str, extension: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|found| found == extension)
}

fn read_tiers(table: &Table<'_>, seen: Seen<'_>, out: &mut Collector) -> Option<Tiers> {
    let (mut anonymous, mut paid) = (None, Vec::new());
    for (name, span, mut tier) in table.entries(out) {
        tier.need("limit", out);
        let limit_span = tier.find("limit").map_or_else(|| span.clone(), |(_, span)| span);
        let limit: Option<Limit> = tier.parsed("limit", out);
        if name == ANONYMOUS {
            if limit.is_some_and(|limit| limit.window != Window::Day) {
                out.add(
                    &limit_span,
                    "the limit of anonymous callers is by day: an address is known for one day only",
                );
            }
            let site_limit = tier.parsed("site_limit", out).or(limit);
            anonymous = limit.zip(site_limit).map(|(limit, site_limit)| Anonymous { limit, site_limit });
            seen("anonymous", &tier);
        } else {
            if let Err(fault) = rules::plain_name(name) {
                out.add(&span, format!("the name of a tier {fault}"));
            }
            paid.extend(limit.map(|limit| Tier { name: name.to_owned(), limit }));
            seen("tier", &tier);
        }
        tier.finish(out);
    }
    if anonymous.is_none() && out.is_empty() {
        let meant = did_you_mean(ANONYMOUS, paid.iter().map(|tier| tier.name.as_str()));
        let hint = meant.map(|name| format!("; is it `{name}`?")).unwrap_or_default();
        out.add(&table.span, format!("[tiers] has no `anonymous` tier{hint}"));
    }
    if paid.is_empty() && out.is_empty() {
        out.add(&table.span, "[tiers] has no tier beside `anonymous`");
    }
    Some(Tiers { anonymous: anonymous?, paid })
}

fn read_regions(
    table: &Table<'_>,
    default: &RuntimeSettings,
    seen: Seen<'_>,
    out: &mut Collector,
) -> Vec<Region> {
    let mut regions = Vec::new();
    for (name, span, region) in table.entries(out) {
        let runtime = read_runtime(region, default, "region", seen, out);
        match PLACES.iter().find(|place| place.name == name) {
            Some(place) => regions.push(Region {
                name: name.to_owned(),
                city: place.city,
                latitude: place.latitude,
                longitude: place.longitude,
                runtime,
            }),
            None if other_partition(name).is_some() => {
                out.add(&span, other_partition(name).unwrap_or_default());
            }
            None => {
                let hint = suggestion(name, PLACES.iter().map(|place| place.name));
                out.add(&span, format!("`{name}` is not a region of AWS{hint}"));
            }
        }
    }
    if regions.is_empty() && out.is_empty() {
        out.add(&table.span, "[regions] has no region");
    }
    regions
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const SHIPPED: &str = include_str!("../../../regions.toml");
    const SMALL: &str = r#"
[service]
name = "geo"
home = "eu-central-1"
[tiers.anonymous]
limit = "1500/day"
[tiers.startup]
limit = "100_000/month"
[regions.eu-central-1]
[regions.us-east-1]
memory_mb = 512
"#;

    #[test]
    fn the_shipped_file_lists_ten_regions_on_five_continents() {
        let config = parse("regions.toml", SHIPPED).expect("the shipped file is sound");
        assert_eq!(config.regions.len(), 10);
        let parts: BTreeSet<&str> =
            config.regions.iter().filter_map(|region| region.name.split('-').next()).collect();
        // North and South America, Europe, Africa, Asia and Oceania.
        assert!(["us", "sa", "eu", "af", "ap"].iter().all(|part| parts.contains(part)), "{parts:?}");
        assert!(config.tiers.paid.len() >= 2);
        assert_eq!(SHIPPED.lines().next(), Some("#:schema docs/regions.schema.json"));
    }

    #[test]
    fn defaults_and_overrides_are_resolved() {
        let config = parse("regions.toml", SMALL).expect("sound");
        let memory: Vec<u32> = config.regions.iter().map(|region| region.runtime.memory_mb).collect();
        assert_eq!(memory, [256, 512]);
        assert_eq!(config.service.access_table(), "geo-prod-access");
        assert_eq!(config.tiers.anonymous.site_limit, config.tiers.anonymous.limit);
    }

    /// What is told of the small file with one text replaced by another.
    fn told(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from), "{from}");
        parse("r.toml", &SMALL.replacen(from, to, 1)).expect_err(to).to_string()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, a line a fault")]
    fn each_fault_has_its_place_and_its_remedy() {
        let table = [
            (
                "memory_mb",
                "memry_mb",
                "r.toml:11:1: unknown field `memry_mb` in [regions.us-east-1]; did you mean `memory_mb`?",
            ),
            ("512", "64", "r.toml:11:13: `memory_mb` is 128 to 10240, not 64"),
            ("512", "\"much\"", "r.toml:11:13: `memory_mb` is a whole number, not a string"),
            (
                "us-east-1",
                "us-eats-1",
                "r.toml:10:10: `us-eats-1` is not a region of AWS; did you mean `us-east-1`?",
            ),
            (
                "home = \"eu-central-1\"",
                "home = \"eu-west-1\"",
                "r.toml:4:8: `home` is `eu-west-1`, which is not in [regions]; did you mean `eu-central-1`?",
            ),
            ("name = \"geo\"", "", "r.toml:2:1: [service] has no `name`"),
            (
                "name = \"geo\"",
                "name = \"Geo!\"",
                "r.toml:3:8: `name` is 2 to 20 of a-z, 0-9 and -, with a letter first",
            ),
            (
                "1500/day",
                "1500/month",
                "r.toml:6:9: the limit of anonymous callers is by day: an address is known for one day only",
            ),
            (
                "100_000/month",
                "lots",
                "r.toml:8:9: `limit`: `lots` has no window; write calls/window, such as `1500/day` or `100_000/month`",
            ),
            ("limit = \"100_000/month\"", "", "r.toml:7:1: [tiers.startup] has no `limit`"),
            (
                "[tiers.anonymous]",
                "[tiers.anonimous]",
                "r.toml:5:2: [tiers] has no `anonymous` tier; is it `anonimous`?",
            ),
            (
                "[service]",
                "[service]\ndomain = \"api.example.com\"",
                "r.toml:3:10: `domain` needs `hosted_zone`: the name of the Route 53 zone that it is in",
            ),
            (
                "[service]",
                "[service]\nkey_prefix = \"X\"",
                "r.toml:3:14: `key_prefix` is 2 to 16 of a-z, 0-9 and _, with a letter first and no _ last",
            ),
            (
                "[tiers.startup]",
                "[compat]\nquota_status = 404\n[tiers.startup]",
                "r.toml:8:16: `quota_status` is 429, or 403 for strict ipdata behaviour",
            ),
            (
                "[tiers.startup]",
                "[usage]\nwindow_s = 301\n[tiers.startup]",
                "r.toml:8:12: `window_s` is 0 to 300, not 301",
            ),
            (
                "[tiers.startup]",
                "[[geo.sources]]\nname = \"x\"\n[tiers.startup]",
                "r.toml:7:1: a source has one of `file`, `url` and `npm`",
            ),
            (
                "[tiers.startup]",
                "[[geo.sources]]\nname = \"x\"\nnpm = \"p\"\n[tiers.startup]",
                "r.toml:9:7: `npm` needs `files`: the `.mmdb` files in the package",
            ),
            (
                "[tiers.startup]",
                "[[geo.sources]]\nname = \"x\"\nnpm = \"../p\"\nfiles = [\"a.mmdb\"]\n[tiers.startup]",
                "r.toml:9:7: `npm` must be an npm package name, optionally with `@version`",
            ),
            (
                "[tiers.startup]",
                "[[geo.sources]]\nname = \"x\"\nnpm = \"p\"\nfiles = [\"a.mmdb\", \"a.mmdb\"]\n[tiers.startup]",
                "r.toml:9:7: two entries of `files` would both be stored as `a.mmdb`",
            ),
            (
                "[tiers.startup]",
                "[[geo.sources]]\nname = \"x\"\nurl = \"http://a.test/x.mmdb\"\n[tiers.startup]",
                "r.toml:9:7: `url` must start with `https://`",
            ),
            (
                "[tiers.startup]",
                "[alerts]\nthresholds = [80, 180]\n[tiers.startup]",
                "r.toml:8:14: `thresholds` are at most 10 whole percents, 1 to 100, each once",
            ),
            (
                "[tiers.startup]",
                "[alerts]\nthresholds = 80\n[tiers.startup]",
                "r.toml:8:14: `thresholds` is a list of whole numbers, not an integer",
            ),
            (
                "[tiers.startup]",
                "[alerts]\nwebhook = \"http://a.test/\"\n[tiers.startup]",
                "r.toml:8:11: `webhook` is an address that starts with `https://`, such as `https://example.com/alerts`",
            ),
            (
                "home = \"eu-central-1\"",
                "home = \"\"",
                "r.toml:4:8: `home` is empty; set it to one of [regions], such as `eu-central-1`",
            ),
            (
                "us-east-1",
                "us-gov-west-1",
                "r.toml:10:10: `us-gov-west-1` is a region of AWS GovCloud (US), partition `aws-us-gov`; only the partition `aws` is supported, so far",
            ),
            (
                "home = \"eu-central-1\"",
                "home = \"us-gov-east-1\"",
                "r.toml:4:8: `us-gov-east-1` is a region of AWS GovCloud (US), partition `aws-us-gov`; only the partition `aws` is supported, so far",
            ),
            (
                "us-east-1",
                "cn-north-1",
                "r.toml:10:10: `cn-north-1` is a region of AWS China, partition `aws-cn`; only the partition `aws` is supported, so far",
            ),
            (
                "name = \"geo\"",
                "name = \"sthree\"",
                "r.toml:3:8: `name` starts with `sthree-`, which S3 reserves in bucket names; choose another",
            ),
            (
                "name = \"geo\"",
                "name = \"geo-s3alias\"",
                "r.toml:3:8: `name` ends with `-s3alias`, which S3 reserves in bucket names; choose another",
            ),
            (
                "name = \"geo\"",
                "name = \"geo\"\nenvironment = \"xn--a\"",
                "r.toml:4:15: `environment` starts with `xn--`, which S3 reserves in bucket names; choose another",
            ),
            (
                "[tiers.startup]",
                "[geo]\nattribution = \"a\\u0007b\"\n[tiers.startup]",
                "r.toml:8:15: `attribution` contains the invisible character U+0007; remove it",
            ),
            (
                "[tiers.startup]",
                "[geo]\nattribution_link = \"javascript:alert(1)\"\n[tiers.startup]",
                "r.toml:8:20: `attribution_link` must be a URL, such as `https://example.com`",
            ),
            ("[service]", "service = 3\n[other]", "r.toml:2:11: [service] is a table, not an integer"),
        ];
        for (from, to, expected) in table {
            let told = told(from, to);
            assert!(told.lines().any(|line| line == expected), "{from} -> {to}\n{told}\nwanted: {expected}");
        }
    }

    #[test]
    fn all_faults_are_told_together_in_file_order() {
        let text = SMALL
            .replace("1500/day", "5/week")
            .replace("memory_mb = 512", "memory_mb = 1\narchitecture = \"arm\"");
        assert_eq!(
            parse("regions.toml", &text).expect_err("faults").to_string(),
            "regions.toml:6:9: `limit`: `week` is not a window; the windows are `day` and `month`\n\
             regions.toml:11:13: `memory_mb` is 128 to 10240, not 1\n\
             regions.toml:12:16: `architecture` is `arm64` or `x86_64`, not `arm`; did you mean `arm64`?\n\
             3 problems in regions.toml"
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_by_its_place() {
        let told = parse("r.toml", "[service]\nname = \n").expect_err("broken").to_string();
        assert!(told.starts_with("r.toml:2:"), "{told}");
        let empty = parse("r.toml", "").expect_err("empty").to_string();
        assert_eq!(
            empty,
            "r.toml:1:1: the file has no `service`\nr.toml:1:1: the file has no `tiers`\n\
             r.toml:1:1: the file has no `regions`\n3 problems in r.toml"
        );
    }

    #[test]
    fn the_schema_knows_the_fields_that_are_read() {
        let text = SHIPPED.to_owned() + "\n[compat]\n[alerts]\n";
        assert!(text.contains("[usage]"));
        let mut asked: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
        let mut note = |kind: &str, table: &Table<'_>| {
            asked.entry(kind.to_owned()).or_default().extend(table.asked());
        };
        parse_seen("regions.toml", &text, &mut note).expect("sound");
        for (kind, fields) in asked {
            let known = super::super::schema::fields_of(&kind);
            assert_eq!(fields.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), known, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            prop_assert!(parse("r.toml", &text).is_err());
        }

        #[test]
        fn a_damaged_file_is_answered_without_panic(at in 0..SMALL.len(), with in "\\PC{0,3}", cut: bool) {
            prop_assume!(SMALL.is_char_boundary(at));
            let rest = if cut { "" } else { &SMALL[(at + 1).min(SMALL.len())..] };
            if let Err(problems) = parse("r.toml", &format!("{}{with}{rest}", &SMALL[..at])) {
                prop_assert!(problems.problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
            }
        }
    }
}
