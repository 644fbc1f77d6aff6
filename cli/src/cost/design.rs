//! The deployment that a bill is for: ours, read from the rendered templates, or the 2018 design, for comparison.

use std::collections::BTreeMap;
use std::str::FromStr;

use ipgeo_contract::{Limit, RegionName, Window, env};
use serde_json::Value;

use super::measure::{LineCaller, ledger_item_bytes, line_bytes};
use super::model::MONTH_DAYS;
use crate::config::{Anonymous, Architecture, Config, Tier, Tiers};
use crate::infra::stacks::{
    ArtifactRef, ArtifactSet, FORWARD_ALIAS, FORWARD_FUNCTION, RenderError, Renderer, StackKind, Template,
};
use crate::ui::format::{float, whole};

/// Bytes that CloudWatch Logs bills for each event beside its text.
pub(crate) const LOG_EVENT_BYTES: f64 = 26.0;
/// Bytes of a request's event as `print(event)` wrote it.
const PRINTED_EVENT_BYTES: f64 = 2_048.0;
/// Bytes of Lambda's three log lines for each call (START, END, REPORT).
const PLATFORM_LINE_BYTES: f64 = 404.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiType {
    Http,
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicated {
    /// Only publications of limit steps; counts stay in home's ledger.
    Decisions,
    /// Every count.
    Counts,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) region: RegionName,
    pub(crate) memory_mb: f64,
    pub(crate) architecture: Architecture,
    pub(crate) cache_s: f64,
    pub(crate) alarms: f64,
    /// Memory of the forwarder that its log lines go through, MB; `None`: they go through a log destination.
    pub(crate) forward_mb: Option<f64>,
}

/// Log lines; bytes are without [`LOG_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogLines {
    /// Bytes for a call with an API key.
    pub(crate) keyed: f64,
    /// Bytes for a pooled anonymous call, without and with a site.
    pub(crate) pooled: [f64; 2],
    /// Bytes for a call of a named address, without and with a site.
    pub(crate) named: [f64; 2],
    /// Calls in one line.
    pub(crate) calls: f64,
    /// Additional lines for each call; their bytes are included above.
    pub(crate) extra: f64,
    pub(crate) retention_days: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CountingDesign {
    pub(crate) window_s: f64,
    pub(crate) batch_records: f64,
    pub(crate) shards: u32,
    pub(crate) memory_mb: f64,
    pub(crate) architecture: Architecture,
    pub(crate) quiet_permille: u32,
    pub(crate) replicated: Replicated,
    pub(crate) early_counts: bool,
    /// Bytes of a ledger item.
    pub(crate) item_bytes: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Design {
    pub(crate) api: ApiType,
    pub(crate) home: RegionName,
    pub(crate) edges: Vec<Edge>,
    pub(crate) lines: LogLines,
    pub(crate) counting: CountingDesign,
    pub(crate) tiers: Tiers,
    pub(crate) zone: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct DeployedStack<'a> {
    pub(crate) region: &'a RegionName,
    pub(crate) kind: StackKind,
    pub(crate) template: &'a Template,
}

impl DeployedStack<'_> {
    fn property(&self, resource: &str, property: &str) -> Option<&Value> {
        self.template.resources.get(resource).and_then(|resource| resource.property(property))
    }

    fn number(&self, resource: &str, property: &str, default: f64) -> f64 {
        self.property(resource, property).and_then(Value::as_f64).unwrap_or(default)
    }

    fn architecture(&self, function: &str) -> Architecture {
        let named = self.property(function, "Architectures").and_then(|list| list.get(0));
        let is_x86 = named.and_then(Value::as_str) == Some(Architecture::X86_64.as_str());
        if is_x86 { Architecture::X86_64 } else { Architecture::Arm64 }
    }

    /// An environment variable of the lookup function.
    fn variable<T: FromStr>(&self, name: &str) -> Option<T> {
        let variables = self.property("LookupFunction", "Environment")?.get("Variables")?;
        variables.get(name)?.as_str()?.parse().ok()
    }

    fn alarms(&self) -> f64 {
        let resources = self.template.resources.values();
        float(resources.filter(|resource| resource.kind == "AWS::CloudWatch::Alarm").count() as u64)
    }
}

