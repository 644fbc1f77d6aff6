//! The program against an AWS that is as strict as AWS: what the emulator lets pass is refused before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use ipgeo::internals::config;
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet, Renderer};
use ipgeo_cli_testing::strict::{
    Mutant, Place, Policies, Record, Resolved, Rule, StrictAws, Strictness, resolve,
};
use ipgeo_runtime::usage::{KinesisRecord, LogEvent, envelope};
use serde_json::{Value, json};

use crate::ministack::{self, Ministack};
use crate::python::Venv;
use crate::replicas::Replicas;
use crate::service::{ACCOUNT, HOME, NAME, Ran, Service, Wish};

const TWO: [&str; 2] = [HOME, "us-east-1"];

/// Every option of a `regions.toml` that needs rights; the emulator lacks some of their resources.
const FULL: &str = "[service]\nname = \"ipgeo\"\nenvironment = \"test\"\nhome = \"eu-central-1\"\n\
    domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n\
    [alarms]\nedges = true\nemail = \"ops@example.com\"\n[alerts]\nemail = \"ops@example.com\"\n\
    [runtime]\nreserved_concurrency = 50\n\
    [tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n[tiers.startup]\nlimit = \"100k/month\"\n\
    [regions.eu-central-1]\n[regions.us-east-1]\n";

/// Statements that no step misses, with the reason why they are printed.
const UNMISSED: [(&str, &str); 2] = [
    ("Metrics", "the run does not bake; with `bake_s`, a deploy reads CloudWatch's metrics of the canary"),
    ("RegionOptIn", "asked only after an opt-in region has refused the credentials, to name the cause"),
];

/// Actions of other statements that no step misses, with the reason why they are printed.
const UNMISSED_ACTIONS: [(&str, &str); 10] = [
    ("cloudformation:ListStacks", "AWS checks it too when stacks are described without a name"),
    ("cloudformation:DeleteChangeSet", "cleans up a change set that is empty or was refused"),
    ("cloudformation:DescribeEvents", "reads what early validation has rejected"),
    (
        "cloudformation:DetectStackResourceDrift",
        "AWS checks it for each resource of a stack whose drift is detected",
    ),
    ("lambda:ListTags", "the schemas list it for functions with tags, which stacks pass on"),
    ("servicequotas:GetAWSDefaultServiceQuota", "reads a quota that was never changed for the account"),
    ("iam:ListRoleTags", "the schema lists it for roles with tags, which stacks pass on"),
    ("logs:DeleteDataProtectionPolicy", "the schema lists it for every log group that is deleted"),
    (
        "apigateway:AddCertificateToDomain",
        "the schema lists it for domain names; AWS documents it for mutual TLS",
    ),
    (
        "apigateway:RemoveCertificateFromDomain",
        "the schema lists it for domain names; AWS documents it for mutual TLS",
    ),
];

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
        self.policies_for(&[])
    }

    fn policies_for(&self, flags: &[&str]) -> Policies {
        let printed =
            self.service.exits(0, &[&["iam", "policy", "--account", ACCOUNT], flags].concat()).stdout;
        Policies::parse(&printed).expect("documents")
    }

    /// Makes these rules hold, and the printed policies.
    fn hold(&self, rules: &[Rule]) {
        let rules = rules.iter().copied().collect();
        self.aws.set(Strictness { deployer: Some(self.policies()), service_role: None, rules });
    }

    /// Runs the program, which must end with this status; else AWS's refusals are shown.
    fn exits(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.service.run(arguments);
        self.aws.check();
        let refused = self.refused();
        assert_eq!(
            ran.status.code(),
            Some(code),
            "ipgeo {}\n{}\n{}\n{refused:#?}",
            arguments.join(" "),
            ran.stdout,
            ran.stderr
        );
        assert!(code != 0 || refused.is_empty(), "ipgeo {}: {refused:#?}", arguments.join(" "));
        ran
    }

    fn deploy(&self) {
        self.exits(0, &self.service.deploy_arguments());
    }

    fn refused(&self) -> Vec<String> {
        self.aws.take_refusals()
    }
}

