//! Sizes of usage lines, stream records and ledger items, measured with the production encoders.

use ipgeo_contract::{
    Charge, Identity, IdentityKind, LedgerAttr, Limit, RegionName, UsageEvent, Verdict, Window, ledger_attr,
};
use ipgeo_runtime::usage::{LogEvent, envelope};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::ui::format::{float, whole};

/// Host name of a typical site.
const SITE: &str = "www.example-shop.com";
/// Digits of a log event ID in CloudWatch Logs.
const LOG_ID_DIGITS: usize = 56;
/// A request ID with the length of API Gateway's.
const REQUEST_ID: &str = "JKJaXmPLvHcESHA=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineCaller {
    Keyed,
    /// An anonymous caller whose calls are still pooled, with or without a site.
    Pooled {
        site: bool,
    },
    /// An anonymous caller counted under its own address, with or without a site.
    Address {
        site: bool,
    },
}

fn digest(seed: u64) -> String {
    hex::encode(Sha256::digest(seed.to_be_bytes()))
}

/// The usage line of an allowed call; `seed` selects the caller.
pub(crate) fn usage_line(caller: LineCaller, region: &str, seed: u64) -> String {
    let charge = |identity: Option<Identity>, calls, window| {
        identity.map(|identity| Charge { identity, limit: Limit { calls, window } })
    };
    let address = |named: bool| {
        let identity = if named {
            format!("{}#{}", IdentityKind::Address.as_str(), &digest(seed)[..32]).parse().ok()
        } else {
            Some(Identity::pooled(IdentityKind::Address))
        };
        charge(identity, 1_500, Window::Day)
    };
    let site = |named: bool| {
        let identity = if named {
            format!("{}#{SITE}", IdentityKind::Site.as_str()).parse().ok()
        } else {
            Some(Identity::pooled(IdentityKind::Site))
        };
        charge(identity, 50_000, Window::Day)
    };
    let charges: Vec<Charge> = match caller {
        LineCaller::Keyed => {
            let key = format!("{}#{}", IdentityKind::Key.as_str(), digest(seed)).parse().ok();
            charge(key, 2_500_000, Window::Month).into_iter().collect()
        }
        LineCaller::Pooled { site: has } => {
            address(false).into_iter().chain(site(false).filter(|_| has)).collect()
        }
        LineCaller::Address { site: has } => {
            address(true).into_iter().chain(site(true).filter(|_| has)).collect()
        }
    };
    // All current timestamps have the same number of digits.
    let time = Timestamp::from_millisecond(1_795_522_627_042_i64.wrapping_add_unsigned(seed % 1_000_000));
    let event = UsageEvent {
        time: time.unwrap_or_default(),
        verdict: Verdict::Allowed,
        cost: 1,
        region: RegionName::new(region),
        request_id: REQUEST_ID.to_owned(),
        tier: "business".to_owned(),
        charges,
    };
    event.to_line()
}

/// Bytes of a usage line, averaged over regions.
pub(crate) fn line_bytes<'a>(caller: LineCaller, regions: impl Iterator<Item = &'a str>) -> f64 {
    let (bytes, count) = regions
        .map(|region| usage_line(caller, region, 1).len())
        .fold((0, 0), |(bytes, count), line| (bytes + line as u64, count + 1));
    float(bytes) / float(count.max(1))
}

/// Bytes of a stream record with this many lines, as CloudWatch Logs packs them. Interpolates between full numbers.
pub(crate) fn record_bytes(lines_per_record: f64, region: &str) -> f64 {
    let packed = |lines: u64| {
        let events = (0..lines).map(|index| LogEvent {
            id: digest(index).bytes().map(|b| char::from(b'0' + b % 10)).take(LOG_ID_DIGITS).collect(),
            timestamp: 1_795_522_627_042,
            message: usage_line(LineCaller::Keyed, region, index),
        });
        let stream = "2026/11/24/[$LATEST]0123456789abcdef0123456789abcdef";
        envelope("/aws/lambda/ipgeo-prod-lookup", stream, events.collect())
            .map_or(0, |bytes| bytes.len() as u64)
    };
    let lines = whole(lines_per_record.clamp(1.0, 1e4));
    let (less, more) = (float(packed(lines)), float(packed(lines + 1)));
    less + (more - less) * (lines_per_record.clamp(1.0, 1e4) - float(lines))
}

/// Bytes of a ledger item of an API key with all attributes, as DynamoDB counts them: names and values.
pub(crate) fn ledger_item_bytes<'a>(regions: impl Iterator<Item = &'a str>, shards: u32) -> f64 {
    const NUMBER_BYTES: usize = 8;
    let identity = ledger_attr::ID.len() + IdentityKind::Key.as_str().len() + 65;
    let month = ledger_attr::MONTH.len() + "2026-11".len();
    let charged = ledger_attr::CHARGED.len() + NUMBER_BYTES;
    let attribute = |attr: LedgerAttr| attr.name().len() + NUMBER_BYTES;
    let days: usize = (1..=31).map(|day| attribute(LedgerAttr::Day(day))).sum();
    let regions: usize = regions.map(|region| attribute(LedgerAttr::Region(region.to_owned()))).sum();
    let verdicts: usize = [Verdict::Allowed, Verdict::OverQuota]
        .map(|verdict| attribute(LedgerAttr::Verdict(verdict)))
        .iter()
        .sum();
    let watermark = LedgerAttr::Watermark("shardId-000000000000".to_owned()).name().len() + 64;
    let watermarks = watermark * shards as usize;
    float((identity + month + charged + days + regions + verdicts + watermarks) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_match_the_production_encoders() {
        let keyed = usage_line(LineCaller::Keyed, "eu-central-1", 1);
        let event = UsageEvent::parse(&keyed).expect("a usage line");
        assert_eq!((event.charges.len(), event.charges[0].identity.kind()), (1, IdentityKind::Key));
        let pooled = UsageEvent::parse(&usage_line(LineCaller::Pooled { site: true }, "eu-central-1", 1))
            .expect("a line");
        assert!(pooled.charges.len() == 2 && pooled.charges.iter().all(|charge| charge.identity.is_pooled()));
        let bytes = |caller| line_bytes(caller, ["eu-central-1"].into_iter());
        assert!((bytes(LineCaller::Keyed) - float(keyed.len() as u64)).abs() < 1e-9);
        assert!(bytes(LineCaller::Pooled { site: false }) < bytes(LineCaller::Address { site: false }));
        assert!(bytes(LineCaller::Keyed) < 125.0, "{keyed}");
    }

    #[test]
    fn lines_in_one_record_share_its_envelope() {
        let (one, five) = (record_bytes(1.0, "sa-east-1"), record_bytes(5.0, "sa-east-1"));
        assert!(one > 200.0 && five < 5.0 * one && five > one, "{one} {five}");
        let between = record_bytes(1.5, "sa-east-1");
        assert!(one < between && between < record_bytes(2.0, "sa-east-1"));
    }
}
