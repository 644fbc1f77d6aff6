//! Where a verb's work is: the configuration, and `ipgeo dev` or AWS.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::args::{ProfileArgs, Shared};
use crate::aws::{Home, NoCredentials};
use crate::config::{self, Config};
use crate::world::WorldFile;

/// AWS, or `ipgeo dev`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Use the local `ipgeo dev` instead of AWS
    #[arg(long)]
    pub dev: bool,
    /// With AWS: the profile.
    #[command(flatten)]
    pub profile: ProfileArgs,
}

impl Target {
    pub(crate) async fn home(&self, shared: &Shared, config: &Config) -> anyhow::Result<Home> {
        if self.dev {
            return Home::of_world(&WorldFile::find(&shared.state)?);
        }
        Home::of_account(config, self.profile.name()).await.map_err(NoCredentials::or_dev)
    }
}

/// The configuration to use, and where it was found.
pub(crate) fn load_config(shared: &Shared) -> anyhow::Result<(Config, PathBuf)> {
    let path = config_path(shared)?;
    Ok((config::load(&path)?, path))
}

pub(crate) fn config_path(shared: &Shared) -> anyhow::Result<PathBuf> {
    if let Some(path) = &shared.config {
        return Ok(path.clone());
    }
    let current = std::env::current_dir().context("find the current folder")?;
    let found = config::find(&current).with_context(|| {
        format!(
            "no {} in this folder or above\nhelp: create one with `ipgeo init`, or pass --config FILE",
            config::FILE_NAME
        )
    })?;
    // A relative path reads better in messages.
    Ok(found.strip_prefix(&current).map_or(found.clone(), PathBuf::from))
}
