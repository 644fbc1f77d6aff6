//! One change of a service at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ipgeo::internals::infra::lock::{Claim, LEASE, Lock, LockError, LockItem, LockStore as _, TRUST};
use ipgeo_cli_testing::MemoryCloud;
use ipgeo_cli_testing::harness::{File, HOME, deployed, finish, planned, planned_destroy};
use jiff::Timestamp;
use proptest::prelude::*;

const START_S: i64 = 1_790_000_000;

fn claim(name: &str, operation: &str) -> Claim {
    Claim {
        token: name.to_owned(),
        owner: format!("{name}@laptop"),
        operation: operation.to_owned(),
        by_force: false,
        gone: None,
    }
}

/// The time since `began`, by a clock that is this many seconds off.
fn clock(began: tokio::time::Instant, off_s: i64) -> impl Fn() -> Timestamp + Sync {
    move || {
        let passed = i64::try_from(began.elapsed().as_secs()).expect("a short test");
        Timestamp::from_second(START_S + passed + off_s).expect("a time")
    }
}

fn held(taken: Result<Lock<'_, MemoryCloud>, LockError>) -> LockItem {
    match taken.map(|_| ()) {
        Err(LockError::Held(item)) => item,
        other => panic!("not held: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_deploys_at_once_one_has_the_lock() {
    let cloud = deployed(&File::with_regions(&[HOME])).await;
    let now = clock(tokio::time::Instant::now(), 0);
    let notes = Mutex::new(Vec::new());
    let note = |line: &str| notes.lock().expect("no panic").push(line.to_owned());
    let mut anna = Lock::take(&cloud, claim("anna", "deploy"), &now, &note).await.expect("free");
    let refused = Lock::take(&cloud, claim("ben", "destroy"), &now, &note).await;
    let text = refused.as_ref().err().expect("held").to_string();
    assert_eq!(
        text,
        "anna@laptop is changing this service: ipgeo deploy, since 2026-09-21T14:13:20Z; its lock ends at \
         2026-09-21T14:28:20Z unless it is renewed\nhelp: wait for it; if that process is gone, pass --break-lock"
    );
    // It is renewed, so it does not end.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        anna.renew().await.expect("renewed");
    }
    assert!(anna.is_trusted());
    held(Lock::take(&cloud, claim("ben", "destroy"), &now, &note).await);
    anna.release().await;
    let ben = Lock::take(&cloud, claim("ben", "destroy"), &now, &note).await.expect("free");
    ben.release().await;
    assert_eq!(notes.into_inner().expect("no panic"), Vec::<String>::new());
}

/// Whoever would be refused learns it before being asked; whoever would wait or take over is asked.
#[tokio::test(start_paused = true)]
async fn a_lock_is_seen_before_it_is_taken() {
    let now = clock(tokio::time::Instant::now(), 0);
    let quiet = |_: &str| {};
    let (free, ben) = (deployed(&File::with_regions(&[HOME])).await, claim("ben", "deploy"));
    let nothing = MemoryCloud::new(&File::with_regions(&[HOME]).config());
    for cloud in [&free, &nothing] {
        Lock::check(cloud, &ben, now()).await.expect("free");
    }
    for (operation, is_seen) in [("deploy", true), ("destroy", true), ("traffic drain", false)] {
        let cloud = free.fork();
        let _held = Lock::take(&cloud, claim("anna", operation), &now, &quiet).await.expect("free");
        let seen = Lock::check(&cloud, &ben, now()).await;
        assert_eq!(seen.is_err(), is_seen, "{operation}");
        if let Err(error) = seen {
            let problem = error.problem().expect("for programs");
            assert!(problem.what.starts_with("anna@laptop is changing this service: "), "{problem:?}");
            assert_eq!(problem.remedy, "wait for it; if that process is gone, pass --break-lock");
        }
        let later = now() + LEASE;
        Lock::check(&cloud, &ben, later).await.expect("it has ended");
        let over =
            [Claim { by_force: true, ..ben.clone() }, Claim { gone: Some("anna".into()), ..ben.clone() }];
        for claim in over {
            Lock::check(&cloud, &claim, now()).await.expect("it may be taken over");
        }
        assert!(
            Lock::take(&cloud, claim("anna", operation), &now, &quiet).await.is_ok(),
            "nothing was written"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_killed_owner_ends_and_a_broken_one_stops_its_owner() {
    let cloud = deployed(&File::with_regions(&[HOME])).await;
    let now = clock(tokio::time::Instant::now(), 0);
    let notes = Mutex::new(Vec::new());
    let note = |line: &str| notes.lock().expect("no panic").push(line.to_owned());
    let killed = Lock::take(&cloud, claim("anna", "deploy"), &now, &note).await.expect("free");
    tokio::time::sleep(LEASE.saturating_sub(Duration::from_secs(1))).await;
    held(Lock::take(&cloud, claim("ben", "rollback"), &now, &note).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut ben = Lock::take(&cloud, claim("ben", "rollback"), &now, &note).await.expect("it has ended");
    assert!(!killed.is_trusted());
    // The machine of the killed run knows that the process is gone, and does not wait.
    let gone = Claim { gone: Some("ben".to_owned()), ..claim("dora", "deploy") };
    let other = cloud.fork();
    Lock::take(&other, gone, &now, &note).await.expect("gone");
    let force = Claim { by_force: true, ..claim("cleo", "deploy") };
    let mut cleo = Lock::take(&cloud, force, &now, &note).await.expect("by force");
    let lost = ben.renew().await.expect_err("broken");
    assert!(lost.to_string().contains("the lock was lost: cleo@laptop (ipgeo deploy"), "{lost}");
    // Releasing a lost lock does not affect its new owner.
    ben.release().await;
    cleo.renew().await.expect("hers");
    cleo.release().await;
    let notes = notes.into_inner().expect("no panic");
    assert_eq!(
        notes,
        [
            "took the lock of anna@laptop (ipgeo deploy, since 2026-09-21T14:13:20Z): it had ended",
            "took the lock of ben@laptop (ipgeo rollback, since 2026-09-21T14:28:20Z): that process is gone",
            "took the lock of ben@laptop (ipgeo rollback, since 2026-09-21T14:28:20Z): --break-lock",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_traffic_change_is_waited_for() {
    let cloud = deployed(&File::with_regions(&[HOME])).await;
    let now = clock(tokio::time::Instant::now(), 0);
    let notes = Mutex::new(Vec::new());
    let note = |line: &str| notes.lock().expect("no panic").push(line.to_owned());
    let first = Lock::take(&cloud, claim("anna", "traffic drain"), &now, &note).await.expect("free");
    let end = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        first.release().await;
    };
    let (second, ()) =
        futures_util::join!(Lock::take(&cloud, claim("ben", "traffic drain"), &now, &note), end);
    // Waiting has a limit.
    let third = Lock::take(&cloud, claim("cleo", "deploy"), &now, &note);
    assert_eq!(held(third.await).owner, "ben@laptop");
    second.expect("after the first").release().await;
    assert!(
        notes.into_inner().expect("no panic")[0].starts_with("waiting for anna@laptop (ipgeo traffic drain")
    );
}

/// Before the first deploy there is no table; a destroy with its data deletes it.
#[tokio::test(start_paused = true)]
async fn a_lock_begins_and_ends_with_its_table() {
    let file = File::with_regions(&[HOME]);
    let cloud = MemoryCloud::new(&file.config());
    let now = clock(tokio::time::Instant::now(), 0);
    let take = |name| Lock::take(&cloud, claim(name, "deploy"), &now, &|_| {});
    let (mut anna, mut ben) = (take("anna").await.expect("no table"), take("ben").await.expect("no table"));
    finish(&cloud, &planned(&cloud, &file).await.expect("a plan")).await;
    ben.renew().await.expect("the first to renew has it");
    let lost = anna.renew().await.expect_err("lost").to_string();
    assert!(lost.contains("ben@laptop"), "{lost}");
    finish(&cloud, &planned_destroy(&cloud, &file, true).await.expect("a plan")).await;
    ben.renew().await.expect("nobody else can have it");
    ben.release().await;
}

/// What may happen to an operator's lock.
#[derive(Debug, Clone, Copy)]
enum Act {
    Take,
    Renew,
    Release,
    /// The process is killed.
    Kill,
    /// Time passes, s.
    Pass(u32),
    /// The network fails, or works again.
    Network,
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let act = prop_oneof![
        3 => Just(Act::Take),
        3 => Just(Act::Renew),
        1 => Just(Act::Release),
        1 => Just(Act::Kill),
        3 => (1_u32..1_200).prop_map(Act::Pass),
        1 => Just(Act::Network),
    ];
    prop::collection::vec((0_usize..3, act), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Three operators whose clocks differ as much as AWS permits: no two may start steps at the same time.
    #[test]
    fn two_never_hold_the_lock(acts in acts(), off in prop::array::uniform3(-300_i64..=300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let cloud = deployed(&File::with_regions(&[HOME])).await;
            let began = tokio::time::Instant::now();
            let clocks = off.map(|off| clock(began, off));
            let mut locks: [Option<Lock<'_, MemoryCloud>>; 3] = [None, None, None];
            let tokens = AtomicI64::new(0);
            let mut reachable = true;
            for (who, act) in acts {
                match act {
                    Act::Take if locks[who].is_none() => {
                        let token = tokens.fetch_add(1, Ordering::Relaxed);
                        let wanted = claim(&format!("run{token}"), "deploy");
                        locks[who] = Lock::take(&cloud, wanted, &clocks[who], &|_| {}).await.ok();
                    }
                    Act::Renew => {
                        if let Some(lock) = &mut locks[who] && lock.renew().await.is_err() {
                            locks[who] = None;
                        }
                    }
                    Act::Release => if let Some(lock) = locks[who].take() { lock.release().await },
                    Act::Kill => locks[who] = None,
                    Act::Pass(seconds) => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
                    Act::Network => {
                        reachable = !reachable;
                        if reachable { cloud.accept_all() } else { cloud.refuse_all("Timeout", "no answer") }
                    }
                    Act::Take => {}
                }
                let holders = locks.iter().flatten().filter(|lock| lock.is_trusted()).count();
                prop_assert!(holders <= 1, "{holders} hold it");
            }
            Ok(())
        })?;
    }
}

/// The same argument in numbers: an owner stops trusting its lock before any clock says that it has ended.
#[test]
fn clocks_that_differ_by_ten_minutes_are_tolerated() {
    assert!(TRUST + Duration::from_mins(10) < LEASE);
}

#[tokio::test]
async fn only_its_own_token_deletes_a_lock() {
    let cloud = deployed(&File::with_regions(&[HOME])).await;
    let now = clock(tokio::time::Instant::now(), 0);
    let lock = Lock::take(&cloud, claim("anna", "deploy"), &now, &|_| {}).await.expect("free");
    cloud.delete("ben").await.expect("nothing to delete");
    held(Lock::take(&cloud, claim("ben", "deploy"), &now, &|_| {}).await);
    lock.release().await;
}
