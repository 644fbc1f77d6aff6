//! `explain=1` through a running service, whose database is fetched and compiled from sources with a correction.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Dev, done, get};

const CONFIG: &str = "\
[service]
name = \"ipgeo\"
home = \"us-east-1\"
[runtime]
access_cache_s = 1
[tiers.anonymous]
limit = \"5/day\"
[tiers.startup]
limit = \"50/day\"
[regions.us-east-1]
[geo]
name = \"City\"
licence = \"MIT\"
[[geo.sources]]
name = \"city\"
file = \"city.csv\"
[[geo.sources]]
name = \"asn\"
file = \"asn.csv\"
[[geo.sources]]
name = \"exits\"
file = \"exits.txt\"
flags = [\"is_tor\"]
";

/// The database of three sources and a correction of one address.
fn build(folder: &Path, state: &Path) {
    let files = [
        ("regions.toml", CONFIG),
        ("city.csv", "8.8.8.0,8.8.8.255,US,California,,Mountain View,94043,37.4,-122.1,\n"),
        ("asn.csv", "8.8.0.0,8.8.255.255,15169,Google LLC\n"),
        ("exits.txt", "8.8.8.9\n"),
        ("overrides.csv", "network,country_code,city\n8.8.8.9,US,Reno\n"),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let config = folder.join("regions.toml").display().to_string();
    for verb in ["fetch", "build"] {
        done(state, &["geo", verb, "--config", &config]);
    }
}

#[test]
fn an_api_key_gets_explanations_until_it_may_no_longer() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join(".ipgeo");
    build(folder.path(), &state);
    let dev = Dev::start(&state);
    let create = ["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"];
    let (plain, key) = (done(&state, &create), done(&state, &[&create[..], &["--explain"]].concat()));
    let url = format!("{}/8.8.8.9?explain=1", dev.nearest());
    let (status, text) = get(&url, Some(&key));
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).expect(&text);
    let explain = &answer["explain"];
    assert_eq!((&answer["city"], &explain["network"]), (&json!("Reno"), &json!("8.8.8.9/32")));
    let rows = explain["fields"].as_array().expect("rows");
    for row in [
        json!({ "field": "city", "source": "overrides" }),
        json!({ "field": "country_name", "source": "overrides" }),
        json!({ "field": "asn", "source": "asn", "range": "8.8.0.0/16" }),
        json!({ "field": "threat", "source": "exits" }),
    ] {
        assert!(rows.contains(&row), "{row}: {explain}");
    }
    for key in [None, Some(plain.as_str())] {
        let (status, text) = get(&url, key);
        assert!(
            status == 403 && text.contains("needs an API key that is allowed to use it"),
            "{status} {text}"
        );
    }
    let used = |key: &str| {
        let hint = key.get(key.len() - 4..).expect("ASCII");
        let shown: Value =
            serde_json::from_str(&done(&state, &["keys", "show", hint, "--dev", "--json"])).expect("JSON");
        (shown["explain"].clone(), shown["by_verdict"].clone())
    };
    support::wait_for(|| used(&plain).1["bad_request"] == 1);
    assert_eq!((used(&key).0, used(&plain)), (json!(true), (json!(false), json!({ "bad_request": 1 }))));
    // The export has it, and a change takes effect.
    let exported = done(&state, &["keys", "export", "--dev"]);
    assert!(exported.lines().any(|line| line.contains(",true,")), "{exported}");
    let hint = key.get(key.len() - 4..).expect("ASCII");
    let changed = done(&state, &["keys", "update", hint, "--no-explain", "--dev"]);
    assert!(changed.contains("explain     refused"), "{changed}");
    support::wait_for(|| get(&url, Some(&key)).0 == 403);
    assert_eq!(get(&url.replace("?explain=1", ""), Some(&key)).0, 200);
    assert_eq!(dev.stop(), Some(0));
}
