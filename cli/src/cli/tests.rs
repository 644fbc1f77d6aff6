use std::fmt::Write as _;

use ipgeo_contract::Limit;

use super::*;
use crate::cmd::groups::{GROUPS, HELP, about};
use crate::cmd::setup::man;

const DOCS: [&str; 6] = [
    include_str!("../../../README.md"),
    include_str!("../../../docs/COMMANDS.md"),
    include_str!("../../../docs/COST.md"),
    include_str!("../../../docs/SECURITY.md"),
    include_str!("../../../docs/CI.md"),
    include_str!("../../../CONTRIBUTING.md"),
];

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
}

/// A command and all its subcommands, as built by clap, at a width.
fn commands(width: usize) -> Vec<Command> {
    fn collect(command: &Command, into: &mut Vec<Command>) {
        into.push(command.clone());
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            collect(below, into);
        }
    }
    let (mut root, mut all) = (command().term_width(width), Vec::new());
    root.build();
    collect(&root, &mut all);
    all
}

fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or("ipgeo").to_owned()
}

fn helps() -> Vec<String> {
    commands(200).iter_mut().map(|command| command.render_long_help().to_string()).collect()
}

/// What the help of every command says is reviewed as a snapshot, and fits a screen.
#[test]
fn short_help_fits_a_screen() {
    let mut all = String::new();
    for mut command in commands(80) {
        let text = command.render_help().to_string();
        let name = name(&command);
        assert!(text.lines().count() <= 40, "{name}: {} lines", text.lines().count());
        let wide = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{name}");
        let _infallible = writeln!(all, "$ {name} -h\n{text}");
    }
    insta::assert_snapshot!("short_help", all);
}

