//! Route 53: one change batch, all of it or nothing.

use std::time::Duration;

use crate::operation::refused;
use crate::state::{CloudState, Stack};
use crate::text::list;
use ipgeo::internals::infra::cloud::{Done, StepError, check_records};
use ipgeo::internals::infra::plan::{Alias, Record, RecordChange, RecordKind};
use ipgeo::internals::infra::stacks::StackKind;

pub(crate) fn ensure(
    state: &mut CloudState,
    now: Duration,
    change: &RecordChange,
) -> Result<Done, StepError> {
    let mut aliases = Vec::new();
    for region in &change.attach {
        let id = (region.to_string(), state.names.stack(StackKind::Edge));
        let alias = state.contents.stacks.get(&id).and_then(alias_of);
        let alias = alias.ok_or_else(|| StepError::new(format!("the edge of {region} has no domain")))?;
        aliases.push((region.clone(), alias));
    }
    let zone = state.zones.iter_mut().find(|zone| zone.id == change.zone);
    let zone = zone.ok_or_else(|| refused("NoSuchHostedZone", format!("no hosted zone {}", change.zone)))?;
    if !aliases.is_empty() && !zone.observe(&change.domain).foreign.is_empty() {
        return Err(refused("InvalidChangeBatch", "a record of another kind stands in the way"));
    }
    let drained = check_records(change, &aliases, &zone.observe(&change.domain))?;
    let mut effects = Vec::new();
    for (region, alias) in aliases {
        for kind in RecordKind::ALL {
            let record =
                Record { region: region.clone(), kind, alias: alias.clone(), evaluates_health: true };
            let is_it = |(name, there): &(String, Record)| {
                *name == change.domain && there.region == region && there.kind == kind
            };
            match zone.records.iter_mut().find(|there| is_it(there)) {
                Some((_, there)) if *there == record => continue,
                Some((_, there)) => {
                    zone.led_until.insert(there.alias.domain.clone(), now);
                    *there = record;
                }
                None => zone.records.push((change.domain.clone(), record)),
            }
            effects.push(format!("attach {region} {}", kind.as_str()));
        }
    }
    for (_, record) in zone
        .records
        .extract_if(.., |(name, record)| *name == change.domain && change.detach.contains(&record.region))
    {
        effects.push(format!("detach {} {}", record.region, record.kind.as_str()));
        zone.led_until.insert(record.alias.domain, now);
    }
    if zone.drained != drained {
        effects.push(format!("drained: {}", list(&drained)));
        zone.drained = drained;
    }
    let done = if effects.is_empty() { Done::AlreadySo } else { Done::Changed };
    for effect in effects {
        state.log.effect("zone", effect);
    }
    Ok(done)
}

fn alias_of(edge: &Stack) -> Option<Alias> {
    Some(Alias {
        domain: edge.outputs.get("RegionalDomainName")?.clone(),
        zone: edge.outputs.get("RegionalHostedZoneId")?.clone(),
    })
}
