//! Fetching sources from files, URLs on loopback, and packages with a fake npm and pip. A failed fetch must leave existing
//! files unchanged.

mod at_once;
mod bad_input;
mod feeds;
mod packages;
mod urls;

use std::fs;
use std::io::Write as _;
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
        let all = self.fetch_warned(config, npm, lock)?;
        Ok(all.into_iter().map(|(outcome, _)| outcome).collect())
    }

    /// The outcomes of a fetch, each with its warning.
    fn fetch_warned(
        &self,
        config: &Config,
        npm: &Path,
        lock: &mut Lock,
    ) -> Result<Vec<(FetchOutcome, String)>, FetchError> {
        let state = self.state();
        let web = Web { loopback_http: true, ..self.web };
        let places = Places { base: self.folder.path(), state: &state, npm, pip: npm, web };
        let all = fetch(config, places, lock, now())?;
        Ok(all.into_iter().map(|one| (one.outcome, one.warning.unwrap_or_default())).collect())
    }

    /// The names of the files in the source's folder, in order.
    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.source("")).expect("a folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries.map(|entry| name(entry).into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// An error with its causes, on one line.
fn message(error: FetchError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

fn no_npm() -> &'static Path {
    Path::new("/no/such/npm")
}

/// What a list of networks may say about them.
const TOR: &str = "flags = [\"is_tor\"]\n";

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

#[test]
fn a_source_that_is_not_a_file_fails_at_once() {
    let place = Place::new();
    for path in ["/dev/zero", "."] {
        let error = place.fetch(&config(&format!("file = \"{path}\"")), no_npm()).expect_err("refused");
        assert!(format!("{:#}", anyhow::Error::from(error)).contains("it is not a file"));
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
