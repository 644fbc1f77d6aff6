//! The domain's DNS records in Route 53: read with all others of the same name, changed in one batch.

use std::collections::BTreeSet;

use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet,
    ResourceRecordSetRegion, RrType,
};
use ipgeo_contract::RegionName;

use super::refusal::Refusal;
use super::session::Session;
use super::stacks::pause;
use super::zones;
use crate::infra::cloud::{Done, StepError, check_records};
use crate::infra::plan::{Alias, Foreign, Record, RecordChange, RecordKind, Zone};
use crate::infra::stacks::drained_record;

/// TTL of the list of drained regions, s.
const DRAINED_TTL_S: i64 = 60;
/// Number of retries of a batch after a conflict.
const CONFLICTS_MAX: u32 = 3;

/// The public hosted zone of a name or ID, with the records of a domain.
pub(super) async fn read(session: &Session, zone: &str, domain: &str) -> Result<Option<Zone>, Refusal> {
    let Some(mut zone) = zones::find(session, zone).await? else { return Ok(None) };
    for name in [domain.to_owned(), drained_record(domain)] {
        for set in record_sets(session, &zone.id, &name).await? {
            classify(&mut zone, &set, domain);
        }
    }
    Ok(Some(zone))
}

/// All record sets of exactly one name.
async fn record_sets(session: &Session, zone: &str, name: &str) -> Result<Vec<ResourceRecordSet>, Refusal> {
    let client = session.route53();
    let mut sets = Vec::new();
    let mut from: (String, Option<RrType>, Option<String>) = (name.to_owned(), None, None);
    loop {
        let list = client.list_resource_record_sets().hosted_zone_id(zone).start_record_name(&from.0);
        let list = list.set_start_record_type(from.1.clone()).set_start_record_identifier(from.2.clone());
        let page = list.send().await?;
        for set in page.resource_record_sets() {
            // They are sorted by name: the first of another name ends ours.
            if set.name().trim_end_matches('.') != name {
                return Ok(sets);
            }
            sets.push(set.clone());
        }
        match (page.is_truncated(), page.next_record_name()) {
            (true, Some(next)) => {
                from = (
                    next.to_owned(),
                    page.next_record_type().cloned(),
                    page.next_record_identifier().map(str::to_owned),
                );
            }
            _ => return Ok(sets),
        }
    }
}

/// Classifies a record set: ours, the list of drained regions, or foreign.
fn classify(zone: &mut Zone, set: &ResourceRecordSet, domain: &str) {
    let name = set.name().trim_end_matches('.');
    if name == drained_record(domain) {
        let texts = set.resource_records().iter().map(|record| record.value().trim_matches('"'));
        zone.drained.extend(texts.flat_map(str::split_whitespace).map(RegionName::new));
        return;
    }
    let kind = match set.r#type() {
        RrType::A => RecordKind::A,
        RrType::Aaaa => RecordKind::Aaaa,
        RrType::Cname => {
            zone.foreign.push(Foreign { kind: "CNAME".to_owned(), what: name.to_owned() });
            return;
        }
        // Other types may coexist with ours.
        _ => return,
    };
    match (set.region(), set.set_identifier(), set.alias_target()) {
        (Some(region), Some(identifier), Some(alias)) if region.as_str() == identifier => {
            zone.records.push(Record {
                region: RegionName::new(identifier),
                kind,
                alias: Alias {
                    domain: alias.dns_name().trim_end_matches('.').to_owned(),
                    zone: alias.hosted_zone_id().to_owned(),
                },
                evaluates_health: alias.evaluate_target_health(),
            });
        }
        (_, identifier, _) => zone.foreign.push(Foreign {
            kind: kind.as_str().to_owned(),
            what: identifier.map_or_else(|| name.to_owned(), |id| format!("{name} ({id})")),
        }),
    }
}

/// Applies a change in one batch. `aliases` are the targets of each region's records.
pub(super) async fn ensure(
    session: &Session,
    change: &RecordChange,
    aliases: &[(RegionName, Alias)],
) -> Result<Done, StepError> {
    let client = session.route53();
    let mut conflicts = 0;
    let made = loop {
        let changes = batch(session, change, aliases).await?;
        if changes.is_empty() {
            return Ok(Done::AlreadySo);
        }
        let batch = ChangeBatch::builder().comment("ipgeo").set_changes(Some(changes)).build();
        let batch = batch.map_err(|error| built(&error))?;
        let call = client.change_resource_record_sets().hosted_zone_id(&change.zone).change_batch(batch);
        match call.send().await.map_err(Refusal::from) {
            // Another operator may have changed a record since it was read; if not, the next try fails in the same way.
            Err(refusal) if refusal.is("InvalidChangeBatch") && conflicts < CONFLICTS_MAX => conflicts += 1,
            ended => break ended?,
        }
    };
    let Some(info) = made.change_info() else { return Ok(Done::Changed) };
    let (mut status, id) = (info.status().clone(), info.id().trim_start_matches("/change/").to_owned());
    let began = std::time::Instant::now();
    while status != ChangeStatus::Insync {
        pause(session, began, "the DNS change").await?;
        let seen = client.get_change().id(&id).send().await.map_err(Refusal::from)?;
        status = seen.change_info().map_or(ChangeStatus::Insync, |info| info.status().clone());
    }
    Ok(Done::Changed)
}

