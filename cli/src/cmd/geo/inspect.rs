//! `ipgeo geo inspect`.

use std::path::PathBuf;

use clap::Args;

use crate::args::Shared;
use crate::cmd::support::{print_database, served_database};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo geo inspect
  ipgeo geo inspect other.mmdb --json")]
pub(crate) struct InspectArgs {
    /// Compiled database [default: the output of `ipgeo geo build`]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: InspectArgs, shared: &Shared) -> anyhow::Result<()> {
    print_database(&args.file.unwrap_or_else(|| served_database(&shared.state)), shared)
}
