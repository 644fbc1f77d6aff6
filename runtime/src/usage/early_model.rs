//! A model of early counts beside the ledger's, explored in every possible order of its steps: two environments that admit
//! calls, report and die; reports that are lost, duplicated and reordered, also beyond the end of their slot; a ledger that
//! counts the same calls one by one. In further runs slots pass, the period ends, or an operator changes the limit.
//!
//! It calls the real decisions ([`first`], [`next`], [`publication`], [`is_to_publish`]), and models the store's conditions and
//! the faults. An environment may report at any time. Broken protocols must fail.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::{
    EarlyCell, EarlyCount, EarlyReport, IdentityKind, Limit, Period, Window, is_to_publish, publish_step,
    slot_is_open, slot_is_over,
};
use jiff::Timestamp;
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use super::early::{Next, first, next, publication};
use crate::store::{EarlyRow, EarlyUpdate};

/// What changes during the run, besides calls and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// Four slots pass, and home removes old cells. Only one environment has calls, which keeps the run short.
    Slots,
    /// The period ends.
    Rollover,
    /// The limit is lowered.
    Lowered,
    /// The limit is raised when it may be reached already.
    Raised,
}

impl Change {
    const ALL: [Self; 5] = [Self::Nothing, Self::Slots, Self::Rollover, Self::Lowered, Self::Raised];

    /// The limit before and after.
    fn limits(self) -> [Limit; 2] {
        let calls = match self {
            Self::Lowered => [9, 2],
            Self::Raised => [1, 3],
            _ => [2, 2],
        };
        calls.map(|calls| Limit { calls, window: Window::Day })
    }
}

/// The protocol, or a broken variant of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// As implemented.
    Right,
    /// Home adds a report's difference to its predecessor without looking at the cell.
    NoCondition,
    /// After a refusal, home adds the complete count.
    CompleteAdded,
    /// A smaller count replaces a larger one.
    LastWins,
    /// Reports of removed slots are accepted.
    OldSlots,
    /// A publication is as of the earliest report in it, so edges add calls that are in it.
    Earliest,
    /// The row does not belong to a period.
    OneRow,
    /// The access table's write has no condition.
    AnyPublication,
    /// The ledger publishes nothing, as if no report could be lost.
    LedgerSilent,
    /// Usage at the old limit is not published again after the limit was raised.
    OldLimit,
}

