//! Flags of what a verb works on, and how: regions, artifacts, execution.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, select};
use crate::infra::plan::Scope;
use crate::ui::output::UsageError;
use crate::ui::progress::Style;

/// Which regions.
#[derive(Debug, Clone, Default, Args)]
pub struct RegionArgs {
    /// Only these regions of the file, by name or pattern: eu-west-1,us-*
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// All but these regions
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub exclude_regions: Vec<String>,
}

impl RegionArgs {
    /// The regions of a file that are meant.
    pub fn scope(&self, config: &Config) -> Result<Scope, UsageError> {
        let selected = select(config, &self.regions, &self.exclude_regions);
        let selected = selected.map_err(|error| UsageError(error.to_string()))?;
        Ok(Scope { regions: selected.regions, whole: selected.whole })
    }
}

/// What is deployed.
#[derive(Debug, Clone, Default, Args)]
pub struct ArtifactArgs {
    /// The function's program or zip, instead of building it
    #[arg(long, value_name = "FILE")]
    pub artifact: Option<PathBuf>,
    /// The compiled geo database; else the one that `ipgeo geo build` has made
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

/// How a plan is carried out.
#[derive(Debug, Clone, Args)]
pub struct ExecuteArgs {
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
    /// Never ask: what would need an answer fails
    #[arg(long)]
    pub no_input: bool,
    /// Regions at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// How progress is shown; else bars on a terminal and lines elsewhere
    #[arg(long, value_enum, value_name = "HOW")]
    pub progress: Option<Style>,
}

/// The configuration with only so many of its regions, home first.
pub(crate) fn first_regions(mut config: Config, count: Option<usize>) -> anyhow::Result<Config> {
    let Some(count) = count else { return Ok(config) };
    let all = config.regions.len();
    if !(1..=all).contains(&count) {
        return Err(
            UsageError(format!("--regions is 1 to {all}, the regions of the file; not {count}")).into()
        );
    }
    let home = config.service.home.clone();
    config.regions.sort_by_key(|region| region.name != home);
    config.regions.truncate(count);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::stacks::test_config;

    #[test]
    fn home_is_the_first_region_of_few() {
        let few = first_regions(test_config(), Some(2)).expect("two");
        assert_eq!(few.regions.len(), 2);
        assert_eq!(few.regions[0].name, few.service.home);
        assert!(first_regions(test_config(), Some(11)).is_err_and(|error| error.is::<UsageError>()));
    }
}
