//! The complete local service: requests over HTTP in every region, a stream with repeats, cuts and shuffles; in the end every
//! count is exact and every limit is known everywhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use ipgeo::internals::aws::Home;
use ipgeo::internals::config::{self, Config};
use ipgeo::internals::dev::{Options, World};
use ipgeo::internals::keys::KeyStore as _;
use ipgeo::internals::world::WorldFile;
use ipgeo_contract::{
    ApiKey, Identity, IdentityKind, KeyRecord, Limit, Month, Period, Verdict, publish_step,
};
use ipgeo_geo::Database;
use ipgeo_runtime::dynamo::{AccessTable, Effort, KeyChange, client};
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;

const SHIPPED: &str = include_str!("../../regions.toml");
const KEYS: usize = 50;
const ADDRESSES: usize = 500;
const REQUESTS: usize = 20_000;
const CALLERS: usize = 8;
/// API keys whose limit is reached early.
const SMALL_KEYS: usize = 5;

fn shipped() -> Config {
    // A longer cache would only slow the test down. With this share, one call of an address is pooled.
    let text = SHIPPED
        .replace("access_cache_s = 10", "access_cache_s = 1")
        .replace("quiet_permille = 4", "quiet_permille = 1");
    config::parse("regions.toml", &text).expect("the shipped file is sound")
}

fn options(stores: &Path, stream_faults: Option<u64>) -> Options {
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

fn sample() -> Arc<Database> {
    Arc::new(Database::from_bytes(ipgeo_geo::compile::sample().expect("it compiles")).expect("it opens"))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

/// The status of an answer to `GET url`, as an API key or from an address.
fn get(agent: &ureq::Agent, url: &str, key: Option<&ApiKey>, address: &str) -> u16 {
    let mut request = agent.get(url).header("ipgeo-simulate-address", address);
    if let Some(key) = key {
        request = request.header("x-api-key", key.expose());
    }
    let mut answer = request.call().expect("an answer");
    answer.body_mut().read_to_vec().expect("a body");
    answer.status().as_u16()
}

fn record(key: &ApiKey, calls: u64) -> KeyRecord {
    KeyRecord::new(
        key.hint(),
        "test",
        "startup",
        Limit { calls, window: ipgeo_contract::Window::Month },
        Timestamp::now(),
    )
}

async fn make_keys(home: &Home) -> Vec<(ApiKey, u64)> {
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
fn access_of(world: &WorldFile, region: usize) -> AccessTable {
    let credentials = Credentials::new(&world.key.access, &world.key.secret, None, None, "tests");
    let region = &world.regions[region];
    let client = client(Some(&region.dynamodb), &region.region, credentials, Effort::Patient);
    AccessTable::new(client, &world.access_table)
}

/// Calls that were answered 200 and requests that were refused, by API key; the same for all addresses.
#[derive(Default)]
struct Told {
    keys: BTreeMap<usize, (u64, u64)>,
    anonymous: (u64, u64),
}

/// One of several callers: its share of the requests, over all regions in turn.
fn call(world: &WorldFile, keys: &[(ApiKey, u64)], caller: usize) -> Told {
    let (agent, mut random) = (agent(), fastrand::Rng::with_seed(caller as u64));
    let mut told = Told::default();
    for _ in 0..REQUESTS / CALLERS {
        let url = format!("{}/8.8.8.8", world.regions[random.usize(..world.regions.len())].url);
        let address = random.usize(..ADDRESSES);
        let address = format!("51.38.{}.{}", address / 250, address % 250 + 1);
        let key = random.bool().then(|| random.usize(..KEYS));
        let status = get(&agent, &url, key.map(|key| &keys[key].0), &address);
        let counts = match key {
            Some(key) => told.keys.entry(key).or_default(),
            None => &mut told.anonymous,
        };
        match status {
            200 => counts.0 += 1,
            429 => counts.1 += 1,
            other => panic!("status {other}"),
        }
    }
    told
}

/// Waits until `done` returns true; the panic names what it waits for.
async fn until<F: Future<Output = Result<(), String>>>(mut done: impl FnMut() -> F) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_thousand_requests_are_counted_exactly_and_limits_hold_everywhere() {
    let config = shipped();
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&config, sample(), &options(folder.path(), Some(42))).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    let keys = Arc::new(make_keys(&home).await);
    wait_for_replicas(&world.file, &keys).await;

    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (file, keys) = (world.file.clone(), Arc::clone(&keys));
            tokio::task::spawn_blocking(move || call(&file, &keys, caller))
        })
        .collect();
    let mut told = Told::default();
    for caller in callers {
        let one = caller.await.expect("a caller");
        for (key, (answered, refused)) in one.keys {
            let counts = told.keys.entry(key).or_default();
            *counts = (counts.0 + answered, counts.1 + refused);
        }
        told.anonymous = (told.anonymous.0 + one.anonymous.0, told.anonymous.1 + one.anonymous.1);
    }
    assert_eq!(told.keys.len(), KEYS);

    ledger_equals(&home, &keys, &told).await;
    published_everywhere(&world.file, &home, &keys).await;
    refused_everywhere(&world.file, &keys).await;
    world.stop().await.expect("it stops");
}

