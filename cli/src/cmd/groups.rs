//! The groups of `ipgeo --help` and of the manual page. One table names each verb once; the rest comes from the command.

use std::fmt::Write as _;

use clap::Command;

use crate::ui::output::wrapped;

/// The groups in order, each with its verbs in order.
pub(crate) const GROUPS: [(&str, &[&str]); 7] = [
    ("Local", &["dev"]),
    ("Deploy", &["render", "plan", "deploy", "rollback", "traffic", "drift", "destroy", "iam"]),
    ("API keys and usage", &["keys", "usage"]),
    ("Geo data", &["geo", "lookup", "bulk"]),
    ("Observe", &["status", "probe", "logs", "doctor", "open"]),
    ("Cost", &["cost", "simulate", "quota"]),
    ("Setup", &["init", "validate", "config", "schema", "completions", "man", HELP]),
];

/// The verb that clap adds.
pub(crate) const HELP: &str = "help";

/// Width of the column of groups, whose names are wrapped.
const GROUP_WIDTH: usize = 11;
const VERB_WIDTH: usize = 13;

const MORE: &str = "See --help for details, examples and common options (--config, --json, ...).";

/// The command with its verbs in groups. Common options are shown in the short help of `ipgeo` alone.
pub(crate) fn with_groups(mut command: Command) -> Command {
    let hidden: Vec<_> = command
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.clone().hide_short_help(true))
        .collect();
    command = command.mut_subcommands(|verb| with_footer(verb).args(hidden.clone()));
    let header = command.get_styles().get_header();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\n{header}Common options:{header:#}\n{{options}}{{after-help}}",
        table(&command)
    );
    command.help_template(template)
}

fn with_footer(verb: Command) -> Command {
    // `ipgeo help keys create` works already; `ipgeo keys help create` would be one more line of every list.
    verb.disable_help_subcommand(true).after_help(MORE).mut_subcommands(with_footer)
}

/// One line of description for each verb, its group in the first column.
fn table(command: &Command) -> String {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let mut text = String::new();
    for (group, verbs) in GROUPS {
        let names = wrapped(group, GROUP_WIDTH - 1, 0);
        let names: Vec<&str> = names.lines().collect();
        for row in 0..names.len().max(verbs.len()) {
            let name = names.get(row).copied().unwrap_or_default();
            let verb = verbs.get(row).copied().unwrap_or_default();
            let about = about(command, verb);
            let line =
                format!("{header}{name:GROUP_WIDTH$}{header:#}{literal}{verb:VERB_WIDTH$}{literal:#}{about}");
            let _infallible = writeln!(text, "{line}");
        }
    }
    text
}

pub(crate) fn about(command: &Command, verb: &str) -> String {
    let found = command.find_subcommand(verb).and_then(Command::get_about);
    match found {
        // Clap adds it later, and with another description.
        _ if verb == HELP => "Print help for a command".to_owned(),
        found => found.map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_wrapped_to_their_column() {
        assert_eq!(wrapped("API keys and usage", GROUP_WIDTH - 1, 0), "API keys\nand usage");
        let names = GROUPS.map(|(name, _)| wrapped(name, GROUP_WIDTH - 1, 0));
        assert!(names.iter().flat_map(|name| name.lines()).all(|line| line.len() < GROUP_WIDTH));
    }
}
