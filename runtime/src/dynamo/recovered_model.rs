//! A model of giving up and recovering batches, explored in every order: a counter that counts batches completely, partly or
//! not at all before Lambda gives them up; a recovery that can be interrupted and overtaken by the counter; and a replay of
//! the stream. It calls the real [`has`] for decisions and models the conditions of writes. Broken protocols must fail.

use std::collections::BTreeMap;

use ipgeo_contract::Gap;
use jiff::Timestamp;
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use super::{Has, has};
use crate::dynamo::LedgerItem;
use crate::tables::NOTHING_COUNTED;

/// Records of the shard; each has an event of the first item, and all but the second one of the other.
const RECORDS: u8 = 4;
const SHARD: &str = "s";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Right,
    /// The counter continues after given-up records without recording a gap.
    NoGap,
    /// Recovered events get no marker.
    NoMark,
    /// Recovered events are written without the condition that the item has not changed.
    NoCondition,
    /// The watermark stays where it was.
    WatermarkStays,
    /// Records are recovered in any order.
    AnyOrder,
    /// A write after a gap does not check whether the item was already written after a later gap.
    LaterGapsForgotten,
    /// A replay starts anywhere.
    ReplayAnywhere,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Item {
    counted: [u8; RECORDS as usize],
    watermark: u8,
    before: BTreeMap<u32, u8>,
    marked: [bool; RECORDS as usize],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    items: [Item; 2],
    /// Records that the poller has finished, and the counter's last saved position.
    done: u8,
    noted: u8,
    /// The first record after each gap.
    gaps: Vec<u8>,
    given_up: [bool; RECORDS as usize],
    /// Whether records were given up since the last batch.
    aged: bool,
    /// The pending recovery: item, record, decision.
    seen: Option<(u8, u8, Decision)>,
    replays: u8,
}

/// [`Has`], with small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Decision {
    NotBefore(u32, u8),
    NotYet(u8),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// All of the next records up to one are counted.
    Count(u8),
    /// Of the next records, those of one item up to one are counted.
    CountPart(u8, u8),
    /// The next records up to one are given up.
    GiveUp(u8),
    /// The recovery reads an item for a record, and writes later or never.
    Look(u8, u8),
    Add,
    Stop,
    /// The stream is counted again from a record on.
    Replay(u8),
}

struct Recovery(Protocol);

fn has_event(item: u8, record: u8) -> bool {
    item == 0 || record != 2
}

/// The sequence number of the nth record; the first is 1.
fn sequence(record: u8) -> String {
    record.to_string()
}

fn decide(state: &State, item: &Item, record: u8) -> Option<Decision> {
    let gap = |behind: &u8| Gap { behind: sequence(*behind), found: Timestamp::UNIX_EPOCH };
    let gaps: Vec<Gap> = state.gaps.iter().map(gap).collect();
    let of_ledger = LedgerItem {
        identity: "site#a.test".parse().expect("an identity"),
        month: "2026-11".parse().expect("a month"),
        charged: 0,
        days: BTreeMap::new(),
        regions: BTreeMap::new(),
        verdicts: BTreeMap::new(),
        watermarks: (item.watermark > 0)
            .then(|| (SHARD.to_owned(), sequence(item.watermark)))
            .into_iter()
            .collect(),
        before_gaps: item.before.iter().map(|(gap, at)| ((SHARD.to_owned(), *gap), sequence(*at))).collect(),
    };
    let number = |text: String| text.parse().expect("a small number");
    match has(Some(&of_ledger), &gaps, SHARD, &sequence(record)) {
        Has::Yes => None,
        Has::NotBefore(gap, before) => Some(Decision::NotBefore(gap, number(before))),
        Has::NotYet(seen) => {
            Some(Decision::NotYet(number(seen.unwrap_or_else(|| NOTHING_COUNTED.to_owned()))))
        }
    }
}

impl Recovery {
    /// The counter's write of an item's events of `from..=to`, on the condition of its watermark.
    fn write(&self, state: &mut State, item: u8, from: u8, to: u8) {
        let gap = state.gaps.iter().filter(|behind| **behind <= from).count();
        let watermark = state.items[usize::from(item)].watermark;
        let events: Vec<u8> =
            (from..=to).filter(|record| has_event(item, *record) && *record > watermark).collect();
        let Some(last) = events.last() else { return };
        let item = &mut state.items[usize::from(item)];
        if gap > 0 {
            let gap = u32::try_from(gap).expect("few");
            let later = item.before.range(gap..).next().map(|(_, at)| *at);
            let later = later.filter(|_| self.0 != Protocol::LaterGapsForgotten);
            item.before.entry(gap).or_insert(later.unwrap_or(item.watermark));
        }
        for record in &events {
            let times = &mut item.counted[usize::from(*record) - 1];
            *times = (*times + 1).min(2);
        }
        item.watermark = *last;
    }

    /// Whether all that was given up before a record is recovered.
    fn is_next(&self, state: &State, item: u8, record: u8) -> bool {
        let of = &state.items[usize::from(item)];
        self.0 == Protocol::AnyOrder
            || (1..record).filter(|earlier| has_event(item, *earlier)).all(|earlier| {
                let at = usize::from(earlier) - 1;
                !state.given_up[at] || of.marked[at] || decide(state, of, earlier).is_none()
            })
    }

