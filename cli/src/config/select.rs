//! Selects regions of the file by name or pattern, for `--regions` and `--exclude` of any verb.

use std::collections::BTreeSet;

use glob::Pattern;
use ipgeo_contract::RegionName;

use super::model::Config;
use super::places::{find, other_partition};
use super::suggest::suggestion;

/// Regions of the file that were selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Their names; at least one.
    pub regions: BTreeSet<RegionName>,
    /// Whether these are all regions of the file.
    pub whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("no region in regions.toml matches `{name}`{suggestion}")]
    Unknown {
        name: String,
        /// `; did you mean …?`, or nothing.
        suggestion: String,
    },
    #[error("{0} is not in regions.toml; add `[regions.{0}]`")]
    NotInFile(String),
    #[error("{0}")]
    Partition(String),
    #[error("`{0}` is not a valid name pattern; write names such as `eu-west-1`, `eu-*` or `us-west-?`")]
    Pattern(String),
    #[error("all regions are excluded")]
    Nothing,
}

/// The regions matched by `include` (empty: all) and not by `exclude`; each entry is a name or a pattern.
pub(crate) fn select(
    config: &Config,
    include: &[String],
    exclude: &[String],
) -> Result<Selection, SelectError> {
    let all: BTreeSet<&str> = config.regions.iter().map(|region| region.name.as_str()).collect();
    let mut regions = if include.is_empty() { all.clone() } else { BTreeSet::new() };
    for name in include {
        regions.extend(matching(&all, name)?);
    }
    for name in exclude {
        for region in matching(&all, name)? {
            regions.remove(region);
        }
    }
    if regions.is_empty() {
        return Err(SelectError::Nothing);
    }
    let whole = regions.len() == all.len();
    Ok(Selection { regions: regions.into_iter().map(RegionName::new).collect(), whole })
}

fn matching<'a>(all: &BTreeSet<&'a str>, name: &str) -> Result<Vec<&'a str>, SelectError> {
    let pattern = Pattern::new(name).map_err(|_| SelectError::Pattern(name.to_owned()))?;
    let found: Vec<&str> = all.iter().copied().filter(|region| pattern.matches(region)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if find(name).is_some() {
        return Err(SelectError::NotInFile(name.to_owned()));
    }
    if let Some(fault) = other_partition(name) {
        return Err(SelectError::Partition(fault));
    }
    let suggestion = suggestion(name, all.iter().copied());
    Err(SelectError::Unknown { name: name.to_owned(), suggestion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_select_regions_of_the_file() {
        let config =
            super::super::parse("regions.toml", include_str!("../../../regions.toml")).expect("valid");
        let selected = |include: &[&str], exclude: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            match select(&config, &owned(include), &owned(exclude)) {
                Ok(found) => {
                    let names = found.regions.into_iter().collect::<Vec<_>>().join(" ");
                    format!("{names}{}", if found.whole { " (all)" } else { "" })
                }
                Err(error) => error.to_string(),
            }
        };
        let table: [(&[&str], &[&str], &str); 10] = [
            (&["eu-*"], &[], "eu-central-1 eu-west-1"),
            (&["us-west-?", "us-west-2"], &[], "us-west-2"),
            (&["eu-*", "us-*"], &["*-west-*"], "eu-central-1 us-east-1"),
            (
                &["*"],
                &[],
                "ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-west-1 sa-east-1 us-east-1 us-west-2 (all)",
            ),
            (&["eu-wset-1"], &[], "no region in regions.toml matches `eu-wset-1`; did you mean `eu-west-1`?"),
            (&["eu-north-1"], &[], "eu-north-1 is not in regions.toml; add `[regions.eu-north-1]`"),
            (
                &["cn-north-1"],
                &[],
                "`cn-north-1` is a region of AWS China, partition `aws-cn`; only the partition `aws` is supported",
            ),
            (&["mars-1"], &[], "no region in regions.toml matches `mars-1`"),
            (
                &["[eu"],
                &[],
                "`[eu` is not a valid name pattern; write names such as `eu-west-1`, `eu-*` or `us-west-?`",
            ),
            (&["eu-*"], &["eu-*"], "all regions are excluded"),
        ];
        for (include, exclude, expected) in table {
            assert_eq!(selected(include, exclude), expected, "{include:?} {exclude:?}");
        }
    }
}
