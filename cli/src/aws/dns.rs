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
use crate::infra::cloud::{Done, StepError};
use crate::infra::plan::{Alias, Foreign, Record, RecordChange, RecordKind, Zone};
use crate::infra::stacks::drained_record;

/// TTL of the list of drained regions, s.
const DRAINED_TTL_S: i64 = 60;

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
    let mut changes = Vec::new();
    for (region, alias) in aliases {
        for kind in RecordKind::ALL {
            changes.push(upsert(record_set(&change.domain, region, kind, alias))?);
        }
    }
    for set in record_sets(session, &change.zone, &change.domain).await? {
        let ours = set.region().map(|region| region.as_str()) == set.set_identifier();
        if ours && set.set_identifier().is_some_and(|id| change.detach.contains(id)) {
            changes.push(one(ChangeAction::Delete, Some(set)).map_err(|error| built(&error))?);
        }
    }
    changes.extend(drained(session, change).await?);
    if changes.is_empty() {
        return Ok(Done::AlreadySo);
    }
    let batch = ChangeBatch::builder()
        .comment("ipgeo")
        .set_changes(Some(changes))
        .build()
        .map_err(|error| built(&error))?;
    let client = session.route53();
    let call = client.change_resource_record_sets().hosted_zone_id(&change.zone).change_batch(batch);
    let made = call.send().await.map_err(Refusal::from)?;
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

/// The change of the list of drained regions, if it changes.
async fn drained(session: &Session, change: &RecordChange) -> Result<Option<Change>, StepError> {
    let name = drained_record(&change.domain);
    let there = record_sets(session, &change.zone, &name).await?;
    let there = there.into_iter().find(|set| *set.r#type() == RrType::Txt);
    let list = |regions: &BTreeSet<RegionName>| regions.iter().cloned().collect::<Vec<_>>().join(" ");
    if change.drained.is_empty() {
        return there
            .map(|set| one(ChangeAction::Delete, Some(set)).map_err(|error| built(&error)))
            .transpose();
    }
    let value = format!("\"{}\"", list(&change.drained));
    if there.is_some_and(|set| set.resource_records().iter().any(|record| record.value() == value)) {
        return Ok(None);
    }
    let record = ResourceRecord::builder().value(value).build().map_err(|error| built(&error))?;
    let set = ResourceRecordSet::builder()
        .name(name)
        .r#type(RrType::Txt)
        .ttl(DRAINED_TTL_S)
        .resource_records(record)
        .build();
    upsert(set).map(Some)
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

fn upsert(set: Result<ResourceRecordSet, aws_sdk_route53::error::BuildError>) -> Result<Change, StepError> {
    one(ChangeAction::Upsert, Some(set.map_err(|error| built(&error))?)).map_err(|error| built(&error))
}

fn one(
    action: ChangeAction,
    set: Option<ResourceRecordSet>,
) -> Result<Change, aws_sdk_route53::error::BuildError> {
    Change::builder().action(action).set_resource_record_set(set).build()
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
