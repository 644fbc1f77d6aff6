//! A bill: amounts of what is charged for, priced.

use serde::Serialize;

use super::design::{Design, Front, LOG_EVENT_BYTES, Replicated};
use super::model::{MONTH_DAYS, MONTH_H, Model};
use super::occupancy::{to_f64, to_u64};
use super::prices::{Item, PriceError, Prices};
use super::traffic::Traffic;
use crate::config::Architecture;

/// Bytes of a GB, as AWS bills transfer and logs in these figures.
const GB: f64 = 1e9;
/// Bytes of one unit put into a stream, and of one written to a table.
const PUT_BYTES: f64 = 25_000.0;
/// See above.
const WRITE_BYTES: f64 = 1_024.0;
/// Bytes of an API key's record.
const RECORD_BYTES: f64 = 400.0;

/// A line of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Requests of the API.
    Api,
    /// Requests of the lookup functions.
    FunctionRequests,
    /// Their time.
    FunctionTime,
    /// Logs taken in.
    Logs,
    /// Logs kept.
    LogsKept,
    /// The stream's shards.
    StreamShards,
    /// Records put into it.
    StreamRecords,
    /// Records on their way from region to region.
    StreamTransfer,
    /// The usage function.
    Counting,
    /// Reads of the access table.
    TableReads,
    /// Writes of the ledger.
    LedgerWrites,
    /// Writes of the access table, in every replica.
    ReplicatedWrites,
    /// What tables hold.
    TableStorage,
    /// The DNS zone.
    DnsZone,
    /// Alarms.
    Alarms,
    /// Artifacts in buckets.
    Artifacts,
    /// Answers on their way to callers.
    Internet,
    /// What every account has for nothing: function requests.
    FreeFunctionRequests,
    /// The same of function time.
    FreeFunctionTime,
    /// The same of logs.
    FreeLogs,
    /// The same of tables.
    FreeTableStorage,
    /// The same of alarms.
    FreeAlarms,
    /// The same of transfer to the internet.
    FreeInternet,
}

impl Line {
    /// The line that an allowance is taken off; any other line itself.
    #[must_use]
    pub fn charged(self) -> Self {
        match self {
            Self::FreeFunctionRequests => Self::FunctionRequests,
            Self::FreeFunctionTime => Self::FunctionTime,
            Self::FreeLogs => Self::Logs,
            Self::FreeTableStorage => Self::TableStorage,
            Self::FreeAlarms => Self::Alarms,
            Self::FreeInternet => Self::Internet,
            line => line,
        }
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Api => "API requests",
            Self::FunctionRequests => "function requests",
            Self::FunctionTime => "function time",
            Self::Logs => "logs taken in",
            Self::LogsKept => "logs kept",
            Self::StreamShards => "stream shards",
            Self::StreamRecords => "stream records",
            Self::StreamTransfer => "records between regions",
            Self::Counting => "counting",
            Self::TableReads => "table reads",
            Self::LedgerWrites => "ledger writes",
            Self::ReplicatedWrites => "replicated writes",
            Self::TableStorage => "table storage",
            Self::DnsZone => "DNS zone",
            Self::Alarms => "alarms",
            Self::Artifacts => "artifacts",
            Self::Internet => "answers to the internet",
            Self::FreeFunctionRequests => "free: function requests",
            Self::FreeFunctionTime => "free: function time",
            Self::FreeLogs => "free: logs taken in",
            Self::FreeTableStorage => "free: table storage",
            Self::FreeAlarms => "free: alarms",
            Self::FreeInternet => "free: answers to the internet",
        }
    }
}

/// What every account has for nothing a month, for ever: each a line of its own, with the item's free units.
const FREE: [(Line, &[Item]); 6] = [
    (Line::FreeFunctionRequests, &[Item::FunctionRequest]),
    (Line::FreeFunctionTime, &[Item::FunctionTimeArm64, Item::FunctionTimeX86]),
    (Line::FreeLogs, &[Item::LogIngest]),
    (Line::FreeTableStorage, &[Item::TableStorage]),
    (Line::FreeAlarms, &[Item::Alarm]),
    (Line::FreeInternet, &[Item::TransferInternet]),
];

/// Which free allowances a bill has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowances {
    /// All.
    All,
    /// Those that the reference bills have: alarms, table storage, transfer to the internet.
    #[cfg(test)]
    Reference,
    /// None.
    None,
}

impl Allowances {
    fn has(self, line: Line) -> bool {
        match self {
            Self::All => true,
            #[cfg(test)]
            Self::Reference => {
                matches!(line, Line::FreeAlarms | Line::FreeTableStorage | Line::FreeInternet)
            }
            Self::None => line < Line::FreeFunctionRequests,
        }
    }
}

