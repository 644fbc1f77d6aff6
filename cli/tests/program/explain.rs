//! `geo explain`, and `explain=1` and blocklists through a running service, whose database is fetched and compiled from sources with a correction.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{self, Dev, done, get, stderr, stdout};

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
[[geo.sources]]
name = \"abusers\"
file = \"abusers.txt\"
flags = [\"is_known_abuser\"]
blocklist = { name = \"Abusers\", site = \"https://example.com\", type = \"spam\" }
";

/// The database of three sources and a correction of one address.
fn build(folder: &Path, state: &Path) {
    let files = [
        ("regions.toml", CONFIG),
        ("city.csv", "8.8.8.0,8.8.8.255,US,California,,Mountain View,94043,37.4,-122.1,\n"),
        ("asn.csv", "8.8.0.0,8.8.255.255,15169,Google LLC\n"),
        ("exits.txt", "8.8.8.9\n"),
        ("abusers.txt", "8.8.8.8/31\n"),
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
        json!({ "field": "threat", "source": "abusers" }),
    ] {
        assert!(rows.contains(&row), "{row}: {explain}");
    }
    let lists = json!([{ "name": "Abusers", "site": "https://example.com", "type": "spam" }]);
    assert_eq!((&answer["threat"]["is_tor"], &answer["threat"]["blocklists"]), (&json!(true), &lists));
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
    assert!(changed.lines().any(|line| line.split_whitespace().eq(["explain", "refused"])), "{changed}");
    support::wait_for(|| get(&url, Some(&key)).0 == 403);
    assert_eq!(get(&url.replace("?explain=1", ""), Some(&key)).0, 200);
    assert_eq!(dev.stop(), Some(0));
}

/// A correction has its own date: the smallest that holds the address decides, of equal ones the last. Nothing dates a list or a CSV file.
#[test]
fn each_explained_value_has_a_date_or_says_that_it_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, config) =
        (folder.path().join(".ipgeo"), folder.path().join("regions.toml").display().to_string());
    build(folder.path(), &state);
    let corrections = "network,country_code,city,date\n8.8.8.9,US,Reno,2026-11-01\n8.8.8.0/24,US,Elko,2026-11-03\n\
                       8.8.8.9/32,US,Reno,2026-11-02\n";
    std::fs::write(folder.path().join("overrides.csv"), corrections).expect("written");
    for (address, date) in [("8.8.8.9", "2026-11-02"), ("8.8.8.7", "2026-11-03")] {
        let text = done(&state, &["geo", "explain", address, "--config", &config]);
        let line =
            |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(line("city").contains(date) && line("asn").contains("unknown"), "{address}: {text}");
    }
    let text = done(&state, &["geo", "explain", "8.8.8.9", "--config", &config, "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&text).expect(&text);
    let date = |field: &str| rows.iter().find(|row| row["field"] == field).expect(field)["date"].clone();
    assert_eq!(
        (date("city"), date("asn"), date("threat.is_tor")),
        (json!("2026-11-02"), Value::Null, Value::Null)
    );
}

#[test]
fn an_answer_is_explained_by_the_sources_that_it_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    std::fs::copy(support::CONFIG, &config).expect("copied");
    let at = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
        folder.path().join(name).display().to_string()
    };
    let city = at("city.csv", "8.8.8.0,8.8.8.255,US,California,,Mountain View,94043,37.4,-122.1,\n");
    let asn = at("asn.csv", "8.8.0.0,8.8.255.255,15169,Google LLC\n");
    at("overrides.csv", "network,country_code,city\n8.8.8.8,US,Reno\n");
    let with = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.arg("--config").arg(&config).arg("--state").arg(folder.path().join(".ipgeo"));
        let output = command.args(["geo", "explain"]).args(args).output().expect("it runs");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, text, said) = with(&["8.8.8.8", &city, &asn, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let rows: serde_json::Value = serde_json::from_str(&text).expect(&text);
    let row = |field: &str| {
        let rows = rows.as_array().expect("an array");
        rows.iter().find(|row| row["field"] == field).unwrap_or_else(|| panic!("{field}: {text}")).clone()
    };
    let reno = row("city");
    assert_eq!(
        (&reno["value"], &reno["source"], &reno["range"]),
        (&"Reno".into(), &"overrides".into(), &"8.8.8.8/32".into())
    );
    assert_eq!(
        (&reno["overridden"][0]["value"], &reno["overridden"][0]["range"]),
        (&"Mountain View".into(), &"8.8.8.0/24".into())
    );
    assert_eq!(row("country_code")["agreeing"][0]["source"], city);
    assert_eq!(
        (&row("asn")["value"], &row("asn")["range"]),
        (&"AS15169 Google LLC".into(), &"8.8.0.0/16".into())
    );
    // Another address: the region's code follows from its name.
    let (_, text, _) = with(&["8.8.8.9", &city]);
    assert!(
        text.contains("region_code") && text.contains("Mountain View") && !text.contains("Reno"),
        "{text}"
    );
    let (code, text, said) = with(&["9.9.9.9", &city]);
    assert!(
        code == Some(0) && !text.contains("9.9.9.9") && said.contains("no source knows 9.9.9.9"),
        "{text}{said}"
    );
    let (code, _, said) = with(&["8.8.8.8"]);
    assert!(code == Some(1) && said.contains("run `ipgeo geo fetch`"), "{said}");
}
