//! Finds the public hosted zone with a name or ID, and the name servers that public DNS has for it.

use aws_sdk_route53::types::HostedZone;

use super::delegation::{Resolvers, delegation};
use super::refusal::Refusal;
use super::session::Session;
use crate::config::is_zone_id;
use crate::infra::plan::{Delegation, Zone};

/// The public zone, without its records. If several zones have the name, the one that public DNS delegates to, if any.
pub(super) async fn find(session: &Session, zone: &str) -> Result<Option<Zone>, Refusal> {
    if is_zone_id(zone) {
        return Refusal::absent_as_none(read(session, zone).await);
    }
    let found = session.route53().list_hosted_zones_by_name().dns_name(zone).send().await?;
    let ours = found.hosted_zones().iter().filter(|found| {
        let public = found.config().is_none_or(|config| !config.private_zone());
        public && name_of(found) == zone
    });
    let mut zones = Vec::new();
    for one in ours {
        zones.push(read(session, id_of(one)).await?);
    }
    let chosen = zones.iter().position(|zone| zone.delegation == Delegation::Ours).unwrap_or(0);
    if zones.is_empty() {
        return Ok(None);
    }
    let mut zone = zones.remove(chosen);
    zone.others = zones.into_iter().map(|other| other.id).collect();
    Ok(Some(zone))
}

async fn read(session: &Session, id: &str) -> Result<Zone, Refusal> {
    let read = session.route53().get_hosted_zone().id(id).send().await?;
    let found = read.hosted_zone().ok_or_else(|| Refusal::unexpected("the answer has no zone"))?;
    let servers = read.delegation_set().into_iter().flat_map(|set| set.name_servers());
    let name_servers = servers.map(|server| server.trim_end_matches('.').to_ascii_lowercase()).collect();
    let mut zone = Zone {
        id: id_of(found).to_owned(),
        name: name_of(found).to_owned(),
        name_servers,
        ..Zone::default()
    };
    if !session.emulated {
        zone.delegation = delegation(&Resolvers, &zone.name, &zone.name_servers).await;
    }
    Ok(zone)
}

fn id_of(zone: &HostedZone) -> &str {
    zone.id().trim_start_matches("/hostedzone/")
}

fn name_of(zone: &HostedZone) -> &str {
    zone.name().trim_end_matches('.')
}
