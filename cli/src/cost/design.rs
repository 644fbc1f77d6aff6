//! What a bill is of, beside the traffic: our own design, read from the very templates that would be
//! deployed, and the design of 2018 to compare it with.

use std::collections::BTreeMap;

use ipgeo_contract::{Limit, Window};
use serde_json::Value;

use super::measure::{Caller, ledger_item_bytes, line_bytes};
use super::model::MONTH_DAYS;
use super::occupancy::{to_f64, to_u64};
use crate::config::{Architecture, Config, Tiers};
use crate::stacks::{ArtifactRef, ArtifactSet, RenderError, Renderer, Stack, StackKind};

/// Bytes that CloudWatch Logs adds to each event.
pub(crate) const LOG_EVENT_BYTES: f64 = 26.0;
/// Bytes of a request's event as `print(event)` wrote it, and of the platform's three lines beside it.
const PRINTED_EVENT_BYTES: f64 = 2_048.0;
/// See above.
const PLATFORM_LINE_BYTES: f64 = 404.0;

/// The API in front of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// An HTTP API.
    Http,
    /// A REST API.
    Rest,
}

/// What is replicated to every region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicated {
    /// Steps of a limit; counts stay in home's ledger.
    Decisions,
    /// Every count.
    Counts,
}

/// One region's part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) region: String,
    pub(crate) memory_mb: f64,
    pub(crate) architecture: Architecture,
    pub(crate) cache_s: f64,
    pub(crate) alarms: f64,
}

/// Bytes of log lines, without what CloudWatch Logs adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    /// Of a call with an API key.
    pub(crate) keyed: f64,
    /// Of a call of the crowd, without and with a site.
    pub(crate) crowd: [f64; 2],
    /// Of a call of a named address, without and with a site.
    pub(crate) named: [f64; 2],
    /// Calls that one line is of.
    pub(crate) calls: f64,
    /// Lines of each call beside it, their bytes included above.
    pub(crate) beside: f64,
    /// Days that they are kept.
    pub(crate) kept_days: f64,
}

/// How usage is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counting {
    pub(crate) window_s: f64,
    pub(crate) batch_records: f64,
    pub(crate) shards: u32,
    pub(crate) memory_mb: f64,
    pub(crate) architecture: Architecture,
    pub(crate) quiet_permille: u32,
    pub(crate) replicated: Replicated,
    /// Bytes of a full item.
    pub(crate) item_bytes: f64,
}

/// A design that can be priced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Design {
    pub(crate) front: Front,
    pub(crate) home: String,
    pub(crate) edges: Vec<Edge>,
    pub(crate) lines: Lines,
    pub(crate) counting: Counting,
    pub(crate) tiers: Tiers,
    pub(crate) zone: bool,
}

/// A number of a rendered template; `otherwise` when it is not there.
fn number(stack: &Stack, resource: &str, property: &str, otherwise: f64) -> f64 {
    let found = stack.template.resources.get(resource).and_then(|resource| resource.property(property));
    found.and_then(Value::as_f64).unwrap_or(otherwise)
}

fn alarms(stack: &Stack) -> f64 {
    let alarms =
        stack.template.resources.values().filter(|resource| resource.kind == "AWS::CloudWatch::Alarm");
    to_f64(alarms.count() as u64)
}

/// Artifacts that nobody made: a bill depends on the shape of the stacks alone.
fn no_artifacts() -> ArtifactSet {
    let code = [Architecture::Arm64, Architecture::X86_64]
        .map(|architecture| (architecture.as_str(), ArtifactRef::new("code", &"0".repeat(64))));
    ArtifactSet {
        code: BTreeMap::from(code),
        geo: ArtifactRef::new("geo", &"0".repeat(64)),
        geo_description: String::new(),
    }
}

