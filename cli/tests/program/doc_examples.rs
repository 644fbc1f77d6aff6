//! Runs the examples of the documents and compares their shape, so that no page goes stale.
//!
//! An example is a line `$ ipgeo …` (or `$ cargo run --release -- …`, `$ curl …`) in a fenced block, with the output below it. Examples
//! with `--dev` run in a local service with known API keys and calls; those in `OFFLINE` run alone; those in `NOT_RUN` are named with a
//! reason. Numbers, ids, dates and durations may differ, words may not (`shape`). A line `…` stands for omitted lines.
//!
//! `BLESS=1 cargo test -p ipgeo --test program doc_examples::` writes the real output into every example whose shape differs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::examples::page::{Example, Page, elided};
use crate::examples::session::Session;
use crate::examples::shape::shape;

/// The documents with examples, from the root of the repository.
const PAGES: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "docs/BENCHMARKS.md",
    "docs/CI.md",
    "docs/COMMANDS.md",
    "docs/COST.md",
    "docs/SECURITY.md",
];

/// Examples that need no service, by their beginning. The output of the exact ones does not depend on the machine or the time,
/// so every character must match.
const OFFLINE: &[(&str, Match)] = &[
    ("ipgeo bulk", Match::Exact),
    ("ipgeo config", Match::Exact),
    ("ipgeo cost", Match::Exact),
    ("ipgeo iam policy", Match::Shape),
    ("ipgeo init", Match::Exact),
    ("ipgeo lookup", Match::Exact),
    ("ipgeo simulate", Match::Exact),
    ("ipgeo validate", Match::Exact),
];

/// Examples that are not run, by their beginning, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("ipgeo deploy", "changes an AWS account"),
    ("ipgeo doctor --online", "reads an AWS account"),
    ("ipgeo geo build", "compiles the complete DB-IP data, which is not in the repository"),
    ("ipgeo geo diff", "compares two edited databases, which are not in the repository"),
    ("ipgeo geo fetch", "downloads the DB-IP data"),
    ("ipgeo geo pin", "pins the DB-IP data, which is not in the repository"),
    ("ipgeo geo rollback", "changes an AWS account"),
    ("ipgeo geo rollout", "changes an AWS account"),
    ("ipgeo plan", "reads an AWS account"),
    ("ipgeo rollback", "changes an AWS account"),
    ("ipgeo status", "reads an AWS account"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Exact,
    Shape,
}

/// Where an example runs, or the row with the reason why it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Offline(&'static str, Match),
    Service,
    NotRun(&'static str),
}

fn place(command: &str) -> Option<Place> {
    let is_service = command == "ipgeo dev"
        || command.starts_with("curl ")
        || command.split(' ').any(|word| word == "--dev");
    if is_service {
        return Some(Place::Service);
    }
    let offline = OFFLINE.iter().find(|(start, _)| command.starts_with(start));
    let not_run = NOT_RUN.iter().find(|(start, _)| command.starts_with(start));
    let offline = offline.map(|&(start, how)| Place::Offline(start, how));
    offline.or_else(|| not_run.map(|&(start, _)| Place::NotRun(start)))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the output in a document is what the program prints.
fn is_fresh(example: &Example, real: &[String], how: Match) -> bool {
    match how {
        Match::Exact => example.output == real,
        Match::Shape => shape(&example.output) == shape(real),
    }
}

/// Explains a difference by shapes, which hold no API key.
fn difference(page: &str, example: &Example, real: &[String]) -> String {
    let mut out = format!(
        "\n{page}:{}: $ {}\n",
        example.line + 1,
        shape(std::slice::from_ref(&example.command)).join(" ")
    );
    let (documented, real) = (shape(&example.output), shape(real));
    for line in documented.iter().filter(|line| !real.contains(line)) {
        let _ = writeln!(out, "  in the document only: {line}");
    }
    for line in real.iter().filter(|line| !documented.contains(line)) {
        let _ = writeln!(out, "  printed only:         {line}");
    }
    out
}

/// `.ci/run` runs the test command in the README: a line of its own.
#[test]
fn the_readme_has_the_test_command_that_the_complete_check_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let commands: Vec<&str> = readme.lines().filter(|line| line.starts_with("cargo test ")).collect();
    assert_eq!(commands, ["cargo test --workspace"]);
}

#[test]
fn every_example_of_the_documents_prints_what_they_show() {
    let bless = std::env::var_os("BLESS").is_some();
    let (mut unknown, mut stale) = (String::new(), String::new());
    let mut seen = BTreeSet::new();
    for &name in PAGES {
        let mut page = Page::read(&root().join(name));
        let mut session = Session::new(&root());
        let mut outputs = Vec::new();
        for example in page.examples() {
            let how = match place(&example.command) {
                Some(Place::NotRun(start)) => {
                    seen.insert(start);
                    continue;
                }
                Some(Place::Offline(start, how)) => {
                    seen.insert(start);
                    how
                }
                Some(Place::Service) => Match::Shape,
                None => {
                    let _ = writeln!(unknown, "{name}:{}: $ {}", example.line + 1, example.command);
                    continue;
                }
            };
            let printed = session.run(&example);
            let real = elided(&printed, &example.output);
            if !is_fresh(&example, &real, how) {
                stale += &difference(name, &example, &real);
                outputs.push((example, real));
            }
        }
        if bless {
            page.write(outputs);
        }
    }
    assert!(
        unknown.is_empty(),
        "examples that run nowhere: add `--dev`, or a row in OFFLINE or NOT_RUN:\n{unknown}"
    );
    let rows = OFFLINE.iter().map(|(start, _)| *start).chain(NOT_RUN.iter().map(|(start, _)| *start));
    let unused: Vec<_> = rows.filter(|start| !seen.contains(start)).collect();
    assert!(unused.is_empty(), "rows without an example: {unused:?}");
    assert!(
        bless || stale.is_empty(),
        "stale examples; `BLESS=1 cargo test -p ipgeo --test program doc_examples::` updates them, then read the diff:\n{stale}"
    );
}
