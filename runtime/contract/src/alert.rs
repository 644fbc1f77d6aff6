//! Quota alerts: an API key's usage reached a threshold of its limit. Each is sent once per threshold, period and limit.

use std::fmt;
use std::str::FromStr;

use crate::Limit;

/// Maximum thresholds: more would be a meter, not alerts.
const COUNT_MAX: usize = 10;

/// Percentages of a limit at which an alert is sent: 1 to 100, ascending; written `80,100`. Empty: no alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thresholds(Vec<u8>);

/// Percentages that are not valid thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("thresholds must be at most {COUNT_MAX} different whole percentages from 1 to 100")]
pub struct ThresholdsError;

impl Thresholds {
    /// Thresholds from percentages in any order.
    pub fn new(mut percents: Vec<u8>) -> Result<Self, ThresholdsError> {
        percents.sort_unstable();
        let count = percents.len();
        percents.dedup();
        let sound = count <= COUNT_MAX
            && percents.len() == count
            && percents.iter().all(|percent| (1..=100).contains(percent));
        if sound { Ok(Self(percents)) } else { Err(ThresholdsError) }
    }

    /// The percentages, ascending.
    pub fn percents(&self) -> &[u8] {
        &self.0
    }

    /// The thresholds that `used` calls have reached, ascending.
    pub fn reached(&self, used: u64, limit: Limit) -> impl Iterator<Item = u8> + '_ {
        let hundredfold = u128::from(used) * 100;
        let calls = u128::from(limit.calls);
        self.0.iter().copied().filter(move |percent| hundredfold >= u128::from(*percent) * calls)
    }
}

impl FromStr for Thresholds {
    type Err = ThresholdsError;

    fn from_str(text: &str) -> Result<Self, ThresholdsError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let percents: Result<Vec<u8>, _> = text.split(',').map(|percent| percent.trim().parse()).collect();
        Self::new(percents.map_err(|_| ThresholdsError)?)
    }
}

impl fmt::Display for Thresholds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percents: Vec<String> = self.0.iter().map(u8::to_string).collect();
        f.write_str(&percents.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;

    #[test]
    fn thresholds_read_as_written() {
        for (text, expected) in [
            ("", Some("")),
            ("80,100", Some("80,100")),
            ("100, 80", Some("80,100")),
            ("0", None),
            ("101", None),
            ("80,80", None),
            ("eighty", None),
            ("1,2,3,4,5,6,7,8,9,10,11", None),
        ] {
            let read = text.parse::<Thresholds>().ok().map(|thresholds| {
                let percents: Vec<String> = thresholds.percents().iter().map(u8::to_string).collect();
                assert_eq!(percents.join(","), thresholds.to_string());
                thresholds.to_string()
            });
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_threshold_is_reached_from_its_percent_on() {
        let thresholds: Thresholds = "50,80,100".parse().expect("thresholds");
        // (used, limit, reached)
        let table: [(u64, u64, &[u8]); 7] = [
            (0, 3, &[]),
            (1, 3, &[]),
            (2, 3, &[50]),
            (3, 3, &[50, 80, 100]),
            (79, 100, &[50]),
            (80, 100, &[50, 80]),
            (u64::MAX, Limit::CALLS_MAX, &[50, 80, 100]),
        ];
        for (used, calls, expected) in table {
            let limit = Limit { calls, window: Window::Day };
            assert_eq!(thresholds.reached(used, limit).collect::<Vec<_>>(), expected, "{used}/{calls}");
        }
    }
}
