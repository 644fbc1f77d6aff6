//! `ipgeo man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;

use crate::fs::{Replace, write_output};
use crate::ui::format::counted;
use crate::ui::output;

/// Flags of `ipgeo man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo man | man -l -
  ipgeo man --out ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for every verb into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn page(command: Command) -> anyhow::Result<(String, Vec<u8>)> {
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render(&mut text).context("write a manual page")?;
    Ok((man.get_filename(), text))
}

/// The pages of a command and of all below it, by file name.
fn pages(command: &Command, into: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    into.push(page(command.clone())?);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, into)?;
    }
    Ok(())
}

/// Prints the program's page, or writes every page.
pub(crate) fn run(args: &ManArgs, mut command: Command) -> anyhow::Result<()> {
    // Built, a command below knows its whole name, and the flags that all share.
    command.build();
    let Some(folder) = &args.out else {
        let (_, text) = page(command)?;
        return Ok(output::print_data(String::from_utf8(text)?.trim_end())?);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut all = Vec::new();
    pages(&command, &mut all)?;
    for (name, text) in &all {
        let path = folder.join(name);
        write_output(&path, text, Replace::Yes).with_context(|| format!("write {}", path.display()))?;
    }
    output::print_note(&format!("{} in {}", counted(all.len(), "page"), folder.display()));
    Ok(())
}
