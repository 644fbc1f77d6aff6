//! Rendered stacks checked with cfn-lint's rules for every region, the registry's schemas, and a security scanner; each
//! finding of the scanner has an answer in docs/SECURITY.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use ipgeo::internals::config::{self, Config, PLACES};
use ipgeo::internals::infra::plan::CREATE_ONLY;
use ipgeo::internals::infra::stacks::StackKind;
use serde_json::{Value, json};

use crate::python::{Venv, run};
use crate::stacks::{LINTER, render};

const LINT_SCRIPT: &str = include_str!("../support/lint.py");
const SCANNER: [&str; 1] = ["checkov==3.3.30"];

/// Optional parts of a service.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the file")]
struct Options {
    domain: bool,
    alarms: bool,
    email: bool,
    reserved: bool,
    x86: bool,
    forwarder: bool,
}

impl Options {
    /// Everything on.
    const FULL: Self =
        Self { domain: true, alarms: true, email: true, reserved: true, x86: true, forwarder: true };

    /// Every combination.
    fn all() -> impl Iterator<Item = Self> {
        (0_u8..32).map(|bits| Self {
            domain: bits & 1 != 0,
            alarms: bits & 2 != 0,
            email: bits & 4 != 0,
            reserved: bits & 8 != 0,
            x86: bits & 16 != 0,
            // Independent of the architecture, so no further combinations.
            forwarder: bits & 16 != 0,
        })
    }
}

fn config_of(options: Options, regions: &[&str]) -> Config {
    let mut text = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n".to_owned();
    if options.domain {
        text += "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n\
                 permissions_boundary = \"arn:aws:iam::123456789012:policy/bound\"\n";
    }
    if options.forwarder {
        text += "[usage]\npipe = \"forwarder\"\n";
    }
    let _ = write!(text, "[alarms]\nedges = {}\n", options.alarms);
    if options.email {
        text += "email = \"ops@example.com\"\n[alerts]\nemail = \"ops@example.com\"\n";
    }
    let _ = write!(text, "[runtime]\narchitecture = \"{}\"\n", if options.x86 { "x86_64" } else { "arm64" });
    if options.reserved {
        text += "reserved_concurrency = 50\n";
    }
    text += "[tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n[tiers.startup]\nlimit = \"100k/month\"\n";
    for region in regions {
        let _ = writeln!(text, "[regions.{region}]");
    }
    config::parse("regions.toml", &text).expect("a sound file")
}

/// Templates in a folder, each with the regions that it is linted for.
#[derive(Debug)]
struct Jobs {
    folder: tempfile::TempDir,
    jobs: Vec<(PathBuf, Vec<String>)>,
}

impl Jobs {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), jobs: Vec::new() }
    }

    fn add(&mut self, test: &str, name: &str, text: &str, regions: &[&str]) {
        let path = self.folder.path().join(format!("{test}-{}-{name}.yaml", self.jobs.len()));
        std::fs::write(&path, text).expect("a file");
        self.jobs.push((path, regions.iter().map(|region| (*region).to_owned()).collect()));
    }

    /// Names of all files, and findings, each as `file rule line message`.
    fn lint(&self, venv: &Venv) -> Linted {
        let mut child = venv
            .python()
            .args(["-c", LINT_SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut input = child.stdin.take().expect("a pipe");
        for (path, regions) in &self.jobs {
            writeln!(input, "{}", json!({ "path": path, "regions": regions })).expect("written");
        }
        drop(input);
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success(), "cfn-lint did not run to its end");
        let report = String::from_utf8(output.stdout).expect("text");
        let report: Vec<Value> =
            report.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (done, found): (Vec<_>, Vec<_>) = report.into_iter().partition(|line| line.get("done").is_some());
        assert_eq!(done.len(), self.jobs.len(), "every template was looked at");
        let file_name = |path: &Path| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let finding = |finding: &Value| {
            let file = file_name(Path::new(finding["path"].as_str().unwrap_or_default()));
            format!("{file} {} line {}: {}", finding["rule"], finding["line"], finding["message"])
        };
        Linted {
            files: self.jobs.iter().map(|(path, _)| file_name(path)).collect(),
            findings: found.iter().map(finding).collect(),
        }
    }
}

/// The templates of all tests are linted in one run, because the linter takes seconds to start. A file's name starts with
/// its test's. `None`: the linter can't be installed; a message was printed.
struct Linted {
    files: Vec<String>,
    findings: Vec<String>,
}

