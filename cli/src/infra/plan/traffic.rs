//! Draining and attaching regions in DNS: one change batch, seconds, no stack.
//!
//! A drained region is noted in a TXT record beside the others, changed in the same batch: so a later deploy
//! knows that the record is missing on purpose.

use ipgeo_contract::RegionName;
use std::collections::BTreeSet;

use super::checks::wrong_zone;
use super::model::{Action, Plan, Step, WaveKind};
use super::observed::{Observed, Zone, alias_of};
use super::problem::Problem;
use super::records::{are_right, record_change};
use crate::config::{Config, suggestion};
use crate::infra::stacks::StackKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficChange {
    /// Send no callers there.
    Drain,
    /// Send callers near it there.
    Attach,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    #[error("regions.toml has no `domain`: callers name a region's endpoint themselves, see `ipgeo status`")]
    NoDomain,
    #[error("the account has no public Route 53 zone `{0}`; correct `hosted_zone`")]
    NoZone(String),
    #[error("{}\nhelp: {}", .0.what, .0.remedy)]
    WrongZone(Problem),
    #[error("{region} is not a region of this service{suggestion}; its regions: {}", .known.join(", "))]
    Unknown {
        region: String,
        /// `; did you mean …?`, or nothing.
        suggestion: String,
        /// The known regions.
        known: Vec<String>,
    },
    #[error("{0} has no edge; deploy it first: ipgeo deploy --regions {0}")]
    NoEdge(RegionName),
    #[error("{0} does not answer its probe, so it is not attached: {1}")]
    Unhealthy(RegionName, String),
    #[error(
        "{0} is the last attached region that answers; without it callers get no address at all \
         (pass --force to drain it all the same)"
    )]
    Last(RegionName),
}

/// The plan of a traffic change; `healthy` are the regions that answered their probe just now.
pub fn drain_or_attach(
    config: &Config,
    observed: &Observed,
    change: TrafficChange,
    region: &str,
    healthy: &BTreeSet<RegionName>,
    force: bool,
) -> Result<Plan, TrafficError> {
    let (Some(domain), Some(name)) = (&config.service.domain, &config.service.hosted_zone) else {
        return Err(TrafficError::NoDomain);
    };
    let zone = observed.zone.as_ref().ok_or_else(|| TrafficError::NoZone(name.clone()))?;
    if let Some(problem) = wrong_zone(zone, domain) {
        return Err(TrafficError::WrongZone(problem));
    }
    let region = &check_known(config, observed, zone, region)?;
    let attached = observed.attached();
    let one = BTreeSet::from([region.clone()]);
    let (attach, detach) = match change {
        TrafficChange::Attach => {
            let edge = observed.stack(region, StackKind::Edge).and_then(alias_of);
            if edge.is_none() {
                return Err(TrafficError::NoEdge(region.clone()));
            }
            (if are_right(observed, region) { BTreeSet::new() } else { one }, BTreeSet::new())
        }
        TrafficChange::Drain => {
            let others = attached.iter().filter(|other| *other != region && healthy.contains(*other));
            if others.count() == 0 && attached.contains(region) && !force {
                return Err(TrafficError::Last(region.clone()));
            }
            (BTreeSet::new(), attached.intersection(&one).cloned().collect())
        }
    };
    let drained = drained_after(zone, change, region);
    let mut plan = Plan {
        service: config.service.full_name(),
        account: observed.account.clone(),
        home: config.service.home.clone(),
        ..Plan::default()
    };
    if let Some(change) = record_change(domain, zone, attach, detach, drained) {
        plan.push(WaveKind::Records, vec![Step::new(region, Action::Records(change))]);
    }
    Ok(plan)
}

/// Refuses a region that is not in the file and has nothing deployed, routed or drained: its drain note would stay in DNS
/// forever.
fn check_known(
    config: &Config,
    observed: &Observed,
    zone: &Zone,
    region: &str,
) -> Result<RegionName, TrafficError> {
    let mut known = observed.deployed_regions();
    known.extend(zone.drained.iter().cloned());
    known.extend(config.regions.iter().map(|region| region.name.clone()));
    if let Some(region) = known.get(region) {
        return Ok(region.clone());
    }
    let suggestion = suggestion(region, known.iter().map(RegionName::as_str));
    Err(TrafficError::Unknown {
        region: region.to_owned(),
        suggestion,
        known: known.iter().map(String::from).collect(),
    })
}

pub(crate) fn drained_after(zone: &Zone, change: TrafficChange, region: &RegionName) -> BTreeSet<RegionName> {
    let mut drained = zone.drained.clone();
    match change {
        TrafficChange::Drain => drop(drained.insert(region.clone())),
        TrafficChange::Attach => drop(drained.remove(region)),
    }
    drained
}
