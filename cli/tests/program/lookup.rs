//! `ipgeo lookup` and `ipgeo bulk` as they are run: offline, and through a running service.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Dev, done, ipgeo, run, stderr, stdout, with_input};

const ADDRESSES: [&str; 6] =
    ["8.8.8.8", "1.1.1.1", "81.2.69.142", "139.162.0.1", "2606:4700:4700::1111", "2002:808:808::1"];

/// An answer without what differs from call to call.
fn comparable(mut location: Value) -> Value {
    let members = location.as_object_mut().expect("an object");
    members.remove("count");
    if let Some(zone) = members.get_mut("time_zone").and_then(Value::as_object_mut) {
        zone.remove("current_time");
    }
    location
}

fn sample(state: &Path) {
    done(state, &["geo", "build", "--sample"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one service, in order")]
fn offline_answers_are_those_of_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    sample(state);
    let dev = Dev::start(state);
    let mut addresses = ADDRESSES.to_vec();
    addresses.extend(["10.0.0.1", "bleh", "8.8.8.8:53", "AS15169", "127.0.0.1"]);
    let list = |more: &[&str]| -> Vec<Value> {
        let args = [&["lookup", "--json"], addresses.as_slice(), more].concat();
        serde_json::from_str(&done(state, &args)).expect("JSON")
    };
    let (offline, served) = (list(&[]), list(&["--dev"]));
    assert_eq!(offline.len(), addresses.len());
    for (offline, served) in offline.into_iter().zip(served) {
        assert_eq!(comparable(offline), comparable(served));
    }
    let nearest = dev.nearest().to_owned();
    for more in [&[][..], &["--dev"], &["--url", &nearest]] {
        let args = |rest: &[&'static str]| {
            [&["lookup"], rest, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let done = |rest: &[&'static str]| {
            let args = args(rest);
            done(state, &args.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(done(&["8.8.8.8", "--field", "city"]), "Mountain View");
        assert_eq!(done(&["8.8.8.8", "--field", "asn.name"]), "Google LLC");
        assert_eq!(
            done(&["1.1.1.1", "--fields", "city,asn.asn", "--csv"]),
            "ip,city,asn.asn,ip_error\n1.1.1.1,Brisbane,AS13335,"
        );
        assert!(done(&["8.8.8.8", "1.1.1.1", "--summary"]).ends_with("\n\n2 addresses, 2 unique"));
    }

    // More rows than one request holds, in the same order.
    let mut csv = "n,ip\n".to_owned();
    for n in 0..250 {
        let _ = writeln!(csv, "{n},{}", addresses[n % addresses.len()]);
    }
    let file = state.join("list.csv");
    fs::write(&file, csv).expect("written");
    let file = file.to_str().expect("UTF-8");
    let (offline, served) = (done(state, &["bulk", file]), done(state, &["bulk", file, "--dev"]));
    assert_eq!(offline, served);
    assert_eq!(offline.lines().count(), 251, "{offline}");

    // An API key with its quota, in the environment and in a file.
    let key = done(
        state,
        &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup", "--quota", "110/month"],
    );
    let out = state.join("out.csv");
    let bulk = |args: &[&str]| {
        ipgeo(state)
            .args(["bulk", file, "--dev", "--out"])
            .arg(&out)
            .args(args)
            .env("IPGEO_API_KEY", &key)
            .output()
    };
    let refused = bulk(&[]).expect("it runs");
    let message = stderr(&refused);
    assert!(refused.status.code() == Some(1) && !out.exists() && !message.contains(&key), "{message}");
    assert!(
        message.contains("error: the API refused after ") && message.contains("requests a month"),
        "{message}"
    );
    assert!(
        message.contains("help: wait ") && message.contains("use an API key with a larger limit"),
        "{message}"
    );
    let key_file = state.join("key.txt");
    fs::write(&key_file, "ipg_wrong\n").expect("written");
    let refused = bulk(&["--api-key-file", key_file.to_str().expect("UTF-8")]).expect("it runs");
    assert!(
        stderr(&refused).contains("help: check the API key in IPGEO_API_KEY or the file"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(dev.stop(), Some(0));
    let gone = run(state, &["lookup", "8.8.8.8", "--dev"]);
    assert!(stderr(&gone).contains("`ipgeo dev` is not running"), "{}", stderr(&gone));
}

#[test]
fn a_file_gets_its_columns_or_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let none = run(state, &["lookup", "8.8.8.8"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        stderr(&none)
            .contains("help: run `ipgeo geo fetch && ipgeo geo build`, or `ipgeo geo build --sample`"),
        "{}",
        stderr(&none)
    );
    sample(state);
    let file = state.join("list.csv");
    let path = file.to_str().expect("UTF-8");
    fs::write(&file, "ip\n8.8.8.8\nbleh\n").expect("written");
    // The same file, replaced when it is complete.
    let output = run(state, &["bulk", path, "--fields", "city", "--out", path]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    assert!(
        stderr(&output).contains("2 addresses, 1 of them without a location (see `ip_error`); wrote "),
        "{}",
        stderr(&output)
    );
    let text = fs::read_to_string(&file).expect("a file");
    assert!(text.starts_with("ip,city,ip_error\n8.8.8.8,Mountain View,\nbleh,,bleh does not"), "{text}");
    fs::write(&file, "ip,x\n8.8.8.8,1\n8.8.8.8,1,2\n").expect("written");
    assert_eq!(run(state, &["bulk", path, "--out", path]).status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "ip,x\n8.8.8.8,1\n8.8.8.8,1,2\n");
    let files: Vec<_> =
        fs::read_dir(state).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!files.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{files:?}");
    for (args, status, expected) in [
        (&["bulk", "missing.csv"][..], 1, "cannot read missing.csv\n  because No such file"),
        (&["bulk", "."], 1, ". is a folder\nhelp: name a file"),
        (&["bulk", path, "--out", "missing/out.csv"], 1, "there is no folder missing"),
        (&["bulk", path, "--fields", "planet"], 2, "unknown field `planet`"),
        (&["bulk", path, "-o", "json"], 2, "its formats are table, csv"),
        (&["lookup", "bleh"], 2, "error: bleh does not appear to be an IPv4 or IPv6 address\n"),
        (&["lookup", "8.8.8.8:53"], 2, "help: remove the port: 8.8.8.8"),
        (&["lookup", path], 2, "help: to look up the addresses in a file: `ipgeo bulk "),
        (&["lookup", "10.0.0.1"], 1, "error: 10.0.0.1 is a private IP address\n"),
        (&["lookup", "10.0.0.1", "bleh"], 1, "2 of 2 addresses have no location"),
        (&["lookup", "8.8.8.8", "--field", "city", "--json"], 2, "use `--fields` with this output format"),
        (&["lookup", "8.8.8.8", "--url", "http://example.com"], 2, "use https"),
        (&["lookup", "8.8.8.8", "--url", "http://127.0.0.1:1"], 1, "cannot reach http://127.0.0.1:1"),
        (&["lookup", "-", "-"], 2, "`-` can be given once"),
    ] {
        let output = run(state, args);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn pipes_are_read_and_written_as_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    sample(state);
    let list = with_input(state, &["lookup", "--fields", "city", "-o", "jsonl"], " 8.8.8.8\r\n\n1.1.1.1\n");
    assert_eq!(stdout(&list), "{\"city\":\"Mountain View\"}\n{\"city\":\"Brisbane\"}\n");
    let mixed = with_input(state, &["lookup", "1.1.1.1", "-", "--field", "city"], "8.8.8.8\n");
    assert_eq!(stdout(&mixed), "Brisbane\nMountain View\n");
    assert_eq!(stdout(&with_input(state, &["lookup", "--json"], "")), "[]\n");
    let bulk = with_input(state, &["bulk", "-", "--fields", "city"], "8.8.8.8\n");
    assert_eq!(stdout(&bulk), "ip,city,ip_error\n8.8.8.8,Mountain View,\n");

    // An answer is printed before the next address is there.
    let mut command = ipgeo(state);
    command.args(["lookup", "-", "--field", "city"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let (mut input, mut lines) =
        (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")).lines());
    for (address, city) in [("8.8.8.8", "Mountain View"), ("1.1.1.1", "Brisbane")] {
        writeln!(input, "{address}").expect("written");
        assert_eq!(lines.next().expect("a line").expect("text"), city);
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());

    // A closed pipe is quiet.
    let file = state.join("long.csv");
    fs::write(&file, "8.8.8.8\n".repeat(20_000)).expect("written");
    let mut command = ipgeo(state);
    command.arg("bulk").arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
