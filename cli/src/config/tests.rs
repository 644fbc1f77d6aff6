//! The parser's faults: each has a place and says what is expected, all are reported together, and what AWS or DNS would
//! reject later is rejected here.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{is_opt_in, parse};

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
fn the_shipped_file_lists_nine_regions_that_every_account_has() {
    let config = parse("regions.toml", SHIPPED).expect("the shipped file is valid");
    assert_eq!(config.regions.len(), 9);
    let parts: BTreeSet<&str> =
        config.regions.iter().filter_map(|region| region.name.split('-').next()).collect();
    // North and South America, Europe, Asia and Oceania.
    assert!(["us", "sa", "eu", "ap"].iter().all(|part| parts.contains(part)), "{parts:?}");
    assert!(config.regions.iter().all(|region| !is_opt_in(&region.name)), "a new account lacks the others");
    assert!(config.tiers.paid.len() >= 2);
    assert_eq!(SHIPPED.lines().next(), Some("#:schema docs/regions.schema.json"));
}

#[test]
fn the_shipped_sources_state_their_licence_and_only_two_are_required() {
    assert!(SHIPPED.contains(super::init::FEEDS), "`ipgeo init` and the shipped file have the same sources");
    let config = parse("regions.toml", SHIPPED).expect("the shipped file is valid");
    let required: Vec<&str> = config
        .geo
        .sources
        .iter()
        .filter(|source| !source.optional)
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(required, ["dbip-city", "asn"]);
    for source in &config.geo.sources {
        let terms = source.terms(&config.geo);
        assert!(!terms.licence.is_empty(), "{}", source.name);
        assert_eq!(terms.licence.starts_with("CC BY"), !terms.attribution.is_empty(), "{}", source.name);
    }
}

#[test]
fn defaults_and_overrides_are_resolved() {
    let config = parse("regions.toml", SMALL).expect("valid");
    let memory: Vec<u32> = config.regions.iter().map(|region| region.runtime.memory_mb).collect();
    assert_eq!(memory, [256, 512]);
    assert_eq!(config.service.access_table(), "geo-prod-access");
    assert_eq!(config.tiers.anonymous.site_limit, config.tiers.anonymous.limit);
}

#[test]
fn rates_have_the_burst_of_a_second_unless_another_is_given() {
    let text =
        SMALL.replace("1500/day\"", "1500/day\"\nrate = \"90/min\"\nsite_rate = \"50/s\"\nsite_burst = 80");
    let text = text.replace("100_000/month\"", "100_000/month\"\nrate = \"10/s\"");
    let config = parse("regions.toml", &text).expect("valid");
    assert_eq!(config.tiers.rates().to_string(), "addr=90/min:2 site=50/s:80 tier.startup=10/s:10");
    assert_eq!(parse("regions.toml", SMALL).expect("valid").tiers.rates().to_string(), "");
}