/// Stores what Lambda stores of a batch of usage lines that a forwarder could not put.
fn store_failed_batch(service: &Service, region: &str) {
    let message = format!(r#"{{"ipgeo":1,"t":1795522627042,"r":"{region}","c":["sa.test","10d"]}}"#);
    let line = LogEvent { id: "1".to_owned(), timestamp: 0, message };
    let packed = envelope(&format!("/aws/lambda/{NAME}-lookup"), "stream", vec![line]).expect("packs");
    let data = KinesisRecord::new("s", "1", &packed).kinesis.data;
    let object = json!({ "version": "1.0", "requestPayload": { "awslogs": { "data": data } } }).to_string();
    let path = format!("/{NAME}-{ACCOUNT}-{region}/aws/lambda/async/{NAME}-forward/2026/11/24/one");
    service.raw.rest(region, "s3", "PUT", &path, &object).expect("stored");
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
    service.write(FULL);
    let full = stage.policies();
    service.wish(&wish);
    make_zone(service);
    let mut rules = Rule::ALL.to_vec();
    // It fails a run; the next test shows it.
    rules.retain(|rule| *rule != Rule::RolePropagation);
    stage.hold(&rules);

    aws.step("plan");
    assert!(!service.plan().1);
    aws.step("first deploy");
    stage.deploy();
    aws.step("doctor");
    service.run(&["doctor", "--json"]);
    aws.step("a change");
    wish.memory_mb = 512;
    service.wish(&wish);
    stage.deploy();
    aws.step("roll back");
    stage.exits(0, &["rollback", "--yes", "--no-input", "--progress", "none"]);
    stage.deploy();
    aws.step("API keys and usage");
    stage.exits(0, &["keys", "create", "--owner", "acme", "--tier", "startup"]);
    stage.exits(0, &["keys", "list"]);
    stage.exits(0, &["usage", "report", "--json"]);
    stage.exits(0, &["usage", "replay", "--from", "1h"]);
    store_failed_batch(service, TWO[1]);
    for forwarded in [1, 0] {
        let done = stage.exits(0, &["usage", "recover", "--delete", "--json"]);
        let done: Value = serde_json::from_str(&done.stdout).expect("JSON");
        assert_eq!(
            (&done[0]["forwarded"], &done[0]["removed"]),
            (&forwarded.into(), &forwarded.into()),
            "{done}"
        );
    }
    service.run(&["logs", "--since", "1h"]);
    aws.step("drain and attach");
    let quietly = ["--yes", "--no-input", "--progress", "none"];
    stage.exits(0, &[&["traffic", "drain", "us-east-1"][..], &quietly].concat());
    stage.exits(0, &[&["traffic", "attach", "us-east-1"][..], &quietly].concat());
    aws.step("drift");
    service.run(&["drift"]);
    aws.step("a region removed");
    wish.regions.retain(|region| *region == HOME);
    service.wish(&wish);
    stage.deploy();
    aws.step("destroy");
    stage.exits(0, &["destroy", "--confirm", NAME, "--no-input", "--delete-data"]);
    service.settles(&TWO, &BTreeSet::new());
    assert_eq!(stage.refused(), Vec::<String>::new());
    aws.check();

    let record = with_every_option(aws.record());
    let refused: Vec<_> = record.entries.iter().filter(|entry| !full.allows(&entry.request)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    blessed(&table(&record, &record.mutants(&full)));
}

/// Adds what CloudFormation needs to create, change and delete everything that can be rendered.
fn with_every_option(mut record: Record) -> Record {
    let stacks: Vec<_> = ["destination", "forwarder"].into_iter().flat_map(stacks_with).collect();
    let none = BTreeMap::new();
    record.step("every option created");
    for (place, resources) in &stacks {
        record.add_stack(&none, resources, place);
    }
    record.step("every option changed");
    for (place, resources) in &stacks {
        let mut before = resources.clone();
        for resource in before.values_mut() {
            resource.properties["Tags"] = "others".into();
        }
        record.add_stack(&before, resources, place);
    }
    record.step("every option deleted");
    for (place, resources) in &stacks {
        record.add_stack(resources, &none, place);
    }
    record
}

/// All stacks with every option and this log pipe.
fn stacks_with(pipe: &str) -> Vec<(Place, BTreeMap<String, Resolved>)> {
    let text = format!("{FULL}[usage]\npipe = \"{pipe}\"\n");
    let config = config::parse("regions.toml", &text).expect("a sound file");
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &"5".repeat(64))));
    let geo = ArtifactRef::new("geo", &"9".repeat(64));
    let artifacts = ArtifactSet { code: code.into(), geo, geo_description: "a database".to_owned() };
    let renderer = Renderer::new(&config, &artifacts).expect("templates").for_account(ACCOUNT);
    let parameters = BTreeMap::from([("HostedZoneId".to_owned(), "Z0123456789".to_owned())]);
    renderer
        .all()
        .expect("rendered")
        .into_iter()
        .map(|stack| {
            let (region, account) = (stack.region.to_string(), ACCOUNT.to_owned());
            let place = Place { region, account, stack: stack.name };
            let mut resources = resolve(&stack.template, &parameters, &place);
            // As with --delete-data.
            for resource in resources.values_mut() {
                resource.retained = false;
            }
            (place, resources)
        })
        .collect()
}

