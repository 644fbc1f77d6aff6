//! Flags of what a verb works on, and how: regions, artifacts, execution.

use std::path::PathBuf;

use clap::Args;
use ipgeo_contract::RegionName;

use crate::config::{Config, select};
use crate::infra::plan::Scope;
use crate::ui::output::UsageError;

/// Which regions.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegionArgs {
    /// Only these regions, by name or pattern: eu-west-1,us-*
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// All but these regions
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    pub exclude_regions: Vec<String>,
}

impl RegionArgs {
    pub(crate) fn scope(&self, config: &Config) -> Result<Scope, UsageError> {
        let selected = select(config, &self.regions, &self.exclude_regions);
        let selected = selected.map_err(|error| UsageError(error.to_string()))?;
        Ok(Scope { regions: selected.regions, whole: selected.whole })
    }

    /// The selected regions in the order of the file.
    pub(crate) fn names(&self, config: &Config) -> Result<Vec<RegionName>, UsageError> {
        let scope = self.scope(config)?;
        Ok(config.region_names().filter(|name| scope.regions.contains(*name)).cloned().collect())
    }
}

/// What is deployed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ArtifactArgs {
    /// Use this bootstrap binary or zip instead of building one
    #[arg(long, value_name = "FILE")]
    pub artifact: Option<PathBuf>,
    /// Compiled geo database [default: the output of `ipgeo geo build`]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

/// How a plan is executed.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecuteArgs {
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
    /// Fail instead of prompting
    #[arg(long)]
    pub no_input: bool,
    /// Take the lock from another run, which then stops
    // The error about a held lock names this flag.
    #[arg(long, hide_short_help = true)]
    pub break_lock: bool,
    /// Maximum number of regions to work on in parallel
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
}

/// The configuration with its first `count` regions, home first.
pub(crate) fn first_regions(mut config: Config, count: Option<usize>) -> anyhow::Result<Config> {
    let Some(count) = count else { return Ok(config) };
    let all = config.regions.len();
    if !(1..=all).contains(&count) {
        return Err(UsageError(format!(
            "--regions: {count} is not from 1 to {all}, the number of regions in regions.toml"
        ))
        .into());
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
