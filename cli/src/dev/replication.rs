//! Replaces DynamoDB global tables: copies changes of home's access table to every other region's, after a lag.
//!
//! Home's store reports the items it has written; they are read back and put into the copies as whole items, many per
//! transaction, in write order. A copy that can't be written keeps its queue and is retried from the front; the others
//! continue. Handlers and verbs only ever write to home, so there are no conflicts to resolve. Writes made while nothing
//! was listening are found by comparing the tables at start ([`super::copies`]). The table's own change stream is not
//! used: the embedded store finds each sequence number by a scan.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use dynoxide::Item;
use ipgeo_contract::{RegionName, error_chain};

use crate::ui::format::counted;

/// Delay between a write and reading its items, to batch writes: many cost hardly more than one.
const GATHER: Duration = Duration::from_millis(20);
/// Poll interval while nothing is pending.
const IDLE: Duration = Duration::from_mins(1);
/// Items per transaction; an edge's read waits for a running one.
const BATCH: usize = 200;
/// Delay before a retry: starts at the first value and doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long shutdown waits for a copy that can't be written.
const END: Duration = Duration::from_secs(2);

enum FeedEvent {
    Wrote(Instant, Vec<String>),
    Stop,
}

/// Sender of the ids of items that home's store has written.
#[derive(Clone)]
pub(crate) struct Feed {
    table: String,
    events: Sender<FeedEvent>,
}

pub(crate) struct Writes(Receiver<FeedEvent>);

impl Feed {
    /// A feed of the writes to a table.
    pub(crate) fn new(table: &str) -> (Self, Writes) {
        let (events, receiver) = channel();
        (Self { table: table.to_owned(), events }, Writes(receiver))
    }

    /// The table whose writes it reports.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Reports written items by their partition keys.
    pub(crate) fn wrote(&self, at: Instant, ids: Vec<String>) {
        if !ids.is_empty() {
            self.send(FeedEvent::Wrote(at, ids));
        }
    }

    fn send(&self, event: FeedEvent) {
        // At shutdown nothing receives any more; the next start compares the tables.
        let _sent_or_ending = self.events.send(event);
    }
}

/// The table that is copied.
pub(crate) trait Source: Send + 'static {
    /// The current item.
    fn item(&self, id: &str) -> anyhow::Result<Option<Item>>;
}

pub(crate) trait Target: Send + 'static {
    /// Puts and deletes items. Idempotent: a change is a whole item.
    fn apply(&self, changes: &[Arc<Change>]) -> anyhow::Result<()>;
}

/// The new state of an item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) id: String,
    /// `None`: it was deleted.
    pub(crate) item: Option<Item>,
    due: Instant,
}

pub(crate) struct Running {
    feed: Feed,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Copies what is pending, without lag, and stops.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.feed.send(FeedEvent::Stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("replication panicked"))
    }
}

/// Home's table, its copies, and pending changes.
pub(crate) struct Replication<S, T> {
    home: S,
    copies: Vec<Copy<T>>,
    lag: Duration,
    /// Items that were written and not read back yet.
    unread: VecDeque<(Instant, String)>,
    reading: Outage,
    waiting: VecDeque<Arc<Change>>,
}

/// A region's copy and its queue.
struct Copy<T> {
    region: RegionName,
    table: T,
    due: VecDeque<Arc<Change>>,
    outage: Outage,
}