impl Linted {
    /// The files of a test and their findings.
    fn of_test(test: &str) -> Option<(Vec<&'static str>, Vec<&'static str>)> {
        static ALL: LazyLock<Option<Linted>> = LazyLock::new(|| {
            let venv = Venv::with(LINTER.0, &LINTER.1)?;
            let mut jobs = Jobs::new();
            add_shipped_regions(&mut jobs);
            add_every_option(&mut jobs);
            add_faults(&mut jobs);
            Some(jobs.lint(&venv))
        });
        let own = |all: &'static [String]| {
            let own = all.iter().map(String::as_str).filter(|line| line.starts_with(test));
            own.collect::<Vec<&'static str>>()
        };
        ALL.as_ref().map(|all| (own(&all.files), own(&all.findings)))
    }
}

fn everywhere() -> Vec<&'static str> {
    PLACES.iter().map(|place| place.name).collect()
}

fn add_shipped_regions(jobs: &mut Jobs) {
    let config = config::parse("regions.toml", include_str!("../../../regions.toml")).expect("a sound file");
    for stack in render(&config) {
        jobs.add("shipped", &format!("{}-{}", stack.kind, stack.region), &stack.text, &[&stack.region]);
    }
}

#[test]
fn the_shipped_regions_have_no_finding_each_by_its_own_rules() {
    let Some((files, findings)) = Linted::of_test("shipped") else { return };
    assert_eq!(files.len(), 19);
    assert_eq!(findings, Vec::<&str>::new());
}

fn add_every_option(jobs: &mut Jobs) {
    let mut seen = BTreeSet::new();
    for options in Options::all() {
        for stack in render(&config_of(options, &["eu-central-1"])) {
            // Many options do not change a stack.
            if seen.insert(stack.text.clone()) {
                let name = format!("{}-{}", stack.kind, stack.region);
                jobs.add("option", &name, &stack.text, &[&stack.region]);
            }
        }
    }
    // One stack of each kind represents all regions: see below.
    let mut kinds = BTreeSet::new();
    for stack in render(&config_of(Options::FULL, &everywhere())) {
        if stack.region != "eu-central-1" && kinds.insert(stack.kind) || stack.kind == StackKind::Home {
            jobs.add("option", &format!("{}-everywhere", stack.kind), &stack.text, &everywhere());
        }
    }
}

#[test]
fn every_option_has_no_finding_in_every_region() {
    let Some((files, findings)) = Linted::of_test("option") else { return };
    assert!(files.len() > 10, "{files:?}");
    assert_eq!(findings, Vec::<&str>::new());
}

/// Why linting one edge against every region's rules is enough.
#[test]
fn edges_differ_by_their_region_name_alone() {
    let stacks = render(&config_of(Options::FULL, &everywhere()));
    assert_eq!(stacks.len(), 2 * PLACES.len() + 1);
    for kind in [StackKind::Artifacts, StackKind::Edge] {
        // The edge at home names home as its own region; it is linted separately.
        let others = stacks.iter().filter(|stack| stack.kind == kind && stack.region != "eu-central-1");
        let plain = others.map(|stack| {
            let digest = stack.template.output("Digest").expect("a digest");
            stack.text.replace(digest, "DIGEST").replace(stack.region.as_str(), "REGION")
        });
        assert_eq!(plain.collect::<BTreeSet<_>>().len(), 1, "{kind}");
    }
}

fn add_faults(jobs: &mut Jobs) {
    let stacks = render(&config_of(Options::default(), &["eu-central-1"]));
    let edge = stacks.iter().find(|stack| stack.kind == StackKind::Edge).expect("an edge");
    let faults = [
        ("MemorySize:", "MemorySise:"),
        ("RetentionInDays: 1", "RetentionInDays: 2"),
        ("provided.al2023", "provided.al1999"),
    ];
    for (right, wrong) in faults {
        let text = edge.text.replace(right, wrong);
        assert_ne!(text, edge.text, "{right}");
        jobs.add("fault", "edge", &text, &["eu-central-1"]);
    }
    let misspelt = edge.text.replace("MemorySize:", "MemorySise:");
    for region in everywhere() {
        jobs.add("fault", region, &misspelt, &[region]);
    }
}

#[test]
fn the_linter_finds_faults_in_every_region() {
    let Some((files, findings)) = Linted::of_test("fault") else { return };
    assert_eq!(files.len(), 3 + PLACES.len());
    for file in files {
        assert!(findings.iter().any(|line| line.starts_with(file)), "nothing is found in {file}");
    }
}