/// The faults of the small file with one text replaced by another.
fn faults(from: &str, to: &str) -> String {
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
        ("512", "64", "r.toml:11:13: regions.us-east-1.memory_mb: expected 128 to 10240, found 64"),
        ("512", "\"much\"", "r.toml:11:13: regions.us-east-1.memory_mb: expected an integer, found a string"),
        (
            "us-east-1",
            "us-eats-1",
            "r.toml:10:10: regions.us-eats-1: unknown AWS region; did you mean `us-east-1`?",
        ),
        (
            "home = \"eu-central-1\"",
            "home = \"eu-west-1\"",
            "r.toml:4:8: service.home: `eu-west-1` is not in [regions]; did you mean `eu-central-1`?",
        ),
        ("name = \"geo\"", "", "r.toml:2:1: missing field `name` in [service]"),
        (
            "name = \"geo\"",
            "name = \"Geo!\"",
            "r.toml:3:8: service.name: expected 2 to 20 of a-z, 0-9 and -, starting with a letter",
        ),
        (
            "1500/day",
            "1500/month",
            "r.toml:6:9: tiers.anonymous.limit: expected a limit per day, such as `1500/day`: addresses are not tracked longer, found `1500/month`",
        ),
        (
            "100_000/month",
            "lots",
            "r.toml:8:9: tiers.startup.limit: `lots` has no window; write calls/window, such as `1500/day` or `100_000/month`",
        ),
        ("limit = \"100_000/month\"", "", "r.toml:7:1: missing field `limit` in [tiers.startup]"),
        (
            "[tiers.anonymous]",
            "[tiers.anonimous]",
            "r.toml:5:2: missing [tiers.anonymous]; is `anonimous` a typo?",
        ),
        (
            "[service]",
            "[service]\ndomain = \"api.example.com\"",
            "r.toml:3:10: service.domain: needs `hosted_zone`, the Route 53 hosted zone that contains it",
        ),
        (
            "[service]",
            "[service]\nkey_prefix = \"X\"",
            "r.toml:3:14: service.key_prefix: expected 2 to 16 of a-z, 0-9 and _, starting with a letter, not ending with _",
        ),
        (
            "100_000/month\"",
            "1/day\"\nrate = \"0/s\"",
            "r.toml:9:8: tiers.startup.rate: `0` calls is out of range; a rate must be a whole number from 1/s to 10000/s, or from 1/min to 600000/min",
        ),
        (
            "100_000/month\"",
            "1/day\"\nrate = \"10/h\"",
            "r.toml:9:8: tiers.startup.rate: `h` is not a unit of a rate; the units are `s` and `min`, and a limit counts by `day` or `month`",
        ),
        (
            "100_000/month\"",
            "1/day\"\nrate = nan",
            "r.toml:9:8: tiers.startup.rate: expected a quoted string, found a float",
        ),
        (
            "100_000/month\"",
            "1/day\"\nrate = \"10/s\"\nburst = 0",
            "r.toml:10:9: tiers.startup.burst: expected 1 to 10000, found 0",
        ),
        (
            "100_000/month\"",
            "1/day\"\nburst = 20",
            "r.toml:9:9: tiers.startup.burst: needs `rate`, such as `rate = \"10/s\"`",
        ),
        (
            "100_000/month\"",
            "1/day\"\nrate = \"10/s\"\nsite_burst = 20",
            "r.toml:10:1: unknown field `site_burst` in [tiers.startup]",
        ),
        (
            "1500/day\"",
            "1500/day\"\nrate = \"10/s\"\nsite_burst = 20",
            "r.toml:8:14: tiers.anonymous.site_burst: needs `site_rate`, such as `site_rate = \"10/s\"`",
        ),
        (
            "[tiers.startup]",
            "[compat]\nquota_status = 404\n[tiers.startup]",
            "r.toml:8:16: compat.quota_status: expected 429 or 403, found 404",
        ),
        (
            "[tiers.startup]",
            "[usage]\nwindow_s = 301\n[tiers.startup]",
            "r.toml:8:12: usage.window_s: expected 0 to 300, found 301",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\n[tiers.startup]",
            "r.toml:7:1: geo.sources[0]: expected exactly one of `file`, `url`, `npm` and `pypi`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nnpm = \"p\"\n[tiers.startup]",
            "r.toml:9:7: geo.sources[0].npm: needs `files`, the files in the package",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nnpm = \"../p\"\nfiles = [\"a.mmdb\"]\n[tiers.startup]",
            "r.toml:9:7: geo.sources[0].npm: expected an npm package name, optionally with `@version`, found `../p`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nnpm = \"p\"\nfiles = [\"a.mmdb\", \"a.mmdb\"]\n[tiers.startup]",
            "r.toml:9:7: geo.sources[0].files: two entries of `files` would both be stored as `a.mmdb`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nurl = \"http://a.test/x.mmdb\"\n[tiers.startup]",
            "r.toml:9:7: geo.sources[0].url: expected a URL that starts with `https://`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\npypi = \"a>=1\"\nfiles = [\"a.csv\"]\n[tiers.startup]",
            "r.toml:9:8: geo.sources[0].pypi: expected a PyPI package name, optionally with `==version`, found `a>=1`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\npypi = \"a\"\nfiles = [\"a.py\"]\n[tiers.startup]",
            "r.toml:10:10: geo.sources[0].files[0]: expected a `.mmdb`, `.csv`, `.json` or `.txt` file, found `a.py`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.txt\"\n[tiers.startup]",
            "r.toml:7:1: geo.sources[0]: says nothing about its networks; add `flags`, `network` or `crawler`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.csv\"\nblocklist = { name = \"y\" }\n[tiers.startup]",
            "r.toml:7:1: geo.sources[0]: `blocklist` needs `flags`, what its addresses are, such as `is_known_abuser`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.csv\"\ngives = []\n[tiers.startup]",
            "r.toml:7:1: geo.sources[0]: says nothing about its networks; add `flags`, `network` or `crawler`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.json\"\nflags = [\"is_tor\"]\n[tiers.startup]",
            "r.toml:7:1: geo.sources[0]: needs `path`, where the networks are in the JSON, such as `prefixes[].ip_prefix`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.csv\"\npath = \"a[\"\n[tiers.startup]",
            "r.toml:10:8: geo.sources[0].path: expected a path such as `prefixes[].ip_prefix`, found `a[`",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.txt\"\nflags = [\"is_tr\"]\n[tiers.startup]",
            "r.toml:10:10: geo.sources[0].flags[0]: unknown flag `is_tr`; did you mean `is_tor`?",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.txt\"\nflags = [\"is_tor\"]\ngives = [\"city\"]\n[tiers.startup]",
            "r.toml:11:10: geo.sources[0].gives: a list or JSON has only networks; leave it out",
        ),
        (
            "[tiers.startup]",
            "[[geo.sources]]\nname = \"x\"\nfile = \"a.txt\"\nnetwork = { type = \"isp\", nam = \"x\" }\n[tiers.startup]",
            "r.toml:10:27: unknown field `nam` in [[geo.sources]]; did you mean `name`?",
        ),
        (
            "[tiers.startup]",
            "[alerts]\nthresholds = [80, 180]\n[tiers.startup]",
            "r.toml:8:19: alerts.thresholds[1]: expected 1 to 100, found 180",
        ),
        (
            "[tiers.startup]",
            "[alerts]\nthresholds = 80\n[tiers.startup]",
            "r.toml:8:14: alerts.thresholds: expected an array of integers, found an integer",
        ),
        (
            "[tiers.startup]",
            "[alerts]\nwebhook = \"http://a.test/\"\n[tiers.startup]",
            "r.toml:8:11: alerts.webhook: expected a URL that starts with `https://`, such as `https://example.com/alerts`",
        ),
        (
            "home = \"eu-central-1\"",
            "home = \"\"",
            "r.toml:4:8: service.home: empty; set it to one of [regions], such as `eu-central-1`",
        ),
        (
            "us-east-1",
            "us-gov-west-1",
            "r.toml:10:10: regions.us-gov-west-1: `us-gov-west-1` is a region of AWS GovCloud (US), partition `aws-us-gov`; only the partition `aws` is supported",
        ),
        (
            "home = \"eu-central-1\"",
            "home = \"us-gov-east-1\"",
            "r.toml:4:8: service.home: `us-gov-east-1` is a region of AWS GovCloud (US), partition `aws-us-gov`; only the partition `aws` is supported",
        ),
        (
            "us-east-1",
            "cn-north-1",
            "r.toml:10:10: regions.cn-north-1: `cn-north-1` is a region of AWS China, partition `aws-cn`; only the partition `aws` is supported",
        ),
        (
            "name = \"geo\"",
            "name = \"sthree\"",
            "r.toml:3:8: service.name: starts with `sthree-`, which S3 reserves in bucket names; choose another",
        ),
        (
            "name = \"geo\"",
            "name = \"geo-s3alias\"",
            "r.toml:3:8: service.name: ends with `-s3alias`, which S3 reserves in bucket names; choose another",
        ),
        (
            "name = \"geo\"",
            "name = \"geo\"\nenvironment = \"xn--a\"",
            "r.toml:4:15: service.environment: starts with `xn--`, which S3 reserves in bucket names; choose another",
        ),
        (
            "[tiers.startup]",
            "[geo]\nattribution = \"a\\u0007b\"\n[tiers.startup]",
            "r.toml:8:15: geo.attribution: contains the invisible character U+0007; remove it",
        ),
        (
            "[tiers.startup]",
            "[geo]\nattribution_link = \"javascript:alert(1)\"\n[tiers.startup]",
            "r.toml:8:20: geo.attribution_link: expected a URL, such as `https://example.com`",
        ),
        (
            "[tiers.startup]",
            "[alerts]\nthresholds = [80, 80]\n[tiers.startup]",
            "r.toml:8:19: alerts.thresholds[1]: duplicate",
        ),
        (
            "[tiers.startup]",
            "[alerts]\nthresholds = [1,2,3,4,5,6,7,8,9,10,11]\n[tiers.startup]",
            "r.toml:8:14: alerts.thresholds: expected at most 10 items, found 11",
        ),
        (
            "[tiers.startup]\nlimit = \"100_000/month\"",
            "",
            "r.toml:5:2: missing [tiers.NAME]: expected at least one besides `anonymous`",
        ),
        ("[service]", "service = 3\n[other]", "r.toml:2:11: service: expected a table, found an integer"),
    ];
    for (from, to, expected) in table {
        let found = faults(from, to);
        assert!(found.lines().any(|line| line == expected), "{from} -> {to}\n{found}\nwanted: {expected}");
    }
}