/// The rates are slow, so that the test may be, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_rates_refuse_in_each_region_and_refusals_are_counted() {
    let text = SHIPPED.replace("[tiers.anonymous]", "[tiers.anonymous]\nrate = \"1/min\"\nburst = 2");
    let text = text.replace("[tiers.startup]", "[tiers.startup]\nrate = \"1/min\"\nburst = 3");
    let config = config::parse("regions.toml", &text).expect("sound");
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&config, sample(), &options(folder.path(), None)).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    let keys: Vec<ApiKey> =
        (1..=2_u8).map(|seed| ApiKey::generate("ipg", |bytes| bytes.fill(seed)).expect("a key")).collect();
    for (key, rate) in keys.iter().zip([None, Some("2/min:5".parse().expect("a rate"))]) {
        let record = KeyRecord { rate, ..record(key, 1_000) };
        home.put(&Identity::key(&key.hash()), &record).await.expect("stored");
    }
    for region in 0..2 {
        let (access, last) = (access_of(&world.file, region), Identity::key(&keys[1].hash()));
        until(async || match access.key(&last).await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let file = world.file.clone();
    let callers = keys.clone();
    let calls = tokio::task::spawn_blocking(move || {
        for region in 0..2 {
            let url = format!("{}/8.8.8.8", file.regions[region].url);
            let statuses = |key: Option<&ApiKey>, count: usize| -> Vec<u16> {
                (0..count).map(|_| get(&agent(), &url, key, "51.38.0.1")).collect()
            };
            assert_eq!(statuses(None, 3), [200, 200, 429]);
            assert_eq!(statuses(Some(&callers[0]), 4), [200, 200, 200, 429]);
            assert_eq!(statuses(Some(&callers[1]), 6), [200, 200, 200, 200, 200, 429]);
        }
    });
    calls.await.expect("calls");
    let month = Month::from_time(Timestamp::now());
    for (key, allowed) in keys.iter().zip([6, 10]) {
        until(async || {
            let item = home.ledger.item(&Identity::key(&key.hash()), month).await;
            let item = item.map_err(|error| error.to_string())?.ok_or("no item yet")?;
            let refused = item.verdicts.get(&Verdict::OverRate).copied().unwrap_or_default();
            if (item.charged, refused) == (allowed, 2) { Ok(()) } else { Err(format!("{item:?}")) }
        })
        .await;
    }
    world.stop().await.expect("it stops");
}

async fn wait_for_replicas(world: &WorldFile, keys: &[(ApiKey, u64)]) {
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

async fn ledger_equals(home: &Home, keys: &[(ApiKey, u64)], told: &Told) {
    let month = Month::from_time(Timestamp::now());
    until(async || {
        let items = home.ledger.month(month, None).await.map_err(|error| error.to_string())?;
        let by_key: BTreeMap<&Identity, _> = items.iter().map(|item| (&item.identity, item)).collect();
        for (index, (answered, refused)) in &told.keys {
            let item = by_key.get(&Identity::key(&keys[*index].0.hash())).ok_or("no item yet")?;
            let verdict = |verdict| item.verdicts.get(&verdict).copied().unwrap_or(0);
            let counted = (item.charged, verdict(Verdict::Allowed), verdict(Verdict::OverQuota));
            if counted != (*answered, *answered, *refused) {
                return Err(format!("API key {index}: {counted:?}, told {answered} and {refused}"));
            }
            if item.days.values().sum::<u64>() != *answered || item.regions.values().sum::<u64>() != *answered
            {
                return Err(format!("API key {index}: days {:?}, regions {:?}", item.days, item.regions));
            }
        }
        let addresses = items.iter().filter(|item| item.identity.kind() == IdentityKind::Address);
        let charged: u64 = addresses.clone().map(|item| item.charged).sum();
        let crowd: u64 =
            addresses.clone().filter(|item| item.identity.is_pooled()).map(|item| item.charged).sum();
        // The first call of an address in each region is pooled; every address has made more.
        let quiet = crowd > 0 && crowd <= (ADDRESSES * config_regions()) as u64;
        if charged == told.anonymous.0 && quiet && addresses.count() == ADDRESSES + 1 {
            Ok(())
        } else {
            Err(format!("addresses: {charged}, told {}", told.anonymous.0))
        }
    })
    .await;
}

fn config_regions() -> usize {
    shipped().regions.len()
}

/// Published usage in every region's replica is at the ledger's step.
async fn published_everywhere(world: &WorldFile, home: &Home, keys: &[(ApiKey, u64)]) {
    let month = Month::from_time(Timestamp::now());
    for region in 0..world.regions.len() {
        let access = access_of(world, region);
        for (key, calls) in keys {
            let identity = Identity::key(&key.hash());
            let item = home.ledger.item(&identity, month).await.expect("a read").expect("an item");
            let limit = Limit { calls: *calls, window: ipgeo_contract::Window::Month };
            until(async || {
                let record = access.key(&identity).await.map_err(|error| error.to_string())?;
                let shown = record.and_then(|record| record.published).map_or(0, |published| {
                    assert_eq!(published.period, Period::Month(month));
                    published.used
                });
                let step = |used| publish_step(IdentityKind::Key, used, limit);
                if step(shown) == step(item.charged) && shown <= item.charged {
                    Ok(())
                } else {
                    Err(format!("{}: shows {shown}, counted {}", world.regions[region].region, item.charged))
                }
            })
            .await;
        }
    }
}

async fn refused_everywhere(world: &WorldFile, keys: &[(ApiKey, u64)]) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_keeps_its_counts_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = shipped();
    let options = options(folder.path(), None);
    let key = ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
    let identity = Identity::key(&key.hash());
    for round in 1..=2_u64 {
        let world = World::start(&config, sample(), &options).await.expect("a world");
        let home = Home::of_world(&world.file).expect("home");
        if round == 1 {
            home.put(&identity, &record(&key, 1_000)).await.expect("stored");
        }
        let access = access_of(&world.file, 0);
        until(async || match access.key(&identity).await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        let (url, key) = (format!("{}/1.1.1.1", world.file.regions[0].url), key.clone());
        let statuses = tokio::task::spawn_blocking(move || {
            let agent = agent();
            (0..10).map(|_| get(&agent, &url, Some(&key), "51.38.0.1")).collect::<Vec<_>>()
        });
        assert_eq!(statuses.await.expect("answers"), [200; 10]);
        // Stopping counts pending calls.
        world.stop().await.expect("it stops");
        let reopened = World::start(&config, sample(), &options).await.expect("a world");
        let home = Home::of_world(&reopened.file).expect("home");
        let item = home.ledger.item(&identity, Month::from_time(Timestamp::now())).await.expect("a read");
        assert_eq!(item.map(|item| item.charged), Some(round * 10));
        reopened.stop().await.expect("it stops");
    }
}

/// The shipped file with a limit of the tier `startup` and one of addresses.
fn with_limits(startup: &str, anonymous: &str) -> Config {
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
async fn statuses(world: &World, key: Option<&ApiKey>, count: usize) -> Vec<u16> {
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

async fn counted_calls(home: &Home, identity: &Identity) -> u64 {
    let item = home.ledger.item(identity, Month::from_time(Timestamp::now())).await.expect("a read");
    item.map_or(0, |item| item.charged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_after_every_change_of_it_and_over_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path(), None);
    let (all, loose, tight) =
        (config_regions(), with_limits("1000/month", "1500/day"), with_limits("50/month", "5/day"));
    let new_key =
        || ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
    // One gets its own limit from a verb, the other its tier's at a start; both have used 60.
    let (own, of_tier) = (new_key(), new_key());
    let ids = [&own, &of_tier].map(|key| Identity::key(&key.hash()));

    let world = World::start(&loose, sample(), &options).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    for (key, calls) in [(&own, 100_000), (&of_tier, 1_000)] {
        home.put(&Identity::key(&key.hash()), &record(key, calls)).await.expect("stored");
    }
    for region in 0..all {
        let access = access_of(&world.file, region);
        until(async || match access.key(&ids[1]).await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    for key in [Some(&own), Some(&of_tier), None] {
        assert_eq!(statuses(&world, key, 60).await, [200; 60]);
    }
    until(async || match counted_calls(&home, &ids[0]).await {
        60 => Ok(()),
        other => Err(format!("{other} counted")),
    })
    .await;
    let change = KeyChange { limit: Some("50/month".parse().expect("a limit")), ..KeyChange::default() };
    let changed = home.change(&ids[0], &change).await.expect("a change");
    assert_eq!(changed.published.map(|published| published.used), Some(60));
    world.stop().await.expect("it stops");

    let mut let_through = Vec::new();
    for round in 0..3 {
        let world = World::start(&tight, sample(), &options).await.expect("a world");
        let home = Home::of_world(&world.file).expect("home");
        let record = home.access.key_now(&ids[1]).await.expect("a read").expect("a record");
        assert_eq!(record.limit.to_string(), "50/month");
        assert_eq!(record.published.map(|published| published.used), Some(60));
        // The change may be on its way to the replicas for a moment after a start.
        until(async || match access_of(&world.file, all - 1).key(&ids[1]).await {
            Ok(Some(shown)) if shown == record => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        for key in [&own, &of_tier] {
            assert_eq!(statuses(&world, Some(key), 2 * all).await, vec![429; 2 * all], "round {round}");
        }
        // No record has the usage of an address; its allowed calls show it.
        let anonymous = statuses(&world, None, 2 * all).await;
        let_through.push(anonymous.iter().filter(|status| **status == 200).count());
        // Stopping counts pending calls.
        world.stop().await.expect("it stops");
    }
    assert_eq!(let_through[1..], [0, 0], "{let_through:?}");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("tiers")).expect("a file").lines().next(),
        Some("startup 50/month")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_region_throttles_is_refused_by_its_api_and_never_counted() {
    let text = SHIPPED.replace("[runtime]\n", "[runtime]\nthrottle_rate = 1\nthrottle_burst = 5\n");
    let config = config::parse("regions.toml", &text).expect("the shipped file is sound");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { throttled: true, ..options(folder.path(), None) };
    let world = World::start(&config, sample(), &options).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    let url = |region: usize| format!("{}/8.8.8.8", world.file.regions[region].url);
    let (throttled, other) = (url(0), url(1));
    let told = tokio::task::spawn_blocking(move || {
        let agent = agent();
        let mut statuses: Vec<u16> = (0..30).map(|_| get(&agent, &throttled, None, "51.38.0.1")).collect();
        statuses.push(get(&agent, &other, None, "51.38.0.1"));
        statuses
    });
    let told = told.await.expect("answers");
    assert_eq!(told[..5], [200; 5], "the burst is let through");
    assert_eq!(told[30], 200, "another region has a throttle of its own");
    let answered = told.iter().filter(|status| **status == 200).count() as u64;
    assert!(answered < 20 && told.iter().all(|status| [200, 429].contains(status)), "{told:?}");
    until(async || {
        let items = home
            .ledger
            .month(Month::from_time(Timestamp::now()), None)
            .await
            .map_err(|error| error.to_string())?;
        let requests: u64 = items.iter().flat_map(|item| item.verdicts.values()).sum();
        if requests == answered { Ok(()) } else { Err(format!("{requests} counted, {answered} answered")) }
    })
    .await;
    world.stop().await.expect("it stops");
}

#[tokio::test]
async fn ports_in_use_are_named_and_so_are_those_that_are_needed() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let count = u16::try_from(config_regions()).expect("few") + 1;
    let folder = tempfile::tempdir().expect("a folder");
    let refused = async |port| {
        let options = Options { port, ..options(folder.path(), None) };
        World::start(&shipped(), sample(), &options).await.map(|_| ()).expect_err("refused").to_string()
    };
    let told = refused(port).await;
    assert!(told.contains(&format!("{port}")) && told.contains("in use; `ipgeo dev` needs"), "{told}");
    assert!(told.contains("or `--port 0` for any free ports"), "{told}");
    let told = refused(u16::MAX - count + 2).await;
    let highest = u32::from(u16::MAX) + 1 - u32::from(count);
    assert!(
        told.starts_with(&format!("{count} ports are needed")) && told.contains(&highest.to_string()),
        "{told}"
    );
}

/// A clock that was set back, and one that was two months ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_dated_in_the_future_disable_no_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = shipped();
    let options = options(folder.path(), None);
    let key = ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
    let identity = Identity::key(&key.hash());
    let limit = Limit { calls: 20, window: ipgeo_contract::Window::Month };
    let world = World::start(&config, sample(), &options).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    home.put(&identity, &record(&key, limit.calls)).await.expect("stored");
    wait_for_replicas(&world.file, &vec![(key.clone(), limit.calls); KEYS]).await;
    let (url, caller) = (format!("{}/1.1.1.1", world.file.regions[0].url), key.clone());
    let call = move || (0..20).map(|_| get(&agent(), &url, Some(&caller), "51.38.0.1")).collect::<Vec<_>>();
    assert_eq!(tokio::task::spawn_blocking(call).await.expect("answers"), [200; 20]);
    until(async || {
        let item = home
            .ledger
            .item(&identity, Month::from_time(Timestamp::now()))
            .await
            .map_err(|e| e.to_string())?;
        if item.is_some_and(|item| item.charged == 20) { Ok(()) } else { Err("not counted".to_owned()) }
    })
    .await;
    let ahead = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 62);
    let published =
        ipgeo_contract::Published { period: Period::new(limit.window, ahead), used: 1, as_of: ahead };
    ipgeo_runtime::store::PublishWrite::publish(&home.access, &identity, limit, published)
        .await
        .expect("published");
    world.stop().await.expect("it stops");

    let world = World::start(&config, sample(), &options).await.expect("a world");
    for region in 0..world.file.regions.len() {
        let access = access_of(&world.file, region);
        until(async || {
            let record = access.key(&identity).await.map_err(|error| error.to_string())?;
            let published = record.and_then(|record| record.published);
            let now = Period::new(limit.window, Timestamp::now());
            match published {
                Some(published) if (published.period, published.used) == (now, 20) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    refused_everywhere(&world.file, &vec![(key, limit.calls); SMALL_KEYS]).await;
    world.stop().await.expect("it stops");
}

/// Sequence numbers of an earlier run, far beyond any clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_after_the_clock_was_set_back_even_without_the_stream_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = shipped();
    let options = Options { shards: 1, ..options(folder.path(), None) };
    let key = ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
    let identity = Identity::key(&key.hash());
    let world = World::start(&config, sample(), &options).await.expect("a world");
    let home = Home::of_world(&world.file).expect("home");
    home.put(&identity, &record(&key, 1_000)).await.expect("stored");
    // The state of a run whose clock showed the year 2100.
    count_far_ahead(&home, &identity).await;
    world.stop().await.expect("it stops");
    for round in 1..=4_u64 {
        let world = World::start(&config, sample(), &options).await.expect("a world");
        let home = Home::of_world(&world.file).expect("home");
        let (url, caller) = (format!("{}/1.1.1.1", world.file.regions[0].url), key.clone());
        let call =
            move || (0..10).map(|_| get(&agent(), &url, Some(&caller), "51.38.0.1")).collect::<Vec<_>>();
        assert_eq!(tokio::task::spawn_blocking(call).await.expect("answers"), [200; 10]);
        until(async || {
            let item = home
                .ledger
                .item(&identity, Month::from_time(Timestamp::now()))
                .await
                .map_err(|e| e.to_string())?;
            let charged = item.map(|item| item.charged);
            if charged == Some(1 + round * 10) {
                Ok(())
            } else {
                Err(format!("{charged:?} in round {round}"))
            }
        })
        .await;
        world.stop().await.expect("it stops");
        if round == 2 {
            std::fs::remove_dir_all(folder.path().join("stream")).expect("removed");
        }
    }
}

/// Counts one call under a sequence number of the year 2100.
async fn count_far_ahead(home: &Home, identity: &Identity) {
    use ipgeo_runtime::usage::{Decoded, EventRecord, UsageHandler};
    let now = Timestamp::now();
    let event = ipgeo_contract::UsageEvent {
        time: now,
        verdict: Verdict::Allowed,
        cost: 1,
        region: ipgeo_contract::RegionName::new("eu-central-1"),
        request_id: String::new(),
        tier: String::new(),
        charges: vec![ipgeo_contract::Charge {
            identity: identity.clone(),
            limit: Limit { calls: 1_000, window: ipgeo_contract::Window::Month },
        }],
    };
    let sequence = "4102444800000000000";
    let record = EventRecord::new("shardId-000000000000", sequence, 1, vec![event]).expect("a record");
    let handler = UsageHandler::new(home.ledger.clone(), home.access.clone());
    let decoded = Decoded { records: vec![record], ..Decoded::default() };
    let (response, report) = handler.count(decoded, now).await;
    assert!(response.batch_item_failures.is_empty() && report.added == 1);
    handler.note(&report, now).await.expect("noted");
}
