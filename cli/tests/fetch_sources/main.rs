//! Fetching sources from files, URLs on loopback, and npm packages with a fake npm. A failed fetch must leave existing files
//! unchanged.

mod feeds;

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ipgeo::internals::config::{self, Config};
use ipgeo::internals::geo::sources::FetchOutcome::{self, New, Pinned, Unchanged, Updated};
use ipgeo::internals::geo::sources::{
    FetchError, Lock, LockError, Places, Web, compile, fetch, fetched, pin, sha256_of, verify,
};
use ipgeo_geo::compile::sample;
use jiff::Timestamp;
use mmdb_writer::{IpVersion, Value, Writer};

const TEXT: &str = "\
[service]
name = \"geo\"
home = \"us-east-1\"
[tiers.anonymous]
limit = \"5/day\"
[tiers.a]
limit = \"5/day\"
[regions.us-east-1]
[[geo.sources]]
name = \"src\"
";

fn config(source: &str) -> Config {
    config::parse("regions.toml", &format!("{TEXT}{source}\n")).expect("a sound file")
}

fn now() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().expect("a timestamp")
}

struct Place {
    folder: tempfile::TempDir,
    web: Web,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), web: Web::default() }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn source(&self, file: &str) -> PathBuf {
        self.state().join("geo/sources/src").join(file)
    }

    fn fetch(&self, config: &Config, npm: &Path) -> Result<Vec<FetchOutcome>, FetchError> {
        self.fetch_locked(config, npm, &mut Lock::default())
    }

    fn fetch_locked(
        &self,
        config: &Config,
        npm: &Path,
        lock: &mut Lock,
    ) -> Result<Vec<FetchOutcome>, FetchError> {
        let state = self.state();
        let web = Web { loopback_http: true, ..self.web };
        let places = Places { base: self.folder.path(), state: &state, npm, pip: npm, web };
        let all = fetch(config, places, lock, now())?;
        Ok(all.into_iter().map(|one| one.outcome).collect())
    }
}

fn no_npm() -> &'static Path {
    Path::new("/no/such/npm")
}

/// Serves files on loopback for as many requests as there are answers: path → (status, body, content-length).
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
            // A client may close the connection early.
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
fn a_file_is_new_then_unchanged_then_updated_and_its_previous_copy_stays() {
    let place = Place::new();
    let config = config("file = \"mine.mmdb\"");
    let (mine, target) = (place.folder.path().join("mine.mmdb"), place.source("src.mmdb"));
    assert!(matches!(place.fetch(&config, no_npm()), Err(FetchError::Read { .. })));
    assert_eq!(fetched(&config, &place.state()), None);
    let first = sample().expect("it compiles");
    fs::write(&mine, &first).expect("written");
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [New]);
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Unchanged]);
    let files = fetched(&config, &place.state()).expect("fetched");
    let paths: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
    assert_eq!(paths, std::slice::from_ref(&target));
    // One changed bit of the build epoch gives another valid file.
    let mut second = first.clone();
    let epoch = second.windows(11).rposition(|window| window == b"build_epoch").expect("a field") + 16;
    second[epoch] ^= 1;
    fs::write(&mine, &second).expect("written");
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Updated]);
    assert_eq!(fs::read(&target).expect("the new one"), second);
    assert_eq!(fs::read(place.source("src.mmdb.previous")).expect("the old one"), first);
}

#[test]
fn an_invalid_file_leaves_the_old_one() {
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
        (good[marker - 100..].to_vec(), "it is truncated"),
        (Vec::new(), "no metadata"),
    ] {
        fs::write(&mine, bad).expect("written");
        let error = place.fetch(&config, no_npm()).expect_err("refused").to_string();
        assert!(error.contains("the download of `src` is rejected") && error.contains(why), "{error}");
        assert_eq!(fs::read(place.source("src.mmdb")).expect("the old one"), good);
    }
    // No partial file is left.
    assert_eq!(fs::read_dir(place.source("")).expect("a folder").count(), 1);
}

