//! Limits and counts over restarts, throttles, and clocks that were set back or ran ahead.

use ipgeo::internals::aws::Home;
use ipgeo::internals::config;
use ipgeo::internals::dev::{Options, World};
use ipgeo::internals::keys::KeyStore as _;
use ipgeo_contract::{ApiKey, Identity, Limit, Month, Period, Verdict};
use ipgeo_runtime::dynamo::KeyChange;
use ipgeo_runtime::store::AccessRead as _;
use jiff::Timestamp;

use super::local::{
    KEYS, SHIPPED, SMALL_KEYS, access_of, agent, config_regions, counted_calls, get, options, record,
    refused_everywhere, sample, shipped, statuses, until, wait_for_replicas, with_limits,
};

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
