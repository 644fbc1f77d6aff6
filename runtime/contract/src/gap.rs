//! Gaps of a shard: places where Lambda may have given up records before they were counted.

use jiff::Timestamp;

/// A place where the counter may have skipped records of a shard because Lambda gave them up: Lambda delivers no records
/// older than [`RECORD_AGE_S`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Padded sequence number of the first record after it.
    pub behind: String,
    /// When it was detected. All events in it are older.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