/// One priced amount.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The line that it belongs to.
    pub line: Line,
    /// The region it is charged in; `all` for allowances.
    pub region: String,
    /// How much, in `unit`s.
    pub amount: f64,
    /// Such as `M requests`.
    pub unit: String,
    /// What it costs, USD; allowances are negative.
    pub usd: f64,
    /// Whether the price is a figure of AWS, not an estimate.
    pub exact: bool,
    item: Item,
    units: f64,
}

/// A month's bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Bill {
    /// Every amount, by line and region.
    pub entries: Vec<Entry>,
    /// Shards that the busiest second needs; as many are billed, and no fewer than are rendered.
    pub shards_needed: u32,
    /// Seconds that a batch of usage lines gathers: as configured, or until it is full.
    pub window_s: f64,
    /// Ledger writes a month.
    pub ledger_writes: f64,
    /// Publications a month, each written in every region.
    pub publications: f64,
}

impl Bill {
    /// What it comes to, USD.
    pub fn total(&self) -> f64 {
        self.entries.iter().map(|entry| entry.usd).sum()
    }

    /// What some lines come to, USD.
    pub fn sum(&self, lines: &[Line]) -> f64 {
        self.entries.iter().filter(|entry| lines.contains(&entry.line)).map(|entry| entry.usd).sum()
    }

    /// Whether every price in it is a figure of AWS.
    pub fn is_exact(&self) -> bool {
        self.entries.iter().all(|entry| entry.exact || entry.usd == 0.0)
    }
}

/// Prices a design under a traffic.
pub(crate) fn price(
    prices: &Prices,
    model: &Model,
    design: &Design,
    allowances: Allowances,
) -> Result<Bill, PriceError> {
    price_part(prices, model, design, allowances, 1.0)
}

/// The same of the first part of a month, 0 to 1, that `model` is the whole of. What is free for a month is all
/// free in its first part, and a zone is charged for the month on its first day.
pub(crate) fn price_part(
    prices: &Prices,
    model: &Model,
    design: &Design,
    allowances: Allowances,
    part: f64,
) -> Result<Bill, PriceError> {
    let mut writer = Writer { prices, entries: Vec::new() };
    let traffic = Traffic::of(model, design);
    serving(&mut writer, model, design, &traffic)?;
    logs(&mut writer, model, design, &traffic)?;
    counting(&mut writer, model, design, &traffic)?;
    standing(&mut writer, model, design, &traffic)?;
    for entry in writer.entries.iter_mut().filter(|entry| entry.line != Line::DnsZone) {
        entry.amount *= part;
        entry.units *= part;
        entry.usd *= part;
    }
    writer.allow(allowances)?;
    writer.entries.sort_by(|a, b| (a.line, &a.region).cmp(&(b.line, &b.region)));
    Ok(Bill {
        entries: writer.entries,
        shards_needed: shards(&traffic),
        window_s: traffic.window_s,
        ledger_writes: traffic.updates * part,
        publications: traffic.publications * part,
    })
}

fn shards(traffic: &Traffic) -> u32 {
    u32::try_from(to_u64(traffic.shards_needed)).unwrap_or(u32::MAX)
}

struct Writer<'a> {
    prices: &'a Prices,
    entries: Vec<Entry>,
}

impl Writer<'_> {
    fn add(&mut self, line: Line, item: Item, region: &str, units: f64) -> Result<(), PriceError> {
        let price = self.prices.price(item, region)?;
        let (unit, count) = self.prices.unit(item)?;
        self.entries.push(Entry {
            line,
            region: region.to_owned(),
            amount: units / count,
            unit: unit.to_owned(),
            usd: price.of(units),
            exact: price.exact,
            item,
            units,
        });
        Ok(())
    }

    /// Takes off what is free, at the average price of what is used.
    fn allow(&mut self, allowances: Allowances) -> Result<(), PriceError> {
        for (line, items) in FREE {
            if !allowances.has(line) {
                continue;
            }
            let of: Vec<&Entry> = self.entries.iter().filter(|entry| items.contains(&entry.item)).collect();
            let (used, usd) = of.iter().fold((0.0, 0.0), |(used, usd), e| (used + e.units, usd + e.usd));
            let exact = of.iter().all(|entry| entry.exact);
            let free = items.first().map_or(0.0, |item| self.prices.free(*item)).min(used);
            if free <= 0.0 || usd <= 0.0 {
                continue;
            }
            let item = items[0];
            let (unit, count) = self.prices.unit(item)?;
            let entry = Entry {
                line,
                region: ALL_REGIONS.to_owned(),
                amount: -free / count,
                unit: unit.to_owned(),
                usd: -usd * free / used,
                exact,
                item,
                units: -free,
            };
            self.entries.push(entry);
        }
        Ok(())
    }
}

/// Stands for the region of what an account has once.
pub(super) const ALL_REGIONS: &str = "all";

