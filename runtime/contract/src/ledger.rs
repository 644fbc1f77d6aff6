//! The ledger: exact counts. At home only; partition key `id`, sort key `month`.
//!
//! An item is one identity's month. Counts by day, region and verdict and the watermarks by shard are
//! attributes of their own (`d#24`, `r#eu-central-1`, `v#allowed`, `w#shardId-000`), not entries of four
//! maps: `ADD` creates a missing attribute, so one conditional `UpdateItem` works for the first event of a month and for the
//! millionth. With maps, the first write would fail because its document path does not exist, and failed writes are billed.

use jiff::civil::Date;

use crate::Verdict;

/// Attribute names of the ledger.
pub mod ledger_attr {
    /// Partition key, string: an [`crate::Identity`].
    pub const ID: &str = "id";
    /// Sort key, string: a [`crate::Month`].
    pub const MONTH: &str = "month";
    /// Number: calls charged in the month.
    pub const CHARGED: &str = "n";
    /// Number, Unix seconds: when DynamoDB may delete the item (addresses only).
    pub const TTL: &str = "ttl";
}

/// An attribute whose name contains a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAttr {
    /// `d#<day of month, two digits>`: calls charged on that day, UTC.
    Day(i8),
    /// `r#<region>`: calls charged in that region.
    Region(String),
    /// `v#<verdict>`: requests with that verdict, charged or not.
    Verdict(Verdict),
    /// `w#<shard>`: the last sequence number of that shard that is counted in the item, zero-padded.
    Watermark(String),
    /// `g#<gap>#<shard>`: the item's watermark just before its first event past this gap of the shard was counted. Events of
    /// the gap above it were never counted in this item. See [`crate::Gap`].
    BeforeGap(u32, String),
}

impl LedgerAttr {
    /// The day attribute of a date.
    pub fn day(date: Date) -> Self {
        Self::Day(date.day())
    }

    /// The attribute's name.
    pub fn name(&self) -> String {
        match self {
            Self::Day(day) => format!("d#{day:02}"),
            Self::Region(region) => format!("r#{region}"),
            Self::Verdict(verdict) => format!("v#{}", verdict.as_str()),
            Self::Watermark(shard) => format!("w#{shard}"),
            Self::BeforeGap(gap, shard) => format!("g#{gap}#{shard}"),
        }
    }

    /// Parses a name; `None` for plain attributes and unknown names.
    pub fn parse(name: &str) -> Option<Self> {
        let (group, part) = name.split_once('#')?;
        match group {
            "d" => part.parse().ok().filter(|day| (1..=31).contains(day)).map(Self::Day),
            "r" => Some(Self::Region(part.to_owned())),
            "v" => part.parse().ok().map(Self::Verdict),
            "w" => Some(Self::Watermark(part.to_owned())),
            "g" => {
                let (gap, shard) = part.split_once('#')?;
                gap.parse().ok().map(|gap| Self::BeforeGap(gap, shard.to_owned()))
            }
            _ => None,
        }
    }
}

/// A Kinesis sequence number, zero-padded to 64 digits so that text order is number order. Sequence numbers exceed 128 bits and
/// the 38 digits of a DynamoDB number. `None` if it is not 1 to 64 digits.
pub fn padded_sequence(sequence: &str) -> Option<String> {
    let sound = (1..=64).contains(&sequence.len()) && sequence.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| format!("{sequence:0>64}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let attrs = [
            LedgerAttr::Day(4),
            LedgerAttr::Region("eu-central-1".into()),
            LedgerAttr::Verdict(Verdict::OverQuota),
            LedgerAttr::Watermark("shardId-000000000000".into()),
            LedgerAttr::BeforeGap(12, "shardId-000000000000".into()),
        ];
        for attr in attrs {
            assert_eq!(LedgerAttr::parse(&attr.name()), Some(attr));
        }
        assert_eq!(LedgerAttr::Day(4).name(), "d#04");
        for name in ["id", "month", "n", "ttl", "d#", "d#0", "d#32", "v#maybe", "x#1", "g#1", "g#x#s"] {
            assert_eq!(LedgerAttr::parse(name), None, "{name}");
        }
    }

    #[test]
    fn sequence_numbers_order_as_text() {
        let big = "49590338271490256608559692538361571095921575989136588898";
        let bigger = "149590338271490256608559692538361571095921575989136588898";
        assert!(padded_sequence("9") < padded_sequence("10"));
        assert!(padded_sequence(big) < padded_sequence(bigger));
        assert_eq!(padded_sequence(big).map(|p| p.len()), Some(64));
        for junk in ["", "12a", "-1", &"9".repeat(65)] {
            assert_eq!(padded_sequence(junk), None, "{junk}");
        }
    }
}
