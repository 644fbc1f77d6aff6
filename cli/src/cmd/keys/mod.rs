//! `ipgeo keys`.

mod change;
mod create;
mod list;
mod row;
mod transfer;
mod verify;

use clap::Subcommand;
use ipgeo_contract::Status;
use jiff::Timestamp;

pub(crate) use change::{RevokeArgs, UpdateArgs};
pub(crate) use create::{CreateArgs, RotateArgs};
pub(crate) use list::ListArgs;
pub(crate) use transfer::{ExportArgs, ImportArgs};
pub(crate) use verify::VerifyArgs;

use crate::args::Shared;
use crate::cmd::support::{OneArgs, load_config};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Create an API key and print it; it is shown only once
    Create(CreateArgs),
    /// List API keys
    List(ListArgs),
    /// Show an API key and its usage this month
    #[command(after_long_help = "\
Examples:
  ipgeo keys show ipg_…x3Kq --dev
  ipgeo keys show - < api-key.txt")]
    Show(OneArgs),
    /// Change the settings of an API key
    Update(UpdateArgs),
    /// Replace an API key with a new one that has the same settings
    Rotate(RotateArgs),
    /// Disable an API key; `enable` reverses it
    #[command(after_long_help = "\
Examples:
  ipgeo keys disable ipg_…x3Kq")]
    Disable(OneArgs),
    /// Enable a disabled API key
    #[command(after_long_help = "\
Examples:
  ipgeo keys enable ipg_…x3Kq")]
    Enable(OneArgs),
    /// Revoke an API key permanently
    Revoke(RevokeArgs),
    /// Check where an API key is known, and measure the propagation
    Verify(VerifyArgs),
    /// Import API keys from a CSV file
    Import(ImportArgs),
    /// Export the records of API keys for `import`
    Export(ExportArgs),
}

/// What every verb needs.
#[derive(Clone, Copy)]
struct KeysContext<'a> {
    config: &'a Config,
    shared: &'a Shared,
    now: Timestamp,
}

pub(crate) async fn run(verb: KeysVerb, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let context = KeysContext { config: &config, shared, now: Timestamp::now() };
    match verb {
        KeysVerb::Create(args) => create::create(args, context).await,
        KeysVerb::List(args) => list::list(args, context).await,
        KeysVerb::Show(args) => list::show(args, context).await,
        KeysVerb::Update(args) => change::update(args, context).await,
        KeysVerb::Rotate(args) => create::rotate(args, context).await,
        KeysVerb::Disable(args) => change::set_status(args, Status::Disabled, context).await,
        KeysVerb::Enable(args) => change::set_status(args, Status::Active, context).await,
        KeysVerb::Revoke(args) => change::revoke(args, context).await,
        KeysVerb::Verify(args) => verify::verify(args, context).await,
        KeysVerb::Import(args) => transfer::import(args, context).await,
        KeysVerb::Export(args) => transfer::export(args, context).await,
    }
}
