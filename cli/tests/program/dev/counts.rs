//! Requests over HTTP in every region, a stream with repeats, cuts and shuffles; in the end every count is exact and every
//! limit is known everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipgeo::internals::aws::Home;
use ipgeo::internals::dev::World;
use ipgeo::internals::world::WorldFile;
use ipgeo_contract::{ApiKey, Identity, IdentityKind, Limit, Month, Period, Verdict, publish_step};
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;

use super::local::{
    KEYS, access_of, agent, config_regions, get, make_keys, options, refused_everywhere, sample, shipped,
    until, wait_for_replicas,
};

const ADDRESSES: usize = 500;
const REQUESTS: usize = 20_000;
const CALLERS: usize = 8;

/// Calls that were answered 200 and requests that were refused, by API key; the same for all addresses.
#[derive(Default)]
struct Answers {
    keys: BTreeMap<usize, (u64, u64)>,
    anonymous: (u64, u64),
}

/// One of several callers: its share of the requests, over all regions in turn.
fn call(world: &WorldFile, keys: &[(ApiKey, u64)], caller: usize) -> Answers {
    let (agent, mut random) = (agent(), fastrand::Rng::with_seed(caller as u64));
    let mut answers = Answers::default();
    for _ in 0..REQUESTS / CALLERS {
        let url = format!("{}/8.8.8.8", world.regions[random.usize(..world.regions.len())].url);
        let address = random.usize(..ADDRESSES);
        let address = format!("51.38.{}.{}", address / 250, address % 250 + 1);
        let key = random.bool().then(|| random.usize(..KEYS));
        let status = get(&agent, &url, key.map(|key| &keys[key].0), &address);
        let counts = match key {
            Some(key) => answers.keys.entry(key).or_default(),
            None => &mut answers.anonymous,
        };
        match status {
            200 => counts.0 += 1,
            429 => counts.1 += 1,
            other => panic!("status {other}"),
        }
    }
    answers
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
    let mut answers = Answers::default();
    for caller in callers {
        let one = caller.await.expect("a caller");
        for (key, (answered, refused)) in one.keys {
            let counts = answers.keys.entry(key).or_default();
            *counts = (counts.0 + answered, counts.1 + refused);
        }
        answers.anonymous = (answers.anonymous.0 + one.anonymous.0, answers.anonymous.1 + one.anonymous.1);
    }
    assert_eq!(answers.keys.len(), KEYS);

    ledger_equals(&home, &keys, &answers).await;
    published_everywhere(&world.file, &home, &keys).await;
    refused_everywhere(&world.file, &keys).await;
    world.stop().await.expect("it stops");
}

async fn ledger_equals(home: &Home, keys: &[(ApiKey, u64)], answers: &Answers) {
    let month = Month::from_time(Timestamp::now());
    until(async || {
        let items = home.ledger.month(month, None).await.map_err(|error| error.to_string())?;
        let by_key: BTreeMap<&Identity, _> = items.iter().map(|item| (&item.identity, item)).collect();
        for (index, (answered, refused)) in &answers.keys {
            let item = by_key.get(&Identity::key(&keys[*index].0.hash())).ok_or("no item yet")?;
            let verdict = |verdict| item.verdicts.get(&verdict).copied().unwrap_or(0);
            let counted = (item.charged, verdict(Verdict::Allowed), verdict(Verdict::OverQuota));
            if counted != (*answered, *answered, *refused) {
                return Err(format!("API key {index}: {counted:?}, answers {answered} and {refused}"));
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
        if charged == answers.anonymous.0 && quiet && addresses.count() == ADDRESSES + 1 {
            Ok(())
        } else {
            Err(format!("addresses: {charged}, answers {}", answers.anonymous.0))
        }
    })
    .await;
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
