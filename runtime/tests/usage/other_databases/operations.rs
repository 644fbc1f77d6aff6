//! Random operations on the two tables, the same for each database: a seed decides, never an answer.

use std::error::Error;
use std::fmt::Debug;

use fastrand::Rng;
use ipgeo_contract::{
    AddressSecret, EarlyCell, Gap, Identity, KeyRecord, Limit, Month, Period, Published, Status, Verdict,
};
use ipgeo_runtime::dynamo::{KeyChange, RecoveringLedger};
use ipgeo_runtime::store::{
    AccessRead as _, Alert, EarlyUpdate, LedgerUpdate, LedgerWrite as _, Newest, PublishWrite as _,
    StoreError,
};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Tables, now};

/// The operations, by name; the number of each is its place.
pub(super) const NAMES: [&str; 22] = [
    "put_key",
    "update_key",
    "key",
    "key_and_mark",
    "mark_key",
    "supersede",
    "successor",
    "ensure_address_secret",
    "publish",
    "published",
    "apply",
    "item",
    "record_alert",
    "alert_was_sent",
    "note_gap",
    "shard_note",
    "note_newest",
    "add_early",
    "remove_early",
    "set_since",
    "replace",
    "recover",
];

/// What a database can't do, and is therefore not tried with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Without {
    /// Transactions.
    pub(super) transactions: bool,
    /// `if_not_exists` inside `if_not_exists`, by which the first write after a gap saves the watermark.
    pub(super) nested_functions: bool,
}

/// A result as text: the value, or the code that the service gave for an error.
pub(super) fn outcome<T: Debug, E: Error>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
            words
                .find(|word| word.ends_with("Exception"))
                .map_or_else(|| format!("error: {text}"), str::to_owned)
        }
    }
}

fn parsed<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Draws arguments from few values, so that operations meet each other's rows.
struct Draw<'a>(&'a mut Rng, &'a Without);

impl Draw<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        of[self.0.usize(..of.len())].to_owned()
    }

    fn key(&mut self) -> Identity {
        parsed(&self.one(&["key#01", "key#02", "key#03"]))
    }

    fn identity(&mut self) -> Identity {
        parsed(&self.one(&["key#01", "key#02", "addr#0a", "site#a.test"]))
    }

    fn limit(&mut self) -> Limit {
        parsed(&self.one(&["100/day", "100/month", "5000/month"]))
    }

    fn month(&mut self) -> Month {
        parsed(&self.one(&["2026-11", "2026-12"]))
    }

    fn period(&mut self) -> Period {
        parsed(&self.one(&["2026-11", "2026-12", "2026-12-01", "2026-12-02"]))
    }

    fn shard(&mut self) -> String {
        self.one(&["shardId-000000000000", "shardId-000000000001"])
    }

    fn sequence(&mut self) -> String {
        format!("{:03}", self.0.u32(1..60))
    }

    fn some<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.bool().then(|| draw(self))
    }

    fn at(&mut self) -> Timestamp {
        later(self.0.i64(0..100))
    }

    fn record(&mut self) -> KeyRecord {
        let owner = self.one(&["acme", "Zoë’s 店", "o"]);
        KeyRecord {
            expires: self.some(Self::at),
            sites: self.some(|_| parsed("*.acme.test")).into_iter().collect(),
            networks: self.some(|_| parsed("203.0.113.0/24")).into_iter().collect(),
            explain: self.0.bool(),
            ..KeyRecord::new("ipg_…abcd", owner, "startup", self.limit(), self.at())
        }
    }

    fn change(&mut self) -> KeyChange {
        KeyChange {
            owner: self.some(|draw| draw.one(&["acme ltd", "new"])),
            limit: self.some(Self::limit),
            status: self.some(|_| Status::Disabled),
            expires: self.some(|draw| draw.some(Self::at)),
            sites: self.some(|_| Vec::new()),
            ..KeyChange::default()
        }
    }

    fn published(&mut self) -> Published {
        Published { period: self.period(), used: self.0.u64(0..50), as_of: self.at() }
    }

    fn update(&mut self) -> LedgerUpdate {
        let (first, calls) = (self.0.u32(1..60), self.0.u64(0..1_000_000_000_000));
        LedgerUpdate {
            identity: self.identity(),
            month: self.month(),
            shard: self.shard(),
            first: format!("{first:03}"),
            last: format!("{:03}", first + self.0.u32(0..4)),
            charged: calls,
            days: [(self.0.i8(1..4), calls)].into(),
            regions: [(self.one(&["eu-central-1", "us-east-1"]), calls)].into(),
            verdicts: [(Verdict::ALL[self.0.usize(..Verdict::ALL.len())], calls)].into(),
            gap: self.some(|draw| (draw.0.u32(1..3), draw.0.u32(3..4))).filter(|_| !self.1.nested_functions),
        }
    }

    fn alert(&mut self) -> Alert {
        let percent = if self.0.bool() { 80 } else { 100 };
        Alert {
            identity: self.key(),
            period: self.period(),
            percent,
            limit: self.limit(),
            used: 90,
            as_of: self.at(),
        }
    }

    fn early(&mut self) -> EarlyUpdate {
        let cell = |draw: &mut Self| EarlyCell { calls: draw.0.u64(1..4), at: later(draw.0.i64(0..2)) };
        EarlyUpdate {
            identity: self.identity(),
            period: self.period(),
            cell: self.cell(),
            seen: self.some(cell),
            new: cell(self),
            calls: self.0.u64(1..9),
        }
    }

    fn cell(&mut self) -> String {
        self.one(&["e1-0", "e2-0", "e3-1"])
    }
}

