//! Turns traffic and a design into priced amounts, and takes off the free tier.

use serde::Serialize;

use super::design::{ApiType, Design, LOG_EVENT_BYTES, Replicated};
use super::model::{MONTH_DAYS, MONTH_H, TrafficModel};
use super::prices::{PriceError, PricedItem, Prices};
use super::traffic::Workload;
use crate::config::Architecture;
use crate::ui::format::{float, whole};

/// Bytes of a GB as billed for transfer and logs.
const GB: f64 = 1e9;
/// Bytes of one PUT unit of a stream.
const PUT_BYTES: f64 = 25_000.0;
/// Bytes of one write unit of a table.
const WRITE_BYTES: f64 = 1_024.0;
/// Milliseconds that a forwarder takes for a batch: mostly the round trip to the home region.
const FORWARD_MS: f64 = 200.0;
/// Milliseconds of home's function for an early count: a write to the ledger, and sometimes a publication.
const EARLY_COUNT_MS: f64 = 20.0;
/// Milliseconds that an edge sends one for: it does not wait for the answer.
const EARLY_REPORT_MS: f64 = 5.0;
/// Bytes of a row of early counts: those of some environments, in up to three slots.
const EARLY_ROW_BYTES: f64 = 2_000.0;
/// Bytes of a report on its way home, with its headers.
const EARLY_REPORT_BYTES: f64 = 1_200.0;
/// Bytes of an API key's record.
const RECORD_BYTES: f64 = 400.0;

/// A line of a bill. The `Free…` lines come last: they are the negative amounts of the free tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BillLine {
    Api,
    FunctionRequests,
    FunctionTime,
    Logs,
    LogsStored,
    StreamShards,
    StreamRecords,
    StreamTransfer,
    Forwarder,
    UsageFunction,
    EarlyCounts,
    TableReads,
    LedgerWrites,
    ReplicatedWrites,
    TableStorage,
    DnsZone,
    Alarms,
    Artifacts,
    Internet,
    FreeFunctionRequests,
    FreeFunctionTime,
    FreeLogs,
    FreeTableStorage,
    FreeAlarms,
    FreeInternet,
}

impl BillLine {
    /// The line that a free-tier line belongs to; other lines are returned unchanged.
    #[must_use]
    pub(crate) fn charged(self) -> Self {
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

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Api => "API requests",
            Self::FunctionRequests => "function requests",
            Self::FunctionTime => "function time",
            Self::Logs => "logs ingested",
            Self::LogsStored => "logs stored",
            Self::StreamShards => "stream shards",
            Self::StreamRecords => "stream records",
            Self::StreamTransfer => "transfer between regions",
            Self::Forwarder => "log forwarder",
            Self::UsageFunction => "usage function",
            Self::EarlyCounts => "early counts",
            Self::TableReads => "table reads",
            Self::LedgerWrites => "ledger writes",
            Self::ReplicatedWrites => "replicated writes",
            Self::TableStorage => "table storage",
            Self::DnsZone => "DNS zone",
            Self::Alarms => "alarms",
            Self::Artifacts => "artifacts",
            Self::Internet => "transfer to the internet",
            Self::FreeFunctionRequests => "free tier: function requests",
            Self::FreeFunctionTime => "free tier: function time",
            Self::FreeLogs => "free tier: logs ingested",
            Self::FreeTableStorage => "free tier: table storage",
            Self::FreeAlarms => "free tier: alarms",
            Self::FreeInternet => "free tier: internet transfer",
        }
    }
}

/// AWS's always-free tier, a line each. The items of a line share one allowance.
const FREE: [(BillLine, &[PricedItem]); 6] = [
    (BillLine::FreeFunctionRequests, &[PricedItem::FunctionRequest]),
    (BillLine::FreeFunctionTime, &[PricedItem::FunctionTimeArm64, PricedItem::FunctionTimeX86]),
    (BillLine::FreeLogs, &[PricedItem::LogIngest]),
    (BillLine::FreeTableStorage, &[PricedItem::TableStorage]),
    (BillLine::FreeAlarms, &[PricedItem::Alarm]),
    (BillLine::FreeInternet, &[PricedItem::TransferInternet]),
];

