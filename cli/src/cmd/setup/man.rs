//! `ipgeo man`: manual pages from the texts of the command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Arg, Args, Command};
use clap_mangen::Man;

use crate::cmd::groups::{GROUPS, HELP, about};
use crate::cmd::support::path_to_write;
use crate::fs::{Replace, write_output};
use crate::ui::format::counted;
use crate::ui::output;

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

/// Defines the apostrophe, for readers other than groff too.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
const SOURCE: &str = concat!("ipgeo ", env!("CARGO_PKG_VERSION"));

/// A page's file name and its text. The main page lists the verbs by group.
fn page(command: &Command) -> anyhow::Result<(String, String)> {
    let is_main = command.get_name() == "ipgeo";
    // `clap_mangen` leaves out the text of an option that the short help leaves out.
    let complete = command.clone().mut_args(|option| option.hide_short_help(false));
    let man = Man::new(complete);
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples): (Vec<&str>, Vec<&str>) = after
        .lines()
        .filter(|line| !matches!(*line, "" | "Examples:"))
        .partition(|line| !line.starts_with("  "));
    let file_name = man.get_filename();
    // The reader's `man` fills the lines, without stretching them and without hyphens: a flag stays whole.
    let title = escaped(file_name.trim_end_matches(".1"));
    let mut text =
        format!("{APOSTROPHE}.TH {title} 1 \"\" \"{SOURCE}\" \"Manual of ipgeo\"\n.ad l\n.nh\n").into_bytes();
    man.render_name_section(&mut text)?;
    text.extend(synopsis(command).into_bytes());
    man.render_description_section(&mut text)?;
    text.extend(notes.iter().flat_map(|note| format!(".PP\n{}\n", escaped(note)).into_bytes()));
    if is_main {
        text.extend(verbs_by_group(command).into_bytes());
    } else if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    if !examples.is_empty() {
        text.extend(b".SH EXAMPLES\n.nf\n");
        text.extend(examples.iter().flat_map(|line| format!("{}\n", escaped(&line[2..])).into_bytes()));
        text.extend(b".fi\n");
    }
    if is_main {
        man.render_version_section(&mut text)?;
    }
    // `clap_mangen` defines the apostrophe in each section.
    let text = String::from_utf8(text)?.replace(&format!("\n{APOSTROPHE}"), "\n");
    Ok((file_name, text.lines().map(|line| with_bold_code(line) + "\n").collect()))
}

/// Each option with the name of its value; the common options have a section of their own.
fn synopsis(command: &Command) -> String {
    let mut text = format!(".SH SYNOPSIS\n\\fB{}\\fR", command.get_bin_name().unwrap_or("ipgeo"));
    let is_own = |arg: &&Arg| {
        !arg.is_hide_set() && !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let own: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    for option in own.iter().filter(|arg| !arg.is_positional()) {
        // Spaces within brackets do not break.
        let words = option.to_string();
        let (flag, value) = words.split_once(' ').unwrap_or((&words, ""));
        let value = if value.is_empty() { String::new() } else { format!("\\ \\fI{}\\fR", escaped(value)) };
        let (open, close) = if option.is_required_set() { ("", "") } else { ("[", "]") };
        let _infallible = write!(text, " {open}\\fB{}\\fR{value}{close}", escaped(flag));
    }
    text += " [COMMON\\ OPTIONS]";
    for argument in own.iter().filter(|arg| arg.is_positional()) {
        let _infallible = write!(text, " \\fI{}\\fR", escaped(&argument.to_string()));
    }
    text + if command.has_subcommands() { " \\fI<COMMAND>\\fR\n" } else { "\n" }
}

/// A line of text in the language of manual pages.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// What is between backticks is bold instead.
fn with_bold_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    if line.starts_with('.') || parts.len().is_multiple_of(2) {
        return line.to_owned();
    }
    let bold = |(at, part): (usize, &&str)| match at % 2 {
        0 => (*part).to_owned(),
        _ => format!("\\fB{part}\\fR"),
    };
    parts.iter().enumerate().map(bold).collect()
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

/// The pages of a built command and its subcommands, by file name.
pub(crate) fn pages(command: &Command) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = vec![page(command)?];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        all.extend(pages(below)?);
    }
    Ok(all)
}

/// Prints the main page, or writes all pages.
pub(crate) fn run(args: &ManArgs, mut command: Command) -> anyhow::Result<()> {
    // Building gives subcommands their full names and the common options.
    command.build();
    let Some(folder) = &args.out else {
        return Ok(output::print_data(page(&command)?.1.trim_end())?);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let all = pages(&command)?;
    for (name, text) in &all {
        let path = folder.join(name);
        write_output(&path, text.as_bytes(), Replace::Yes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::print_note(&format!("{} in {}", counted(all.len(), "page"), folder.display()));
    Ok(())
}
