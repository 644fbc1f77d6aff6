//! Merges the lines of several regions.

use super::line::LogLine;

/// All lines in the order of time; lines of the same instant by region, then by id.
pub(crate) fn merge(regions: Vec<Vec<LogLine>>) -> Vec<LogLine> {
    let mut all: Vec<LogLine> = regions.into_iter().flatten().collect();
    all.sort_by(|a, b| (a.time, &a.region, &a.id).cmp(&(b.time, &b.region, &b.id)));
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_line_is_lost_and_all_are_in_order(times in prop::collection::vec(prop::collection::vec(0_i64..50, 0..20), 0..5)) {
            let regions: Vec<Vec<LogLine>> = times
                .iter()
                .enumerate()
                .map(|(region, times)| {
                    let mut times = times.clone();
                    times.sort_unstable();
                    let line = |(index, time): (usize, &i64)| LogLine {
                        time: Timestamp::from_second(*time).expect("a time"),
                        region: ipgeo_contract::RegionName::new(format!("r{region}")),
                        id: format!("{index:03}"),
                        text: String::new(),
                    };
                    times.iter().enumerate().map(line).collect()
                })
                .collect();
            let count: usize = regions.iter().map(Vec::len).sum();
            let merged = merge(regions);
            prop_assert_eq!(merged.len(), count);
            prop_assert!(merged.is_sorted_by_key(|line| (line.time, line.region.clone(), line.id.clone())));
        }
    }
}