/// Which parts of the free tier a bill includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowances {
    All,
    /// Alarms, table storage and internet transfer, as in the reference bills.
    #[cfg(test)]
    Reference,
    None,
}

impl Allowances {
    fn has(self, line: BillLine) -> bool {
        match self {
            Self::All => true,
            #[cfg(test)]
            Self::Reference => {
                matches!(line, BillLine::FreeAlarms | BillLine::FreeTableStorage | BillLine::FreeInternet)
            }
            Self::None => line < BillLine::FreeFunctionRequests,
        }
    }
}

/// One priced amount.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BillEntry {
    pub(crate) line: BillLine,
    /// The region it is charged in; `all` for the free tier.
    pub(crate) region: String,
    pub(crate) amount: f64,
    /// Such as `M requests`.
    pub(crate) unit: String,
    /// USD; negative for the free tier.
    pub(crate) usd: f64,
    /// Whether the price is AWS's, not an estimate.
    pub(crate) exact: bool,
    pub(super) item: PricedItem,
    /// Amount in single units, as `item` is priced.
    pub(super) units: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bill {
    /// Every amount, by line and region.
    pub(crate) entries: Vec<BillEntry>,
    /// Shards needed in the busiest second. Billed are these, or the deployed ones if they are more.
    pub(crate) shards_needed: u32,
    /// Seconds that a batch of usage lines is gathered: the configured window, or less if it is full earlier.
    pub(crate) window_s: f64,
    /// Ledger writes a month.
    pub(crate) ledger_writes: f64,
    /// Publications a month; each is written in every region.
    pub(crate) publications: f64,
}

impl Bill {
    /// USD.
    pub(crate) fn total(&self) -> f64 {
        self.entries.iter().map(|entry| entry.usd).sum()
    }

    /// USD of some lines.
    #[cfg(test)]
    pub(crate) fn sum(&self, lines: &[BillLine]) -> f64 {
        self.entries.iter().filter(|entry| lines.contains(&entry.line)).map(|entry| entry.usd).sum()
    }

    /// Whether all its prices are AWS's.
    pub(crate) fn is_exact(&self) -> bool {
        self.entries.iter().all(|entry| entry.exact || entry.usd == 0.0)
    }
}

/// The monthly bill of a design.
pub(crate) fn price(
    prices: &Prices,
    model: &TrafficModel,
    design: &Design,
    allowances: Allowances,
) -> Result<Bill, PriceError> {
    price_part(prices, model, design, allowances, 1.0)
}

/// The bill for the first `part` of a month, 0 to 1; `model` is the traffic of the full month. The free tier applies in
/// full, and the DNS zone is charged for the month on its first day.
pub(crate) fn price_part(
    prices: &Prices,
    model: &TrafficModel,
    design: &Design,
    allowances: Allowances,
    part: f64,
) -> Result<Bill, PriceError> {
    let mut writer = BillWriter { prices, entries: Vec::new() };
    let traffic = Workload::new(model, design);
    serving(&mut writer, model, design, &traffic)?;
    logs(&mut writer, model, design, &traffic)?;
    counting(&mut writer, design, &traffic)?;
    early_counts(&mut writer, design, &traffic)?;
    fixed_costs(&mut writer, model, design, &traffic)?;
    for entry in writer.entries.iter_mut().filter(|entry| entry.line != BillLine::DnsZone) {
        entry.amount *= part;
        entry.units *= part;
        entry.usd *= part;
    }
    writer.subtract_free_tier(allowances)?;
    writer.entries.sort_by(|a, b| (a.line, &a.region).cmp(&(b.line, &b.region)));
    Ok(Bill {
        entries: writer.entries,
        shards_needed: shards(&traffic),
        window_s: traffic.window_s,
        ledger_writes: traffic.updates * part,
        publications: traffic.publications * part,
    })
}

fn shards(traffic: &Workload) -> u32 {
    u32::try_from(whole(traffic.shards_needed)).unwrap_or(u32::MAX)
}

struct BillWriter<'a> {
    prices: &'a Prices,
    entries: Vec<BillEntry>,
}

