//! `ipgeo geo`, `ipgeo lookup` and `ipgeo bulk`.

mod build;
pub(crate) mod bulk;
mod corrections;
mod diff;
mod explain;
mod fetch;
mod inspect;
pub(crate) mod lookup;
mod pin;
mod rollout;
mod source_args;

use clap::Subcommand;

pub(crate) use build::BuildArgs;
pub(crate) use corrections::OverrideVerb;
pub(crate) use diff::DiffArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use fetch::FetchArgs;
pub(crate) use inspect::InspectArgs;
pub(crate) use pin::PinArgs;
pub(crate) use rollout::{RollbackArgs, RolloutArgs};

use crate::args::Shared;
use crate::ui::output::{Exit, Formats};

#[derive(Debug, Subcommand)]
pub(crate) enum GeoVerb {
    /// Fetch the sources in regions.toml
    Fetch(FetchArgs),
    /// Compile the sources into one database
    Build(BuildArgs),
    /// Show the metadata of a compiled database
    Inspect(InspectArgs),
    /// Compare two compiled databases
    Diff(DiffArgs),
    /// Show which source decided each field of an answer
    Explain(ExplainArgs),
    /// Correct locations by hand
    #[command(subcommand)]
    #[command(after_long_help = "\
Examples:
  ipgeo geo override add 81.2.69.0/24 --city London --country GB
  ipgeo geo override list")]
    Override(OverrideVerb),
    /// Pin a source to its current files or to a date
    Pin(PinArgs),
    /// Deploy the compiled database to the regions, and nothing else
    Rollout(RolloutArgs),
    /// Restore the previous database in the regions
    Rollback(RollbackArgs),
}

impl GeoVerb {
    pub(crate) fn forms(&self) -> Formats {
        if matches!(self, Self::Rollout(_) | Self::Rollback(_)) { Formats::EVENTS } else { Formats::ALL }
    }
}

pub(crate) async fn run(verb: GeoVerb, shared: &Shared) -> anyhow::Result<Exit> {
    match verb {
        GeoVerb::Fetch(args) => fetch::run(&args, shared)?,
        GeoVerb::Build(args) => build::run(args, shared)?,
        GeoVerb::Inspect(args) => inspect::run(args, shared)?,
        GeoVerb::Explain(args) => explain::run(&args, shared)?,
        GeoVerb::Override(verb) => corrections::run(verb, shared)?,
        GeoVerb::Pin(args) => pin::run(&args, shared)?,
        GeoVerb::Diff(args) => return diff::run(args, shared),
        GeoVerb::Rollout(args) => return Box::pin(rollout::rollout(args, shared)).await,
        GeoVerb::Rollback(args) => return Box::pin(rollout::rollback(args, shared)).await,
    }
    Ok(Exit::Done)
}
