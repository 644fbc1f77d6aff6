//! Every verb in every format: data on standard output parses, messages go to standard error, an unsupported format is wrong
//! usage, and an empty result is an empty document. The verbs that need AWS print their documents in unit tests of
//! `cmd/deploy/plan.rs` and `cmd/observe/status.rs`, against a cloud in memory; here, only their refusals are tested.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{Dev, done, get, ipgeo, run, stderr, stdout, wait_for, with_input};

/// What a verb prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rows: an array as JSON.
    Rows,
    /// One value: an object as JSON, a row as CSV.
    One,
    /// One value as JSON, rows as JSON lines and CSV.
    Bill,
    /// A JSON document, with `table` and with `json`.
    Document,
    /// CSV only, also as the default.
    Csv,
    /// Text only.
    Text,
    /// Event lines, or a line when it is ready.
    Events,
}

const FORMS: [&str; 4] = ["table", "json", "jsonl", "csv"];

impl Kind {
    fn forms(self) -> &'static [&'static str] {
        match self {
            Self::Rows | Self::One | Self::Bill => &FORMS,
            Self::Events => &FORMS[..3],
            Self::Document => &FORMS[..2],
            Self::Csv => &["table", "csv"],
            Self::Text => &FORMS[..1],
        }
    }
}

/// Every verb with its arguments and its kind of output. `KEY`, `OUT`, `CSV`, `DB` and `LIST` stand for an API key's hint, a
/// missing file, a file of API keys, a compiled database, and a list of addresses.
const OFFLINE: &[(&str, &str, Kind)] = &[
    ("bulk", "LIST", Kind::Csv),
    ("completions", "bash", Kind::Text),
    ("config show", "", Kind::Rows),
    ("config show", "usage --origin", Kind::Rows),
    ("cost", "", Kind::Bill),
    ("cost", "--by region", Kind::Bill),
    ("geo build", "--sample", Kind::One),
    ("geo diff", "DB DB -n 100", Kind::Bill),
    ("geo inspect", "DB", Kind::One),
    ("geo override list", "", Kind::Rows),
    ("geo pin", "", Kind::Rows),
    ("iam policy", "", Kind::Document),
    ("lookup", "8.8.8.8", Kind::One),
    ("lookup", "8.8.8.8 1.1.1.1 10.0.0.1", Kind::Rows),
    ("lookup", "8.8.8.8 1.1.1.1 --fields city,asn", Kind::Rows),
    ("lookup", "8.8.8.8 --summary", Kind::Bill),
    ("man", "", Kind::Text),
    ("quota explain", "--tier startup", Kind::Bill),
    ("render", "", Kind::Rows),
    ("render", "--stdout", Kind::Text),
    ("schema", "", Kind::Document),
    ("simulate", "--span 1h --calls 100k --keys 5", Kind::Bill),
    ("validate", "", Kind::Rows),
];

const IN_WORLD: &[(&str, &str, Kind)] = &[
    ("doctor", "", Kind::Rows),
    ("keys create", "--owner zoo --tier startup", Kind::One),
    ("keys disable", "KEY", Kind::One),
    ("keys enable", "KEY", Kind::One),
    ("keys export", "", Kind::Rows),
    ("keys import", "CSV", Kind::One),
    ("keys list", "", Kind::Rows),
    ("keys list", "--owner nobody", Kind::Rows),
    ("keys list", "--sort used --limit 1", Kind::Rows),
    ("keys show", "KEY", Kind::One),
    ("keys update", "KEY --expires 90d", Kind::One),
    ("keys verify", "KEY --all-regions", Kind::Rows),
    ("logs", "", Kind::Rows),
    ("logs", "--filter nothing-has-this", Kind::Rows),
    ("logs", "--all", Kind::Rows),
    ("logs", "--key KEY", Kind::Rows),
    ("open", "", Kind::One),
    ("open", "us-east-1 --docs", Kind::One),
    ("probe", "-n 1", Kind::Rows),
    ("quota explain", "KEY", Kind::Bill),
    ("usage alerts", "", Kind::Rows),
    ("usage export", "", Kind::Rows),
    ("usage export", "--month 2020-01", Kind::Rows),
    ("usage lag", "", Kind::Rows),
    ("usage rebuild", "", Kind::Rows),
    ("usage recover", "", Kind::Rows),
    ("usage recover", "--dry-run", Kind::Rows),
    ("usage replay", "--from 1h", Kind::Rows),
    ("usage replay", "--from 2020-01-01 --into check", Kind::Rows),
    ("usage diff", "check", Kind::Rows),
    ("usage adopt", "check --yes", Kind::Rows),
    ("usage report", "", Kind::Rows),
    ("usage report", "--month 2020-01", Kind::Rows),
    ("usage report", "--owner nobody", Kind::Rows),
    ("usage report", "--by key,hour", Kind::Rows),
    ("usage report", "--html OUT", Kind::Text),
    ("usage report", "--html -", Kind::Text),
    ("usage top", "--month 2020-01", Kind::Rows),
    ("usage top", "", Kind::Rows),
];