impl BillWriter<'_> {
    fn add(&mut self, line: BillLine, item: PricedItem, region: &str, units: f64) -> Result<(), PriceError> {
        let price = self.prices.price(item, region)?;
        let (unit, count) = self.prices.unit(item)?;
        self.entries.push(BillEntry {
            line,
            region: region.to_owned(),
            amount: units / count,
            unit: unit.to_owned(),
            usd: price.total(units),
            exact: price.exact,
            item,
            units,
        });
        Ok(())
    }

    /// Subtracts the free tier, at the average price of the usage.
    fn subtract_free_tier(&mut self, allowances: Allowances) -> Result<(), PriceError> {
        for (line, items) in FREE {
            if !allowances.has(line) {
                continue;
            }
            let charged: Vec<&BillEntry> =
                self.entries.iter().filter(|entry| items.contains(&entry.item)).collect();
            let (used, usd) = charged.iter().fold((0.0, 0.0), |(used, usd), e| (used + e.units, usd + e.usd));
            let exact = charged.iter().all(|entry| entry.exact);
            let free = items.first().map_or(0.0, |item| self.prices.free(*item)).min(used);
            if free <= 0.0 || usd <= 0.0 {
                continue;
            }
            let item = items[0];
            let (unit, count) = self.prices.unit(item)?;
            let entry = BillEntry {
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

/// In place of a region, for what applies to the account.
pub(super) const ALL_REGIONS: &str = "all";

fn function_time(architecture: Architecture) -> PricedItem {
    match architecture {
        Architecture::Arm64 => PricedItem::FunctionTimeArm64,
        Architecture::X86_64 => PricedItem::FunctionTimeX86,
    }
}

fn calls_per_region(model: &TrafficModel, design: &Design) -> f64 {
    model.calls / float(design.edges.len() as u64).max(1.0)
}

/// The API, the lookup functions, their reads and responses.
fn serving(
    out: &mut BillWriter<'_>,
    model: &TrafficModel,
    design: &Design,
    traffic: &Workload,
) -> Result<(), PriceError> {
    let calls = calls_per_region(model, design);
    let api = match design.api {
        ApiType::Http => PricedItem::HttpApiRequest,
        ApiType::Rest => PricedItem::RestApiRequest,
    };
    for edge in &design.edges {
        out.add(BillLine::Api, api, &edge.region, calls)?;
        out.add(BillLine::FunctionRequests, PricedItem::FunctionRequest, &edge.region, calls)?;
        let gb_s = calls * traffic.request_ms / 1e3 * edge.memory_mb / 1_024.0;
        out.add(BillLine::FunctionTime, function_time(edge.architecture), &edge.region, gb_s)?;
        let reads = traffic.read_units * calls / model.calls.max(1.0);
        out.add(BillLine::TableReads, PricedItem::TableRead, &edge.region, reads)?;
        let gb = calls * model.answer_bytes / GB;
        out.add(BillLine::Internet, PricedItem::TransferInternet, &edge.region, gb)?;
    }
    Ok(())
}

/// Log lines and their way to the stream.
fn logs(
    out: &mut BillWriter<'_>,
    model: &TrafficModel,
    design: &Design,
    traffic: &Workload,
) -> Result<(), PriceError> {
    let (calls, lines) = (calls_per_region(model, design), design.lines);
    let by_site = |[without, with]: [f64; 2]| without + (with - without) * model.site_share;
    let anonymous =
        by_site(lines.pooled) + (by_site(lines.named) - by_site(lines.pooled)) * traffic.named_share;
    let text = lines.keyed * model.keyed_share + anonymous * (1.0 - model.keyed_share);
    let gb = calls * ((text + LOG_EVENT_BYTES) / lines.calls + LOG_EVENT_BYTES * lines.extra) / GB;
    let records = traffic.records * calls / model.calls.max(1.0);
    for edge in &design.edges {
        out.add(BillLine::Logs, PricedItem::LogIngest, &edge.region, gb)?;
        out.add(
            BillLine::LogsStored,
            PricedItem::LogStorage,
            &edge.region,
            gb * lines.retention_days / MONTH_DAYS,
        )?;
        if let Some(memory_mb) = edge.forward_mb {
            let gb_s = records * FORWARD_MS / 1e3 * memory_mb / 1_024.0;
            out.add(BillLine::Forwarder, PricedItem::FunctionRequest, &edge.region, records)?;
            out.add(BillLine::Forwarder, function_time(edge.architecture), &edge.region, gb_s)?;
        }
        if edge.region != design.home {
            let gb = records * traffic.record_bytes / GB;
            out.add(BillLine::StreamTransfer, PricedItem::TransferRegion, &edge.region, gb)?;
        }
    }
    let home = design.home.as_str();
    let puts = traffic.records * (traffic.record_bytes / PUT_BYTES).ceil().max(1.0);
    let shards = f64::from(design.counting.shards.max(shards(traffic)));
    out.add(BillLine::StreamShards, PricedItem::StreamShard, home, shards * MONTH_H)?;
    out.add(BillLine::StreamRecords, PricedItem::StreamPut, home, puts)
}

/// The usage function and its writes.
fn counting(out: &mut BillWriter<'_>, design: &Design, traffic: &Workload) -> Result<(), PriceError> {
    let (home, counting) = (design.home.as_str(), design.counting);
    out.add(BillLine::UsageFunction, PricedItem::FunctionRequest, home, traffic.batches)?;
    out.add(BillLine::UsageFunction, function_time(counting.architecture), home, traffic.usage_gb_s)?;
    if counting.replicated == Replicated::Decisions {
        let units = traffic.updates * (counting.item_bytes / WRITE_BYTES).ceil().max(1.0);
        out.add(BillLine::LedgerWrites, PricedItem::TableWrite, home, units)?;
    }
    for edge in &design.edges {
        out.add(
            BillLine::ReplicatedWrites,
            PricedItem::TableReplicatedWrite,
            &edge.region,
            traffic.publications,
        )?;
    }
    Ok(())
}

/// Early counts: sent by the edges, added up at home.
fn early_counts(out: &mut BillWriter<'_>, design: &Design, traffic: &Workload) -> Result<(), PriceError> {
    let (home, counting, reports) = (design.home.as_str(), design.counting, traffic.early_counts);
    let gb_s = |ms: f64, memory_mb: f64| reports * ms / 1e3 * memory_mb / 1_024.0;
    out.add(BillLine::EarlyCounts, PricedItem::FunctionRequest, home, reports)?;
    let time = function_time(counting.architecture);
    out.add(BillLine::EarlyCounts, time, home, gb_s(EARLY_COUNT_MS, counting.memory_mb))?;
    let writes = reports * (EARLY_ROW_BYTES / WRITE_BYTES).ceil();
    out.add(BillLine::EarlyCounts, PricedItem::TableWrite, home, writes)?;
    let part = 1.0 / float(design.edges.len() as u64).max(1.0);
    for edge in &design.edges {
        let time = function_time(edge.architecture);
        out.add(BillLine::EarlyCounts, time, &edge.region, part * gb_s(EARLY_REPORT_MS, edge.memory_mb))?;
        if edge.region != design.home {
            let gb = part * reports * EARLY_REPORT_BYTES / GB;
            out.add(BillLine::EarlyCounts, PricedItem::TransferRegion, &edge.region, gb)?;
        }
    }
    Ok(())
}

/// Costs that do not depend on the number of calls.
fn fixed_costs(
    out: &mut BillWriter<'_>,
    model: &TrafficModel,
    design: &Design,
    traffic: &Workload,
) -> Result<(), PriceError> {
    for edge in &design.edges {
        let mut bytes = f64::from(model.keys) * RECORD_BYTES;
        if edge.region == design.home {
            bytes += traffic.ledger_bytes;
        }
        out.add(BillLine::TableStorage, PricedItem::TableStorage, &edge.region, bytes / GB)?;
        out.add(BillLine::Artifacts, PricedItem::BucketStorage, &edge.region, model.artifact_gb)?;
        if edge.alarms > 0.0 {
            out.add(BillLine::Alarms, PricedItem::Alarm, &edge.region, edge.alarms)?;
        }
    }
    if design.zone {
        out.add(BillLine::DnsZone, PricedItem::DnsZone, &design.home, 1.0)?;
    }
    Ok(())
}
