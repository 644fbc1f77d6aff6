//! Rows of the ledger that are not an identity's month: what the counter notes beside its counts. Their
//! partition keys are plain words, which no identity is; each is read by one query of its partition.

use jiff::Timestamp;

use crate::{Identity, Limit, Month, Period};

/// Partition keys and attributes of these rows. The sort key is [`crate::ledger_attr::MONTH`], as of all.
pub mod ledger_row {
    /// Partition key: how far the counter is. Sort key: a shard.
    pub const NEWEST: &str = "newest";
    /// Partition key: alerts that were told. Sort key: see [`super::alert_sort_key`].
    pub const ALERT: &str = "alert";
    /// Partition key and sort key: since when a table that is filled from the stream counts.
    pub const SINCE: &str = "since";

    /// Partition key of recovery markers. Sort key: see [`super::recovered_sort_key`].
    pub const RECOVERED: &str = "recovered";

    /// String: the last sequence number of the shard that was counted; of [`NEWEST`].
    pub const SEQUENCE: &str = "seq";
    /// String: fingerprints of the log lines counted last, newest last; in rows of [`NEWEST`].
    pub const FINGERPRINTS: &str = "lines";
    /// Number, Unix milliseconds: since when; of [`SINCE`].
    pub const FROM: &str = "from";
    /// Number: calls used; of [`ALERT`].
    pub const USED: &str = "used";
    /// String: the limit that held; of [`ALERT`].
    pub const LIMIT: &str = "limit";
    /// Number, Unix milliseconds: the usage event that reached the threshold; of [`ALERT`].
    pub const AS_OF: &str = "as_of";
    /// Number, Unix milliseconds: when it was handed on; of [`ALERT`]. Absent: not, or not yet.
    pub const SENT: &str = "sent";
}

/// Of a [`ledger_row::NEWEST`] row: the time of a region's newest counted usage event, Unix milliseconds.
pub fn newest_attr(region: &str) -> String {
    format!("t#{region}")
}

/// Of a [`ledger_row::NEWEST`] row: when that usage event was counted, Unix milliseconds.
pub fn counted_attr(region: &str) -> String {
    format!("c#{region}")
}

/// In a [`ledger_row::NEWEST`] row: a gap of the shard, by number. Its value is a [`Gap`].
pub fn gap_attr(number: u32) -> String {
    format!("g#{number}")
}

/// A place where the counter may have skipped records of a shard because Lambda gave them up: Lambda delivers no records
/// older than [`RECORD_AGE_S`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Padded sequence number of the first record after it.
    pub behind: String,
    /// When it was found. All events in it are older.
    pub found: Timestamp,
}

/// A record older than this goes to the failure bucket: an hour less than the stream keeps.
pub const RECORD_AGE_S: u32 = 82_800;

/// Seconds without counting after which a shard may have lost records; shorter than the age at which Lambda gives up.
pub const GAP_AGE_S: i64 = 79_200;

impl Gap {
    /// The attribute's value: `<sequence number>@<Unix milliseconds>`.
    pub fn to_text(&self) -> String {
        format!("{}@{}", self.behind, self.found.as_millisecond())
    }

    /// Parses the attribute's value.
    pub fn parse(text: &str) -> Option<Self> {
        let (behind, found) = text.split_once('@')?;
        let found = Timestamp::from_millisecond(found.parse().ok()?).ok()?;
        Some(Self { behind: behind.to_owned(), found })
    }
}

/// Sort key of a recovery marker: one identity's events of one record.
pub fn recovered_sort_key(shard: &str, sequence: &str, identity: &Identity, month: Month) -> String {
    format!("{shard}#{sequence}#{month}#{identity}")
}

/// Sort key of an alert: `2026-11-24#080#key#<hash>#1500/day`, so that a query reads a period's alerts in order. It
/// includes the limit: 80 % of another limit is another alert.
pub fn alert_sort_key(period: Period, percent: u8, identity: &Identity, limit: Limit) -> String {
    format!("{period}#{percent:03}#{identity}#{limit}")
}

/// Parses a sort key without its limit, which the row has too; `None` if it is malformed.
pub fn parse_alert_sort_key(text: &str) -> Option<(Period, u8, Identity)> {
    let (period, rest) = text.split_once('#')?;
    let (percent, rest) = rest.split_once('#')?;
    // Rows of earlier versions have no limit in their key.
    let identity = match rest.rsplit_once('#') {
        Some((identity, limit)) if limit.parse::<Limit>().is_ok() => identity,
        _ => rest,
    };
    Some((period.parse().ok()?, percent.parse().ok()?, identity.parse().ok()?))
}

/// What every alert of a month begins with, whether of a day or of the month.
pub fn alerts_of(month: Month) -> String {
    month.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alerts_sort_key_reads_back() {
        let identity: Identity = "key#00ff".parse().expect("an identity");
        for (period, limit, key) in [
            ("2026-11-24", "5/day", "2026-11-24#080#key#00ff#5/day"),
            ("2026-11", "50k/month", "2026-11#080#key#00ff#50000/month"),
        ] {
            let period: Period = period.parse().expect("a period");
            assert_eq!(alert_sort_key(period, 80, &identity, limit.parse().expect("a limit")), key);
            assert_eq!(parse_alert_sort_key(key), Some((period, 80, identity.clone())));
            let earlier = key.rsplit_once('#').expect("a limit").0;
            assert_eq!(parse_alert_sort_key(earlier), Some((period, 80, identity.clone())));
            assert!(key.starts_with(&alerts_of("2026-11".parse().expect("a month"))));
        }
        for junk in ["", "2026-11", "2026-11#x#key#1", "2026-11#080", "2026-11#300#key#1", "x#080#key#1"] {
            assert_eq!(parse_alert_sort_key(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_gap_reads_back() {
        let found = Timestamp::from_millisecond(1_795_522_627_042).expect("in range");
        let gap = Gap { behind: format!("{:0>64}", "17"), found };
        assert_eq!(Gap::parse(&gap.to_text()), Some(gap));
        for junk in ["", "17", "17@", "17@x", "17@99999999999999999"] {
            assert_eq!(Gap::parse(junk), None, "{junk}");
        }
        // Found before Lambda gives up anything.
        assert!(GAP_AGE_S < i64::from(RECORD_AGE_S));
    }

    #[test]
    fn no_identity_is_named_as_these_rows_are() {
        for word in [ledger_row::NEWEST, ledger_row::ALERT, ledger_row::SINCE, ledger_row::RECOVERED] {
            assert!(word.parse::<Identity>().is_err(), "{word}");
        }
    }
}