/// Verbs that change something, each run once in the given format.
const ONCE: &[(&str, &str, &str)] = &[
    ("keys rotate", "KEY --grace 1h", "csv"),
    ("keys revoke", "KEY --yes", "csv"),
    ("usage discard", "check --yes", "json"),
];

/// Verbs that need AWS credentials, which tests do not have, or that run until they are stopped.
const AWAY: &[(&str, &str, Kind)] = &[
    ("deploy", "--yes", Kind::Events),
    ("destroy", "--confirm ipgeo-prod", Kind::Events),
    ("dev", "--port 0 --database nowhere.mmdb", Kind::Events),
    ("drift", "", Kind::Rows),
    ("geo explain", "8.8.8.8", Kind::Rows),
    ("geo fetch", "--npm false", Kind::Rows),
    ("geo override add", "8.8.8.8", Kind::Rows),
    ("geo override remove", "8.8.8.8", Kind::Rows),
    ("geo rollback", "--yes", Kind::Events),
    ("geo rollout", "--yes", Kind::Events),
    ("init", "--no-input", Kind::Text),
    ("logs", "--follow", Kind::Events),
    ("plan", "", Kind::Rows),
    ("rollback", "--yes", Kind::Events),
    ("status", "", Kind::Rows),
    ("status", "--watch 10s", Kind::Events),
    ("traffic attach", "us-east-1 --yes", Kind::Events),
    ("traffic drain", "us-east-1 --yes", Kind::Events),
    ("traffic show", "", Kind::Rows),
];

fn is_prose(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_err()
}

/// Fails unless a text is a document of a format.
fn parses(kind: Kind, form: &str, text: &str, what: &str) {
    let json = |text: &str| -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"))
    };
    match (form, kind) {
        ("json", Kind::Rows) => assert!(json(text).is_array(), "{what}: {text}"),
        ("json", Kind::One) => assert!(json(text).is_object(), "{what}: {text}"),
        ("json", Kind::Document) => {
            let document = json(text);
            assert!(document.is_object() || document.is_array(), "{what}: {text}");
        }
        ("json", _) => drop(json(text)),
        ("jsonl", _) => {
            assert!(!text.lines().any(|line| is_prose(line) || !json(line).is_object()), "{what}: {text}");
            assert!(kind != Kind::One || text.lines().count() == 1, "{what}: {text}");
        }
        ("csv", _) => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let header = reader.headers().expect(what).clone();
            assert!(
                !header.is_empty() && header.iter().all(|name| !name.contains(' ')),
                "{what}: {header:?}"
            );
            let rows = reader.records().collect::<Result<Vec<_>, _>>();
            let rows = rows.unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
            assert!(kind != Kind::One || rows.len() == 1, "{what}: {text}");
        }
        _ => {}
    }
    if form != "table" {
        let long = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        let long: Vec<&str> = long
            .filter(|n| n.split_once('.').is_some_and(|(_, after)| after.len() > 9 && !after.contains('.')))
            .collect();
        assert!(long.is_empty(), "{what}: fractions that nobody rounded: {long:?}");
    }
}

fn words(verb: &str, rest: &str, places: &[(&str, &str)]) -> Vec<String> {
    let named = |word: &str| {
        places.iter().find(|(name, _)| *name == word).map_or(word, |(_, place)| *place).to_owned()
    };
    verb.split(' ').chain(rest.split_whitespace()).map(named).collect()
}

