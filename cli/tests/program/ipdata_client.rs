//! ipdata's own clients for Python and Node, unchanged, against a service on this machine.
//!
//! They need `python3` with `venv`, `npm`, and access to the package indexes; without them, a test prints that it was
//! skipped.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ipgeo::internals::aws::Home;
use ipgeo::internals::config;
use ipgeo::internals::dev::{Options, World};
use ipgeo::internals::keys::KeyStore as _;
use ipgeo_contract::{ApiKey, Identity, KeyRecord};
use ipgeo_geo::Database;
use jiff::Timestamp;

use crate::npm;
use crate::python::{Venv, run};

const PYTHON_CLIENT: &str = "ipdata==4.0.9";
const NODE_CLIENT: &str = "ipdata@2.2.4";

const PYTHON: &str = r#"
import sys, ipdata
url, key = sys.argv[1:]
api = ipdata.IPData(key, endpoint=url, retry_limit=0)

google = api.lookup("8.8.8.8")
assert google.status == 200 and google.ip == "8.8.8.8", google
assert google.city == "Mountain View" and google.country_code == "US" and google.is_eu is False, google
assert google.asn.asn == "AS15169" and google.currency.code == "USD", google
assert google.languages[0].native == "English" and google.time_zone.name == "America/Los_Angeles", google
assert google.threat.is_bogon is False and google.count == "1", google
assert google.company is None and google.carrier is None and "carrier" in google, google

me = api.lookup()
assert me.status == 200 and me.ip == "81.2.69.142" and me.city == "London", me

some = api.lookup("1.1.1.1", fields=["ip", "city", "carrier"])
assert some == {"ip": "1.1.1.1", "city": "Brisbane", "carrier": None, "status": 200}, some
one = api.lookup("1.1.1.1", select_field="country_name")
assert one == {"country_name": "Australia", "status": 200}, one
asn = api.lookup("as15169")
assert asn.status == 200 and asn.name == "Google LLC", asn
asn = api.lookup("AS15169", fields=["asn"])
assert asn == {"asn": "AS15169", "status": 200}, asn

many = api.bulk(["8.8.8.8", "1.1.1.1", "3000::1"], fields=["ip", "city"])
assert many.status == 200 and len(many.responses) == 3, many
assert [item.city for item in many.responses[:2]] == ["Mountain View", "Brisbane"], many
assert many.responses[2] == {"ip": "3000::1", "message": "3000::1 is not in the database."}, many
networks = api.bulk(["AS15169", "AS13335"])
assert networks.status == 200, networks
assert [item.name for item in networks.responses] == ["Google LLC", "Cloudflare, Inc."], networks
too_many = api.bulk(["8.8.8.8"] * 101)
assert too_many["status"] == 400, too_many
assert too_many["message"] == "Bulk requests should not contain more than 100 IP addresses.", too_many

wrong = ipdata.IPData("test", endpoint=url, retry_limit=0).lookup("8.8.8.8")
assert wrong.status == 401 and wrong.message == "You have not provided a valid API Key.", wrong
print("all as expected")
"#;

const NODE: &str = r#"
const assert = require("node:assert");
const axios = require("axios");
const { default: IPData } = require("ipdata");
const [url, key] = process.argv.slice(2);
// The client has no option for the service's URL.
axios.interceptors.request.use((request) => {
  request.url = request.url.replace("https://api.ipdata.co", url);
  return request;
});
// Each with its own cache, because the client caches answers by address only.
const client = (of = key) => new IPData(of);

(async () => {
  const google = await client().lookup("8.8.8.8");
  assert.strictEqual(google.status, 200);
  assert.strictEqual(google.city, "Mountain View");
  assert.strictEqual(google.currency.code, "USD");
  assert.strictEqual(google.company, null);
  assert.strictEqual((await client().lookup()).city, "London");
  const one = await client().lookup("1.1.1.1", "city");
  assert.deepStrictEqual(one, { city: "Brisbane", status: 200 });
  const some = await client().lookup("1.1.1.1", undefined, ["ip", "city"]);
  assert.deepStrictEqual(some, { ip: "1.1.1.1", city: "Brisbane", status: 200 });
  const many = await client().bulkLookup(["8.8.8.8", "2606:4700:4700::1111"], ["ip", "city"]);
  assert.deepStrictEqual(many.map((item) => item.city), ["Mountain View", "San Francisco"]);
  const wrong = await client("test").lookup("8.8.8.8");
  assert.strictEqual(wrong.status, 401);
  assert.strictEqual(wrong.message, "You have not provided a valid API Key.");
  const bogon = await client().lookup("10.0.0.1");
  assert.strictEqual(bogon.message, "10.0.0.1 is a private IP address");
  console.log("all as expected");
})().catch((error) => {
  // The client's errors contain the API key.
  console.error(error.message);
  process.exit(1);
});
"#;

async fn make_key(home: &Home) -> ApiKey {
    let key =
        ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("an API key");
    let record = KeyRecord::new(
        key.hint(),
        "client",
        "startup",
        "1000/month".parse().expect("a limit"),
        Timestamp::now(),
    );
    home.put(&Identity::key(&key.hash()), &record).await.expect("stored");
    key
}

/// Runs a script against a new local service; it gets the URL and an API key as its last arguments.
async fn is_content(mut command: Command) {
    let config = config::parse("regions.toml", include_str!("../../../regions.toml")).expect("a sound file");
    let database =
        Database::from_bytes(ipgeo_geo::compile::sample().expect("it compiles")).expect("it opens");
    let caller: IpAddr = "81.2.69.142".parse().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        stores: folder.path().to_owned(),
        port: 0,
        caller,
        simulate_address: false,
        log_lag: Duration::from_millis(50),
        replication_lag: Duration::ZERO,
        report_lag: Some(Duration::from_millis(50)),
        shards: 1,
        stream_faults: None,
        throttled: false,
    };
    let world = World::start(&config, Arc::new(database), &options).await.expect("a world");
    let key = make_key(&Home::of_world(&world.file).expect("home")).await;
    let home = world.file.regions.iter().find(|region| region.region == world.file.home).expect("home");
    command.args([&home.url, key.expose()]);
    let told = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("a run");
    assert_eq!(told.unwrap_or_else(|told| panic!("{told}")), "all as expected");
    world.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipdatas_python_client_works_unchanged() {
    let Some(venv) = Venv::with("ipdata-client", &[PYTHON_CLIENT]) else { return };
    let mut command = venv.python();
    command.args(["-c", PYTHON]);
    is_content(command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipdatas_node_client_works_unchanged() {
    let Some(folder) = npm::folder("ipdata-node", &[NODE_CLIENT]) else { return };
    std::fs::write(folder.join("client.cjs"), NODE).expect("a file");
    let mut command = Command::new("node");
    command.current_dir(&folder).arg("client.cjs");
    is_content(command).await;
}
