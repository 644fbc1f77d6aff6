//! A model of counting, explored in every possible order of its steps: two writers over a shard that splits in two, batches
//! with any bounds and redelivered, writers that die at any step, writes that arrive after their writer has died.
//! In two more, an operator lowers or raises the limit meanwhile, by reading the ledger and writing its usage with the new
//! limit: the first calls were admitted under the old limit, the others under the new one.
//!
//! It calls the counter's real decisions ([`IdentityMonth::update`], [`IdentityMonth::publications`]), and models the store's
//! conditions, the poller and the faults. Broken protocols must fail; otherwise the check would prove nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ipgeo_contract::{IdentityKind, Limit, Month, Verdict, Window, padded_sequence, publish_step};
use jiff::Timestamp;
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use super::totals::{CountedEvent, IdentityMonth};
use crate::store::{LedgerUpdate, MonthTotals};

/// Events of the parent and of its two children. Each is a record of its own, all of one identity.
const EVENTS: [u8; 3] = [3, 1, 1];
const EVENTS_ALL: usize = 5;
/// Records decided under the old limit, if it changes: the first of the parent shard.
const OLD_EVENTS: u8 = 2;

/// How the limit changes during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It is not changed: the second of five calls reaches it, and nothing is published before.
    Nothing,
    /// It is lowered from a limit of which five calls cross no step.
    Lowered,
    /// It is raised when two calls may already have reached it.
    Raised,
}

impl Change {
    const ALL: [Self; 3] = [Self::Nothing, Self::Lowered, Self::Raised];

    /// The limit before and after.
    fn limits(self) -> [Limit; 2] {
        let calls = match self {
            Self::Nothing => [2, 2],
            Self::Lowered => [9, 2],
            Self::Raised => [2, 4],
        };
        calls.map(|calls| Limit { calls, window: Window::Day })
    }

    fn step(self, used: u8) -> u8 {
        publish_step(IdentityKind::Site, used.into(), self.limits()[1])
    }
}

/// The protocol, or a broken variant of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// As implemented.
    Right,
    /// The ledger's write has no condition.
    NoCondition,
    /// One watermark for all shards.
    OneWatermark,
    /// The watermark is the first sequence number of a write in place of the last.
    FirstAsWatermark,
    /// A writer that is behind considers all of its batch counted.
    RestForgotten,
    /// Publications are decided only by what was added, as if no publication could be lost.
    AddedAlonePublished,
    /// The access table's write has no condition.
    AnyPublication,
    /// A batch is done as soon as its write is sent.
    DoneUnanswered,
    /// Only crossing a step publishes; an admitted call beyond the limit does not.
    CrossedAlonePublished,
    /// A limit is changed without writing the usage so far.
    ChangedWithoutUsage,
    /// A change of limit writes the usage that it read, even if usage was published in the meantime.
    ChangedUnseen,
}

/// A writer's batch: records `from..to` of a shard, of which those from `left` on are still to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Write {
    shard: u8,
    from: u8,
    left: u8,
    to: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Writer {
    Idle,
    Writes(Write),
    Publishes(Write, u8),
}