/// Runs a verb in every format: supported ones succeed and parse, others are refused.
fn hold(state: &Path, (verb, rest, kind): (&str, &str, Kind), places: &[(&str, &str)], more: &[&str]) {
    for form in FORMS {
        let args = words(verb, rest, places);
        let args: Vec<&str> =
            args.iter().map(String::as_str).chain(more.iter().copied()).chain(["-o", form]).collect();
        let what = args.join(" ");
        let output = run(state, &args);
        if kind.forms().contains(&form) {
            // `doctor` exits with status 1 if a check fails.
            let status = output.status.code();
            assert!(
                status == Some(0) || (verb == "doctor" && status == Some(1)),
                "{what}: {}",
                stderr(&output)
            );
            parses(kind, form, &stdout(&output), &what);
        } else {
            refused(&output, kind, &what);
        }
    }
}

fn refused(output: &Output, kind: Kind, what: &str) {
    assert_eq!(
        (output.status.code(), stdout(output)),
        (Some(2), String::new()),
        "{what}: {}",
        stderr(output)
    );
    let names = kind.forms().join(", ");
    assert!(
        stderr(output).contains("does not support") && stderr(output).contains(&names),
        "{what}: {}",
        stderr(output)
    );
}

#[test]
fn every_verb_is_in_one_of_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    done(folder.path(), &["man", "--out", folder.path().join("man").to_str().expect("UTF-8")]);
    let pages = std::fs::read_dir(folder.path().join("man")).expect("pages");
    let names: BTreeSet<String> = pages
        .map(|page| page.expect("a page").file_name().to_string_lossy().trim_end_matches(".1").to_owned())
        .collect();
    let is_leaf = |name: &&String| !names.iter().any(|other| other.starts_with(&format!("{name}-")));
    let leaves: BTreeSet<String> = names
        .iter()
        .filter(is_leaf)
        .map(|name| name.trim_start_matches("ipgeo-").replace('-', " "))
        .collect();
    let tables = [OFFLINE, IN_WORLD, AWAY].concat();
    let once = ONCE.iter().map(|(verb, _, _)| (*verb).to_owned());
    let held: BTreeSet<String> = tables.iter().map(|(verb, _, _)| (*verb).to_owned()).chain(once).collect();
    assert_eq!(held, leaves);
}

#[test]
fn offline_verbs_print_or_refuse_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    done(state, &["geo", "build", "--sample"]);
    let database = state.join("geo").join("ipgeo.mmdb");
    let list = state.join("list.txt");
    std::fs::write(&list, "8.8.8.8\n10.0.0.1\n").expect("written");
    let places = [("DB", database.to_str().expect("UTF-8")), ("LIST", list.to_str().expect("UTF-8"))];
    for row in OFFLINE {
        hold(state, *row, &places, &[]);
    }
}

