//! Flags that many verbs share: those of every verb, and `--profile`.

use std::path::PathBuf;

use clap::Args;

use crate::config::state_folder;
use crate::ui::output::{Color, Format};

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Shared {
    /// Configuration file [default: the nearest regions.toml]
    ///
    /// The nearest one is in this folder or above. The environment variable `IPGEO_CONFIG` sets it, too.
    #[arg(long, global = true, value_name = "FILE", env = "IPGEO_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// State folder [default: .ipgeo beside regions.toml]
    ///
    /// It holds the state of `ipgeo dev` and the geo databases. The environment variable `IPGEO_STATE` sets it, too.
    #[arg(long = "state", global = true, value_name = "FOLDER", env = "IPGEO_STATE", hide_env = true)]
    state_flag: Option<PathBuf>,
    /// The state folder in use, set by `Shared::settled`.
    #[arg(skip)]
    pub state: PathBuf,
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Same as --output json
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

impl Shared {
    /// Sets the state folder: the flag's, relative to the current folder, or the one beside the `regions.toml` in use,
    /// so that every verb finds it from any subfolder.
    #[must_use]
    pub(crate) fn settled(mut self) -> Self {
        let current = std::env::current_dir().unwrap_or_default();
        let beside = || state_folder(self.config.as_deref(), &current);
        self.state = self.state_flag.clone().unwrap_or_else(beside);
        self
    }

    /// The output format.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Which AWS profile.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProfileArgs {
    /// AWS profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl ProfileArgs {
    /// The profile's name; `None`: the environment decides, as for every AWS tool.
    pub(crate) fn name(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}