/// The batch that turns the current sets into the wanted ones. Every set that is removed or changed is deleted with its exact
/// values: Route 53 refuses the batch if they have changed meanwhile, so no change of another operator is lost.
async fn batch(
    session: &Session,
    change: &RecordChange,
    aliases: &[(RegionName, Alias)],
) -> Result<Vec<Change>, StepError> {
    let sets = record_sets(session, &change.zone, &change.domain).await?;
    let notes = record_sets(session, &change.zone, &drained_record(&change.domain)).await?;
    let note = notes.into_iter().find(|set| *set.r#type() == RrType::Txt);
    let mut zone = Zone { id: change.zone.clone(), ..Zone::default() };
    sets.iter().chain(&note).for_each(|set| classify(&mut zone, set, &change.domain));
    let drained = check_records(change, aliases, &zone)?;

    let mut steps = Vec::new();
    for (region, alias) in aliases {
        for kind in RecordKind::ALL {
            let wanted = record_set(&change.domain, region, kind, alias).map_err(|error| built(&error))?;
            let is_it = |set: &&ResourceRecordSet| {
                set.r#type() == wanted.r#type() && set.set_identifier() == wanted.set_identifier()
            };
            let right = zone.records.iter().any(|record| {
                record.region == *region
                    && record.kind == kind
                    && record.alias == *alias
                    && record.evaluates_health
            });
            if !right {
                steps.extend(sets.iter().find(is_it).map(|set| (ChangeAction::Delete, set.clone())));
                steps.push((ChangeAction::Create, wanted));
            }
        }
    }
    for set in &sets {
        let ours = set.region().map(|region| region.as_str()) == set.set_identifier();
        if ours && set.set_identifier().is_some_and(|id| change.detach.contains(id)) {
            steps.push((ChangeAction::Delete, set.clone()));
        }
    }
    if drained != zone.drained {
        steps.extend(note.map(|set| (ChangeAction::Delete, set)));
        if !drained.is_empty() {
            let set = drained_set(&change.domain, &drained).map_err(|error| built(&error))?;
            steps.push((ChangeAction::Create, set));
        }
    }
    let step = |(action, set)| Change::builder().action(action).resource_record_set(set).build();
    steps.into_iter().map(step).collect::<Result<_, _>>().map_err(|error| built(&error))
}

fn drained_set(
    domain: &str,
    drained: &BTreeSet<RegionName>,
) -> Result<ResourceRecordSet, aws_sdk_route53::error::BuildError> {
    let list = drained.iter().map(RegionName::as_str).collect::<Vec<_>>().join(" ");
    let record = ResourceRecord::builder().value(format!("\"{list}\"")).build()?;
    ResourceRecordSet::builder()
        .name(drained_record(domain))
        .r#type(RrType::Txt)
        .ttl(DRAINED_TTL_S)
        .resource_records(record)
        .build()
}

fn record_set(
    domain: &str,
    region: &str,
    kind: RecordKind,
    alias: &Alias,
) -> Result<ResourceRecordSet, aws_sdk_route53::error::BuildError> {
    let target = AliasTarget::builder()
        .dns_name(&alias.domain)
        .hosted_zone_id(&alias.zone)
        .evaluate_target_health(true)
        .build()?;
    ResourceRecordSet::builder()
        .name(domain)
        .r#type(match kind {
            RecordKind::A => RrType::A,
            RecordKind::Aaaa => RrType::Aaaa,
        })
        .set_identifier(region)
        .region(ResourceRecordSetRegion::from(region))
        .alias_target(target)
        .build()
}

fn built(error: &aws_sdk_route53::error::BuildError) -> StepError {
    StepError::new(format!("cannot build the DNS change: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_sets_are_classified() {
        let alias = Alias { domain: "d-1.execute-api.eu-west-1.amazonaws.com".into(), zone: "Z1".into() };
        let ours = record_set("api.example.com", "eu-west-1", RecordKind::Aaaa, &alias).expect("a record");
        let plain = |kind: RrType| {
            let record = ResourceRecord::builder().value("192.0.2.1").build().expect("a record");
            ResourceRecordSet::builder()
                .name("api.example.com.")
                .r#type(kind)
                .ttl(60)
                .resource_records(record)
        };
        let weighted = plain(RrType::A).set_identifier("blue").weight(3).build().expect("a record");
        let text = ResourceRecord::builder().value("\"eu-west-1 us-east-1\"").build().expect("a record");
        let drained =
            ResourceRecordSet::builder().name("_ipgeo-drained.api.example.com.").r#type(RrType::Txt);
        let drained = drained.ttl(60).resource_records(text).build().expect("a record");
        let mut zone = Zone::default();
        for set in [
            ours,
            weighted,
            drained,
            plain(RrType::Mx).build().expect("a record"),
            plain(RrType::Cname).build().expect("a record"),
        ] {
            classify(&mut zone, &set, "api.example.com");
        }
        assert_eq!(zone.records.len(), 1);
        assert_eq!(zone.records[0].alias, alias);
        assert!(zone.records[0].evaluates_health);
        assert_eq!(
            zone.drained,
            BTreeSet::from([RegionName::new("eu-west-1"), RegionName::new("us-east-1")])
        );
        let foreign: Vec<String> = zone.foreign.iter().map(|f| format!("{} {}", f.kind, f.what)).collect();
        assert_eq!(foreign, ["A api.example.com (blue)", "CNAME api.example.com"]);
    }
}
