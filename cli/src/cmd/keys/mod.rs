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

pub use change::{RevokeArgs, UpdateArgs};
pub use create::{CreateArgs, RotateArgs};
pub use list::ListArgs;
pub use transfer::{ExportArgs, ImportArgs};
pub use verify::VerifyArgs;

use crate::args::Shared;
use crate::cmd::support::{OneArgs, load_config};

/// Verbs of `ipgeo keys`.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make an API key; it is shown once, alone on standard output
    Create(CreateArgs),
    /// List API keys
    List(ListArgs),
    /// Show one API key and its usage of this month
    Show(OneArgs),
    /// Change an API key
    Update(UpdateArgs),
    /// Replace an API key by a new one with the same settings
    Rotate(RotateArgs),
    /// Switch an API key off
    Disable(OneArgs),
    /// Switch an API key on again
    Enable(OneArgs),
    /// End an API key for good
    Revoke(RevokeArgs),
    /// Where an API key is known, and how long a change takes to get there
    Verify(VerifyArgs),
    /// Store API keys from a CSV file
    Import(ImportArgs),
    /// Write every API key's record, as `import` reads it; never an API key itself
    Export(ExportArgs),
}

/// Runs a verb.
pub(crate) async fn run(verb: KeysVerb, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let now = Timestamp::now();
    match verb {
        KeysVerb::Create(args) => create::create(args, &config, shared, now).await,
        KeysVerb::List(args) => list::list(args, &config, shared, now).await,
        KeysVerb::Show(args) => list::show(args, &config, shared, now).await,
        KeysVerb::Update(args) => change::update(args, &config, shared, now).await,
        KeysVerb::Rotate(args) => create::rotate(args, &config, shared, now).await,
        KeysVerb::Disable(args) => change::set_status(args, Status::Disabled, &config, shared, now).await,
        KeysVerb::Enable(args) => change::set_status(args, Status::Active, &config, shared, now).await,
        KeysVerb::Revoke(args) => change::revoke(args, &config, shared, now).await,
        KeysVerb::Verify(args) => verify::verify(args, &config, shared, now).await,
        KeysVerb::Import(args) => transfer::import(args, &config, shared, now).await,
        KeysVerb::Export(args) => transfer::export(args, &config, shared).await,
    }
}