/// A moment: the slot and the number of calls before it.
type Moment = (u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Cell {
    calls: u8,
    at: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Environment {
    name: u8,
    /// Moments of its calls in the current period.
    calls: Vec<Moment>,
    reported: u8,
    before_slot: u8,
    slot: u8,
    cell: Option<Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Message {
    environment: u8,
    slot: u8,
    period: u8,
    count: Cell,
    before: Option<Cell>,
    /// Whether the new limit applied.
    is_new: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Row {
    sum: u8,
    cells: BTreeMap<(u8, u8), Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    slot: u8,
    period: u8,
    is_changed: bool,
    deaths: u8,
    environments: [Environment; 2],
    messages: BTreeSet<Message>,
    rows: [Row; 2],
    /// Moments of all calls, by period.
    truth: [Vec<Moment>; 2],
    ledger: [u8; 2],
    published: (u8, u8, Moment),
    fell: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Call(usize),
    Report(usize),
    /// A report arrives, and may arrive again.
    Deliver(Message),
    /// A report does not arrive any more.
    Lose(Message),
    /// An environment dies, and another one takes its place.
    Die(usize),
    /// The ledger counts the next call of a period.
    Count(u8),
    /// Home removes the cells of old slots.
    Remove,
    NextSlot,
    NextPeriod,
    ChangeLimit,
}

struct Early(Protocol, Change);

/// Calls in all.
const CALLS: u8 = 3;
/// Messages in flight at a time.
const MESSAGES_MAX: usize = 2;
const SLOT_S: i64 = 300;

fn timestamp((slot, tick): Moment) -> Timestamp {
    Timestamp::new(1_795_478_400 + SLOT_S * i64::from(slot), i32::from(tick) * 1_000_000).expect("in range")
}

fn moment(at: Timestamp) -> Moment {
    let seconds = at.as_second() - 1_795_478_400;
    let slot = u8::try_from(seconds / SLOT_S).expect("few");
    (slot, u8::try_from(at.subsec_millisecond()).expect("few"))
}

/// The slot's number as the contract counts it.
fn real_slot(slot: u8) -> i64 {
    ipgeo_contract::early_slot(timestamp((slot, 0)))
}

fn real_cell(cell: Cell) -> EarlyCell {
    EarlyCell { calls: cell.calls.into(), at: timestamp(cell.at) }
}

fn small(calls: u64) -> u8 {
    u8::try_from(calls).expect("few")
}

impl Message {
    fn real(&self, limits: [Limit; 2]) -> (EarlyReport, EarlyCount) {
        let period: Period = format!("2026-11-2{}", 4 + self.period).parse().expect("a period");
        let count = EarlyCount {
            identity: "key#00ff".parse().expect("an identity"),
            limit: limits[usize::from(self.is_new)],
            period,
            calls: self.count.calls.into(),
            before: self.before.map(real_cell),
        };
        let report = EarlyReport {
            environment: format!("e{}", self.environment),
            slot: real_slot(self.slot),
            at: timestamp(self.count.at),
            counts: vec![count.clone()],
        };
        (report, count)
    }
}

impl Row {
    fn real(&self) -> EarlyRow {
        let cells = self.cells.iter();
        let cells =
            cells.map(|((name, slot), cell)| (format!("e{name}#{}", real_slot(*slot)), real_cell(*cell)));
        EarlyRow { sum: self.sum.into(), cells: cells.collect() }
    }
}

impl State {
    fn now(&self) -> Moment {
        let calls = self.truth.iter().map(Vec::len).sum::<usize>();
        (self.slot, small(calls as u64))
    }

    /// Usage as an environment knows it right after reading the newest publication.
    fn known(&self, environment: &Environment) -> usize {
        let (period, used, as_of) = self.published;
        if period != self.period {
            return environment.calls.len();
        }
        usize::from(used) + environment.calls.iter().filter(|at| **at > as_of).count()
    }

    fn is_at_rest(&self) -> bool {
        self.messages.is_empty()
            && (0..2).all(|period| usize::from(self.ledger[period]) == self.truth[period].len())
    }
}

fn environment(name: u8, slot: u8) -> Environment {
    Environment { name, calls: Vec::new(), reported: 0, before_slot: 0, slot, cell: None }
}

impl Early {
    fn limit(&self, state: &State) -> Limit {
        self.1.limits()[usize::from(state.is_changed)]
    }

    /// Like the edge's `Tally::report`.
    fn report(state: &mut State, index: usize) {
        let (now, period, is_new) = (state.now(), state.period, state.is_changed);
        let from = &mut state.environments[index];
        if from.slot != now.0 {
            (from.slot, from.before_slot, from.cell) = (now.0, from.reported, None);
        }
        let charged = small(from.calls.len() as u64);
        let count = Cell { calls: charged - from.before_slot, at: now };
        let before = from.cell.replace(count);
        from.reported = charged;
        let (environment, slot) = (from.name, from.slot);
        state.messages.insert(Message { environment, slot, period, count, before, is_new });
    }

    /// The store's conditional write, then what the handler does.
    fn deliver(&self, state: &mut State, message: &Message) {
        if self.0 != Protocol::OldSlots && !slot_is_open(real_slot(message.slot), timestamp(state.now())) {
            return;
        }
        let (report, count) = message.real(self.1.limits());
        let row = if self.0 == Protocol::OneRow { 0 } else { usize::from(message.period) };
        let mut update = first(&report, &count);
        let added = loop {
            if self.apply(&mut state.rows[row], message, &update) {
                break small(update.calls);
            }
            match next(&report, &count, &update, &state.rows[row].real()) {
                Next::Retry(retry) => update = retry,
                Next::Repeated if self.0 == Protocol::LastWins => {
                    state.rows[row].cells.insert((message.environment, message.slot), message.count);
                    return;
                }
                Next::Repeated => break 0,
                Next::Full => return,
            }
            if self.0 == Protocol::CompleteAdded {
                update.calls = count.calls;
            }
        };
        let Some(published) = publication(&count, &state.rows[row].real(), added.into()) else { return };
        let earliest = state.rows[row].cells.values().map(|cell| cell.at).min();
        let as_of = match earliest {
            Some(earliest) if self.0 == Protocol::Earliest => earliest,
            _ => moment(published.as_of),
        };
        self.publish(state, message.period, small(published.used), as_of);
    }

    fn apply(&self, row: &mut Row, message: &Message, update: &EarlyUpdate) -> bool {
        let key = (message.environment, message.slot);
        let is_seen = row.cells.get(&key).copied().map(real_cell) == update.seen;
        if self.0 != Protocol::NoCondition && !is_seen {
            return false;
        }
        row.cells.insert(key, message.count);
        row.sum += small(update.calls);
        true
    }

    fn publish(&self, state: &mut State, period: u8, used: u8, as_of: Moment) {
        let (known_period, known, _) = state.published;
        let limit = if self.0 == Protocol::OldLimit { self.1.limits()[0] } else { self.limit(state) };
        let is_newer = period > known_period
            || (period == known_period && used > known && u64::from(known) < limit.calls);
        if is_newer || self.0 == Protocol::AnyPublication {
            state.fell |= period < known_period || (period == known_period && used < known);
            state.published = (period, used, as_of);
        }
    }

    /// The ledger counts the next call and publishes as `flush` does.
    fn count(&self, state: &mut State, period: u8) {
        let index = usize::from(period);
        let before = state.ledger[index];
        state.ledger[index] += 1;
        let as_of = state.truth[index][usize::from(before)];
        let after = state.ledger[index];
        let is_due = is_to_publish(IdentityKind::Key, before.into(), after.into(), self.limit(state), true);
        if is_due && self.0 != Protocol::LedgerSilent {
            self.publish(state, period, after, as_of);
        }
    }

    /// The operator writes the new limit with the ledger's count, as of the last call counted.
    fn change_limit(state: &mut State) {
        state.is_changed = true;
        let (period, counted) = (state.period, state.ledger[usize::from(state.period)]);
        if counted > state.published.1 {
            let as_of = state.truth[usize::from(period)][usize::from(counted) - 1];
            state.published = (period, counted, as_of);
        }
    }

    fn next_period(state: &mut State) {
        state.period += 1;
        let slot = state.slot;
        for one in &mut state.environments {
            *one = environment(one.name, slot);
        }
    }
}

impl Model for Early {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            slot: 0,
            period: 0,
            is_changed: false,
            deaths: 0,
            environments: [environment(0, 0), environment(1, 0)],
            messages: BTreeSet::new(),
            rows: Default::default(),
            truth: Default::default(),
            ledger: [0; 2],
            published: (0, 0, (0, 0)),
            fell: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let alone = self.1 == Change::Slots;
        for (index, one) in state.environments.iter().enumerate().take(if alone { 1 } else { 2 }) {
            if state.now().1 < CALLS {
                actions.push(Action::Call(index));
            }
            if one.calls.len() > usize::from(one.reported) && state.messages.len() < MESSAGES_MAX {
                actions.push(Action::Report(index));
            }
            // Environments are interchangeable, so only the first one dies.
            if !alone && state.deaths == 0 && index == 0 && !one.calls.is_empty() {
                actions.push(Action::Die(index));
            }
        }
        for message in &state.messages {
            actions.extend([Action::Deliver(message.clone()), Action::Lose(message.clone())]);
        }
        for period in 0..if alone { 0 } else { 2 } {
            if usize::from(state.ledger[usize::from(period)]) < state.truth[usize::from(period)].len() {
                actions.push(Action::Count(period));
            }
        }
        match self.1 {
            Change::Slots => {
                actions.push(Action::Remove);
                if state.slot < 4 {
                    actions.push(Action::NextSlot);
                }
            }
            Change::Rollover if state.period == 0 => actions.push(Action::NextPeriod),
            Change::Lowered | Change::Raised if !state.is_changed => actions.push(Action::ChangeLimit),
            Change::Nothing | Change::Rollover | Change::Lowered | Change::Raised => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Call(index) => {
                // A call is later than a report of the moment before it.
                let at = (state.slot, state.now().1 + 1);
                state.environments[index].calls.push(at);
                state.truth[usize::from(state.period)].push(at);
            }
            Action::Report(index) => Self::report(&mut state, index),
            Action::Deliver(message) => self.deliver(&mut state, &message),
            Action::Lose(message) => drop(state.messages.remove(&message)),
            Action::Die(index) => {
                state.deaths += 1;
                state.environments[index] = environment(2, state.slot);
            }
            Action::Count(period) => self.count(&mut state, period),
            Action::Remove => {
                let now = timestamp(state.now());
                for row in &mut state.rows {
                    row.cells.retain(|(_, slot), _| !slot_is_over(real_slot(*slot), now));
                }
            }
            Action::NextSlot => state.slot += 1,
            Action::NextPeriod => Self::next_period(&mut state),
            Action::ChangeLimit => Self::change_limit(&mut state),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ABOVE, |_, state: &State| {
                let (period, used, _) = state.published;
                (0..2).all(|period| usize::from(state.rows[period].sum) <= state.truth[period].len())
                    && usize::from(used) <= state.truth[usize::from(period)].len()
            }),
            Property::always(KNOWN, |_, state: &State| {
                let truth = state.truth[usize::from(state.period)].len();
                state.environments.iter().all(|one| state.known(one) <= truth)
            }),
            Property::always(FALLS, |_, state: &State| !state.fell),
            Property::always(CONVERGES, |model: &Self, state: &State| {
                let limit = model.limit(state);
                let step = |used: u8| publish_step(IdentityKind::Key, used.into(), limit);
                let counted = state.ledger[usize::from(state.period)];
                let (period, used, _) = state.published;
                let known = if period == state.period { used } else { 0 };
                !state.is_at_rest() || step(known) >= step(counted)
            }),
            Property::sometimes(EARLIER, |_, state: &State| {
                let (period, used, _) = state.published;
                used > state.ledger[usize::from(period)]
            }),
        ]
    }
}

const ABOVE: &str = "neither the sum nor what is published exceeds the truth";
const KNOWN: &str = "no environment knows of more calls than there were";
const FALLS: &str = "published usage never decreases";
const CONVERGES: &str = "in the end the edges know the ledger's step";
const EARLIER: &str = "usage is published before the ledger has counted it";

#[test]
#[expect(clippy::print_stderr, reason = "how much was explored is the result")]
fn in_every_order_early_counts_stay_below_the_truth_and_the_ledger_follows() {
    for change in Change::ALL {
        let checked = Early(Protocol::Right, change).checker().spawn_bfs().join();
        let (states, steps) = (checked.unique_state_count(), checked.state_count());
        eprintln!("{change:?}: {states} states, {steps} steps between them");
        checked.assert_properties();
        assert!(checked.is_done() && states > 10_000);
    }
}

#[test]
fn the_model_catches_broken_early_counts() {
    for (protocol, change, broken) in [
        (Protocol::NoCondition, Change::Nothing, ABOVE),
        (Protocol::CompleteAdded, Change::Nothing, ABOVE),
        (Protocol::LastWins, Change::Nothing, ABOVE),
        (Protocol::OldSlots, Change::Slots, ABOVE),
        (Protocol::Earliest, Change::Nothing, KNOWN),
        (Protocol::OneRow, Change::Rollover, ABOVE),
        (Protocol::AnyPublication, Change::Nothing, FALLS),
        (Protocol::LedgerSilent, Change::Nothing, CONVERGES),
        (Protocol::OldLimit, Change::Raised, CONVERGES),
    ] {
        let checked =
            Early(protocol, change).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        assert!(checked.discovery(broken).is_some(), "{protocol:?} is not caught: {broken}");
    }
}