/// The common options are the same in every help: the snapshot has them once.
fn without_common_options(text: &str) -> String {
    let mut is_common = false;
    let own = text.lines().filter(|line| {
        if !line.starts_with(' ') && !line.is_empty() {
            is_common = line.starts_with("Common options:");
        }
        !is_common
    });
    own.map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn long_help_adds_details_and_examples() {
    let mut all = String::new();
    for mut command in commands(80) {
        let text = command.render_long_help().to_string();
        let name = name(&command);
        assert!(
            name == "ipgeo" || text.lines().any(|line| line.starts_with("  ipgeo ")),
            "{name} has no example"
        );
        let text = if name == "ipgeo" { text } else { without_common_options(&text) };
        let _infallible = writeln!(all, "$ {name} --help\n{text}");
    }
    insta::assert_snapshot!("long_help", all);
}

/// A line ends only where its paragraph ends or its next word does not fit: text that was wrapped twice has short lines.
#[test]
fn help_is_wrapped_once() {
    let indent = |line: &str| line.len() - line.trim_start().len();
    // The verbs of `ipgeo` are a table.
    for mut command in commands(80).into_iter().skip(1) {
        let texts = [command.render_help().to_string(), command.render_long_help().to_string()];
        for text in &texts {
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let [line, next] = [pair[0], pair[1]];
                let starts_below = line.get(..indent(next)).is_some_and(|before| before.ends_with("  "));
                let is_item =
                    next.trim().is_empty() || next.trim_start().starts_with(['-', '[']) || indent(next) < 4;
                let is_text =
                    !is_item && !line.trim().is_empty() && (indent(line) == indent(next) || starts_below);
                let word = next.split_whitespace().next().unwrap_or_default();
                let fits = line.chars().count() + 1 + word.chars().count() <= 80;
                let name = name(&command);
                assert!(line.ends_with(['.', ':', '\\']) || !(is_text && fits), "{name}:\n{line}\n{next}");
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}

#[test]
fn manual_pages_describe_every_option_and_have_examples() {
    let mut root = command();
    root.build();
    let pages = man::pages(&root).expect("pages");
    assert_eq!(pages.len(), commands(80).len());
    for (name, text) in &pages {
        let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert_eq!(sections[..3], ["NAME", "SYNOPSIS", "DESCRIPTION"], "{name}");
        assert_eq!(sections.contains(&"EXAMPLES"), name != "ipgeo.1", "{name}: {sections:?}");
        assert!(!text.contains('`') && !text.contains("EXTRA"), "{name}: {text}");
        let lines: Vec<&str> = text.lines().collect();
        for at in lines.windows(3).filter(|lines| lines[0] == ".TP") {
            assert!(!at[2].is_empty() && !at[2].starts_with(".TP"), "{name}: no text for {}", at[1]);
        }
    }
    let page = |wanted: &str| pages.iter().find(|(name, _)| name == wanted).map(|(_, text)| text);
    insta::assert_snapshot!("manual_page", page("ipgeo-deploy.1").expect("a page"));
}

/// As `man` shows them; without `man`, there is nothing to look at.
#[test]
fn manual_pages_fit_eighty_columns() {
    let mut root = command();
    root.build();
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong: Vec<String> = Vec::new();
    for (name, text) in man::pages(&root).expect("pages") {
        std::fs::write(folder.path().join(&name), text).expect("written");
        let mut man = std::process::Command::new("man");
        man.current_dir(&folder).args(["-l", &name]).envs([("MANWIDTH", "80"), ("LC_ALL", "C.UTF-8")]);
        let Ok(output) = man.env("MANPAGER", "cat").output() else { return };
        let shown = String::from_utf8(output.stdout).expect("UTF-8");
        let is_wrong = |line: &&str| line.chars().count() > 80 || line.ends_with('\u{2010}');
        wrong.extend(shown.lines().filter(is_wrong).map(|line| format!("{name}: {line}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_verb_is_in_one_group_with_its_description() {
    let command = command();
    let help = command.clone().render_help().to_string();
    let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    // Clap adds `help` last, when it builds the command.
    let verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).chain([HELP]).collect();
    assert_eq!(grouped, verbs, "the order is the one of the groups, for completions");
    for verb in verbs {
        let about = about(&command, verb);
        assert!(!about.is_empty(), "{verb}");
        let ending = format!("{verb:<13}{about}");
        assert_eq!(help.lines().filter(|line| line.ends_with(&ending)).count(), 1, "{ending}");
    }
}

#[test]
fn every_verb_with_the_flag_dev_is_known_to_messages() {
    for command in commands(80) {
        let name = name(&command);
        let first = name.split(' ').nth(1).unwrap_or_default();
        if command.get_subcommands().next().is_none() {
            let has_flag = command.get_arguments().any(|arg| arg.get_long() == Some("dev"));
            assert_eq!(has_flag, output::DEV_VERBS.contains(&first), "{name}");
        }
    }
}

#[test]
fn help_is_a_verb_too() {
    let outcome = |args: &[&str]| command().try_get_matches_from(args).map_err(|error| error.kind());
    for args in [&["ipgeo", "help"][..], &["ipgeo", "help", "plan"], &["ipgeo", "help", "keys", "create"]] {
        assert_eq!(outcome(args).err(), Some(clap::error::ErrorKind::DisplayHelp), "{args:?}");
    }
    assert!(outcome(&["ipgeo", "help", "nonsense"]).is_err());
}

/// Verbs whose output is no table, and what it is instead. A verb is in this list, or has a snapshot of its tables
/// (`assert_tables`).
const WITHOUT_TABLES: &[(&str, &str)] = &[
    ("bulk", "CSV"),
    ("completions", "a script"),
    ("config show", "settings, one a line"),
    ("deploy", "a plan, and events"),
    ("destroy", "a plan, and events"),
    ("dev", "its own screen"),
    ("geo build", "facts, wrapped like those of `keys show`"),
    ("geo inspect", "facts"),
    ("geo override add", "a note"),
    ("geo override remove", "a note"),
    ("geo rollback", "a plan, and events"),
    ("geo rollout", "a plan, and events"),
    ("iam policy", "JSON"),
    ("init", "a path"),
    ("keys create", "an API key"),
    ("keys disable", "facts"),
    ("keys enable", "facts"),
    ("keys export", "CSV or JSON"),
    ("keys import", "a note"),
    ("keys revoke", "facts"),
    ("keys rotate", "an API key"),
    ("keys update", "facts"),
    ("logs", "log lines, which are never shortened"),
    ("man", "a manual page"),
    ("open", "a URL"),
    ("plan", "a plan"),
    ("rollback", "a plan, and events"),
    ("schema", "JSON"),
    ("traffic attach", "a plan, and events"),
    ("traffic drain", "a plan, and events"),
    ("usage discard", "a note"),
    ("usage export", "CSV or JSON"),
    ("validate", "problems as editors read them"),
];

#[test]
fn every_verb_has_a_snapshot_of_its_tables_or_a_reason_why_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ui/output/snapshots");
    let verbs = commands(80).into_iter().filter(|command| command.get_subcommands().next().is_none());
    let verbs: Vec<String> =
        verbs.filter_map(|command| Some(name(&command).strip_prefix("ipgeo ")?.to_owned())).collect();
    for verb in &verbs {
        let snapshot = format!("{folder}/tables_of_{}.snap", verb.replace(' ', "_"));
        let has_snapshot = std::path::Path::new(&snapshot).is_file();
        let has_reason = WITHOUT_TABLES.iter().any(|(known, _)| known == verb);
        assert!(has_snapshot != has_reason, "{verb}: snapshot {has_snapshot}, reason {has_reason}");
    }
    let unknown: Vec<_> =
        WITHOUT_TABLES.iter().filter(|(known, _)| !verbs.iter().any(|verb| verb == known)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Common options work before and after a verb.
#[test]
fn common_options_may_stand_anywhere() {
    for args in [
        ["ipgeo", "--json", "keys", "list"],
        ["ipgeo", "keys", "--json", "list"],
        ["ipgeo", "keys", "list", "--json"],
    ] {
        let matches = command().try_get_matches_from(args).expect("valid");
        assert!(Cli::from_arg_matches(&matches).expect("valid").shared.json, "{args:?}");
    }
}

/// The arguments of a shell line, up to the first pipe, redirection or comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, started) = (!quoted, true),
            '|' | '>' | '<' | '#' | '&' | ';' if !quoted => break,
            ' ' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

/// The program accepts every example of the help texts and the documents: verbs, flags and numbers.
#[test]
fn every_example_of_help_and_documents_is_valid() {
    let texts = helps();
    let from_help =
        texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("  ipgeo "));
    let first_deploy = include_str!("../../../docs/FIRST_DEPLOY.md");
    let from_first_deploy = first_deploy.lines().filter_map(|line| line.strip_prefix("ipgeo "));
    let from_docs =
        DOCS.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("$ ipgeo "));
    let mut count = 0;
    for line in from_help.chain(from_docs).chain(from_first_deploy) {
        // Two spaces separate a command from its explanation.
        let rest = line.split("  ").next().unwrap_or(line);
        let words = std::iter::once("ipgeo".to_owned()).chain(words(rest));
        let parsed = command().try_get_matches_from(words);
        assert!(
            parsed.is_ok(),
            "{line}: {}",
            parsed.err().map(|error| error.to_string()).unwrap_or_default()
        );
        count += 1;
    }
    assert!(count > 40, "{count} examples");
}

/// Collects the scripts of a workflow's steps.
fn scripts(value: &serde_yaml::Value, out: &mut Vec<String>) {
    if let Some(run) = value.get("run").and_then(|run| run.as_str()) {
        out.push(run.to_owned());
    }
    let members = value.as_mapping().into_iter().flat_map(|members| members.values());
    let items = value.as_sequence().into_iter().flatten();
    members.chain(items).for_each(|below| scripts(below, out));
}

/// The program accepts every `ipgeo` command of the workflows, ours and those that `docs/CI.md` offers; each action is
/// pinned by a commit.
#[test]
fn every_workflow_is_sound_and_its_commands_are_taken() {
    let offered = include_str!("../../../docs/CI.md").split("```yaml\n").skip(1);
    let workflows = offered.filter_map(|rest| rest.split("\n```\n").next()).chain([
        include_str!("../../../.github/workflows/ci.yml"),
        include_str!("../../../.github/workflows/release.yml"),
    ]);
    let (mut count, mut commands) = (0, 0);
    for text in workflows {
        let workflow: serde_yaml::Value = serde_yaml::from_str(text).expect("a workflow");
        assert!(workflow["permissions"].is_mapping() && workflow["jobs"].is_mapping(), "{text}");
        for line in text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
        {
            let commit = line.split_once('@').and_then(|(_, rest)| rest.split_once(" # v"));
            let is_pinned = commit.is_some_and(|(commit, _)| commit.len() == 40);
            assert!(is_pinned || line.starts_with("./"), "{line}");
        }
        let mut found = Vec::new();
        scripts(&workflow, &mut found);
        for line in found.iter().flat_map(|script| script.lines()).map(str::trim) {
            let Some(rest) = line.strip_prefix("ipgeo ") else { continue };
            // `2> FILE` is a redirection too.
            let rest = rest.split(" 2>").next().unwrap_or(rest);
            let words = std::iter::once("ipgeo".to_owned()).chain(words(rest));
            let taken = command().try_get_matches_from(words);
            assert!(taken.is_ok(), "{line}: {:?}", taken.err());
            commands += 1;
        }
        count += 1;
    }
    assert_eq!((count, commands), (4, 8));
}

/// Every limit in the help, the documents and the shipped file is valid.
#[test]
fn every_limit_of_help_and_documents_is_valid() {
    let mut texts: Vec<String> = DOCS.map(str::to_owned).to_vec();
    texts.push(include_str!("../../../regions.toml").to_owned());
    texts.extend(helps());
    let mut count = 0;
    let part = |c: char| !(c.is_ascii_alphanumeric() || "_./,".contains(c));
    for word in texts.iter().flat_map(|text| text.split(part)) {
        // Printed limits are grouped.
        let word = word.trim_matches(['.', ',']).replace(',', "");
        let Some((calls, "day" | "month")) = word.split_once('/') else { continue };
        if !calls.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        assert!(word.parse::<Limit>().is_ok(), "{word}");
        count += 1;
    }
    assert!(count > 12, "{count} limits");
}