impl Design {
    /// Our own, as a configuration says and the templates render it.
    pub(crate) fn of(config: &Config) -> Result<Self, RenderError> {
        let artifacts = no_artifacts();
        let stacks = Renderer::new(config, &artifacts)?.all()?;
        let mut edges = Vec::new();
        let mut home = None;
        for stack in &stacks {
            match stack.kind {
                StackKind::Artifacts => {}
                StackKind::Home => home = Some(stack),
                StackKind::Edge => edges.extend(edge(config, stack)),
            }
        }
        let names = || config.regions.iter().map(|region| region.name.as_str());
        let usage = config.usage;
        let (counting, home_alarms) = home.map_or((None, 0.0), |stack| {
            let shards = number(stack, "UsageStream", "ShardCount", 1.0);
            let shards = u32::try_from(to_u64(shards)).unwrap_or(1).max(1);
            let counting = Counting {
                window_s: number(stack, "UsageSource", "MaximumBatchingWindowInSeconds", 0.0),
                batch_records: number(stack, "UsageSource", "BatchSize", 100.0),
                shards,
                memory_mb: number(stack, "UsageFunction", "MemorySize", 128.0),
                architecture: config.home().map_or(Architecture::Arm64, |home| home.runtime.architecture),
                quiet_permille: usage.quiet_permille,
                replicated: Replicated::Decisions,
                item_bytes: ledger_item_bytes(names(), shards),
            };
            (Some(counting), alarms(stack))
        });
        for edge in edges.iter_mut().filter(|edge| edge.region == config.service.home) {
            edge.alarms += home_alarms;
        }
        let first_edge = stacks.iter().find(|stack| stack.kind == StackKind::Edge);
        let lines = Lines {
            keyed: line_bytes(Caller::Keyed, names()),
            crowd: [false, true].map(|site| line_bytes(Caller::Crowd { site }, names())),
            named: [false, true].map(|site| line_bytes(Caller::Address { site }, names())),
            calls: 1.0,
            beside: 0.0,
            kept_days: first_edge.map_or(1.0, |stack| number(stack, "LogGroup", "RetentionInDays", 1.0)),
        };
        Ok(Self {
            front: Front::Http,
            home: config.service.home.clone(),
            edges,
            lines,
            counting: counting.unwrap_or(NOTHING_COUNTED),
            tiers: config.tiers.clone(),
            zone: config.service.domain.is_some(),
        })
    }

    /// The design of 2018 in the same regions: a REST API, `print(event)` for a usage line, every count
    /// replicated ten seconds later, 36 alarms.
    pub(crate) fn of_2018(&self) -> Self {
        let mut design = self.clone();
        let edges = to_f64(design.edges.len() as u64);
        for edge in &mut design.edges {
            edge.alarms = ALARMS_2018 / edges;
            edge.cache_s = 0.0;
        }
        let bytes = PRINTED_EVENT_BYTES + PLATFORM_LINE_BYTES;
        design.front = Front::Rest;
        design.zone = true;
        design.lines = Lines {
            keyed: bytes,
            crowd: [bytes; 2],
            named: [bytes; 2],
            calls: 1.0,
            beside: 3.0,
            kept_days: 1.0,
        };
        design.counting.window_s = WINDOW_2018_S;
        design.counting.quiet_permille = 0;
        design.counting.replicated = Replicated::Counts;
        design
    }

    /// The tier that a caller of so many calls a month would take: the smallest that holds them, or the
    /// largest; and its calls in one window of it.
    pub(crate) fn tier_for(&self, month_calls: f64) -> Option<(Limit, f64)> {
        let in_window = |limit: &Limit| month_calls / windows_of(limit.window);
        let holds = |limit: &&Limit| to_f64(limit.calls) >= in_window(limit);
        let by_size = |limit: &&Limit| to_u64(to_f64(limit.calls) * windows_of(limit.window));
        let limits = || self.tiers.paid.iter().map(|tier| &tier.limit);
        let limit = limits().filter(holds).min_by_key(by_size).or_else(|| limits().max_by_key(by_size))?;
        Some((*limit, in_window(limit)))
    }
}

/// Alarms of the design of 2018.
const ALARMS_2018: f64 = 36.0;
/// Seconds that it gathered counts for.
const WINDOW_2018_S: f64 = 10.0;

/// Stands for a home stack that was not rendered; there always is one.
const NOTHING_COUNTED: Counting = Counting {
    window_s: 0.0,
    batch_records: 1.0,
    shards: 1,
    memory_mb: 128.0,
    architecture: Architecture::Arm64,
    quiet_permille: 0,
    replicated: Replicated::Decisions,
    item_bytes: 1.0,
};

/// Windows of a kind in a month.
pub(crate) fn windows_of(window: Window) -> f64 {
    match window {
        Window::Day => MONTH_DAYS,
        Window::Month => 1.0,
    }
}

fn edge(config: &Config, stack: &Stack) -> Option<Edge> {
    let region = config.regions.iter().find(|region| region.name == stack.region)?;
    Some(Edge {
        region: stack.region.clone(),
        memory_mb: number(stack, "LookupFunction", "MemorySize", 128.0),
        architecture: region.runtime.architecture,
        cache_s: f64::from(region.runtime.access_cache_s),
        alarms: alarms(stack),
    })
}