/// The operator who changes the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    /// The limit does not change.
    Absent,
    Waits,
    /// Has read the ledger and the record.
    Read {
        used: u8,
        published: u8,
    },
    /// The new limit is written; `used` is the ledger's count.
    Done {
        used: u8,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Shard {
    /// Records that the poller will not deliver again.
    done: u8,
    /// Records that the ledger's item has passed.
    watermark: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    shards: [Shard; 3],
    /// How often each event is in the ledger.
    counted: [u8; EVENTS_ALL],
    charged: u8,
    published: u8,
    fell: bool,
    writers: [Writer; 2],
    late: Option<Write>,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Delivers records `from..to` of a shard to a writer.
    Deliver { writer: usize, shard: u8, from: u8, to: u8 },
    /// A writer's write is applied and answered.
    Step { writer: usize },
    /// A writer's write is applied, but the writer does not learn of it: it was killed, or the answer was lost.
    StepAndDie { writer: usize },
    /// A writer dies before its write arrives.
    Die { writer: usize },
    /// A writer dies and its write arrives later.
    DieWithPendingWrite { writer: usize },
    /// The pending write arrives.
    Arrive,
    /// The operator reads the record and the ledger.
    ReadUsage,
    /// The operator writes the new limit, or starts over because usage was published in the meantime.
    WriteLimit,
}

struct Counting(Protocol, Change);

fn sequence(record: u8) -> String {
    padded_sequence(&(u32::from(record) + 1).to_string()).expect("a sequence number")
}

/// The record that a sequence number names.
fn record_of(sequence: &str) -> u8 {
    let number: u8 = sequence.trim_start_matches('0').parse().expect("a small number");
    number - 1
}

static ITEM: LazyLock<IdentityMonth> = LazyLock::new(|| IdentityMonth {
    identity: "site#a.test".parse().expect("an identity"),
    month: Month::from_time(*TIME),
});
static TIME: LazyLock<Timestamp> = LazyLock::new(|| "2026-11-24T12:00:00Z".parse().expect("a timestamp"));

/// Whether a record was decided by the limit before the change.
fn is_old(shard: u8, record: u8) -> bool {
    shard == 0 && record < OLD_EVENTS
}

impl State {
    fn totals(&self) -> MonthTotals {
        let charged = u64::from(self.charged);
        MonthTotals { charged, days: BTreeMap::from([(24, charged)]), includes_others: true }
    }

    fn is_at_rest(&self) -> bool {
        let done = self.shards.iter().zip(EVENTS).all(|(shard, events)| shard.done == events);
        let changed = matches!(self.operator, Operator::Absent | Operator::Done { .. });
        done && changed && self.late.is_none() && self.writers == [Writer::Idle; 2]
    }
}

impl Counting {
    fn events(&self, shard: u8, records: std::ops::Range<u8>) -> Vec<CountedEvent> {
        let [old, new] = self.1.limits();
        let event = |record| CountedEvent {
            sequence: sequence(record).into(),
            time: *TIME,
            cost: 1,
            region: ipgeo_contract::RegionName::new("eu-central-1"),
            verdict: Verdict::Allowed,
            limit: if is_old(shard, record) { old } else { new },
        };
        records.map(event).collect()
    }

    fn update(&self, write: Write) -> LedgerUpdate {
        ITEM.update("shard", &self.events(write.shard, write.left..write.to)).expect("events")
    }

    /// The ledger's conditional write; if refused, `Err` with the current watermark.
    fn apply(&self, state: &mut State, write: Write) -> Result<(), u8> {
        let shard = usize::from(write.shard);
        let update = self.update(write);
        let held = if self.0 == Protocol::OneWatermark { 0 } else { shard };
        let passed = state.shards[held].watermark;
        if self.0 != Protocol::NoCondition && passed > 0 && sequence(passed - 1) >= update.first {
            return Err(passed);
        }
        let first_of_shard: u8 = EVENTS[..shard].iter().sum();
        for record in record_of(&update.first)..=record_of(&update.last) {
            let times = &mut state.counted[usize::from(first_of_shard + record)];
            *times = (*times + 1).min(2);
        }
        state.charged = (state.charged + u8::try_from(update.charged).expect("few")).min(9);
        let mark = if self.0 == Protocol::FirstAsWatermark { &update.first } else { &update.last };
        state.shards[held].watermark = record_of(mark) + 1;
        Ok(())
    }

    fn publish(&self, state: &mut State, used: u8) {
        if self.0 == Protocol::AnyPublication || used > state.published {
            state.fell |= used < state.published;
            state.published = used;
        }
    }

    /// One answered write of a writer; returns what it does next, like `flush`.
    fn step(&self, state: &mut State, writer: Writer) -> Writer {
        match writer {
            Writer::Idle => Writer::Idle,
            Writer::Publishes(write, used) => {
                self.publish(state, used);
                Self::finish(state, write)
            }
            Writer::Writes(write) => match self.apply(state, write) {
                Ok(()) => self.after_ledger(state, write, write.left),
                Err(passed) if self.0 != Protocol::RestForgotten && passed < write.to => {
                    Writer::Writes(Write { left: passed, ..write })
                }
                Err(_) => self.after_ledger(state, write, write.to),
            },
        }
    }

    /// The ledger has the complete batch; this writer added the records from `added` on.
    fn after_ledger(&self, state: &mut State, write: Write, added: u8) -> Writer {
        let all = self.events(write.shard, write.from..write.to);
        let added = self.events(write.shard, added..write.to);
        let before = state.charged.saturating_sub(u8::try_from(added.len()).expect("few"));
        if self.0 == Protocol::CrossedAlonePublished
            && added.len() == all.len()
            && self.1.step(before) == self.1.step(state.charged)
        {
            return Self::finish(state, write);
        }
        let seen = if self.0 == Protocol::AddedAlonePublished { &added } else { &all };
        match ITEM.publications(&state.totals(), &added, seen).first() {
            Some(one) => Writer::Publishes(write, u8::try_from(one.published.used).expect("few")),
            None => Self::finish(state, write),
        }
    }

    /// The operator's write, on the condition that the publication has not changed since it was read.
    fn write_limit(&self, state: &mut State, used: u8, published: u8) {
        match self.0 {
            Protocol::ChangedWithoutUsage => {}
            Protocol::ChangedUnseen => {
                state.fell |= used < state.published;
                state.published = used;
            }
            _ if state.published != published => {
                state.operator = Operator::Waits;
                return;
            }
            _ => state.published = used.max(published),
        }
        state.operator = Operator::Done { used };
    }

    /// The poller reads the answer, unless it has given up the batch.
    fn finish(state: &mut State, write: Write) -> Writer {
        let shard = &mut state.shards[usize::from(write.shard)];
        if write.from <= shard.done {
            shard.done = shard.done.max(write.to);
        }
        Writer::Idle
    }
}

impl Model for Counting {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            shards: Default::default(),
            counted: [0; EVENTS_ALL],
            charged: 0,
            published: 0,
            fell: false,
            writers: [Writer::Idle; 2],
            late: None,
            operator: if self.1 == Change::Nothing { Operator::Absent } else { Operator::Waits },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (writer, at) in state.writers.iter().enumerate() {
            if *at != Writer::Idle {
                actions.extend([
                    Action::Step { writer },
                    Action::StepAndDie { writer },
                    Action::Die { writer },
                ]);
                if state.late.is_none() && matches!(at, Writer::Writes(_)) {
                    actions.push(Action::DieWithPendingWrite { writer });
                }
                continue;
            }
            for (shard, events) in (0_u8..).zip(EVENTS) {
                let done = state.shards[usize::from(shard)].done;
                // Children are read after their parent is finished.
                if done == events || (shard > 0 && state.shards[0].done < EVENTS[0]) {
                    continue;
                }
                // A limit is not used before it is written.
                let is_changed = matches!(state.operator, Operator::Absent | Operator::Done { .. });
                let end = if is_changed { events } else { events.min(OLD_EVENTS) };
                if shard > 0 && !is_changed {
                    continue;
                }
                for from in done.saturating_sub(1)..=done {
                    let deliver = |to| Action::Deliver { writer, shard, from, to };
                    actions.extend((done + 1..=end).map(deliver));
                }
            }
        }
        if state.late.is_some() {
            actions.push(Action::Arrive);
        }
        match state.operator {
            Operator::Waits => actions.push(Action::ReadUsage),
            Operator::Read { .. } => actions.push(Action::WriteLimit),
            Operator::Absent | Operator::Done { .. } => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver { writer, shard, from, to } => {
                let write = Write { shard, from, left: from, to };
                state.writers[writer] = Writer::Writes(write);
                if self.0 == Protocol::DoneUnanswered {
                    Self::finish(&mut state, write);
                }
            }
            Action::Step { writer } => {
                state.writers[writer] = self.step(&mut state, last.writers[writer]);
            }
            Action::StepAndDie { writer } => {
                // The answer is never read, so the poller makes no progress.
                let done = last.shards.each_ref().map(|shard| shard.done);
                self.step(&mut state, last.writers[writer]);
                for (shard, done) in state.shards.iter_mut().zip(done) {
                    shard.done = done;
                }
                state.writers[writer] = Writer::Idle;
            }
            Action::Die { writer } => state.writers[writer] = Writer::Idle,
            Action::DieWithPendingWrite { writer } => {
                let Writer::Writes(write) = last.writers[writer] else { return None };
                (state.late, state.writers[writer]) = (Some(write), Writer::Idle);
            }
            Action::Arrive => drop(self.apply(&mut state, last.late?)),
            Action::ReadUsage => {
                state.operator = Operator::Read { used: last.charged, published: last.published };
            }
            Action::WriteLimit => {
                let Operator::Read { used, published } = last.operator else { return None };
                self.write_limit(&mut state, used, published);
            }
        }
        if action == Action::Arrive {
            state.late = None;
        }
        // Writers are interchangeable.
        state.writers.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(TWICE, |_, state: &State| {
                state.counted.iter().all(|times| *times <= 1)
                    && state.counted.iter().sum::<u8>() == state.charged
            }),
            Property::always(LOST, |_, state: &State| {
                !state.is_at_rest() || state.counted == [1; EVENTS_ALL]
            }),
            Property::always(FALLS, |_, state: &State| !state.fell && state.published <= state.charged),
            Property::always(STALE, |model: &Self, state: &State| {
                !state.is_at_rest() || model.1.step(state.published) == model.1.step(state.charged)
            }),
            Property::always(CHANGED, |model: &Self, state: &State| match state.operator {
                Operator::Done { used } => model.1.step(state.published) >= model.1.step(used),
                _ => true,
            }),
            Property::sometimes(ENDS, |_, state: &State| state.is_at_rest()),
        ]
    }
}

