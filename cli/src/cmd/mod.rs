//! The verbs: their arguments beside their `run`, and what several of them share.

mod checkup;
pub mod cloud_args;
pub mod completions;
pub mod cost;
pub mod deploy;
pub mod deployment;
pub mod destroy;
pub mod dev;
pub mod doctor;
pub mod drift;
mod execution;
pub mod geo;
pub mod geo_rollout;
pub mod iam;
pub mod init;
pub mod keys;
pub mod logs;
pub mod man;
mod numbers;
pub mod plan;
pub mod probe;
pub mod quota;
pub mod render;
pub mod schema;
pub mod simulate;
pub mod status;
pub mod traffic;
pub mod usage;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::aws::{Home, NoCredentials};
use crate::cli::Shared;
use crate::config::{self, Config};
use crate::world::WorldFile;

/// Which world a verb speaks to.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Speak to the world that `ipgeo dev` runs, instead of AWS
    #[arg(long)]
    pub dev: bool,
    /// The AWS profile to use
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

impl Target {
    /// Home's tables.
    async fn home(&self, shared: &Shared, config: &Config) -> anyhow::Result<Home> {
        if self.dev {
            return Home::of_world(&WorldFile::find(&shared.state)?);
        }
        Home::of_account(config, self.profile.as_deref()).await.map_err(NoCredentials::or_dev)
    }
}

/// The configuration to use, and where it was found.
fn load_config(shared: &Shared) -> anyhow::Result<(Config, PathBuf)> {
    let path = match &shared.config {
        Some(path) => path.clone(),
        None => {
            let here = std::env::current_dir().context("find this folder")?;
            let found = config::find(&here)
                .with_context(|| format!("no {} here or above; name one with --config", config::FILE_NAME))?;
            // A path from here reads better in messages.
            found.strip_prefix(&here).map_or(found.clone(), PathBuf::from)
        }
    };
    Ok((config::load(&path)?, path))
}
