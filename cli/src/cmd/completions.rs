//! `ipgeo completions`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::cli::COMPLETE_VARIABLE;
use crate::ui::output;

/// Flags of `ipgeo completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bash    echo 'source <(ipgeo completions bash)' >> ~/.bashrc
  zsh     echo 'source <(ipgeo completions zsh)' >> ~/.zshrc, below compinit
  fish    ipgeo completions fish > ~/.config/fish/completions/ipgeo.fish

They ask ipgeo itself with every TAB: regions and tiers come from regions.toml, hints of API
keys from the running world (with --dev) or from AWS, read at most once a minute.")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: ShellName,
}

/// A shell that can be completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
    /// Elvish
    Elvish,
    /// PowerShell
    Powershell,
}

impl ShellName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// Prints what makes a shell complete.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(args.shell.as_str()).context("no such shell")?;
    let mut script = Vec::new();
    shell.write_registration(COMPLETE_VARIABLE, "ipgeo", "ipgeo", "ipgeo", &mut script)?;
    Ok(output::print_data(String::from_utf8(script)?.trim_end())?)
}
