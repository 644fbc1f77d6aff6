//! Flags that many verbs share: those of every verb, and `--profile`.

use std::path::PathBuf;

use clap::Args;

use crate::config::state_folder;
use crate::ui::output::{Color, Format};

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Shared {
    /// The regions.toml to use; else the nearest one above this folder
    #[arg(long, global = true, value_name = "FILE", env = "IPGEO_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder for the state of `ipgeo dev` and the geo databases [default: .ipgeo beside regions.toml]
    #[arg(long = "state", global = true, value_name = "FOLDER", env = "IPGEO_STATE")]
    state_flag: Option<PathBuf>,
    /// The state folder in use: see `Shared::settled`.
    #[arg(skip)]
    pub state: PathBuf,
    /// The form of the output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    /// The same as --output json
    #[arg(long, global = true)]
    pub json: bool,
    /// When colours are used
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

impl Shared {
    /// Sets the state folder: the flag's, relative to the current folder, or the one beside the `regions.toml` in use,
    /// so that every verb finds it from any subfolder.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let beside = || state_folder(self.config.as_deref(), &here);
        self.state = self.state_flag.clone().unwrap_or_else(beside);
        self
    }

    /// The form of the output.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Which AWS profile.
#[derive(Debug, Clone, Default, Args)]
pub struct ProfileArgs {
    /// AWS profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl ProfileArgs {
    /// The profile's name; `None`: the environment decides, as for every AWS tool.
    pub fn name(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}
