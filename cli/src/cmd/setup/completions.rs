//! `ipgeo completions`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::completion::COMPLETE_VARIABLE;
use crate::ui::output;

#[derive(Debug, Args)]
#[command(after_long_help = "\
The shell runs ipgeo for every TAB: regions and tiers come from regions.toml, hints of API keys from \
`ipgeo dev` (with --dev) or from AWS, read at most once a minute.

Examples:
  ipgeo completions bash > ~/.local/share/bash-completion/completions/ipgeo
  ipgeo completions zsh >> ~/.zshrc          below compinit
  ipgeo completions fish > ~/.config/fish/completions/ipgeo.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell to generate for
    #[arg(value_enum, value_name = "SHELL")]
    shell: ShellName,
}

/// A supported shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
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

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(&output::value_name(&args.shell)).context("no such shell")?;
    let mut script = Vec::new();
    shell.write_registration(COMPLETE_VARIABLE, "ipgeo", "ipgeo", "ipgeo", &mut script)?;
    Ok(output::print_data(String::from_utf8(script)?.trim_end())?)
}
