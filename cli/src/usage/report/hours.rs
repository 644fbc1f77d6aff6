//! Usage by hour, from usage events: the ledger counts by day.

use std::collections::{BTreeMap, HashMap};

use ipgeo_contract::{Identity, IdentityKind, KeyRecord, UsageEvent};
use jiff::Timestamp;

use super::rows::{GroupBy, ReportRow, Who, who};

/// Which charges of an event are reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct HourFilter {
    pub(crate) kind: Option<IdentityKind>,
    pub(crate) owner: Option<String>,
}

impl HourFilter {
    fn takes(&self, identity: &Identity, keys: &HashMap<Identity, KeyRecord>) -> bool {
        let is_owned = |owner: &String| keys.get(identity).is_some_and(|record| record.owner == *owner);
        self.kind.is_none_or(|kind| identity.kind() == kind) && self.owner.as_ref().is_none_or(is_owned)
    }
}

/// The rows of each hour, or of each identity and hour, with requests and charged calls. A call that is charged to an
/// address and a site is one call of its hour.
pub(crate) fn hours<'a>(
    events: impl IntoIterator<Item = &'a UsageEvent>,
    keys: &HashMap<Identity, KeyRecord>,
    by_identity: bool,
    filter: &HourFilter,
) -> Vec<ReportRow> {
    let mut sums: BTreeMap<(Who, String), (u64, u64)> = BTreeMap::new();
    for event in events {
        let mut charged: Vec<&Identity> = event.charges.iter().map(|charge| &charge.identity).collect();
        charged.retain(|identity| filter.takes(identity, keys));
        if !by_identity {
            charged.truncate(1);
        }
        for identity in charged {
            let whose = if by_identity { who(identity, keys) } else { Who::default() };
            let (requests, calls) = sums.entry((whose, hour(event.time))).or_default();
            *requests += 1;
            *calls = calls.saturating_add(event.cost);
        }
    }
    let row = |(((kind, name, owner, tier, limit), part), (requests, calls))| ReportRow {
        by: GroupBy::Hour.word(),
        kind,
        name,
        owner,
        tier,
        part,
        requests: Some(requests),
        calls: Some(calls),
        limit,
    };
    sums.into_iter().map(row).collect()
}

fn hour(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:00Z").to_string()
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{Charge, RegionName, Verdict};

    use super::*;
    use crate::keys::testing::key_record;

    #[test]
    fn calls_are_summed_by_hour_and_by_who_was_charged() {
        let key = format!("key#{}", "ab".repeat(32));
        let event = |time: &str, cost, charges: &[&str]| UsageEvent {
            time: time.parse().expect("a time"),
            verdict: if cost > 0 { Verdict::Allowed } else { Verdict::OverQuota },
            cost,
            region: RegionName::new("eu-west-1"),
            request_id: String::new(),
            tier: String::new(),
            charges: charges
                .iter()
                .map(|identity| Charge {
                    identity: identity.parse().expect("an identity"),
                    limit: "5/day".parse().expect("a limit"),
                })
                .collect(),
        };
        let events = [
            event("2026-11-28T10:59:59.999Z", 1, &["addr#*", "site#a.test"]),
            event("2026-11-28T11:00:00Z", 3, &[&key]),
            event("2026-11-28T11:30:00Z", 0, &[&key]),
        ];
        let keys = HashMap::from([(key.parse().expect("an identity"), key_record("5/day"))]);
        let shown = |by_identity, filter: HourFilter| -> Vec<String> {
            let rows = hours(&events, &keys, by_identity, &filter).into_iter();
            rows.map(|row| {
                let (requests, calls) = (row.requests.expect("requests"), row.calls.expect("calls"));
                format!("{} {} {} {requests} {calls}", row.kind, row.name, row.part)
            })
            .collect()
        };
        let owner = |name: &str| HourFilter { owner: Some(name.to_owned()), kind: None };
        let all = ["  2026-11-28T10:00Z 1 1", "  2026-11-28T11:00Z 2 3"];
        assert_eq!(shown(false, HourFilter::default()), all);
        assert_eq!(
            shown(true, HourFilter::default()),
            [
                "addr (pooled callers) 2026-11-28T10:00Z 1 1",
                "key ipg_…x3Kq 2026-11-28T11:00Z 2 3",
                "site a.test 2026-11-28T10:00Z 1 1",
            ]
        );
        assert_eq!(shown(false, owner("acme")), all[1..]);
        assert!(shown(false, owner("zoo")).is_empty());
        let of_sites = HourFilter { kind: Some(IdentityKind::Site), owner: None };
        assert_eq!(shown(false, of_sites), all[..1]);
    }
}
