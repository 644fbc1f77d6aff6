//! The program against an AWS that is as strict as AWS: what the emulator lets pass is refused before it.

// The other tests with this emulator use more of it.
#![expect(dead_code, reason = "shared with other tests")]

#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/python.rs"]
mod python;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/replicas.rs"]
mod replicas;
#[path = "support/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use ipgeo_cli_testing::strict::{Mutant, Policies, Record, Rule, StrictAws, Strictness};
use serde_json::json;

use ministack::Ministack;
use python::Venv;
use replicas::Replicas;
use service::{HOME, NAME, Service, Wish};

const ACCOUNT: &str = "000000000000";
const TWO: [&str; 2] = [HOME, "us-east-1"];

/// A strict AWS with a service to come.
struct Stage {
    service: Service,
    aws: StrictAws,
    _replicas: Replicas,
    // The last to go: the others speak to it.
    _ministack: Ministack,
}

impl Stage {
    fn set(wish: &Wish) -> Option<Self> {
        let venv = Venv::with("ministack", &ministack::PACKAGES)?;
        let ministack = Ministack::start(&venv);
        let aws = StrictAws::before(&ministack.endpoint(), Strictness::default());
        let service = Service::on(&ministack, &aws.endpoint());
        let regions = TWO.map(str::to_owned);
        let replicas = Replicas::keep(&service.raw, NAME, HOME, &regions);
        service.wish(wish);
        Some(Self { service, aws, _replicas: replicas, _ministack: ministack })
    }

    /// What `ipgeo iam policy` prints.
    fn policies(&self) -> Policies {
        let printed = self.service.exits(0, &["iam", "policy", "--account", ACCOUNT]).stdout;
        Policies::parse(&printed).expect("documents")
    }

    /// Makes these rules hold, and the printed policies.
    fn hold(&self, rules: &[Rule]) {
        let rules = rules.iter().copied().collect();
        self.aws.set(Strictness { deployer: Some(self.policies()), service_role: None, rules });
    }

    fn refused(&self) -> Vec<String> {
        self.aws.take_refusals()
    }
}

/// The public zone `example.com`.
fn make_zone(service: &Service) {
    let zone = "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                <Name>example.com</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>";
    service.raw.rest("us-east-1", "route53", "POST", "/2013-04-01/hostedzone", zone).expect("a zone");
}

#[test]
fn the_printed_policies_suffice_from_the_first_deploy_to_the_last_destroy() {
    let mut wish = Wish { regions: TWO.to_vec(), memory_mb: 256, domain: true };
    let Some(stage) = Stage::set(&wish) else { return };
    let (service, aws) = (&stage.service, &stage.aws);
    make_zone(service);
    let mut rules = Rule::ALL.to_vec();
    // The next run goes on where this one failed; the test below shows it.
    rules.retain(|rule| *rule != Rule::RolePropagation);
    stage.hold(&rules);

    aws.step("plan");
    assert!(!service.plan().1);
    aws.step("first deploy");
    service.deploy();
    aws.step("doctor");
    service.run(&["doctor", "--json"]);
    aws.step("a change");
    wish.memory_mb = 512;
    service.wish(&wish);
    service.deploy();
    aws.step("API keys and usage");
    service.exits(0, &["keys", "create", "--owner", "acme", "--tier", "startup"]);
    service.exits(0, &["keys", "list"]);
    service.exits(0, &["usage", "report", "--json"]);
    service.exits(0, &["usage", "replay", "--from", "1h"]);
    aws.step("drain and attach");
    let quietly = ["--yes", "--no-input", "--progress", "none"];
    service.exits(0, &[&["traffic", "drain", "us-east-1"][..], &quietly].concat());
    service.exits(0, &[&["traffic", "attach", "us-east-1"][..], &quietly].concat());
    aws.step("drift");
    service.run(&["drift"]);
    aws.step("a region removed");
    wish.regions.retain(|region| *region == HOME);
    service.wish(&wish);
    service.deploy();
    aws.step("destroy");
    service.exits(0, &["destroy", "--confirm", NAME, "--no-input", "--delete-data"]);
    service.settles(&TWO, &BTreeSet::new());
    assert_eq!(stage.refused(), Vec::<String>::new());

    let record = aws.record();
    assert_eq!(record.first_refused(&stage.policies()), None);
    blessed(&table(&record, &record.mutants(&stage.policies())));
}

/// The table of `docs/POLICY.md`.
fn table(record: &Record, mutants: &[Mutant]) -> String {
    let mut text = include_str!("support/policy.md").to_owned();
    for mutant in mutants.iter().filter(|mutant| mutant.part.action.is_none()) {
        let fails = mutant.first.as_ref().map_or("nothing".to_owned(), |entry| {
            format!("{}: {}: `{}`", record.steps[entry.step], entry.what, entry.request.action)
        });
        let _ = writeln!(text, "| `{}` | {fails} |", mutant.part.sid);
    }
    text
}

fn blessed(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/POLICY.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, text).expect("a file");
    } else {
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, text, "docs/POLICY.md is not what the test finds; BLESS=1 rewrites it");
    }
}

#[test]
fn each_rule_refuses_and_the_program_says_what() {
    let wish = Wish { regions: vec![HOME], memory_mb: 256, domain: false };
    let Some(stage) = Stage::set(&wish) else { return };
    let (service, aws) = (&stage.service, &stage.aws);

    // A role that has just been created; the next run succeeds for one stack and fails for the next.
    stage.hold(&[Rule::RolePropagation]);
    let failed = service.exits(1, &service.deploy_arguments());
    assert!(failed.stderr.contains("cannot be assumed by Lambda"), "{}", failed.stderr);
    stage.hold(&[]);
    service.deploy();
    service.exits(0, &["destroy", "--confirm", NAME, "--no-input", "--delete-data"]);

    // A log group that is left over.
    let group = json!({ "logGroupName": format!("/aws/lambda/{NAME}-usage") });
    service.raw.json(HOME, "logs", "Logs_20140328.CreateLogGroup", &group).expect("created");
    stage.hold(&[Rule::EarlyValidation]);
    let failed = service.exits(1, &service.deploy_arguments());
    assert!(failed.stderr.contains("validation failed"), "{}", failed.stderr);
    assert!(stage.refused().iter().any(|refused| refused.contains("usage' already exists")));
    service.raw.json(HOME, "logs", "Logs_20140328.DeleteLogGroup", &group).expect("deleted");
    service.deploy();

    // A permission that is missing.
    let policies = stage.policies();
    let part = policies
        .parts()
        .into_iter()
        .find(|part| part.action.as_deref() == Some("lambda:UpdateFunctionConfiguration"));
    let deployer = Some(policies.without(&part.expect("it is printed")));
    aws.set(Strictness { deployer, ..Strictness::default() });
    service.wish(&Wish { memory_mb: 512, ..wish });
    let failed = service.exits(1, &service.deploy_arguments());
    assert!(
        failed.stderr.contains("is not authorized to perform: lambda:UpdateFunctionConfiguration"),
        "{}",
        failed.stderr
    );
    stage.hold(&Rule::ALL);
    service.deploy();
}
