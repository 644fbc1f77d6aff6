//! `ipgeo man`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;

use crate::cmd::groups::{GROUPS, HELP, about};
use crate::cmd::support::path_to_write;
use crate::fs::{Replace, write_output};
use crate::ui::format::counted;
use crate::ui::output;

/// Flags of `ipgeo man`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo man | man -l -
  ipgeo man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page for each command to this folder
    #[arg(long, value_name = "DIR", value_parser = path_to_write())]
    out: Option<PathBuf>,
}

/// A page's file name and its text. The main page lists the verbs by group.
fn page(command: Command) -> anyhow::Result<(String, Vec<u8>)> {
    let verbs = (command.get_name() == "ipgeo").then(|| verbs_by_group(&command));
    let man = Man::new(command);
    let mut text = Vec::new();
    match verbs {
        None => man.render(&mut text).context("generate the manual page")?,
        Some(verbs) => {
            man.render_title(&mut text)?;
            man.render_name_section(&mut text)?;
            man.render_synopsis_section(&mut text)?;
            man.render_description_section(&mut text)?;
            text.extend(verbs.into_bytes());
            man.render_options_section(&mut text)?;
            man.render_extra_section(&mut text)?;
            man.render_version_section(&mut text)?;
        }
    }
    Ok((man.get_filename(), text))
}

fn verbs_by_group(command: &Command) -> String {
    let mut text = ".SH COMMANDS\n".to_owned();
    for (group, verbs) in GROUPS {
        let _infallible = writeln!(text, ".SS {group}");
        for verb in verbs.iter().filter(|verb| **verb != HELP) {
            let _infallible = writeln!(text, ".TP\nipgeo\\-{verb}(1)\n{}", about(command, verb));
        }
    }
    text
}

/// The pages of a command and its subcommands, by file name.
fn pages(command: &Command, into: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    into.push(page(command.clone())?);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        pages(below, into)?;
    }
    Ok(())
}

/// Prints the main page, or writes all pages.
pub(crate) fn run(args: &ManArgs, mut command: Command) -> anyhow::Result<()> {
    // Building gives subcommands their full names and the common options.
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
        write_output(&path, text, Replace::Yes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::print_note(&format!("{} in {}", counted(all.len(), "page"), folder.display()));
    Ok(())
}