/// The table of `docs/POLICY.md`.
fn table(record: &Record, mutants: &[Mutant]) -> String {
    let mut text = include_str!("../support/policy.md").to_owned();
    let mut unmissed = Vec::new();
    for mutant in mutants.iter().filter(|mutant| mutant.part.action.is_none()) {
        let sid = &mutant.part.sid;
        let fails = match (&mutant.first, UNMISSED.iter().find(|(known, _)| known == sid)) {
            (Some(entry), None) => {
                format!("{}: {}: `{}`", record.steps[entry.step], entry.what, entry.request.action)
            }
            (None, Some((_, why))) => format!("nothing: {why}"),
            _ => {
                unmissed.push(sid);
                continue;
            }
        };
        let _ = writeln!(text, "| `{sid}` | {fails} |");
    }
    assert!(unmissed.is_empty(), "UNMISSED is not what nothing misses: {unmissed:?}");
    text + &idle_actions(mutants)
}

/// The actions of missed statements that no step misses.
fn idle_actions(mutants: &[Mutant]) -> String {
    let mut rows = String::from(
        "\n| action that no step misses | statement | why it is printed |\n| --- | --- | --- |\n",
    );
    let idle = mutants.iter().filter(|mutant| mutant.first.is_none()).map(|mutant| &mutant.part);
    let idle = idle.filter(|part| !UNMISSED.iter().any(|(sid, _)| *sid == part.sid));
    let mut found = BTreeSet::new();
    for (action, sid) in idle.filter_map(|part| Some((part.action.as_deref()?, &part.sid))) {
        found.insert(action);
        let reason = UNMISSED_ACTIONS.iter().find(|(known, _)| *known == action);
        let _ = writeln!(rows, "| `{action}` | `{sid}` | {} |", reason.map_or("", |(_, why)| *why));
    }
    let reasoned: BTreeSet<&str> = UNMISSED_ACTIONS.iter().map(|(action, _)| *action).collect();
    assert_eq!(found, reasoned, "UNMISSED_ACTIONS is not what nothing misses");
    rows
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

    // A role that has just been created: each stack is tried again after a pause.
    stage.hold(&[Rule::RolePropagation]);
    let retried = service.exits(0, &service.deploy_arguments());
    for part in ["cannot be assumed by Lambda", "retrying in"] {
        assert_eq!(retried.stderr.matches(part).count(), 2, "{}", retried.stderr);
    }
    assert_eq!(stage.refused().len(), 2);
    stage.exits(0, &["destroy", "--confirm", NAME, "--no-input", "--delete-data"]);

    // A log group that is left over.
    let group = json!({ "logGroupName": format!("/aws/lambda/{NAME}-usage") });
    service.raw.json(HOME, "logs", "Logs_20140328.CreateLogGroup", &group).expect("created");
    stage.hold(&[Rule::EarlyValidation]);
    let failed = service.exits(1, &service.deploy_arguments());
    let what = "UsageLogGroup (AWS::Logs::LogGroup): Resource of type 'AWS::Logs::LogGroup'";
    assert!(failed.stderr.contains(what), "{}", failed.stderr);
    assert!(stage.refused().iter().any(|refused| refused.contains("usage' already exists")));
    service.raw.json(HOME, "logs", "Logs_20140328.DeleteLogGroup", &group).expect("deleted");
    stage.refused();
    stage.deploy();

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
    stage.refused();
    stage.deploy();
}

