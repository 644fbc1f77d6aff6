//! Short rates, in every region of the local service.

use ipgeo::internals::aws::Home;
use ipgeo::internals::config;
use ipgeo::internals::dev::World;
use ipgeo::internals::keys::KeyStore as _;
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Month, Verdict};
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;

use super::local::{SHIPPED, access_of, agent, get, options, record, sample, until};

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