impl<S: Source, T: Target> Replication<S, T> {
    pub(crate) fn new(home: S, copies: impl IntoIterator<Item = (RegionName, T)>, lag: Duration) -> Self {
        let copies = copies.into_iter().map(|(region, table)| Copy {
            region,
            table,
            due: VecDeque::new(),
            outage: Outage::default(),
        });
        Self {
            home,
            copies: copies.collect(),
            lag,
            unread: VecDeque::new(),
            reading: Outage::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Follows a feed on a thread of its own.
    pub(crate) fn follow(self, feed: Feed, writes: Writes) -> anyhow::Result<Running> {
        let thread = std::thread::Builder::new().name("replication".to_owned());
        let thread = thread.spawn(move || self.run(&writes)).context("start the replication thread")?;
        Ok(Running { feed, thread })
    }

    fn run(mut self, writes: &Writes) {
        let mut going = true;
        while going {
            let first = match writes.0.recv_timeout(self.pause(Instant::now())) {
                Ok(event) => {
                    std::thread::sleep(GATHER);
                    Some(event)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(FeedEvent::Stop),
            };
            for event in first.into_iter().chain(writes.0.try_iter()) {
                match event {
                    FeedEvent::Wrote(at, ids) => self.unread.extend(ids.into_iter().map(|id| (at, id))),
                    FeedEvent::Stop => going = false,
                }
            }
            self.step(Instant::now());
        }
        self.end();
    }

    /// Copies what is pending, without lag; what can't be copied is left to the next start.
    fn end(mut self) {
        self.lag = Duration::ZERO;
        let latest = Instant::now() + END;
        self.reading.hurry(Instant::now());
        self.copies.iter_mut().for_each(|copy| copy.outage.hurry(Instant::now()));
        loop {
            let now = Instant::now();
            // Shutting down: skip the lag.
            self.step(now);
            self.hand_out(None);
            self.step(now);
            if self.is_done() || now >= latest {
                break;
            }
            std::thread::sleep(PAUSE.0);
        }
        for copy in &self.copies {
            let (count, region) = (copy.due.len() + self.unread.len(), &copy.region);
            if count == 0 {
                continue;
            }
            crate::ui::output::print_note(&format!(
                "{} not replicated to {region} yet; the next start copies them",
                counted(count, "change")
            ));
        }
    }

    fn is_done(&self) -> bool {
        self.unread.is_empty()
            && self.waiting.is_empty()
            && self.copies.iter().all(|copy| copy.due.is_empty())
    }

    /// Reads what was written, and copies what is due.
    fn step(&mut self, now: Instant) {
        self.read(now);
        self.hand_out(Some(now));
        for copy in &mut self.copies {
            copy.write(now);
        }
    }

    fn read(&mut self, now: Instant) {
        while let Some((at, id)) = self.unread.front() {
            if !self.reading.may_try(now) {
                return;
            }
            match self.home.item(id) {
                Ok(item) => {
                    let change = Change { id: id.clone(), item, due: *at + self.lag };
                    self.waiting.push_back(Arc::new(change));
                    self.unread.pop_front();
                    self.reading.works("reading home's access table");
                }
                Err(error) => self.reading.fails(now, "reading home's access table", &error),
            }
        }
    }

    /// Applies to every copy what is due; `None`: everything pending.
    fn hand_out(&mut self, now: Option<Instant>) {
        while let Some(change) = self.waiting.pop_front_if(|change| now.is_none_or(|now| change.due <= now)) {
            for copy in &mut self.copies {
                copy.due.push_back(Arc::clone(&change));
            }
        }
    }

    /// Time until there is work.
    fn pause(&self, now: Instant) -> Duration {
        let reading = (!self.unread.is_empty()).then_some(self.reading.next);
        let due = self.waiting.front().map(|change| Some(change.due));
        let writing = self.copies.iter().filter(|copy| !copy.due.is_empty()).map(|copy| copy.outage.next);
        let next = reading.into_iter().chain(due).chain(writing).flatten().min();
        next.map_or(IDLE, |next| next.saturating_duration_since(now))
    }
}

impl<T: Target> Copy<T> {
    fn write(&mut self, now: Instant) {
        while !self.due.is_empty() && self.outage.may_try(now) {
            let count = self.due.len().min(BATCH);
            let batch = &self.due.make_contiguous()[..count];
            let what = format!("replication to {}", self.region);
            match self.table.apply(batch) {
                Ok(()) => {
                    self.due.drain(..count);
                    self.outage.works(&what);
                }
                Err(error) => self.outage.fails(now, &what, &error),
            }
        }
    }
}

/// Retries with exponential backoff.
#[derive(Debug, Default)]
struct Outage {
    /// Time of the next retry; `None`: no failure.
    next: Option<Instant>,
    pause: Duration,
}

impl Outage {
    fn may_try(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Records a failure and reports it once per outage.
    fn fails(&mut self, now: Instant, what: &str, error: &anyhow::Error) {
        if self.failed(now) {
            crate::ui::output::print_note(&format!(
                "{what} failed, retrying: {}",
                error_chain(error.as_ref(), ": ")
            ));
        }
    }

    fn works(&mut self, what: &str) {
        if self.ended() {
            crate::ui::output::print_note(&format!("{what} recovered"));
        }
    }

    /// Records a failure; returns whether it is the first of an outage.
    fn failed(&mut self, now: Instant) -> bool {
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        self.next.replace(now + self.pause).is_none()
    }

    /// Records a success; returns whether it ends an outage.
    fn ended(&mut self) -> bool {
        self.pause = Duration::ZERO;
        self.next.take().is_some()
    }

    /// Makes a pending retry due at once.
    fn hurry(&mut self, now: Instant) {
        self.next = self.next.map(|next| next.min(now));
    }
}

#[cfg(test)]
mod tests;
