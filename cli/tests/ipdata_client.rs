//! ipdata's own Python client, unchanged, against a world on this machine.
//!
//! It wants `python3` with `venv` and a way to Python's package index. Where there is none it says so and leaves the rest out,
//! except where `CI` is set: there it must run.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ipgeo::aws::Home;
use ipgeo::config;
use ipgeo::dev::{Options, World};
use ipgeo::keys::KeyStore as _;
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Status};
use ipgeo_runtime::geo::Database;
use jiff::Timestamp;

const CLIENT: &str = "ipdata==4.0.9";

const SCRIPT: &str = r#"
import sys, ipdata
url, key = sys.argv[1:]
api = ipdata.IPData(key, endpoint=url, retry_limit=0)

google = api.lookup("8.8.8.8")
assert google.status == 200 and google.ip == "8.8.8.8", google
assert google.city == "Mountain View" and google.country_code == "US" and google.is_eu is False, google
assert google.asn.asn == "AS15169" and google.currency.code == "USD", google
assert google.languages[0].native == "English" and google.time_zone.name == "America/Los_Angeles", google
assert google.threat.is_bogon is False and google.count == "1", google

me = api.lookup()
assert me.status == 200 and me.ip == "81.2.69.142" and me.city == "London", me

some = api.lookup("1.1.1.1", fields=["ip", "city", "carrier"])
assert some == {"ip": "1.1.1.1", "city": "Brisbane", "status": 200}, some
one = api.lookup("1.1.1.1", select_field="country_name")
assert one == {"country_name": "Australia", "status": 200}, one
asn = api.lookup("as15169")
assert asn.status == 200 and asn.name == "Google LLC", asn

many = api.bulk(["8.8.8.8", "1.1.1.1", "3000::1"], fields=["ip", "city"])
assert many.status == 200 and len(many.responses) == 3, many
assert [item.city for item in many.responses[:2]] == ["Mountain View", "Brisbane"], many
assert many.responses[2] == {"ip": "3000::1", "message": "3000::1 is not in the database."}, many
too_many = api.bulk(["8.8.8.8"] * 101)
assert too_many["status"] == 400, too_many
assert too_many["message"] == "Bulk requests should not contain more than 100 IP addresses.", too_many

wrong = ipdata.IPData("test", endpoint=url, retry_limit=0).lookup("8.8.8.8")
assert wrong.status == 401 and wrong.message == "You have not provided a valid API Key.", wrong
print("all as expected")
"#;

/// A Python with the client, in a folder of the build's own; made once.
fn python() -> Result<PathBuf, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ipdata-client");
    let python = folder.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    if run(Command::new(&python).args(["-c", "import ipdata"])).is_ok() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        CLIENT,
    ]))?;
    Ok(python)
}

async fn make_key(home: &Home) -> ApiKey {
    let key =
        ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("an API key");
    let record = KeyRecord {
        owner: "python".into(),
        tier: "startup".into(),
        limit: "1000/month".parse().expect("a limit"),
        status: Status::Active,
        expires: None,
        sites: vec![],
        networks: vec![],
        hint: key.hint(),
        created: Timestamp::now(),
        published: None,
    };
    home.put(&Identity::key(&key.hash()), &record).await.expect("stored");
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "a test that leaves itself out must say so")]
async fn ipdatas_python_client_works_unchanged() {
    let python = match python() {
        Ok(python) => python,
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("left out: no Python with ipdata's client can be made here: {why}");
            return;
        }
        Err(why) => panic!("{why}"),
    };
    let config = config::parse("regions.toml", include_str!("../../regions.toml")).expect("a sound file");
    let database = Database::from_bytes(ipgeo::geo::sample().expect("it compiles")).expect("it opens");
    let caller: IpAddr = "81.2.69.142".parse().expect("an address");
    let options = Options {
        stores: None,
        port: 0,
        caller,
        simulate_address: false,
        log_lag: Duration::from_millis(50),
        replication_lag: Duration::ZERO,
        shards: 1,
        stream_faults: None,
        throttled: false,
    };
    let world = World::start(&config, Arc::new(database), &options).await.expect("a world");
    let key = make_key(&Home::of_world(&world.file).expect("home")).await;
    let home = world.file.regions.iter().find(|region| region.region == world.file.home).expect("home");
    let url = home.url.clone();
    let told = tokio::task::spawn_blocking(move || {
        Command::new(python).args(["-c", SCRIPT, &url, key.expose()]).output().expect("Python runs")
    });
    let told = told.await.expect("a run");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "all as expected");
    world.stop().await.expect("it stops");
}
