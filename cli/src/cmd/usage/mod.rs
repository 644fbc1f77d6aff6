//! `ipgeo usage`.

mod alerts;
mod export;
mod hours;
mod html;
mod lag;
mod recount;
mod recover;
mod replay;
mod report;
mod selection;
mod shadow;

use clap::Subcommand;
use jiff::Timestamp;

pub(crate) use alerts::AlertsArgs;
pub(crate) use export::ExportArgs;
pub(crate) use lag::LagArgs;
pub(crate) use recover::RecoverArgs;
pub(crate) use replay::{RebuildArgs, ReplayArgs};
pub(crate) use report::{ReportArgs, TopArgs};
pub(crate) use shadow::{AdoptArgs, DiffArgs, DiscardArgs};

use crate::args::Shared;
use crate::ui::output::{Exit, Formats};

#[derive(Debug, Subcommand)]
pub(crate) enum UsageVerb {
    /// Report exact usage by API key, day, region or verdict
    Report(ReportArgs),
    /// List the busiest API keys, sites or addresses
    Top(TopArgs),
    /// Show how far counting lags behind, by region
    Lag(LagArgs),
    /// Export every count of the ledger
    Export(ExportArgs),
    /// List quota alerts and whether they were sent
    Alerts(AlertsArgs),
    /// Count the stream again from a time, without counting twice
    Replay(ReplayArgs),
    /// Count failed batches, of the counter and of forwarders
    Recover(RecoverArgs),
    /// Count what is missing in a restored ledger
    Rebuild(RebuildArgs),
    /// Compare the ledger with a shadow ledger
    Diff(DiffArgs),
    /// Replace counts of the ledger with those of a shadow ledger
    Adopt(AdoptArgs),
    /// Delete a shadow ledger
    Discard(DiscardArgs),
}

impl UsageVerb {
    pub(crate) fn forms(&self) -> Formats {
        if let Self::Report(args) = self { args.forms() } else { Formats::ALL }
    }
}

pub(crate) async fn run(verb: UsageVerb, shared: &Shared) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let done = match verb {
        UsageVerb::Report(args) => report::print_report(args, shared, now).await,
        UsageVerb::Top(args) => report::print_top(args, shared, now).await,
        UsageVerb::Lag(args) => lag::run(args, shared, now).await,
        UsageVerb::Export(args) => export::run(args, shared).await,
        UsageVerb::Alerts(args) => alerts::run(args, shared, now).await,
        UsageVerb::Replay(args) => replay::replay(args, shared, now).await,
        UsageVerb::Recover(args) => return recover::run(args, shared, now).await,
        UsageVerb::Rebuild(args) => replay::rebuild(args, shared, now).await,
        UsageVerb::Diff(args) => shadow::diff(args, shared).await,
        UsageVerb::Adopt(args) => shadow::adopt(args, shared, now).await,
        UsageVerb::Discard(args) => shadow::discard(args, shared).await,
    };
    done.map(|()| Exit::Done)
}
