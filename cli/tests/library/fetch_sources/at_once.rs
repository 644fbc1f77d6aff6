//! Two commands at once, and one that is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use ipgeo::internals::geo::sources::PathLock;

use super::{Place, TEXT};

fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
    command.arg("--config").arg(place.folder.path().join("regions.toml")).arg("--state").arg(place.state());
    command.args(args);
    command
}

pub(super) fn run(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(place, args).output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A program in place of npm.
fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn one_fetch_or_build_runs_at_a_time_and_the_next_deletes_what_a_killed_one_left() {
    let place = Place::new();
    let npm = place.folder.path().join("npm");
    let text = format!("{TEXT}npm = \"pkg\"\nfiles = [\"a.mmdb\"]\n");
    fs::write(place.folder.path().join("regions.toml"), text).expect("written");
    let (code, message) = run(&place, &["geo", "build", "--sample"]);
    assert_eq!(code, Some(0), "{message}");
    let served = place.state().join("geo/ipgeo.mmdb");
    let before = fs::read(&served).expect("a database");
    let done = place.folder.path().join("done");
    // It ends with the test, however the test ends.
    let wait = format!(
        "echo half > pkg.tgz; i=0; while [ ! -e '{}' ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done",
        done.display()
    );
    program(&npm, &wait);
    let npm_text = npm.display().to_string();
    let fetch = ["geo", "fetch", "--npm", &npm_text];
    let mut first = command(&place, &fetch).spawn().expect("it runs");
    let packed = || -> Vec<String> {
        if !place.source("").is_dir() {
            return Vec::new();
        }
        place.entries().into_iter().filter(|name| place.source(name).join("pkg.tgz").exists()).collect()
    };
    while packed().is_empty() {
        assert!(first.try_wait().expect("a state").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let left = packed();
    for args in [&fetch[..], &["geo", "build"], &["geo", "build", "--sample"]] {
        let (code, message) = run(&place, args);
        assert!(
            code == Some(1) && message.contains("another `ipgeo geo fetch`, `build` or `rollback` is using"),
            "{message}"
        );
        assert!(message.contains("help: wait until it ends"), "{message}");
    }
    assert_eq!(packed(), left);
    first.kill().expect("killed");
    first.wait().expect("ended");
    fs::write(&done, "").expect("written");

    let old = SystemTime::now() - Duration::from_mins(5);
    fs::File::open(place.source(&left[0])).and_then(|folder| folder.set_modified(old)).expect("aged");
    program(&npm, "exit 1");
    let (code, message) = run(&place, &fetch);
    assert!(code == Some(1) && message.contains("`npm pack pkg` failed"), "{message}");
    assert_eq!(place.entries(), [""; 0]);
    assert_eq!(fs::read(&served).expect("a database"), before);
}

#[test]
fn two_builds_of_one_output_do_not_mix() {
    let place = Place::new();
    let out = place.folder.path().join("out.mmdb");
    let out_text = out.display().to_string();
    let build = ["geo", "build", "--sample", "--out", &out_text];
    assert_eq!(run(&place, &build).0, Some(0));
    let before = fs::read(&out).expect("a database");
    let other = PathLock::take(&out).expect("free");
    let (code, message) = run(&place, &build);
    assert!(code == Some(1) && message.contains(&format!("is using {out_text}")), "{message}");
    assert_eq!(fs::read(&out).expect("a database"), before);
    drop(other);
    assert_eq!(run(&place, &build).0, Some(0));
    // Neither a second name nor a temporary file stays.
    assert_eq!(fs::read_dir(place.folder.path()).expect("a folder").count(), 1);
}