/// Runs one operation; returns its outcome.
pub(super) async fn run(operation: usize, rng: &mut Rng, tables: &Tables, without: &Without) -> String {
    let mut draw = Draw(rng, without);
    if operation < 10 {
        on_access(operation, &mut draw, tables).await
    } else {
        on_ledger(operation, &mut draw, tables).await
    }
}

/// Reads and publications go through the Lambda's own client, an operator's changes through the SDK.
async fn on_access(operation: usize, draw: &mut Draw<'_>, tables: &Tables) -> String {
    let Tables { access, own_access, ledger, .. } = tables;
    match NAMES[operation] {
        "put_key" => outcome(access.put_key(&draw.key(), &draw.record()).await),
        "update_key" => outcome(access.update_key(ledger, &draw.key(), &draw.change(), now()).await),
        "key" => outcome(own_access.key(&draw.key()).await),
        "key_and_mark" => outcome(access.key_and_mark(&draw.key()).await),
        "mark_key" => outcome(access.mark_key(&draw.key(), draw.at()).await),
        "supersede" => outcome(access.supersede(&draw.key(), &draw.key(), draw.at()).await),
        "successor" => outcome(access.successor(&draw.key()).await),
        "ensure_address_secret" => {
            let secret = AddressSecret::new([draw.0.u8(1..9); 32]);
            outcome(access.ensure_address_secret(secret.clone()).await.map(|kept| kept == secret))
        }
        "publish" => outcome(own_access.publish(&draw.identity(), draw.limit(), draw.published()).await),
        "published" => {
            let identities = [parsed("addr#0a"), parsed("site#a.test"), parsed("addr#ff")];
            outcome(own_access.published(&identities).await)
        }
        other => unreachable!("{other}"),
    }
}

async fn on_ledger(operation: usize, draw: &mut Draw<'_>, tables: &Tables) -> String {
    let Tables { ledger, own_ledger, .. } = tables;
    match NAMES[operation] {
        "apply" => outcome(own_ledger.apply(&draw.update()).await),
        "item" => outcome(ledger.item(&draw.identity(), draw.month()).await),
        "record_alert" => outcome(own_ledger.record_alert(&draw.alert()).await),
        "alert_was_sent" => outcome(ledger.alert_was_sent(&draw.alert(), draw.at()).await),
        "note_gap" => {
            let gap = Gap { behind: draw.sequence(), found: draw.at() };
            outcome(own_ledger.note_gap(&draw.shard(), draw.0.u32(1..4), &gap).await)
        }
        "shard_note" => outcome(own_ledger.shard_note(&draw.shard()).await),
        "note_newest" => {
            let newest = Newest {
                shard: draw.shard(),
                sequence: draw.sequence(),
                regions: [(parsed("eu-central-1"), draw.at())].into(),
                fingerprints: draw.one(&["", "AAAAAAAB", "AAAAAAABAAAAAAAC"]),
            };
            outcome(own_ledger.note_newest(&newest, draw.at()).await)
        }
        "add_early" => outcome(own_ledger.add_early(&draw.early()).await),
        "remove_early" => {
            let cells = [draw.cell(), draw.cell()];
            let cells = if cells[0] == cells[1] { &cells[..1] } else { &cells };
            outcome(own_ledger.remove_early(&draw.identity(), draw.period(), cells).await)
        }
        "set_since" => outcome(ledger.set_since(draw.at()).await),
        "replace" => {
            let (identity, month) = (draw.identity(), draw.month());
            let (wrong, more) = (draw.0.bool(), draw.0.u64(1..9));
            let Ok(Some(seen)) = ledger.item(&identity, month).await else { return "no item".into() };
            let mut new = seen.clone();
            *new.verdicts.entry(Verdict::Allowed).or_default() += more;
            let seen = if wrong { &new } else { &seen };
            outcome(ledger.replace(Some(seen), &new).await)
        }
        "recover" if draw.1.transactions => "not tried".into(),
        "recover" => {
            let update = draw.update();
            let update = LedgerUpdate { first: update.last.clone(), ..update };
            outcome(RecoveringLedger::new(ledger.clone(), now(), false).apply(&update).await)
        }
        other => unreachable!("{other}"),
    }
}

/// Every row of both tables, as our readers return them, in one order.
pub(super) async fn rows(tables: &Tables) -> Vec<String> {
    let Tables { access, ledger, .. } = tables;
    let mut rows: Vec<String> = Vec::new();
    let keys = access.list_keys().await.expect("a scan");
    rows.extend(keys.iter().map(|key| format!("{key:?}")));
    let read = ledger.for_each::<StoreError>(None, None, |item| {
        rows.push(item.map_or_else(|row| row, |item| format!("{item:?}")));
        Ok(())
    });
    read.await.expect("a scan");
    rows.sort_unstable();
    for month in ["2026-11", "2026-12"] {
        rows.extend([outcome(ledger.alerts(parsed(month)).await)]);
        let mut items = ledger.month(parsed(month), None).await.expect("a scan");
        items.sort_by(|a, b| a.identity.cmp(&b.identity));
        rows.extend(items.iter().map(|item| format!("{item:?}")));
    }
    rows.extend([outcome(ledger.newest().await), outcome(ledger.since().await)]);
    rows
}