const TWICE: &str = "no event is counted twice";
const LOST: &str = "no event is lost";
const FALLS: &str = "published usage never decreases and never exceeds the ledger";
const STALE: &str = "in the end the edges know the ledger's step";
const CHANGED: &str = "with a new limit the edges know the ledger's step by that limit";
const ENDS: &str = "it ends";

#[test]
#[expect(clippy::print_stderr, reason = "how much was explored is the result")]
fn every_order_of_events_counts_exactly_once() {
    for change in Change::ALL {
        let checked = Counting(Protocol::Right, change).checker().spawn_bfs().join();
        let (states, steps) = (checked.unique_state_count(), checked.state_count());
        eprintln!("{change:?}: {states} states, {steps} steps between them");
        checked.assert_properties();
        assert!(checked.is_done() && states > 10_000);
    }
}

#[test]
fn the_model_catches_broken_protocols() {
    for (protocol, change, broken) in [
        (Protocol::NoCondition, Change::Nothing, TWICE),
        (Protocol::OneWatermark, Change::Nothing, LOST),
        (Protocol::FirstAsWatermark, Change::Nothing, TWICE),
        (Protocol::RestForgotten, Change::Nothing, LOST),
        (Protocol::AddedAlonePublished, Change::Nothing, STALE),
        (Protocol::AnyPublication, Change::Nothing, FALLS),
        (Protocol::DoneUnanswered, Change::Nothing, LOST),
        (Protocol::CrossedAlonePublished, Change::Lowered, STALE),
        (Protocol::ChangedWithoutUsage, Change::Lowered, CHANGED),
        (Protocol::ChangedUnseen, Change::Raised, FALLS),
    ] {
        let checked =
            Counting(protocol, change).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        assert!(checked.discovery(broken).is_some(), "{protocol:?} is not caught: {broken}");
    }
}