#[test]
fn a_url_gives_this_months_or_last_months_file_packed_or_not() {
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
        assert_eq!(place.fetch(&config, no_npm()).expect(path), [New], "{path}");
        assert_eq!(fs::read(place.source("src.mmdb")).expect("a file"), good);
    }
}

#[test]
fn a_failed_url_is_reported_for_this_month() {
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
        assert_eq!(error.to_string(), format!("cannot fetch {url}"));
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why), "{cause}");
        assert!(!place.source("src.mmdb").exists());
    }
    let closed = config("url = \"http://127.0.0.1:9/x.mmdb\"");
    assert!(matches!(Place::new().fetch(&closed, no_npm()), Err(FetchError::Download { .. })));
}

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

/// The sample with another build date.
fn of_day(text: &str) -> Vec<u8> {
    let at: Timestamp = format!("{text}T00:00:00Z").parse().expect("a timestamp");
    let mut bytes = sample().expect("it compiles");
    let key = bytes.windows(11).rposition(|window| window == b"build_epoch").expect("a field") + 11;
    // A 64-bit number: one byte of control, one of type, then its bytes without leading zeros.
    let length = usize::from(bytes[key] & 0x1f);
    let epoch = at.as_second().to_be_bytes();
    bytes[key + 2..key + 2 + length].copy_from_slice(&epoch[8 - length..]);
    bytes
}

#[test]
fn the_same_data_gives_the_same_lock() {
    let place = Place::new();
    let config = config("file = \"city.mmdb\"");
    fs::write(place.folder.path().join("city.mmdb"), of_day("2026-10-01")).expect("written");
    let path = Lock::path(&place.folder.path().join("regions.toml"));
    let mut lock = Lock::default();
    place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched");
    lock.write(&path).expect("written");
    let first = fs::read_to_string(&path).expect("a lock");
    let (digest, _) = sha256_of(&place.source("src.mmdb")).expect("a digest");
    for part in ["name = \"src\"", "from = \"file city.mmdb\"", "date = \"2026-10-01\"", digest.as_str()] {
        assert!(first.contains(part), "{part}: {first}");
    }
    place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched again");
    lock.write(&path).expect("written");
    assert_eq!(fs::read_to_string(&path).expect("a lock"), first);
    assert_eq!(verify(&config, &place.state(), &lock).expect("it is what is locked"), [digest]);

    // A replaced file is not compiled.
    fs::write(place.source("src.mmdb"), of_day("2026-10-02")).expect("written");
    let changed = verify(&config, &place.state(), &lock).expect_err("changed");
    assert!(matches!(changed, FetchError::Lock(LockError::Changed { .. })), "{changed}");
}

#[test]
fn a_pinned_source_does_not_move() {
    let place = Place::new();
    let config = config("file = \"city.mmdb\"");
    let put = |day: &str| fs::write(place.folder.path().join("city.mmdb"), of_day(day)).expect("written");
    let mut lock = Lock::default();
    assert!(matches!(pin(&config, &mut lock, "src", None), Err(LockError::NotFetched(_))));
    assert!(matches!(pin(&config, &mut lock, "other", None), Err(LockError::NoSource(_))));
    put("2026-10-01");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [New]);
    pin(&config, &mut lock, "src", None).expect("pinned");
    put("2026-10-15");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("kept"), [Pinned]);
    // The files are missing, and the fetched one differs from the pin.
    fs::remove_file(place.source("src.mmdb")).expect("removed");
    let moved = place.fetch_locked(&config, no_npm(), &mut lock).expect_err("refused").to_string();
    assert!(moved.contains("the download of `src` does not match its pin: it is another file"), "{moved}");
    assert!(!place.source("src.mmdb").exists());
    put("2026-10-01");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("the same again"), [New]);

    // Pinned to a date before that of the fetched data: older data is fetched, nothing newer.
    let until = "2026-09-30".parse().expect("a date");
    pin(&config, &mut lock, "src", Some(until)).expect("pinned");
    let newer = place.fetch_locked(&config, no_npm(), &mut lock).expect_err("refused").to_string();
    assert!(newer.contains("of 2026-10-01, after 2026-09-30"), "{newer}");
    put("2026-09-15");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [Updated]);
    lock.pins.clear();
    put("2026-10-15");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("it moves"), [Updated]);
}

