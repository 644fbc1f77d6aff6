//! Sources that are not databases, optional sources, credits and corrections.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ipgeo::internals::config;
use ipgeo::internals::geo::sources::FetchOutcome::{Kept, Missing, New, Unchanged, Updated};
use ipgeo::internals::geo::sources::{FetchError, Lock, compile, fetched, verify};

use super::{Place, TEXT, flat_city, no_npm, now, of_day};

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

const TOR: &str = "flags = [\"is_tor\"]\n";

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
fn a_bad_list_is_refused_with_its_place_and_the_old_one_stays() {
    let place = Place::new();
    let mine = place.folder.path().join("mine");
    for (format, good, bad, fault) in [
        (
            "list",
            "1.1.1.1\n2.2.2.0/24\n",
            "1.1.1.1\nToo many requests\n",
            "line 2: `Too many requests` is not an address",
        ),
        ("list", "1.1.1.1\n", "<!doctype html>\n<p>Not found", "it is HTML or XML, not data"),
        ("list", "1.1.1.1\n", "", "it has no network"),
        ("list", "1.1.1.1\n", "0.0.0.0/0\n", "larger than a /8"),
        ("csv", "1.0.0.0,1.0.0.9,5,A\n", "1.0.0.0,1.0.0.9,5,A\n1.0.1.0,1.0", "line 2: it has 2 columns"),
        ("csv", "1.0.0.0,1.0.0.9,5,A\n", "1.0.0.9,1.0.0.0,5,A\n", "ends before it begins"),
        ("json\"\npath = \"a[]", "{\"a\":[\"1.1.1.1\"]}", "{\"a\":[\"1.1.1.1\"", "it is not JSON"),
        ("json\"\npath = \"a[]", "{\"a\":[\"1.1.1.1\"]}", "{\"b\":[\"1.1.1.1\"]}", "it has nothing at `a[]`"),
        ("geofeed", "1.1.1.0/24,AU,,,\n", "1.1.1.0/24,XX,,,\n", "line 1: `XX` is not a country code"),
        ("list", &"1.1.1.1\n".repeat(9), "1.1.1.1\n", "it has 8 bytes, the one in use 72 bytes"),
    ] {
        let _first = fs::remove_dir_all(place.source(""));
        let config = super::config(&format!("file = \"mine\"\nformat = \"{format}\"\n{TOR}"));
        fs::write(&mine, good).expect("written");
        assert_eq!(place.fetch(&config, no_npm()).expect(format), [New]);
        fs::write(&mine, bad).expect("written");
        let error = place.fetch(&config, no_npm()).expect_err("refused").to_string();
        assert!(error.contains("the download of `src` is rejected: ") && error.contains(fault), "{error}");
        let files = fetched(&config, &place.state()).expect("the old file");
        assert_eq!(fs::read_to_string(&files[0].path).expect("a file"), good);
    }
}

/// A server that answers with a body and validators, and with 304 to a request that has them; it counts both.
fn revalidated(body: &'static str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<u16>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = answers.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 2_048];
            let read = std::io::Read::read(&mut stream, &mut request).expect("a request");
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let known = request.contains("if-none-match: \"v1\"\r\n")
                && request.contains("if-modified-since: sun, 01 nov 2026 10:00:00 gmt\r\n");
            let (status, body) = if known { (304, "") } else { (200, body) };
            seen.lock().expect("answers").push(status);
            let head = format!(
                "HTTP/1.1 {status} X\r\netag: \"v1\"\r\nlast-modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
        }
    });
    (url, answers)
}

#[test]
fn an_unchanged_url_is_not_downloaded_again() {
    let place = Place::new();
    let (url, answers) = revalidated("1.1.1.1\n");
    let config = super::config(&format!("url = \"{url}/exits.txt\"\n{TOR}"));
    let mut lock = Lock::default();
    let mut fetch = || place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched");
    assert_eq!((fetch(), fetch()), (vec![New], vec![Unchanged]));
    assert_eq!(*answers.lock().expect("answers"), [200, 304]);
    // A damaged file is downloaded in full, and so is another URL.
    fs::write(place.source("src.txt"), "1.1.1.2\n").expect("written");
    assert_eq!(fetch(), [Updated]);
    assert_eq!(lock.sources[0].date, Some("2026-11-01".parse().expect("a date")));
    let other = super::config(&format!("url = \"{url}/exits.txt?x\"\n{TOR}"));
    assert_eq!(place.fetch_locked(&other, no_npm(), &mut lock).expect("fetched"), [Unchanged]);
    assert_eq!(*answers.lock().expect("answers"), [200, 304, 200, 200]);
}