#[test]
fn verbs_of_a_world_print_every_form_or_refuse_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    // Empty results are empty documents: before anything is stored.
    for row in IN_WORLD.iter().filter(|(verb, rest, kind)| {
        *kind == Kind::Rows && !rest.contains("KEY") && !verb.contains("diff") && !verb.contains("adopt")
    }) {
        hold(state, *row, &[], &["--dev"]);
    }
    let key =
        done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup", "--quota", "4/day"]);
    for _ in 0..4 {
        assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0, 200);
    }
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);
    let list = || -> Value {
        serde_json::from_str(&done(state, &["keys", "list", "--dev", "--json"])).expect("JSON")
    };
    let of_acme = |rows: &Value| {
        rows.as_array().expect("rows").iter().find(|row| row["owner"] == "acme").cloned().expect("a row")
    };
    wait_for(|| of_acme(&list())["used"] == 4);
    let today = jiff::Timestamp::now().to_string();
    assert_eq!(of_acme(&list())["last_used"].as_str(), today.get(..10));
    let shown: Value =
        serde_json::from_str(&done(state, &["keys", "show", "--dev", &hint, "--json"])).expect("JSON");
    assert_eq!((&shown["counted"], &shown["by_verdict"]["allowed"]), (&4.into(), &4.into()), "{shown}");
    assert!(shown["by_day"].as_object().is_some_and(|days| days.values().all(|n| *n == 4)), "{shown}");
    wait_for(|| done(state, &["usage", "alerts", "--dev", "--json"]).contains("percent"));

    let (csv, out) = (state.join("keys.csv"), state.join("page.html"));
    std::fs::write(&csv, format!("owner,tier,hash\nnew,startup,{}\n", "ab".repeat(32))).expect("written");
    let places = [
        ("KEY", hint.as_str()),
        ("CSV", csv.to_str().expect("UTF-8")),
        ("OUT", out.to_str().expect("UTF-8")),
    ];
    for row in IN_WORLD {
        hold(state, *row, &places, &["--dev"]);
    }
    for (verb, rest, form) in ONCE {
        let args = words(verb, rest, &places);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["--dev", "-o", form]).collect();
        parses(Kind::One, form, &done(state, &args), verb);
    }
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn verbs_that_ask_aws_are_silent_when_they_fail_and_refuse_a_form_first() {
    let folder = tempfile::tempdir().expect("a folder");
    for (verb, rest, kind) in AWAY {
        for form in FORMS {
            let args = words(verb, rest, &[]);
            let mut command = ipgeo(folder.path());
            command.args(&args).args(["-o", form]).current_dir(folder.path()).env("HOME", folder.path());
            command.env("AWS_EC2_METADATA_DISABLED", "true").env_remove("AWS_ACCESS_KEY_ID");
            let output = command.env_remove("AWS_SECRET_ACCESS_KEY").output().expect("it runs");
            if kind.forms().contains(&form) {
                let status = output.status.code();
                assert!(matches!(status, Some(1 | 2)), "{verb} {form}: {status:?} {}", stderr(&output));
                assert_eq!(stdout(&output), "", "{verb} {form}");
            } else {
                refused(&output, *kind, &format!("{verb} {form}"));
            }
        }
    }
}

/// Only `output` writes machine-readable text, so fractions and cells are the same everywhere.
#[test]
fn machine_readable_output_is_written_in_one_place() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cmd"))];
    let (mut found, mut files) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).expect("text");
            if text.contains("serde_json::to_string") || text.contains("csv::Writer") {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(files > 30 && found.is_empty(), "{found:?}");
}

/// Wrong usage is status 2, however late it is detected.
#[test]
fn wrong_usage_is_one_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let key = done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);
    done(state, &["usage", "replay", "--dev", "--from", "2020-01-01", "--into", "check"]);
    // (arguments, part of standard error)
    let table: &[(&[&str], &str)] = &[
        (&["keys", "show", &key], "shell's history"),
        (&["keys", "verify", &key], "shell's history"),
        (&["keys", "revoke", &hint], "pass --yes to confirm"),
        (&["keys", "update", &hint], "nothing to change"),
        (&["keys", "update", &hint, "--expires", "yesterday"], "yesterday"),
        (&["keys", "rotate", &hint, "--grace", "soon"], "soon"),
        (&["keys", "update", &hint, "--rate", "0/s"], "a rate must be a whole number from 1/s to 10000/s"),
        (&["keys", "update", &hint, "--rate", "10/h"], "the units are `s` and `min`"),
        (&["keys", "update", &hint, "--rate", "NaN/s"], "not a number of calls"),
        (
            &["keys", "update", &hint, "--rate", "10/s", "--burst", "0"],
            "a burst of `0` calls is out of range",
        ),
        (&["keys", "update", &hint, "--burst", "20"], "--rate <RATE>"),
        (&["keys", "create", "--owner", "a", "--tier", "startup", "--expires", "2020-01-01"], "2020-01-01"),
        (&["keys", "create", "--owner", "", "--tier", "startup"], "owner"),
        (&["usage", "adopt", "check"], "pass --yes to confirm"),
        (&["usage", "discard", "check"], "pass --yes to confirm"),
        (&["usage", "report", "--owner", "a", "--kind", "site"], "only API keys have an owner"),
        (&["usage", "report", "--since", "10m"], "whole days, such as 1d"),
        (&["usage", "report", "--by", "hour", "--month", "2026-11"], "--since 24h or less"),
        (&["probe", "--regions", "us-esat-1"], "did you mean"),
        (&["logs", "--regions", "us-esat-1"], "did you mean"),
        (&["quota", "explain", &hint, "--rate", "2e9"], "--rate"),
    ];
    for (args, says) in table {
        let output = with_input(state, &[args, &["--dev"][..]].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(says) && stdout(&output).is_empty(),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    assert_eq!(dev.stop(), Some(0));
}