/// A server that answers every connection with these bytes, and then stalls or closes.
fn raw(answer: Vec<u8>, hold: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().take(20) {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 2_048];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = stream.write_all(&answer);
            if hold {
                held.push(stream);
            }
        }
    });
    url
}

#[test]
fn a_stalled_server_times_out_and_a_slow_one_does_not() {
    let good = sample().expect("it compiles");
    let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", good.len());
    let mut place = Place::new();
    let moment = std::time::Duration::from_millis(300);
    place.web = Web { connect: moment, answer: moment, idle: moment, ..place.web };
    for (answer, why) in [
        (Vec::new(), "timed out"),
        (head.as_bytes()[..20].to_vec(), "timed out"),
        (head.clone().into_bytes(), "timed out: the server sent no more data"),
        ([head.as_bytes(), &good[..1_000]].concat(), "timed out: the server sent no more data"),
    ] {
        let url = raw(answer, true);
        let error = place.fetch(&config(&format!("url = \"{url}/x.mmdb\"")), no_npm()).expect_err("refused");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why) || cause.contains("timed out"), "{cause}");
    }
    // Longer in total than each single timeout.
    place.web = Web { idle: std::time::Duration::from_secs(20), ..Web::default() };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let bytes = good.clone();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 2_048];
        let _ = std::io::Read::read(&mut stream, &mut request);
        let _ = stream.write_all(head.as_bytes());
        for part in bytes.chunks(bytes.len() / 8 + 1) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let _ = stream.write_all(part);
        }
    });
    assert_eq!(place.fetch(&config(&format!("url = \"{url}/x.mmdb\"")), no_npm()).expect("fetched"), [New]);
}

#[test]
fn urls_and_redirects_must_be_https() {
    let good = sample().expect("it compiles");
    let place = Place::new();
    let state = place.state();
    let url = serve(vec![("/x.mmdb", 200, good.clone(), good.len())]);
    // With the settings of an operator.
    let places = Places {
        base: place.folder.path(),
        state: &state,
        npm: no_npm(),
        pip: no_npm(),
        web: Web::default(),
    };
    let config_of = |url: &str| config(&format!("url = \"{url}\""));
    let error = fetch(&config_of(&format!("{url}/x.mmdb?key=hush")), places, &mut Lock::default(), now())
        .expect_err("refused");
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(error.contains("is not https") && !error.contains("hush"), "{error}");

    let redirect = |to: &str| {
        raw(
            format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .into_bytes(),
            false,
        )
    };
    let followed = redirect(&format!("{url}/x.mmdb"));
    assert_eq!(place.fetch(&config_of(&format!("{followed}/a")), no_npm()).expect("fetched"), [New]);
    for (to, why) in [
        (
            "http://user:hush@example.invalid/x.mmdb?key=hush#hush",
            "http://example.invalid/x.mmdb is not https",
        ),
        ("file:///etc/passwd", "is not https"),
        ("ftp://127.0.0.1/x", "is not https"),
        ("/again", "more than 5 redirects"),
    ] {
        let error =
            place.fetch(&config_of(&format!("{}/a?key=hush", redirect(to))), no_npm()).expect_err("refused");
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains(why) && !error.contains("hush"), "{error}");
    }
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