#[test]
fn an_optional_source_that_fails_keeps_its_previous_file_or_is_left_out() {
    let place = Place::new();
    let text = format!(
        "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"tor\"\nfile = \"tor.txt\"\noptional = true\n{TOR}"
    );
    let config = super::config(&text);
    fs::write(place.folder.path().join("city.mmdb"), of_day("2026-10-01")).expect("written");
    let tor = place.folder.path().join("tor.txt");
    let mut lock = Lock::default();
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [New, Missing]);
    assert_eq!(lock.sources.len(), 1);
    assert_eq!(verify(&config, &place.state(), &lock).expect("sound").len(), 1);
    assert_eq!(fetched(&config, &place.state()).expect("the others").len(), 1);
    fs::write(&tor, "1.1.1.1\n").expect("written");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [Unchanged, New]);
    for bad in ["<html>", "not a list\n"] {
        fs::write(&tor, bad).expect("written");
        assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [Unchanged, Kept]);
        assert_eq!(lock.sources.len(), 2);
        assert_eq!(verify(&config, &place.state(), &lock).expect("sound").len(), 2);
    }
    // What is in the lock must be there.
    fs::remove_file(place.state().join("geo/sources/tor/tor.txt")).expect("removed");
    assert!(verify(&config, &place.state(), &lock).is_err());
    // Without `optional`, the fetch fails; the others are fetched and nothing is lost.
    let strict = super::config(&text.replace("optional = true\n", ""));
    assert!(matches!(place.fetch_locked(&strict, no_npm(), &mut lock), Err(FetchError::Rejected { .. })));
    assert_eq!(lock.sources.len(), 2);
}

#[test]
fn the_credits_of_all_sources_reach_the_database_and_each_licence_is_kept() {
    let place = Place::new();
    let out = place.folder.path().join("out.mmdb");
    fs::write(place.folder.path().join("city.mmdb"), flat_city("2026-10-01")).expect("written");
    fs::write(place.folder.path().join("asn.csv"), "8.8.8.0,8.8.8.255,15169,Google\n").expect("written");
    let with = |terms: &str| {
        let main = "[geo]\nname = \"City\"\nlicence = \"CC BY 4.0\"\nattribution = \"By DB-IP\"\nattribution_link = \"https://db-ip.com\"\n[[geo.sources]]";
        let text = TEXT.replace("[[geo.sources]]", main)
            + "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"asn\"\nfile = \"asn.csv\"\n"
            + terms;
        config::parse("regions.toml", &text).expect("a sound file")
    };
    let asn = "licence = \"CC BY 4.0\"\nattribution = \"AS by RouteViews\"\nattribution_link = \"https://routeviews.org\"\n";
    let config = with(asn);
    let mut lock = Lock::default();
    place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched");
    let credits: Vec<&str> = lock.sources.iter().map(|source| source.attribution.as_str()).collect();
    assert_eq!(credits, ["By DB-IP", "AS by RouteViews"]);
    let files = fetched(&config, &place.state()).expect("fetched");
    compile(&config, &files, None, &out, now(), &ipgeo_geo::compile::NoProgress).expect("compiled");
    let database = ipgeo_geo::Database::open(&out).expect("it opens");
    let info = database.info();
    assert_eq!(info.attribution, "AS by RouteViews <https://routeviews.org>; By DB-IP");
    assert_eq!((info.attribution_link.as_str(), info.licence.as_str()), ("https://db-ip.com", "CC BY 4.0"));
    for (terms, fault) in [
        ("licence = \"CC BY 4.0\"\n", "asn has no attribution: its licence requires it"),
        (
            "licence = \"CC BY-ND 4.0\"\nattribution = \"x\"\n",
            "asn can't be used: its licence, CC BY-ND 4.0, forbids derived data",
        ),
    ] {
        let error = place.fetch(&with(terms), no_npm()).expect_err("refused").to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn corrections_come_first_then_geofeeds_then_sources() {
    let place = Place::new();
    let (out, folder) = (place.folder.path().join("out.mmdb"), place.folder.path());
    fs::write(folder.join("city.mmdb"), flat_city("2026-10-01")).expect("written");
    fs::write(folder.join("feed.csv"), "8.8.8.0/25,FR,,Lyon,\n").expect("written");
    fs::write(folder.join("overrides.csv"), "network,country_code,city\n8.8.8.8,DE,Berlin\n")
        .expect("written");
    let config = super::config(
        "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"feed\"\nfile = \"feed.csv\"\nformat = \"geofeed\"\n",
    );
    place.fetch(&config, no_npm()).expect("fetched");
    let files = fetched(&config, &place.state()).expect("fetched");
    let overrides = folder.join("overrides.csv");
    compile(&config, &files, Some(&overrides), &out, now(), &ipgeo_geo::compile::NoProgress)
        .expect("compiled");
    let database = ipgeo_geo::Database::open(&out).expect("it opens");
    for (address, city, country) in
        [("8.8.8.8", "Berlin", "DE"), ("8.8.8.9", "Lyon", "FR"), ("8.8.8.200", "Berkeley", "US")]
    {
        let mut text = String::new();
        database.lookup(address.parse().expect("an address")).expect(address).write_static(&mut text);
        assert!(
            text.contains(&format!("\"city\":\"{city}\""))
                && text.contains(&format!("\"country_code\":\"{country}\"")),
            "{text}"
        );
    }
}
