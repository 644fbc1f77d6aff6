//! Compares the sources with the import table of `docs/ARCHITECTURE.md`: a use without a grant is a failure, and so is a
//! grant without a use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a room may only use with a grant: the word in the table, and the beginnings of the paths it covers. Other external
/// crates may be used by all.
const GRANTS: &[(&str, &[&str])] = &[
    (
        "aws",
        &["aws_sdk_", "aws_config::", "aws_smithy_", "aws_credential_types::", "aws_sigv4::", "aws_types::"],
    ),
    ("clap", &["clap::"]),
    ("clock", &["Timestamp::now(", "SystemTime::now(", "Instant::now(", "Zoned::now("]),
    ("env", &["std::env", "env::var"]),
    ("files", &["std::fs", "fs::File", "tokio::fs", "tempfile::", "memmap2::"]),
    ("http", &["axum::", "hyper::", "hyper_util::", "ureq::", "tokio_rustls::"]),
    ("lambda", &["lambda_runtime::"]),
    ("process", &["std::process", "process::Command"]),
    ("random", &["getrandom::", "fastrand::"]),
    ("store", &["dynoxide"]),
    (
        "terminal",
        &["console::", "indicatif::", "comfy_table::", "std::io::stdout", "std::io::stderr", "IsTerminal"],
    ),
    ("tokio", &["tokio::"]),
];

#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    rooms: BTreeSet<String>,
    grants: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The table's rows: room → what it grants. Cells hold names in backticks.
fn table() -> BTreeMap<String, Uses> {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    let names =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = text.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let room = names(cells[0]).pop_first().expect("a room in the first cell");
            (room, Uses { rooms: names(cells[2]), grants: names(cells[3]) })
        })
        .collect()
}

/// What the guide says that the program prints is printed by it.
#[test]
fn the_messages_of_the_guide_are_in_the_sources() {
    let guide = fs::read_to_string(root().join("docs/FIRST_DEPLOY.md")).expect("a guide");
    let table = guide.split("## When it stops").nth(1).and_then(|rest| rest.split("###").next());
    let rows = table.expect("a table").lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let messages: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let sources: String = rust_files(&root().join("cli/src"))
        .iter()
        .map(|file| without_tests(&fs::read_to_string(file).expect("a source")).to_owned())
        .collect();
    let missing: Vec<&&str> = messages.iter().filter(|message| !sources.contains(**message)).collect();
    assert!(messages.len() > 15 && missing.is_empty(), "{missing:?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.ends_with("target") {
            // The fuzz targets' build.
        } else if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every file of Rust, tests and benches too, with its text.
fn all_sources() -> impl Iterator<Item = (PathBuf, String)> {
    ["cli", "runtime"].iter().flat_map(|folder| rust_files(&root().join(folder))).map(|path| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path, text)
    })
}

/// A longer file has more than one topic.
#[test]
fn no_file_has_more_than_five_hundred_lines() {
    let long = all_sources().filter(|(_, text)| text.lines().count() > 500);
    let long: Vec<PathBuf> = long.map(|(path, _)| path).collect();
    assert_eq!(long, Vec::<PathBuf>::new());
}

/// The room of a file below a crate's `src`: `cli/config`, or the crate itself for what is small enough
/// to be one room.
fn room_of(crate_name: &str, below_src: &Path) -> String {
    let first = below_src.components().next().expect("a file").as_os_str().to_string_lossy();
    let module = first.trim_end_matches(".rs");
    if ["contract", "geo"].contains(&crate_name) {
        crate_name.to_owned()
    } else {
        format!("{crate_name}/{module}")
    }
}

/// The text up to its test module. Test-only items may be anywhere; the code after them is checked.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("#[cfg(test)]").map(|at| from + at) {
        let rest = text[at + "#[cfg(test)]".len()..].trim_start();
        if rest.starts_with("mod ") && rest.lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
        {
            return &text[..at];
        }
        from = at + 1;
    }
    text
}

/// The code of a file without comments and without its unit tests, which may use what they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    without_tests(&text)
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every `<start><name>` in the code, and every name of `<start>{<name>, <name>::…}`.
fn names_after<'a>(code: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(start).flat_map(move |(at, _)| {
        let rest = &code[at + start.len()..];
        let list = rest.strip_prefix('{').and_then(|list| list.split('}').next()).unwrap_or(rest);
        let count = if rest.starts_with('{') { usize::MAX } else { 1 };
        list.split(',').take(count).map(leading_name).filter(|name| !name.is_empty())
    })
}