#[test]
fn a_source_that_is_not_a_file_fails_at_once() {
    let place = Place::new();
    for path in ["/dev/zero", "."] {
        let error = place.fetch(&config(&format!("file = \"{path}\"")), no_npm()).expect_err("refused");
        assert!(format!("{:#}", anyhow::Error::from(error)).contains("it is not a file"));
    }
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    let place = Place::new();
    let bytes = of_day("2026-10-01");
    let length = bytes.len();
    let url = serve(vec![("/city.mmdb?license_key=hush", 200, bytes, length)]);
    let secret = config(&format!("url = \"{url}/city.mmdb?license_key=hush\""));
    let mut lock = Lock::default();
    place.fetch_locked(&secret, no_npm(), &mut lock).expect("fetched");
    assert!(lock.sources[0].from.ends_with("/city.mmdb"), "{:?}", lock.sources);
    for closed in [
        "http://127.0.0.1:9/city.mmdb?license_key=hush",
        "http://127.0.0.1:9/city.mmdb#key=hush",
        "https://user:hush@127.0.0.1:9/city.mmdb",
    ] {
        let closed = config(&format!("url = \"{closed}\""));
        let error =
            format!("{:#}", anyhow::Error::from(place.fetch(&closed, no_npm()).expect_err("refused")));
        assert!(error.contains("127.0.0.1:9/city.mmdb") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn a_licence_that_has_ended_compiles_nothing_and_the_same_sources_give_the_same_bytes() {
    let place = Place::new();
    let source = place.folder.path().join("city.mmdb");
    fs::write(&source, flat_city("2026-10-01")).expect("written");
    let (out, again) = (place.folder.path().join("a.mmdb"), place.folder.path().join("b.mmdb"));
    let geo = |licence: &str, credit: &str| {
        let table = format!("[geo]\nname = \"Data\"\nlicence = \"{licence}\"\nattribution = \"{credit}\"\n");
        let text = TEXT.replace("[[geo.sources]]", &(table + "[[geo.sources]]")) + "file = \"x.mmdb\"\n";
        config::parse("regions.toml", &text).expect("a sound file")
    };
    let try_at = |config: &Config, now: &str, out: &Path| {
        let now = format!("{now}T00:00:00Z").parse().expect("a timestamp");
        compile(config, &[source.clone().into()], None, out, now, &ipgeo_geo::compile::NoProgress)
    };
    let lite = geo("GeoLite EULA", "MaxMind");
    let ended = try_at(&lite, "2026-11-01", &out).expect_err("ended").to_string();
    assert!(ended.contains("its licence allowed use until 2026-10-31"), "{ended}");
    assert!(!out.exists());
    let creditless = try_at(&geo("CC BY 4.0", ""), "2026-10-02", &out).expect_err("no credit").to_string();
    assert!(creditless.contains("its licence requires it"), "{creditless}");
    try_at(&lite, "2026-10-02", &out).expect("in time");
    try_at(&lite, "2026-10-20", &again).expect("in time");
    assert_eq!(fs::read(&out).expect("a file"), fs::read(&again).expect("a file"));
}

/// A source in ip-location-db's flat layout, with a date.
fn flat_city(day: &str) -> Vec<u8> {
    let at: Timestamp = format!("{day}T00:00:00Z").parse().expect("a timestamp");
    let epoch = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.as_second().unsigned_abs());
    let mut writer = Writer::builder("City").ip_version(IpVersion::V6).build_epoch(epoch).build();
    let texts = [("country_code", "US"), ("state1", "California"), ("city", "Berkeley")];
    let record = texts.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text.to_owned())));
    let numbers = [("latitude", 37.9), ("longitude", -122.3)];
    let numbers = numbers.into_iter().map(|(name, number)| (name.to_owned(), Value::Double(number)));
    let network: ipnet::IpNet = "8.8.8.0/24".parse().expect("a network");
    writer.insert_value(network, Value::Map(record.chain(numbers).collect())).expect("inserted");
    writer.to_bytes().expect("bytes")
}
