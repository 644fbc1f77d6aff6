//! `ipgeo geo` as an operator runs it.

use std::path::Path;
use std::process::Command;

use ipgeo_geo::compile::{DataDescription, NoProgress, Source, build};

use crate::support::{CONFIG, run, stderr, stdout};

/// A source of two networks, as `geo fetch` would write it.
fn source(path: &Path) {
    use mmdb_writer::{IpVersion, Value, Writer};
    let mut writer = Writer::builder("city").ip_version(IpVersion::V4).build();
    for (network, code) in [("5.0.0.0/8", "DE"), ("6.0.0.0/8", "US")] {
        let record = [("country_code".to_owned(), Value::String(code.to_owned()))];
        let network: ipnet::IpNet = network.parse().expect("a network");
        writer.insert_value(network, Value::Map(record.into_iter().collect())).expect("inserted");
    }
    std::fs::write(path, writer.to_bytes().expect("bytes")).expect("written");
}

#[test]
fn a_geo_build_never_writes_over_what_it_reads_or_what_is_not_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    source(&at("x.mmdb"));
    source(&at("old.mmdb.previous"));
    std::fs::hard_link(at("x.mmdb"), at("hard.mmdb")).expect("a link");
    std::os::unix::fs::symlink(at("x.mmdb"), at("soft.mmdb")).expect("a link");
    std::fs::write(at("letter.txt"), "dear all").expect("written");
    let names = ["x.mmdb", "old.mmdb.previous", "hard.mmdb", "soft.mmdb", "letter.txt"];
    let read = || names.map(|name| std::fs::read(at(name)).expect("a file"));
    let before = read();
    let state = at("state");
    let build = |source: &str, out: &str| {
        let (source, out) = (at(source).display().to_string(), at(out).display().to_string());
        let output = run(&state, &["geo", "build", &source, "--out", &out]);
        (output.status.code(), stderr(&output))
    };
    for out in ["x.mmdb", "./x.mmdb", "hard.mmdb", "soft.mmdb"] {
        let (status, message) = build("x.mmdb", out);
        assert!(status == Some(1) && message.contains(", a source of this build"), "{out}: {message}");
    }
    let (status, message) = build("x.mmdb", "letter.txt");
    assert!(status == Some(1) && message.contains("is not a compiled geo database"), "{message}");
    let (status, message) = build("old.mmdb.previous", "old.mmdb");
    assert!(status == Some(1) && message.contains(", a source of this build"), "{message}");
    let sample = run(&state, &["geo", "build", "--sample", "--out", &at("letter.txt").display().to_string()]);
    assert!(stderr(&sample).contains("is not a compiled geo database"), "{}", stderr(&sample));
    assert_eq!(read(), before);
    // Its own output may be replaced: by another source, and by the same again.
    for round in 0..2 {
        let (status, message) = build("x.mmdb", "out.mmdb");
        assert_eq!(status, Some(0), "{round}: {message}");
    }
    let _ = std::fs::remove_file(at("self.mmdb"));
    std::fs::hard_link(at("out.mmdb"), at("self.mmdb")).expect("a link");
    let (status, message) = build("self.mmdb", "out.mmdb");
    assert!(status == Some(1) && message.contains(", a source of this build"), "{message}");
}

#[test]
fn what_a_database_says_of_itself_does_not_move_the_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, file) = (folder.path().join("x.mmdb"), folder.path().join("y.mmdb"));
    source(&from);
    let description =
        DataDescription { name: "\u{1b}[2J\u{9b}31mX".into(), date: "\u{7}".into(), ..Default::default() };
    let opened = [Source::open(&from).expect("it opens").into()];
    let compiled = build(&opened, &description, &NoProgress).expect("it compiles");
    std::fs::write(&file, compiled.to_bytes()).expect("written");
    let file = file.display().to_string();
    for args in [&["geo", "inspect", &file][..], &["geo", "diff", &file, &file]] {
        let output = run(folder.path(), args);
        let all = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{all}");
        assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{all:?}");
    }
}

#[test]
fn corrections_are_added_replaced_listed_removed_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    let text = std::fs::read_to_string(CONFIG).expect("the shipped file");
    let (before, rest) = text.split_once("sources = [").expect("sources");
    let after = rest.split_once("\n]\n").expect("their end").1;
    std::fs::write(&config, format!("{before}{after}")).expect("written");
    let with = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.arg("--config").arg(&config).arg("--state").arg(folder.path().join(".ipgeo"));
        let output = command.args(args).output().expect("it runs");
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    let file = folder.path().join("overrides.csv");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    for (args, status, said) in [
        (&["add", "8.8.8.0/24", "--city", "Berlin"][..], 2, "the country of this network is not known"),
        (&["add", "8.8.8.0/24"], 2, "it corrects nothing"),
        (&["add", "10.0.0.1", "--country", "DE"], 2, "`10.0.0.1` has no public address"),
        (&["add", "8.8.8.0/24", "--country", "XX"], 2, "`XX` is not a country code"),
        (
            &["add", "9.9.9.9/8", "--country", "US"],
            2,
            "write `9.0.0.0/8` for the network or `9.9.9.9` for the address",
        ),
        (&["add", "8.8.8.8", "--country", "US", "--region-code", "BY"], 2, "`BY` is not a region code of US"),
        (&["add", "8.8.8.8", "--country", "US", "--note", "a\nb"], 2, "`note` has a line break"),
        (&["list"], 0, "has no corrections"),
        (&["remove", "8.8.8.8"], 1, "has no correction of 8.8.8.8"),
    ] {
        let (code, output) = with(&[&["geo", "override"], args].concat());
        assert!(code == Some(status) && output.contains(said), "{args:?}: {output}");
        assert!(!file.exists(), "{args:?}");
    }
    with(&["geo", "build", "--sample"]);
    for (args, said) in [
        // The country is the one in the compiled database.
        (
            &["add", "8.8.8.0/24", "--city", "Reno", "--note", "a, \"b\""][..],
            "added the correction of 8.8.8.0/24",
        ),
        (
            &["add", "8.8.8.0-8.8.8.255", "--country", "de", "--latitude", "-5", "--longitude", "7"],
            "replaced",
        ),
        (&["add", "2001:4860::/32", "--country", "US"], "added"),
        (&["list"], "2001:4860::/32     US"),
        (&["remove", "2001:4860:0::/32"], "removed the correction of 2001:4860:0::/32"),
    ] {
        let (code, output) = with(&[&["geo", "override"], args].concat());
        assert!(code == Some(0) && output.contains(said), "{args:?}: {output}");
        let reno = args.contains(&"Reno");
        assert_eq!(text().contains("8.8.8.0/24,Reno,,,US,,,,,\"a, \"\"b\"\"\","), reno, "{}", text());
    }
    assert_eq!(text().lines().count(), 2, "{}", text());
    let source = folder.path().join("x.mmdb");
    self::source(&source);
    with(&["geo", "build", &source.display().to_string()]);
    let (code, output) = with(&["geo", "diff", "-n", "1000"]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("corrections: 1, of 256 IPv4 addresses; 1 changed a location"), "{output}");
    // An invalid file is named with its line and is not changed by a build.
    std::fs::write(&file, "network,city\n8.8.8.8,x\n").expect("written");
    let (code, output) = with(&["geo", "build", &source.display().to_string()]);
    assert!(
        code == Some(1) && output.contains("overrides.csv: line 2: a city, region or postal code needs"),
        "{output}"
    );
}