/// Schemas of resource types, from cfn-lint.
fn schemas(venv: &Venv, kinds: &[&str]) -> Value {
    let script = "import json, sys\nfrom cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as manager\n\
                  print(json.dumps({k: manager.get_resource_schema('us-east-1', k).schema for k in sys.argv[1:]}))";
    let text = run(venv.python().args(["-c", script]).args(kinds)).expect("schemas");
    serde_json::from_str(&text).expect("JSON")
}

/// The planner predicts replacements from a table; the schemas are the table's source.
#[test]
fn replacements_match_the_registry() {
    let Some(venv) = Venv::with(LINTER.0, &LINTER.1) else { return };
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for options in [Options::FULL, Options::default()] {
        for stack in render(&config_of(options, &["eu-central-1", "us-east-1"])) {
            for resource in stack.template.resources.values() {
                let properties = resource.properties.as_object().expect("properties").keys().cloned();
                used.entry(resource.kind.clone()).or_default().extend(properties);
            }
        }
    }
    let known: BTreeSet<&str> = CREATE_ONLY.iter().map(|(kind, _)| *kind).collect();
    let rendered: BTreeSet<&str> = used.keys().map(String::as_str).collect();
    assert_eq!(known, rendered, "the table has the types that are rendered");
    let schemas = schemas(&venv, &known.into_iter().collect::<Vec<_>>());
    for (kind, table) in CREATE_ONLY {
        let schema = &schemas[kind];
        let listed = |name: &str| schema.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let pointers = [listed("createOnlyProperties"), listed("conditionalCreateOnlyProperties")].concat();
        let top = |pointer: &Value| {
            let path = pointer.as_str().and_then(|pointer| pointer.strip_prefix("/properties/"));
            path.and_then(|path| path.split('/').next()).expect("a pointer").to_owned()
        };
        let registry: BTreeSet<String> = pointers.iter().map(top).collect();
        let rendered: BTreeSet<String> = registry.intersection(&used[*kind]).cloned().collect();
        let table: BTreeSet<String> = table.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(table, rendered, "{kind}: left the table, right the registry");
    }
}

/// `check resource` of every finding of the scanner.
fn scan(venv: &Venv, folder: &Path) -> BTreeSet<String> {
    let output = venv
        .python()
        .args([
            "-m",
            "checkov.main",
            "--framework",
            "cloudformation",
            "--skip-download",
            "--quiet",
            "--output",
            "json",
        ])
        .arg("--directory")
        .arg(folder)
        .output()
        .expect("Python runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let number = |name: &str| report["summary"][name].as_u64().unwrap_or_default();
    assert!(number("passed") > 50 && number("parsing_errors") == 0, "{}", report["summary"]);
    let failed = report["results"]["failed_checks"].as_array().expect("findings");
    failed
        .iter()
        .map(|finding| {
            let resource = finding["resource"].as_str().unwrap_or_default();
            let check = finding["check_id"].as_str().unwrap_or_default();
            format!("{check} {}", resource.rsplit('.').next().unwrap_or_default())
        })
        .collect()
}

/// The rows of the table of answers.
fn answered() -> BTreeSet<String> {
    let rows = include_str!("../../../docs/SECURITY.md").lines().filter(|line| line.starts_with("| CKV"));
    let mut answered = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [check, resources, answer] = cells[..] else { panic!("a row of three cells: {row}") };
        assert!(answer.len() > 40, "an answer, not a shrug: {row}");
        for resource in resources.split(',').map(|resource| resource.trim().trim_matches('`')) {
            assert!(answered.insert(format!("{check} {resource}")), "twice: {check} {resource}");
        }
    }
    answered
}

#[test]
#[ignore = "installs a security scanner, about a minute; .ci/run runs it"]
fn every_finding_of_the_scanner_is_answered() {
    let Some(venv) = Venv::with("checkov", &SCANNER) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen = BTreeSet::new();
    for options in [Options::default(), Options { reserved: false, ..Options::FULL }, Options::FULL] {
        for stack in render(&config_of(options, &["eu-central-1"])) {
            if seen.insert(stack.text.clone()) {
                let file = folder.path().join(format!("{}-{}.yaml", stack.kind, seen.len()));
                std::fs::write(file, &stack.text).expect("a file");
            }
        }
    }
    let (found, answered) = (scan(&venv, folder.path()), answered());
    let unanswered: Vec<_> = found.difference(&answered).collect();
    let stale: Vec<_> = answered.difference(&found).collect();
    assert!(
        unanswered.is_empty() && stale.is_empty(),
        "without an answer: {unanswered:#?}\nno longer found: {stale:#?}"
    );
}
