//! What a bill is of, beside the traffic: our own design, read from the very templates that would be
//! deployed, and the design of 2018 to compare it with.

use std::collections::BTreeMap;
use std::str::FromStr;

use ipgeo_contract::{Limit, RegionName, Window, env};
use serde_json::Value;

use super::measure::{Caller, ledger_item_bytes, line_bytes};
use super::model::MONTH_DAYS;
use super::occupancy::{to_f64, to_u64};
use crate::config::{Anonymous, Architecture, Config, Tier, Tiers};
use crate::infra::stacks::{ArtifactRef, ArtifactSet, RenderError, Renderer, StackKind, Template};

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
    pub(crate) region: RegionName,
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
    pub(crate) home: RegionName,
    pub(crate) edges: Vec<Edge>,
    pub(crate) lines: Lines,
    pub(crate) counting: Counting,
    pub(crate) tiers: Tiers,
    pub(crate) zone: bool,
}

/// A stack's template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Where it is.
    pub(crate) region: &'a RegionName,
    /// Its kind.
    pub(crate) kind: StackKind,
    /// What it says.
    pub(crate) template: &'a Template,
}

impl Part<'_> {
    fn property(&self, resource: &str, property: &str) -> Option<&Value> {
        self.template.resources.get(resource).and_then(|resource| resource.property(property))
    }

    /// A number; `otherwise` when it is not there.
    fn number(&self, resource: &str, property: &str, otherwise: f64) -> f64 {
        self.property(resource, property).and_then(Value::as_f64).unwrap_or(otherwise)
    }

    /// The processor of a function.
    fn architecture(&self, function: &str) -> Architecture {
        let named = self.property(function, "Architectures").and_then(|list| list.get(0));
        let is_x86 = named.and_then(Value::as_str) == Some(Architecture::X86_64.as_str());
        if is_x86 { Architecture::X86_64 } else { Architecture::Arm64 }
    }

    /// A variable that the lookup function is given.
    fn variable<T: FromStr>(&self, name: &str) -> Option<T> {
        let variables = self.property("LookupFunction", "Environment")?.get("Variables")?;
        variables.get(name)?.as_str()?.parse().ok()
    }

    fn alarms(&self) -> f64 {
        let resources = self.template.resources.values();
        to_f64(resources.filter(|resource| resource.kind == "AWS::CloudWatch::Alarm").count() as u64)
    }
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
    /// Our own, as a configuration would be deployed.
    pub(crate) fn of(config: &Config) -> Result<Self, RenderError> {
        let artifacts = no_artifacts();
        let stacks = Renderer::new(config, &artifacts)?.all()?;
        let parts = stacks.iter().map(|stack| Part {
            region: &stack.region,
            kind: stack.kind,
            template: &stack.template,
        });
        Ok(Self::of_parts(&config.service.home, &parts.collect::<Vec<_>>()))
    }

    /// Our own, as these templates say; what is not among them is not billed.
    pub(crate) fn of_parts(home: &RegionName, parts: &[Part<'_>]) -> Self {
        let of_kind = |kind| parts.iter().filter(move |part| part.kind == kind);
        let mut edges: Vec<Edge> = of_kind(StackKind::Edge).map(edge).collect();
        let names = || edges.iter().map(|edge| edge.region.as_str());
        let first = of_kind(StackKind::Edge).find(|part| *part.region == *home);
        let first = first.or_else(|| of_kind(StackKind::Edge).next());
        let lines = Lines {
            keyed: line_bytes(Caller::Keyed, names()),
            crowd: [false, true].map(|site| line_bytes(Caller::Crowd { site }, names())),
            named: [false, true].map(|site| line_bytes(Caller::Address { site }, names())),
            calls: 1.0,
            beside: 0.0,
            kept_days: first.map_or(1.0, |part| part.number("LogGroup", "RetentionInDays", 1.0)),
        };
        let stack = of_kind(StackKind::Home).next();
        let counting = stack.map_or(NOTHING_COUNTED, |stack| counting(stack, first, names()));
        let zone = first.is_some_and(|part| part.template.resources.contains_key("Domain"));
        let tiers = tiers(stack, first);
        if let (Some(stack), Some(edge)) = (stack, edges.iter_mut().find(|edge| edge.region == *home)) {
            edge.alarms += stack.alarms();
        }
        Self { front: Front::Http, home: home.clone(), edges, lines, counting, tiers, zone }
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

fn edge(part: &Part<'_>) -> Edge {
    Edge {
        region: part.region.clone(),
        memory_mb: part.number("LookupFunction", "MemorySize", 128.0),
        architecture: part.architecture("LookupFunction"),
        cache_s: part.variable(env::ACCESS_CACHE_S).unwrap_or(0.0),
        alarms: part.alarms(),
    }
}

fn counting<'a>(
    home: &Part<'_>,
    edge: Option<&Part<'_>>,
    regions: impl ExactSizeIterator<Item = &'a str>,
) -> Counting {
    let shards = u32::try_from(to_u64(home.number("UsageStream", "ShardCount", 1.0))).unwrap_or(1).max(1);
    Counting {
        window_s: home.number("UsageSource", "MaximumBatchingWindowInSeconds", 0.0),
        batch_records: home.number("UsageSource", "BatchSize", 100.0),
        shards,
        memory_mb: home.number("UsageFunction", "MemorySize", 128.0),
        architecture: home.architecture("UsageFunction"),
        quiet_permille: edge.and_then(|edge| edge.variable(env::QUIET_PERMILLE)).unwrap_or(0),
        replicated: Replicated::Decisions,
        item_bytes: ledger_item_bytes(regions, shards),
    }
}

/// The tiers as home's stack and an edge tell them.
fn tiers(home: Option<&Part<'_>>, edge: Option<&Part<'_>>) -> Tiers {
    let limit = |name| edge.and_then(|edge| edge.variable::<Limit>(name)).unwrap_or(NO_LIMIT);
    let anonymous =
        Anonymous { limit: limit(env::ANONYMOUS_LIMIT), site_limit: limit(env::ANONYMOUS_SITE_LIMIT) };
    let told = home.and_then(|home| home.template.outputs.get("Tiers"));
    let told = told.and_then(|output| output.get("Value")).and_then(Value::as_str).unwrap_or_default();
    let tier = |text: &str| {
        let (name, limit) = text.split_once('=')?;
        Some(Tier { name: name.to_owned(), limit: limit.parse().ok()? })
    };
    Tiers { anonymous, paid: told.split(' ').filter_map(tier).collect() }
}

/// Stands for the limit of a stack that tells none.
const NO_LIMIT: Limit = Limit { calls: 1, window: Window::Day };