fn leading_name(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn observed() -> BTreeMap<String, Uses> {
    let mut rooms: BTreeMap<String, Uses> = BTreeMap::new();
    let crates = [
        ("cli", "cli/src"),
        ("runtime", "runtime/src"),
        ("contract", "runtime/contract/src"),
        ("geo", "runtime/geo/src"),
    ];
    for (crate_name, folder) in crates {
        let src = root().join(folder);
        for file in rust_files(&src) {
            let below = file.strip_prefix(&src).expect("below src");
            if below == Path::new("lib.rs")
                || below.ends_with("tests.rs")
                || below.iter().any(|part| part == "tests")
            {
                continue;
            }
            let room = room_of(crate_name, below);
            let code = code(&file);
            let own = names_after(&code, "crate::").map(|name| room_of(crate_name, Path::new(name)));
            let library = names_after(&code, "ipgeo::").map(|name| room_of("cli", Path::new(name)));
            let runtime =
                names_after(&code, "ipgeo_runtime::").map(|name| room_of("runtime", Path::new(name)));
            let contract = names_after(&code, "ipgeo_contract::").map(|_| "contract".to_owned());
            let geo = names_after(&code, "ipgeo_geo::").map(|_| "geo".to_owned());
            let used: Vec<String> = own.chain(library).chain(runtime).chain(contract).chain(geo).collect();
            let uses = rooms.entry(room.clone()).or_default();
            uses.rooms.extend(used.into_iter().filter(|used| *used != room));
            for (grant, starts) in GRANTS {
                if starts.iter().any(|start| code.contains(start)) {
                    uses.grants.insert((*grant).to_owned());
                }
            }
        }
    }
    rooms
}

#[test]
fn every_room_keeps_to_the_import_table() {
    let (table, observed) = (table(), observed());
    let mut faults = Vec::new();
    for (room, uses) in &observed {
        let Some(granted) = table.get(room) else {
            faults.push(format!("`{room}` has no row; it uses {uses:?}"));
            continue;
        };
        for used in uses.rooms.difference(&granted.rooms).chain(uses.grants.difference(&granted.grants)) {
            faults.push(format!("`{room}` uses `{used}`, which its row does not grant"));
        }
        for idle in granted.rooms.difference(&uses.rooms).chain(granted.grants.difference(&uses.grants)) {
            faults.push(format!("`{room}` is granted `{idle}` and does not use it"));
        }
    }
    faults.extend(
        table
            .keys()
            .filter(|room| !observed.contains_key(*room))
            .map(|room| format!("`{room}` has a row and no source")),
    );
    assert!(faults.is_empty(), "docs/ARCHITECTURE.md, import table:\n  {}", faults.join("\n  "));
}

#[test]
fn the_scan_sees_what_it_is_meant_to_see() {
    let code = "use crate::config::Config;\nuse ipgeo_runtime::usage::Totals; crate::aws::client();";
    assert_eq!(names_after(code, "crate::").collect::<Vec<_>>(), ["config", "aws"]);
    assert_eq!(names_after(code, "ipgeo_runtime::").collect::<Vec<_>>(), ["usage"]);
    assert_eq!(
        names_after("use crate::{fetch, geo::Source};", "crate::").collect::<Vec<_>>(),
        ["fetch", "geo"]
    );
    let text = "fn a() {}\n#[cfg(test)]\nfn b() {}\n#[cfg(test)]\nmod far;\nfn c() {}\n#[cfg(test)]\nmod tests {\nfn d() {}\n}";
    assert!(without_tests(text).ends_with("fn c() {}\n"));
    assert_eq!(room_of("cli", Path::new("config/mod.rs")), "cli/config");
    assert_eq!(room_of("cli", Path::new("world.rs")), "cli/world");
    assert_eq!(room_of("contract", Path::new("limit.rs")), "contract");
    assert_eq!(room_of("geo", Path::new("compile/merge.rs")), "geo");
}

#[test]
fn every_test_that_the_invariants_name_exists() {
    let text = fs::read_to_string(root().join("docs/INVARIANTS.md")).expect("docs/INVARIANTS.md");
    let mut functions = BTreeSet::new();
    for (_, text) in all_sources() {
        let lines = text.lines().filter_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
        functions.extend(lines.map(|rest| leading_name(rest).to_owned()));
    }
    let is_name = |word: &str| {
        word.len() > 20 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    assert!(named.len() > 50, "only {} tests are named", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !functions.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/INVARIANTS.md names tests that do not exist: {missing:?}");
    // Every invariant names a test.
    for promise in text.split("\n\n**").skip(1) {
        let end = promise.find("\n## ").unwrap_or(promise.len());
        assert!(promise[..end].contains("\nTest"), "no test is named: {}", &promise[..end]);
    }
}
