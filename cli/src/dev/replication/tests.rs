use ipgeo_contract::RegionName;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use anyhow::bail;
use dynoxide::AttributeValue;

use super::*;

const LAG: Duration = Duration::from_millis(500);

/// A table in memory that fails a given number of times.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    items: BTreeMap<String, u32>,
    /// Every value that was ever in it, in order.
    seen: Vec<(String, Option<u32>)>,
    failures: u32,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    fn failing(times: u32) -> Self {
        let fake = Self::default();
        fake.state().failures = times;
        fake
    }

    fn items(&self) -> BTreeMap<String, u32> {
        self.state().items.clone()
    }
}

impl State {
    /// A disk that is full for a moment; the first half of a batch may be written.
    fn fails(&mut self) -> bool {
        let fails = self.failures > 0;
        self.failures = self.failures.saturating_sub(1);
        fails
    }

    fn set(&mut self, id: &str, value: Option<u32>) {
        match value {
            Some(value) => self.items.insert(id.to_owned(), value),
            None => self.items.remove(id),
        };
        self.seen.push((id.to_owned(), value));
    }
}

impl Writes {
    /// Items reported so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        let ids = |event| match event {
            FeedEvent::Wrote(_, ids) => ids,
            FeedEvent::Stop => Vec::new(),
        };
        self.0.try_iter().flat_map(ids).collect()
    }
}

impl Change {
    pub(crate) fn new(id: &str, item: Option<Item>) -> Self {
        Self { id: id.to_owned(), item, due: Instant::now() }
    }
}

fn item(value: u32) -> Item {
    HashMap::from([("n".to_owned(), AttributeValue::N(value.to_string()))])
}

fn value(item: &Item) -> u32 {
    let AttributeValue::N(value) = &item["n"] else { panic!("a number") };
    value.parse().expect("a number")
}

impl Source for Fake {
    fn item(&self, id: &str) -> anyhow::Result<Option<Item>> {
        let mut state = self.state();
        if state.fails() {
            bail!("disk I/O error");
        }
        Ok(state.items.get(id).copied().map(item))
    }
}

impl Target for Fake {
    fn apply(&self, changes: &[Arc<Change>]) -> anyhow::Result<()> {
        let mut state = self.state();
        let fails = state.fails();
        let count = if fails { changes.len() / 2 } else { changes.len() };
        for change in &changes[..count] {
            state.set(&change.id, change.item.as_ref().map(value));
        }
        if fails {
            bail!("database or disk is full");
        }
        Ok(())
    }
}

struct Scene {
    replication: Replication<Fake, Fake>,
    home: Fake,
    copies: Vec<Fake>,
    now: Instant,
}

impl Scene {
    fn new(copies: Vec<Fake>) -> Self {
        let home = Fake::default();
        let named =
            copies.iter().enumerate().map(|(index, copy)| (RegionName::new(index.to_string()), copy.clone()));
        let replication = Replication::new(home.clone(), named, LAG);
        Self { replication, home, copies, now: Instant::now() }
    }

    fn write(&mut self, id: &str, value: Option<u32>) {
        self.home.state().set(id, value);
        self.replication.unread.push_back((self.now, id.to_owned()));
    }

    fn after(&mut self, pause: Duration) {
        self.now += pause;
        self.replication.step(self.now);
    }
}

#[test]
fn a_change_is_in_every_copy_after_the_lag_and_not_before() {
    let mut scene = Scene::new(vec![Fake::default(), Fake::default()]);
    scene.write("a", Some(1));
    scene.write("b", Some(2));
    scene.after(LAG / 2);
    assert_eq!(scene.replication.pause(scene.now), LAG / 2);
    scene.write("a", Some(3));
    scene.after(LAG / 4);
    assert!(scene.copies.iter().all(|copy| copy.items().is_empty()));
    scene.after(LAG / 4);
    let first = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert!(scene.copies.iter().all(|copy| copy.items() == first), "each write has a lag of its own");
    scene.write("b", None);
    scene.after(LAG / 2);
    scene.after(LAG);
    assert!(scene.copies.iter().all(|copy| copy.items() == BTreeMap::from([("a".to_owned(), 3)])));
    assert!(scene.replication.is_done());
    assert_eq!(scene.replication.pause(scene.now), IDLE);
}

#[test]
fn a_failing_copy_is_retried_in_order_and_the_others_continue() {
    for failures in [1, 3, 20] {
        let mut scene = Scene::new(vec![Fake::failing(failures), Fake::default()]);
        let mut written = 0;
        for round in 0..2_000 {
            written += 1;
            scene.write(&format!("k{}", written % 7), Some(written));
            scene.after(Duration::from_millis(60));
            let failed = scene.copies[0].state().failures > 0;
            assert!(!failed || round < 1_990, "it is tried until it works");
        }
        for _ in 0..10 {
            scene.after(LAG);
        }
        for copy in &scene.copies {
            assert_eq!(copy.items(), scene.home.items(), "{failures} failures: nothing is lost");
            let mut last: HashMap<String, u32> = HashMap::new();
            for (id, value) in &copy.state().seen {
                let value = value.expect("nothing was deleted");
                let before = last.insert(id.clone(), value);
                let order = before.is_none_or(|before| before <= value || failed_batch_again(before, value));
                assert!(order, "{failures} failures: {id} went from {before:?} back to {value}");
            }
        }
        assert!(scene.replication.is_done());
    }
}

/// A batch that failed half-way is put again from its front, so an item may go back within one batch.
fn failed_batch_again(before: u32, value: u32) -> bool {
    before - value < u32::try_from(BATCH).expect("small")
}

#[test]
fn an_outage_of_home_loses_no_change() {
    let mut scene = Scene::new(vec![Fake::default()]);
    for written in 0..10 {
        scene.write(&written.to_string(), Some(written));
    }
    scene.home.state().failures = 4;
    for _ in 0..20 {
        scene.after(LAG);
    }
    assert_eq!(scene.copies[0].items(), scene.home.items());
}

#[test]
fn an_outage_is_reported_once_and_retried_with_backoff() {
    let (mut outage, mut now) = (Outage::default(), Instant::now());
    let mut pauses = Vec::new();
    let first: Vec<bool> = (0..8)
        .map(|_| {
            assert!(outage.may_try(now));
            let first = outage.failed(now);
            assert!(!outage.may_try(now));
            pauses.push(outage.pause.as_millis());
            now += outage.pause;
            first
        })
        .collect();
    assert_eq!(first, [true, false, false, false, false, false, false, false]);
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!((outage.ended(), outage.ended(), outage.failed(now)), (true, false, true));
    assert_eq!(outage.pause, PAUSE.0);
}

#[test]
fn shutdown_copies_pending_changes_without_lag_and_does_not_wait_for_a_dead_copy() {
    let (well, dead) = (Fake::default(), Fake::failing(u32::MAX));
    let mut home = Fake::default();
    let copies = [(RegionName::new("well"), well.clone()), (RegionName::new("dead"), dead.clone())];
    let replication = Replication::new(home.clone(), copies, Duration::from_hours(1));
    let (feed, writes) = Feed::new("access");
    let running = replication.follow(feed.clone(), writes).expect("it runs");
    for written in 0..1_000 {
        home = set(home, written);
        feed.wrote(Instant::now(), vec![written.to_string()]);
    }
    running.stop().expect("it ends");
    assert_eq!(well.items(), home.items());
    assert!(well.items().len() == 1_000 && dead.items().len() < 1_000);
}

fn set(home: Fake, value: u32) -> Fake {
    home.state().set(&value.to_string(), Some(value));
    home
}