fn time_of(architecture: Architecture) -> Item {
    match architecture {
        Architecture::Arm64 => Item::FunctionTimeArm64,
        Architecture::X86_64 => Item::FunctionTimeX86,
    }
}

fn each_region(model: &Model, design: &Design) -> f64 {
    model.calls / to_f64(design.edges.len() as u64).max(1.0)
}

/// API, functions, reads, answers.
fn serving(
    out: &mut Writer<'_>,
    model: &Model,
    design: &Design,
    traffic: &Traffic,
) -> Result<(), PriceError> {
    let calls = each_region(model, design);
    let api = match design.front {
        Front::Http => Item::HttpApiRequest,
        Front::Rest => Item::RestApiRequest,
    };
    for edge in &design.edges {
        out.add(Line::Api, api, &edge.region, calls)?;
        out.add(Line::FunctionRequests, Item::FunctionRequest, &edge.region, calls)?;
        let gb_s = calls * traffic.request_ms / 1e3 * edge.memory_mb / 1_024.0;
        out.add(Line::FunctionTime, time_of(edge.architecture), &edge.region, gb_s)?;
        let reads = traffic.read_units * calls / model.calls.max(1.0);
        out.add(Line::TableReads, Item::TableRead, &edge.region, reads)?;
        let gb = calls * model.answer_bytes / GB;
        out.add(Line::Internet, Item::TransferInternet, &edge.region, gb)?;
    }
    Ok(())
}

/// Lines in the log, and from there to the stream.
fn logs(out: &mut Writer<'_>, model: &Model, design: &Design, traffic: &Traffic) -> Result<(), PriceError> {
    let (calls, lines) = (each_region(model, design), design.lines);
    let by_site = |[without, with]: [f64; 2]| without + (with - without) * model.site_share;
    let anonymous =
        by_site(lines.crowd) + (by_site(lines.named) - by_site(lines.crowd)) * traffic.named_share;
    let text = lines.keyed * model.keyed_share + anonymous * (1.0 - model.keyed_share);
    let gb = calls * ((text + LOG_EVENT_BYTES) / lines.calls + LOG_EVENT_BYTES * lines.beside) / GB;
    let records = traffic.records * calls / model.calls.max(1.0);
    for edge in &design.edges {
        out.add(Line::Logs, Item::LogIngest, &edge.region, gb)?;
        out.add(Line::LogsKept, Item::LogStorage, &edge.region, gb * lines.kept_days / MONTH_DAYS)?;
        if edge.region != design.home {
            let gb = records * traffic.record_bytes / GB;
            out.add(Line::StreamTransfer, Item::TransferRegion, &edge.region, gb)?;
        }
    }
    let home = design.home.as_str();
    let puts = traffic.records * (traffic.record_bytes / PUT_BYTES).ceil().max(1.0);
    let shards = f64::from(design.counting.shards.max(shards(traffic)));
    out.add(Line::StreamShards, Item::StreamShard, home, shards * MONTH_H)?;
    out.add(Line::StreamRecords, Item::StreamPut, home, puts)
}

/// The usage function and what it writes.
fn counting(out: &mut Writer<'_>, _: &Model, design: &Design, traffic: &Traffic) -> Result<(), PriceError> {
    let (home, counting) = (design.home.as_str(), design.counting);
    out.add(Line::Counting, Item::FunctionRequest, home, traffic.batches)?;
    out.add(Line::Counting, time_of(counting.architecture), home, traffic.usage_gb_s)?;
    if counting.replicated == Replicated::Decisions {
        let units = traffic.updates * (counting.item_bytes / WRITE_BYTES).ceil().max(1.0);
        out.add(Line::LedgerWrites, Item::TableWrite, home, units)?;
    }
    for edge in &design.edges {
        out.add(Line::ReplicatedWrites, Item::TableReplicatedWrite, &edge.region, traffic.publications)?;
    }
    Ok(())
}

/// What is there whatever the traffic.
fn standing(
    out: &mut Writer<'_>,
    model: &Model,
    design: &Design,
    traffic: &Traffic,
) -> Result<(), PriceError> {
    for edge in &design.edges {
        let mut bytes = f64::from(model.keys) * RECORD_BYTES;
        if edge.region == design.home {
            bytes += traffic.ledger_bytes;
        }
        out.add(Line::TableStorage, Item::TableStorage, &edge.region, bytes / GB)?;
        out.add(Line::Artifacts, Item::BucketStorage, &edge.region, model.artifact_gb)?;
        if edge.alarms > 0.0 {
            out.add(Line::Alarms, Item::Alarm, &edge.region, edge.alarms)?;
        }
    }
    if design.zone {
        out.add(Line::DnsZone, Item::DnsZone, &design.home, 1.0)?;
    }
    Ok(())
}