    fn open(&self, state: &mut State) {
        if (state.aged || state.noted == 0) && self.0 != Protocol::NoGap {
            let behind = state.done + 1;
            if state.gaps.last() != Some(&behind) {
                state.gaps.push(behind);
            }
        }
    }

    fn add(&self, state: &mut State, item: u8, record: u8, decision: Decision) {
        let now = decide(state, &state.items[usize::from(item)], record);
        let item = &mut state.items[usize::from(item)];
        let at = usize::from(record) - 1;
        let holds = self.0 == Protocol::NoCondition || now == Some(decision);
        if !holds || item.marked[at] {
            return;
        }
        item.counted[at] = (item.counted[at] + 1).min(2);
        item.marked[at] = self.0 != Protocol::NoMark;
        if matches!(decision, Decision::NotYet(_)) && self.0 != Protocol::WatermarkStays {
            item.watermark = record;
        }
    }
}

impl Model for Recovery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for to in state.done + 1..=RECORDS {
            actions.extend([Action::Count(to), Action::CountPart(0, to), Action::CountPart(1, to)]);
            actions.push(Action::GiveUp(to));
        }
        match state.seen {
            Some(_) => actions.extend([Action::Add, Action::Stop]),
            None => {
                for record in (1..=RECORDS).filter(|record| state.given_up[usize::from(*record) - 1]) {
                    let items =
                        (0..2).filter(|item| has_event(*item, record) && self.is_next(state, *item, record));
                    actions.extend(items.map(|item| Action::Look(item, record)));
                }
            }
        }
        if state.replays < 2 {
            let last = if self.0 == Protocol::ReplayAnywhere { RECORDS } else { state.noted + 1 };
            actions.extend((1..=last).filter(|from| *from <= RECORDS).map(Action::Replay));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let next = state.done + 1;
        match action {
            Action::Count(to) => {
                self.open(&mut state);
                (0..2).for_each(|item| self.write(&mut state, item, next, to));
                (state.done, state.noted, state.aged) = (to, to.max(state.noted), false);
            }
            Action::CountPart(item, to) => {
                self.open(&mut state);
                self.write(&mut state, item, next, to);
            }
            Action::GiveUp(to) => {
                (next..=to).for_each(|record| state.given_up[usize::from(record) - 1] = true);
                (state.done, state.aged) = (to, true);
            }
            Action::Look(item, record) => {
                let decision = decide(&state, &state.items[usize::from(item)], record)?;
                state.seen = Some((item, record, decision));
            }
            Action::Add => {
                let (item, record, decision) = state.seen.take()?;
                self.add(&mut state, item, record, decision);
            }
            Action::Stop => state.seen = None,
            Action::Replay(from) => {
                (0..2).for_each(|item| self.write(&mut state, item, from, RECORDS));
                (state.noted, state.replays) = (RECORDS, state.replays + 1);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(TWICE, |_, state: &State| {
                state.items.iter().all(|item| item.counted.iter().all(|times| *times <= 1))
            }),
            // Exactly the events that are not counted at the end can still be recovered.
            Property::always(LOST, |_, state: &State| {
                state.done < RECORDS
                    || (0_u8..).zip(&state.items).all(|(number, item)| {
                        (1..=RECORDS).filter(|record| has_event(number, *record)).all(|record| {
                            let at = usize::from(record) - 1;
                            let recoverable = state.given_up[at]
                                && !item.marked[at]
                                && decide(state, item, record).is_some();
                            item.counted[at] == 1 || recoverable
                        })
                    })
            }),
            Property::sometimes(ENDS, |_, state: &State| {
                state.done == RECORDS
                    && state.given_up.contains(&true)
                    && state
                        .items
                        .iter()
                        .map(|item| item.counted.iter().sum::<u8>())
                        .eq([RECORDS, RECORDS - 1])
            }),
        ]
    }
}

const TWICE: &str = "no event is counted twice";
const LOST: &str = "no event is lost";
const ENDS: &str = "what was given up is counted";

#[test]
#[expect(clippy::print_stderr, reason = "how much was explored is the result")]
fn every_order_of_giving_up_and_recovering_counts_exactly_once() {
    let checked = Recovery(Protocol::Right).checker().spawn_bfs().join();
    eprintln!("{} states, {} steps between them", checked.unique_state_count(), checked.state_count());
    checked.assert_properties();
    assert!(checked.is_done() && checked.unique_state_count() > 1_000);
}

#[test]
fn the_model_catches_broken_recoveries() {
    for (protocol, broken) in [
        (Protocol::NoGap, LOST),
        (Protocol::NoMark, TWICE),
        (Protocol::NoCondition, TWICE),
        (Protocol::WatermarkStays, TWICE),
        (Protocol::AnyOrder, LOST),
        (Protocol::LaterGapsForgotten, LOST),
        (Protocol::ReplayAnywhere, LOST),
    ] {
        let checked =
            Recovery(protocol).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        assert!(checked.discovery(broken).is_some(), "{protocol:?} is not caught: {broken}");
    }
}
