//! Tests: the parser rejects what AWS or DNS would refuse later, and invisible characters, with position and remedy.

use super::parse::parse;

const SMALL: &str = r#"
[service]
name = "geo"
home = "eu-central-1"
[tiers.anonymous]
limit = "1500/day"
[tiers.startup]
limit = "100_000/month"
[regions.eu-central-1]
"#;

/// Faults of the minimal file with these lines added to `[service]`.
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
            .contains("`domain` has 65 characters; an AWS certificate allows at most 64")
    );
    let label = format!("{}.example.com", "a".repeat(64));
    assert!(of(&label).contains("`domain` has a label of 64 characters; DNS allows at most 63"));
    // A hosted zone needs no certificate.
    let zone = format!("{}.{}.example.com", "a".repeat(30), "b".repeat(30));
    let told = service_faults(&format!("domain = \"{zone}\"\nhosted_zone = \"{zone}\""));
    assert!(told.matches("an AWS certificate").count() == 1, "{told}");
    let long = ["a"; 130].join(".");
    let told = service_faults(&format!("domain = \"{long}\"\nhosted_zone = \"{long}\""));
    assert!(told.contains("`hosted_zone` has 259 characters; DNS allows at most 253"), "{told}");
}

#[test]
fn names_that_s3_keeps_for_itself_are_found_here() {
    for name in ["xn--a", "sthree", "sthree-x", "amzn-s3-demo", "amzn-s3-demo-x"] {
        let told = parse("r.toml", &SMALL.replacen("\"geo\"", &format!("\"{name}\""), 1))
            .expect_err(name)
            .to_string();
        assert!(told.contains("`name` starts with") && told.contains("S3 reserves"), "{name}: {told}");
    }
    for name in ["a-s3alias", "a--ol-s3", "a--x-s3", "a--table-s3", "s3alias"] {
        let told = parse("r.toml", &SMALL.replacen("\"geo\"", &format!("\"{name}\""), 1))
            .expect_err(name)
            .to_string();
        assert!(told.contains("`name` ends with") && told.contains("S3 reserves"), "{name}: {told}");
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
            let told = parse("r.toml", &text).expect_err("a fault").to_string();
            let place =
                format!("r.toml:2:{}: `{field}` contains the invisible character U+", field.len() + 4);
            assert!(told.contains(&place), "{table}.{field} {bad}: {told}");
        }
    }
    for origin in [
        "file = \"a\\u0007\"",
        "url = \"https://a.test/\\u0007\"",
        "npm = \"a\\u0007\"\nfiles = [\"a.mmdb\"]",
        "npm = \"a\"\nfiles = [\"\\u0007.mmdb\"]",
    ] {
        let told = parse("r.toml", &format!("[[geo.sources]]\nname = \"x\"\n{origin}\n"))
            .expect_err("a fault")
            .to_string();
        assert!(told.contains("contains the invisible character U+0007"), "{origin}: {told}");
    }
}
