//! What happened in a run, as the checker reads it. It is written by the world itself and not by the code under test: an answer is
//! recorded with its status and the clock of its environment, a write with the row before and after.

use ipgeo_contract::Window;
use ipgeo_runtime::tables::{Item, Value};

/// A request that was answered by an environment, whether or not its caller got the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Milliseconds from the start: when it was sent, and when its line was written.
    pub sent_ms: u64,
    pub ms: u64,
    pub environment: usize,
    pub region: usize,
    pub caller: usize,
    /// The environment's clock, Unix milliseconds.
    pub clock_ms: i64,
    /// How much the environment's clock is wrong, and when it was last set, milliseconds from the start.
    pub set_ms: u64,
    pub status: u16,
    /// Calls that the request contains.
    pub calls: u64,
    /// The limit of the API key's record that the environment read last.
    pub known: Option<Known>,
    /// The environment read last that there is no such API key: its replica may not have the row yet. Such a request is a guess.
    pub is_unknown: bool,
    /// The usage and its period in that record, and how often the environment had read it.
    pub published: (String, u64),
    pub reads: u64,
    /// Whether the environment knows the secret that addresses are hidden with: without it, no address is charged.
    pub has_secret: bool,
    /// Whether its quota refused it, and not its rate.
    pub is_over_quota: bool,
}

/// A limit as read from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub calls: u64,
    pub window: Window,
}

/// A row of a region's access table has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessWrite {
    pub ms: u64,
    pub region: usize,
    pub id: String,
    pub before: Option<AccessRow>,
    pub after: AccessRow,
}

/// What a row of the access table says, read by the checker's own code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRow {
    pub period: String,
    pub used: u64,
    pub as_of_ms: i64,
    pub limit: u64,
    pub window: String,
    pub status: String,
}

impl AccessRow {
    pub(crate) fn read(item: &Item) -> Self {
        let text = |name: &str| item.get(name).and_then(Value::text).unwrap_or_default().to_owned();
        let digits = |name: &str| item.get(name).and_then(Value::digits).unwrap_or("0");
        Self {
            period: text("period"),
            used: digits("used").parse().unwrap_or(u64::MAX),
            as_of_ms: digits("as_of").parse().unwrap_or(i64::MAX),
            limit: digits("limit").parse().unwrap_or(u64::MAX),
            window: text("window"),
            status: text("status"),
        }
    }

    /// The limit of an API key's row.
    pub(crate) fn known(&self) -> Option<Known> {
        let window = self.window.parse().ok()?;
        Some(Known { calls: self.limit, window })
    }
}

/// Something that an operator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub ms: u64,
    pub what: String,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Calls of each caller that were sent, whether or not they were answered.
    pub attempted: Vec<u64>,
    /// Calls of each caller whose answer 200 arrived.
    pub acknowledged: Vec<u64>,
    pub answers: Vec<Answered>,
    pub access: Vec<AccessWrite>,
    /// Alerts sent: when, and their id.
    pub alerts: Vec<(u64, String)>,
    pub operations: Vec<Operation>,
    /// What must not happen and was seen while it happened.
    pub wrong: Vec<String>,
    /// Batches that the counter was invoked with, early reports, lines sent twice.
    pub batches: u64,
    pub reports: u64,
    pub repeats: u64,
}

impl History {
    /// A number that differs if anything in two histories does.
    pub fn digest(&self) -> u64 {
        let text = format!("{self:?}");
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}