#[test]
fn all_faults_are_reported_together_in_file_order() {
    let text = SMALL
        .replace("1500/day", "5/week")
        .replace("memory_mb = 512", "memory_mb = 1\narchitecture = \"arm\"");
    assert_eq!(
        parse("regions.toml", &text).expect_err("faults").to_string(),
        "regions.toml:6:9: tiers.anonymous.limit: `week` is not a window; the windows are `day` and `month`\n\
         regions.toml:11:13: regions.us-east-1.memory_mb: expected 128 to 10240, found 1\n\
         regions.toml:12:16: regions.us-east-1.architecture: expected `arm64` or `x86_64`, found `arm`; did you mean `arm64`?\n\
         3 problems in regions.toml"
    );
}

#[test]
fn invalid_toml_is_reported_with_its_position() {
    let error = parse("r.toml", "[service]\nname = \n").expect_err("broken").to_string();
    assert!(error.starts_with("r.toml:2:"), "{error}");
    let empty = parse("r.toml", "").expect_err("empty").to_string();
    assert_eq!(
        empty,
        "r.toml:1:1: missing [service]\nr.toml:1:1: missing [tiers]\n\
         r.toml:1:1: missing [regions]\n3 problems in r.toml"
    );
}

/// Faults of the small file with these lines added to `[service]`.
fn service_faults(lines: &str) -> String {
    match parse("r.toml", &SMALL.replacen("[service]", &format!("[service]\n{lines}"), 1)) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_domain_is_one_that_dns_and_a_certificate_take() {
    let of = |domain: &str| service_faults(&format!("domain = \"{domain}\"\nhosted_zone = \"example.com\""));
    let at_most = format!("{}.{}.example.com", "a".repeat(25), "b".repeat(26));
    assert_eq!((at_most.len(), of(&at_most).as_str()), (64, ""));
    assert!(
        of(&format!("x{at_most}"))
            .contains("service.domain: has 65 characters; an AWS certificate allows at most 64")
    );
    let label = format!("{}.example.com", "a".repeat(64));
    assert!(of(&label).contains("service.domain: has a label of 64 characters; DNS allows at most 63"));
    // A hosted zone needs no certificate.
    let zone = format!("{}.{}.example.com", "a".repeat(30), "b".repeat(30));
    let error = service_faults(&format!("domain = \"{zone}\"\nhosted_zone = \"{zone}\""));
    assert!(error.matches("an AWS certificate").count() == 1, "{error}");
    let long = ["a"; 130].join(".");
    let error = service_faults(&format!("domain = \"{long}\"\nhosted_zone = \"{long}\""));
    assert!(error.contains("service.hosted_zone: has 259 characters; DNS allows at most 253"), "{error}");
}

#[test]
fn names_that_s3_keeps_for_itself_are_found_here() {
    for name in ["xn--a", "sthree", "sthree-x", "amzn-s3-demo", "amzn-s3-demo-x"] {
        let error = parse("r.toml", &SMALL.replacen("\"geo\"", &format!("\"{name}\""), 1))
            .expect_err(name)
            .to_string();
        assert!(
            error.contains("service.name: starts with") && error.contains("S3 reserves"),
            "{name}: {error}"
        );
    }
    for name in ["a-s3alias", "a--ol-s3", "a--x-s3", "a--table-s3", "s3alias"] {
        let error = parse("r.toml", &SMALL.replacen("\"geo\"", &format!("\"{name}\""), 1))
            .expect_err(name)
            .to_string();
        assert!(
            error.contains("service.name: ends with") && error.contains("S3 reserves"),
            "{name}: {error}"
        );
    }
    for name in ["xn-a", "sthreex", "amzn-s3", "geo-s3", "mrap"] {
        assert!(parse("r.toml", &SMALL.replacen("\"geo\"", &format!("\"{name}\""), 1)).is_ok(), "{name}");
    }
}

#[test]
fn no_text_of_the_file_has_invisible_characters() {
    // Every field that is a text, each with a bell in it.
    let fields = [
        ("service", "name"),
        ("service", "environment"),
        ("service", "domain"),
        ("service", "hosted_zone"),
        ("service", "home"),
        ("service", "key_prefix"),
        ("service", "account"),
        ("service", "permissions_boundary"),
        ("runtime", "architecture"),
        ("geo", "name"),
        ("geo", "licence"),
        ("geo", "attribution"),
        ("geo", "attribution_link"),
        ("alarms", "email"),
        ("alerts", "email"),
        ("alerts", "webhook"),
        ("emulator", "endpoint"),
        ("emulator", "geo_database"),
    ];
    for (table, field) in fields {
        for bad in ["\\u0007", "\\n", "\\u001b[31m", "\\u007f", "\\u202e", "\\u2028"] {
            let text = format!("[{table}]\n{field} = \"a{bad}b\"\n");
            let error = parse("r.toml", &text).expect_err("a fault").to_string();
            let place =
                format!("r.toml:2:{}: {table}.{field}: contains the invisible character U+", field.len() + 4);
            assert!(error.contains(&place), "{table}.{field} {bad}: {error}");
        }
    }
    for origin in [
        "file = \"a\\u0007\"",
        "url = \"https://a.test/\\u0007\"",
        "npm = \"a\\u0007\"\nfiles = [\"a.mmdb\"]",
        "npm = \"a\"\nfiles = [\"\\u0007.mmdb\"]",
    ] {
        let error = parse("r.toml", &format!("[[geo.sources]]\nname = \"x\"\n{origin}\n"))
            .expect_err("a fault")
            .to_string();
        assert!(error.contains("contains the invisible character U+0007"), "{origin}: {error}");
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