/// The emulator compares the words of a filter's pattern with a line, so no line is delivered; everything else is as on AWS.
#[test]
fn a_service_with_forwarders_is_deployed_changed_and_destroyed() {
    let wish = Wish { regions: vec![HOME], memory_mb: 256, domain: false };
    let Some(stage) = Stage::set(&wish) else { return };
    let service = &stage.service;
    let forward = || service.edit("log_pipe = false\n", "log_pipe = true\n[usage]\npipe = \"forwarder\"\n");
    forward();
    let rules: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| *rule != Rule::RolePropagation).collect();
    stage.hold(&rules);
    let ran = stage.exits(0, &service.deploy_arguments());
    assert!(ran.stderr.contains("stuck between log and ledger"), "{}", ran.stderr);
    assert!(service.plan().1, "nothing is left to do");
    service.wish(&Wish { memory_mb: 512, ..wish });
    forward();
    stage.deploy();
    stage.exits(0, &["rollback", "--yes", "--no-input", "--progress", "none"]);
    stage.deploy();
    stage.exits(0, &["destroy", "--confirm", NAME, "--no-input", "--delete-data"]);
    service.settles(&[HOME], &BTreeSet::new());
    assert_eq!(stage.refused(), Vec::<String>::new());
    stage.aws.check();
}

#[test]
fn a_deployer_with_less_suffices_with_a_service_role() {
    let wish = Wish { regions: vec![HOME], memory_mb: 256, domain: false };
    let Some(stage) = Stage::set(&wish) else { return };
    let role = format!("arn:aws:iam::{ACCOUNT}:role/ipgeo-cloudformation");
    let with_role = ["--role-arn", &role];
    let deployer = stage.policies_for(&[&["--for", "deployer"][..], &with_role].concat());
    let service_role = stage.policies_for(&["--for", "cloudformation"]);
    let rules: BTreeSet<Rule> = Rule::ALL.into_iter().filter(|rule| *rule != Rule::RolePropagation).collect();
    stage.aws.set(Strictness { deployer: Some(deployer.clone()), service_role: None, rules: rules.clone() });
    let deploy = [&stage.service.deploy_arguments()[..], &with_role].concat();
    let failed = stage.service.exits(1, &deploy);
    assert!(failed.stderr.contains("is not authorized to perform"), "{}", failed.stderr);
    stage.refused();
    stage.aws.set(Strictness { deployer: Some(deployer), service_role: Some(service_role), rules });
    stage.exits(0, &deploy);
    let destroy = ["destroy", "--confirm", NAME, "--no-input", "--delete-data"];
    stage.exits(0, &[&destroy[..], &with_role].concat());
}
