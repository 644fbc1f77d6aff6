//! A local service in this process, its API keys and callers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use ipgeo::internals::aws::Home;
use ipgeo::internals::config::{self, Config};
use ipgeo::internals::dev::{Options, World};
use ipgeo::internals::keys::KeyStore as _;
use ipgeo::internals::world::WorldFile;
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Limit, Month};
use ipgeo_geo::Database;
use ipgeo_runtime::dynamo::{AccessTable, Effort, client};
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;

pub(crate) const SHIPPED: &str = include_str!("../../../../regions.toml");
pub(crate) const KEYS: usize = 50;
/// API keys whose limit is reached early.
pub(crate) const SMALL_KEYS: usize = 5;

pub(crate) fn shipped() -> Config {
    // A longer cache would only slow the test down. With this share, one call of an address is pooled.
    let text = SHIPPED
        .replace("access_cache_s = 10", "access_cache_s = 1")
        .replace("quiet_permille = 4", "quiet_permille = 1");
    config::parse("regions.toml", &text).expect("the shipped file is sound")
}

pub(crate) fn options(stores: &Path, stream_faults: Option<u64>) -> Options {
    Options {
        stores: stores.to_owned(),
        port: 0,
        caller: "81.2.69.142".parse().expect("an address"),
        simulate_address: true,
        log_lag: Duration::from_millis(100),
        replication_lag: Duration::from_millis(100),
        report_lag: Some(Duration::from_millis(50)),
        shards: 2,
        stream_faults,
        throttled: false,
    }
}

pub(crate) fn sample() -> Arc<Database> {
    Arc::new(Database::from_bytes(ipgeo_geo::compile::sample().expect("it compiles")).expect("it opens"))
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

/// The status of an answer to `GET url`, as an API key or from an address.
pub(crate) fn get(agent: &ureq::Agent, url: &str, key: Option<&ApiKey>, address: &str) -> u16 {
    let mut request = agent.get(url).header("ipgeo-simulate-address", address);
    if let Some(key) = key {
        request = request.header("x-api-key", key.expose());
    }
    let mut answer = request.call().expect("an answer");
    answer.body_mut().read_to_vec().expect("a body");
    answer.status().as_u16()
}

pub(crate) fn record(key: &ApiKey, calls: u64) -> KeyRecord {
    KeyRecord::new(
        key.hint(),
        "test",
        "startup",
        Limit { calls, window: ipgeo_contract::Window::Month },
        Timestamp::now(),
    )
}

pub(crate) async fn make_keys(home: &Home) -> Vec<(ApiKey, u64)> {
    let mut keys = Vec::new();
    for index in 0..KEYS {
        let key =
            ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
        let limit = if index < SMALL_KEYS { 60 } else { 100_000 };
        home.put(&Identity::key(&key.hash()), &record(&key, limit)).await.expect("stored");
        keys.push((key, limit));
    }
    keys
}

/// A region's own access table.
pub(crate) fn access_of(world: &WorldFile, region: usize) -> AccessTable {
    let credentials = Credentials::new(&world.key.access, &world.key.secret, None, None, "tests");
    let region = &world.regions[region];
    let client = client(Some(&region.dynamodb), &region.region, credentials, Effort::Patient);
    AccessTable::new(client, &world.access_table)
}

/// Waits until `done` returns true; the panic names what it waits for.
pub(crate) async fn until<F: Future<Output = Result<(), String>>>(mut done: impl FnMut() -> F) {
    let mut last = String::new();
    for _ in 0..300 {
        match done().await {
            Ok(()) => return,
            Err(why) => last = why,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still waiting: {last}");
}

pub(crate) async fn wait_for_replicas(world: &WorldFile, keys: &[(ApiKey, u64)]) {
    let last = Identity::key(&keys[KEYS - 1].0.hash());
    for region in 0..world.regions.len() {
        let access = access_of(world, region);
        until(async || match access.key(&last).await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
}

pub(crate) fn config_regions() -> usize {
    shipped().regions.len()
}

pub(crate) async fn refused_everywhere(world: &WorldFile, keys: &[(ApiKey, u64)]) {
    let (world, small) = (world.clone(), keys[..SMALL_KEYS].to_vec());
    tokio::task::spawn_blocking(move || {
        let agent = agent();
        for region in &world.regions {
            for (key, _) in &small {
                // An edge may cache the previous record for a second.
                let refused = (0..30).any(|_| {
                    let status = get(&agent, &format!("{}/8.8.8.8", region.url), Some(key), "51.38.0.1");
                    std::thread::sleep(Duration::from_millis(if status == 429 { 0 } else { 100 }));
                    status == 429
                });
                assert!(refused, "{} lets {} through", region.region, key.hint());
            }
        }
    })
    .await
    .expect("refusals");
}

/// The shipped file with a limit of the tier `startup` and one of addresses.
pub(crate) fn with_limits(startup: &str, anonymous: &str) -> Config {
    let text = SHIPPED
        .replace("access_cache_s = 10", "access_cache_s = 1")
        .replace("quiet_permille = 4", "quiet_permille = 1")
        .replace("limit = \"100_000/month\"", &format!("limit = \"{startup}\""))
        .replace("limit = \"1500/day\"", &format!("limit = \"{anonymous}\""));
    let config = config::parse("regions.toml", &text).expect("sound");
    let limit = |text: &str| text.parse::<Limit>().expect("a limit");
    assert_eq!(config.tiers.find("startup").map(|tier| tier.limit), Some(limit(startup)));
    assert_eq!(config.tiers.anonymous.limit, limit(anonymous));
    config
}

/// Statuses of `count` calls in each region in turn, as an API key or from an address.
pub(crate) async fn statuses(world: &World, key: Option<&ApiKey>, count: usize) -> Vec<u16> {
    let urls: Vec<String> =
        world.file.regions.iter().map(|region| format!("{}/1.1.1.1", region.url)).collect();
    let key = key.cloned();
    let calls = tokio::task::spawn_blocking(move || {
        let agent = agent();
        let urls = urls.iter().cycle().take(count);
        urls.map(|url| get(&agent, url, key.as_ref(), "51.38.0.1")).collect()
    });
    calls.await.expect("answers")
}

pub(crate) async fn counted_calls(home: &Home, identity: &Identity) -> u64 {
    let item = home.ledger.item(identity, Month::from_time(Timestamp::now())).await.expect("a read");
    item.map_or(0, |item| item.charged)
}
