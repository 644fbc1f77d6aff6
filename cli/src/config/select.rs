//! Regions of the file by name or pattern.

use std::collections::BTreeSet;

use glob::Pattern;

use super::model::Config;
use super::places::{PLACES, other_partition};
use super::reader::suggestion;

/// Regions of the file that were selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Their names; at least one.
    pub regions: BTreeSet<String>,
    /// Whether it is all of the file's.
    pub whole: bool,
}

/// Why nothing was selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Not a region that there is.
    #[error("no region of regions.toml is `{name}`{suggestion}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// `; did you mean …?`, or nothing.
        suggestion: String,
    },
    /// A region that the file does not have.
    #[error("{0} is not in regions.toml; add `[regions.{0}]`")]
    NotInFile(String),
    /// A region of another partition than `aws`.
    #[error("{0}")]
    Partition(String),
    /// Not a pattern.
    #[error("`{0}` is no pattern of names: `eu-*`, `us-west-?`")]
    Pattern(String),
    /// Everything was left out.
    #[error("no region is left")]
    Nothing,
}

/// The regions that `include` names (none: all of them) and `exclude` does not, each by name or pattern.
pub fn select(config: &Config, include: &[String], exclude: &[String]) -> Result<Selection, SelectError> {
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
    Ok(Selection { regions: regions.into_iter().map(str::to_owned).collect(), whole })
}

fn matching<'a>(all: &BTreeSet<&'a str>, name: &str) -> Result<Vec<&'a str>, SelectError> {
    let pattern = Pattern::new(name).map_err(|_| SelectError::Pattern(name.to_owned()))?;
    let found: Vec<&str> = all.iter().copied().filter(|region| pattern.matches(region)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if PLACES.iter().any(|place| place.name == name) {
        return Err(SelectError::NotInFile(name.to_owned()));
    }
    if let Some(told) = other_partition(name) {
        return Err(SelectError::Partition(told));
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
            super::super::parse("regions.toml", include_str!("../../../regions.toml")).expect("sound");
        let told = |include: &[&str], exclude: &[&str]| {
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
                "af-south-1 ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-west-1 sa-east-1 us-east-1 us-west-2 (all)",
            ),
            (&["eu-wset-1"], &[], "no region of regions.toml is `eu-wset-1`; did you mean `eu-west-1`?"),
            (&["eu-north-1"], &[], "eu-north-1 is not in regions.toml; add `[regions.eu-north-1]`"),
            (
                &["cn-north-1"],
                &[],
                "`cn-north-1` is a region of AWS China, partition `aws-cn`; only the partition `aws` is supported, so far",
            ),
            (&["mars-1"], &[], "no region of regions.toml is `mars-1`"),
            (&["[eu"], &[], "`[eu` is no pattern of names: `eu-*`, `us-west-?`"),
            (&["eu-*"], &["eu-*"], "no region is left"),
        ];
        for (include, exclude, expected) in table {
            assert_eq!(told(include, exclude), expected, "{include:?} {exclude:?}");
        }
    }
}