/// Placeholder artifacts: a bill only depends on the shape of the stacks.
fn placeholder_artifacts() -> ArtifactSet {
    let code = [Architecture::Arm64, Architecture::X86_64]
        .map(|architecture| (architecture.as_str(), ArtifactRef::new("code", &"0".repeat(64))));
    ArtifactSet {
        code: BTreeMap::from(code),
        geo: ArtifactRef::new("geo", &"0".repeat(64)),
        geo_description: String::new(),
    }
}

impl Design {
    pub(crate) fn from_config(config: &Config) -> Result<Self, RenderError> {
        let artifacts = placeholder_artifacts();
        let stacks = Renderer::new(config, &artifacts)?.all()?;
        let parts = stacks.iter().map(|stack| DeployedStack {
            region: &stack.region,
            kind: stack.kind,
            template: &stack.template,
        });
        Ok(Self::from_stacks(&config.service.home, &parts.collect::<Vec<_>>()))
    }

    /// What these stacks deploy; missing stacks are not billed.
    pub(crate) fn from_stacks(home: &RegionName, parts: &[DeployedStack<'_>]) -> Self {
        let of_kind = |kind| parts.iter().filter(move |part| part.kind == kind);
        let mut edges: Vec<Edge> = of_kind(StackKind::Edge).map(edge).collect();
        let names = || edges.iter().map(|edge| edge.region.as_str());
        let first = of_kind(StackKind::Edge).find(|part| *part.region == *home);
        let first = first.or_else(|| of_kind(StackKind::Edge).next());
        let lines = LogLines {
            keyed: line_bytes(LineCaller::Keyed, names()),
            pooled: [false, true].map(|site| line_bytes(LineCaller::Pooled { site }, names())),
            named: [false, true].map(|site| line_bytes(LineCaller::Address { site }, names())),
            calls: 1.0,
            extra: 0.0,
            retention_days: first.map_or(1.0, |part| part.number("LogGroup", "RetentionInDays", 1.0)),
        };
        let home_stack = of_kind(StackKind::Home).next();
        let counting = home_stack.map_or(NOTHING_COUNTED, |stack| counting(stack, first, names()));
        let zone = first.is_some_and(|part| part.template.resources.contains_key("Domain"));
        let tiers = tiers(home_stack, first);
        if let (Some(stack), Some(edge)) = (home_stack, edges.iter_mut().find(|edge| edge.region == *home)) {
            edge.alarms += stack.alarms();
        }
        Self { api: ApiType::Http, home: home.clone(), edges, lines, counting, tiers, zone }
    }

    /// The 2018 design in the same regions: a REST API, `print(event)` as usage line, every count replicated after ten
    /// seconds, 36 alarms.
    pub(crate) fn as_2018(&self) -> Self {
        let mut design = self.clone();
        let edges = float(design.edges.len() as u64);
        for edge in &mut design.edges {
            edge.alarms = ALARMS_2018 / edges;
            edge.cache_s = 0.0;
            edge.forward_mb = None;
        }
        let bytes = PRINTED_EVENT_BYTES + PLATFORM_LINE_BYTES;
        design.api = ApiType::Rest;
        design.zone = true;
        design.lines = LogLines {
            keyed: bytes,
            pooled: [bytes; 2],
            named: [bytes; 2],
            calls: 1.0,
            extra: 3.0,
            retention_days: 1.0,
        };
        design.counting.window_s = WINDOW_2018_S;
        design.counting.quiet_permille = 0;
        design.counting.replicated = Replicated::Counts;
        design.counting.early_counts = false;
        design
    }

    /// The tier for a caller of `month_calls`: the smallest that allows them, or the largest. Also returns the caller's calls
    /// in one of its windows.
    pub(crate) fn tier_for(&self, month_calls: f64) -> Option<(Limit, f64)> {
        let in_window = |limit: &Limit| month_calls / windows_in_month(limit.window);
        let holds = |limit: &&Limit| float(limit.calls) >= in_window(limit);
        let by_size = |limit: &&Limit| whole(float(limit.calls) * windows_in_month(limit.window));
        let limits = || self.tiers.paid.iter().map(|tier| &tier.limit);
        let limit = limits().filter(holds).min_by_key(by_size).or_else(|| limits().max_by_key(by_size))?;
        Some((*limit, in_window(limit)))
    }
}

const ALARMS_2018: f64 = 36.0;
/// Seconds for which it gathered counts.
const WINDOW_2018_S: f64 = 10.0;

/// Used if the home stack is missing, which only happens on partial deployments.
const NOTHING_COUNTED: CountingDesign = CountingDesign {
    window_s: 0.0,
    batch_records: 1.0,
    shards: 1,
    memory_mb: 128.0,
    architecture: Architecture::Arm64,
    quiet_permille: 0,
    replicated: Replicated::Decisions,
    early_counts: false,
    item_bytes: 1.0,
};

pub(crate) fn windows_in_month(window: Window) -> f64 {
    match window {
        Window::Day => MONTH_DAYS,
        Window::Month => 1.0,
    }
}

fn edge(part: &DeployedStack<'_>) -> Edge {
    let subscription = part.template.resources.get("UsageSubscription");
    let forwards = subscription.is_some_and(|subscription| subscription.points_to(FORWARD_ALIAS));
    Edge {
        region: part.region.clone(),
        memory_mb: part.number("LookupFunction", "MemorySize", 128.0),
        architecture: part.architecture("LookupFunction"),
        cache_s: part.variable(env::ACCESS_CACHE_S).unwrap_or(0.0),
        alarms: part.alarms(),
        forward_mb: forwards.then(|| part.number(FORWARD_FUNCTION, "MemorySize", 128.0)),
    }
}

fn counting<'a>(
    home: &DeployedStack<'_>,
    edge: Option<&DeployedStack<'_>>,
    regions: impl ExactSizeIterator<Item = &'a str>,
) -> CountingDesign {
    let shards = u32::try_from(whole(home.number("UsageStream", "ShardCount", 1.0))).unwrap_or(1).max(1);
    CountingDesign {
        window_s: home.number("UsageSource", "MaximumBatchingWindowInSeconds", 0.0),
        batch_records: home.number("UsageSource", "BatchSize", 100.0),
        shards,
        memory_mb: home.number("UsageFunction", "MemorySize", 128.0),
        architecture: home.architecture("UsageFunction"),
        quiet_permille: edge.and_then(|edge| edge.variable(env::QUIET_PERMILLE)).unwrap_or(0),
        replicated: Replicated::Decisions,
        early_counts: edge.and_then(|edge| edge.variable::<String>(env::HOME_FUNCTION)).is_some(),
        item_bytes: ledger_item_bytes(regions, shards),
    }
}

/// Reads the tiers from an output of the home stack and an edge's environment variables.
fn tiers(home: Option<&DeployedStack<'_>>, edge: Option<&DeployedStack<'_>>) -> Tiers {
    let limit = |name| edge.and_then(|edge| edge.variable::<Limit>(name)).unwrap_or(NO_LIMIT);
    let anonymous = Anonymous::new(limit(env::ANONYMOUS_LIMIT), limit(env::ANONYMOUS_SITE_LIMIT));
    let paid = home.and_then(|home| home.template.outputs.get("Tiers"));
    let paid = paid.and_then(|output| output.get("Value")).and_then(Value::as_str).unwrap_or_default();
    let tier = |text: &str| {
        let (name, limit) = text.split_once('=')?;
        Some(Tier::new(name, limit.parse().ok()?))
    };
    Tiers { anonymous, paid: paid.split(' ').filter_map(tier).collect() }
}

/// Used if a stack has no limit.
const NO_LIMIT: Limit = Limit { calls: 1, window: Window::Day };
