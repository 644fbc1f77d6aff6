//! What a plan says of the account before anything is changed.

use ipgeo::internals::config::parse;
use ipgeo::internals::infra::plan::{
    Delegation, Drift, DriftCheck, Plan, Problem, TrafficChange, TrafficError, drain_or_attach, plan,
    repair_drift, show,
};
use ipgeo::internals::infra::stacks::{Names, StackKind};
use ipgeo_cli_testing::MemoryCloud;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, blocked, carried_out, deployed, finish, observed, options, planned, planned_destroy,
    set, test_artifacts,
};

fn notes_with<'a>(plan: &'a Plan, text: &str) -> Vec<&'a str> {
    plan.notes.iter().map(String::as_str).filter(|note| note.contains(text)).collect()
}

#[tokio::test]
async fn a_small_quota_of_concurrency_is_noted_with_the_command_that_raises_it() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    for (region, limit) in [("us-east-1", 10), (HOME, 50), ("sa-east-1", 1_000), ("eu-west-1", 10)] {
        cloud.set_concurrency(region, limit);
    }
    let plan = planned(&cloud, &file).await.expect("a plan");
    let notes = notes_with(&plan, "at once");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("the account runs at most 10 calls at once in eu-central-1, us-east-1"),
        "{notes:?}"
    );
    let command = "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 \
                   --desired-value 1000 --region us-east-1, and the same for the other regions";
    assert!(notes[0].ends_with(command), "{notes:?}");
}

#[tokio::test]
async fn more_concurrency_than_can_be_reserved_blocks_the_plan() {
    let file = File::with_regions(&FOUR);
    let artifacts = test_artifacts();
    for (reserved, blocks) in [(90, false), (91, true), (500, true)] {
        let cloud = MemoryCloud::new(&file.config());
        cloud.set_concurrency("us-east-1", 100);
        let region = format!("[regions.us-east-1]\nreserved_concurrency = {reserved}");
        let config =
            parse("r.toml", &file.text().replace("[regions.us-east-1]", &region)).expect("a sound file");
        let seen = observed(&cloud, &config).await.expect("read");
        let plan = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts)));
        assert_eq!(plan.is_err(), blocks, "{reserved}");
        for problem in plan.err().into_iter().flatten() {
            assert_eq!(problem.region.as_deref(), Some("us-east-1"));
            assert!(problem.what.contains("the account has 100 concurrent executions"), "{problem}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn public_dns_must_lead_to_the_zone_of_a_new_edge() {
    let file = File::with_regions(&FOUR);
    let elsewhere = Delegation::Elsewhere(["ns1.registrar.test".to_owned()].into());
    // New edges wait for a certificate that is never issued.
    let empty = MemoryCloud::new(&file.config());
    empty.set_delegation(&elsewhere);
    assert_eq!(planned(&empty, &file).await.expect_err("blocked").len(), 1);
    // Edges that have their certificate do not: the operator may use a private view of DNS.
    let cloud = deployed(&file).await;
    cloud.set_delegation(&elsewhere);
    let plan = planned(&cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
    assert_eq!(notes_with(&plan, "public DNS delegates example.com to ns1.registrar.test").len(), 1);
    // Offline nothing is known, and that is said.
    for cloud in [&empty, &cloud] {
        cloud.set_delegation(&Delegation::Unknown("no answer".to_owned()));
        let plan = planned(cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
        let note = "not checked whether public DNS delegates to the zone example.com: no answer";
        assert_eq!(notes_with(&plan, note).len(), 1, "{:?}", plan.notes);
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_zones_is_chosen_by_its_id() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let config = file.config();
    cloud.add_zone_of_same_name("Z222");
    // No verb writes to a zone that may be the wrong one.
    let problems = planned_destroy(&cloud, &file, false).await.expect_err("which zone?");
    assert!(problems[0].what.starts_with("2 public zones are named example.com"), "{problems:?}");
    let seen = observed(&cloud, &config).await.expect("read");
    let refused = drain_or_attach(&config, &seen, TrafficChange::Drain, "us-east-1", &set(&FOUR), false);
    assert!(matches!(refused, Err(TrafficError::WrongZone(_))), "{refused:?}");
    let chosen = file.text().replace("hosted_zone = \"example.com\"", "hosted_zone = \"Z0123456789\"");
    let config = parse("r.toml", &chosen).expect("an ID is a zone");
    let mut seen = observed(&cloud, &config).await.expect("read");
    let zone = seen.zone.as_mut().expect("it is found by its ID");
    // The adapter reads one zone then.
    zone.others.clear();
    let artifacts = test_artifacts();
    let unchanged = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts))).expect("a plan");
    assert!(unchanged.is_empty(), "{unchanged:?}");
    // A zone that does not contain the domain.
    seen.zone.as_mut().expect("a zone").name = "example.org".to_owned();
    let refused = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts)));
    let problems = refused.expect_err("the wrong zone");
    assert_eq!(
        problems[0].what,
        "the zone Z0123456789 is example.org, which does not contain api.example.com"
    );
}

/// A plan with repairs of all that has drifted.
async fn repaired(cloud: &MemoryCloud, file: &File, allow: &[&str]) -> Result<Plan, Vec<Problem>> {
    let plan = planned(cloud, file).await?;
    let (config, artifacts) = (file.config(), test_artifacts());
    let mut options = options(&config, &artifacts);
    options.allow_replace = allow.iter().map(|name| (*name).to_owned()).collect();
    blocked(repair_drift(plan, &cloud.drifts(), &Names::new(&config), &options))
}

fn drifted(name: &str, status: &str) -> Drift {
    let properties = if status == "DELETED" { vec![] } else { vec!["MemorySize 256 → 512".to_owned()] };
    Drift { name: name.to_owned(), kind: "AWS::X::Y".to_owned(), status: status.to_owned(), properties }
}

#[tokio::test(start_paused = true)]
async fn drift_is_set_back_on_request_and_before_anything_else() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    // Nothing drifted: checked, and nothing to do.
    let plan = repaired(&cloud, &file, &[]).await.expect("a plan");
    assert!(plan.is_empty() && notes_with(&plan, "drift was checked just now").len() == 1, "{plan:?}");
    cloud.drift("us-east-1", StackKind::Edge, drifted("LookupFunction", "MODIFIED"));
    cloud.drift("us-east-1", StackKind::Edge, drifted("LogPipe", "DELETED"));
    cloud.drift(HOME, StackKind::Home, drifted("UsageFunction", "MODIFIED"));
    // A deploy without the request does not see it, as on AWS.
    assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
    let more = file.with(|file| file.memory_mb = 512);
    let plan = repaired(&cloud, &more, &[]).await.expect("a plan");
    let shown = show(&plan, false).body;
    assert!(
        shown.starts_with(
            "repair drift\n  eu-central-1: ~ home UsageFunction: set back, was changed: MemorySize 256 → 512\n  \
             us-east-1: ~ edge LookupFunction: set back, was changed: MemorySize 256 → 512\n  \
             us-east-1: + edge LogPipe: was deleted, is created again\nprobe\n  us-east-1: ? /health"
        ),
        "{shown}"
    );
    // What CloudFormation can't set back fails by name, and nothing else begins.
    let some = cloud.fork();
    some.set_unrepairable("UsageFunction");
    let run = carried_out(&some, &plan).await;
    assert_eq!(run.failures.len(), 1);
    assert!(run.failures[0].error.message.contains("UsageFunction still differs"), "{run:?}");
    assert_eq!(run.changed.len(), 1, "the other region's repair");
    finish(&cloud, &plan).await;
    assert!(cloud.drifts().is_empty());
    assert!(planned(&cloud, &more).await.expect("a plan").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_repair_does_not_undo_a_rollback() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let alias = Drift { kind: "AWS::Lambda::Alias".to_owned(), ..drifted("LookupLive", "MODIFIED") };
    cloud.drift("us-east-1", StackKind::Edge, alias);
    // An alias at another version is no drift.
    assert!(repaired(&cloud, &file, &[]).await.expect("a plan").is_empty());
    cloud.drift("us-east-1", StackKind::Edge, drifted("LookupFunction", "MODIFIED"));
    let problems = repaired(&cloud, &file, &[]).await.expect_err("it would switch the version");
    assert!(problems[0].what.contains("serves another version"), "{problems:?}");
}

#[tokio::test(start_paused = true)]
async fn deleted_data_is_created_again_only_by_name() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    cloud.drift(HOME, StackKind::Home, drifted("Ledger", "DELETED"));
    let problems = repaired(&cloud, &file, &[]).await.expect_err("an empty ledger");
    assert!(problems[0].what.contains("Ledger (AWS::X::Y) was deleted outside"), "{problems:?}");
    assert!(problems[0].remedy.contains("restore a backup under its name first"), "{problems:?}");
    let plan = repaired(&cloud, &file, &["Ledger"]).await.expect("a plan");
    assert!(show(&plan, false).body.contains("was deleted, is created again  [DATA OR PIPE]"));
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_that_was_interrupted_says_nothing_about_drift() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let (config, artifacts) = (file.config(), test_artifacts());
    let mut seen = observed(&cloud, &config).await.expect("read");
    for region in seen.regions.values_mut() {
        region.stacks.retain(|kind, _| *kind != StackKind::Edge);
        for stack in region.stacks.values_mut() {
            stack.drift = Some(DriftCheck { status: "NOT_CHECKED".to_owned(), at_s: None });
        }
    }
    let plan = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts))).expect("a plan");
    assert_eq!(notes_with(&plan, "drift"), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_whether_drift_was_checked() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let (config, artifacts) = (file.config(), test_artifacts());
    let check = |status: &str, at_s| Some(DriftCheck { status: status.to_owned(), at_s });
    let never = check("NOT_CHECKED", None);
    let table = [
        (None, None, ""),
        (never.clone(), never.clone(), "drift was never checked; `ipgeo drift` checks it"),
        (
            check("IN_SYNC", Some(1_800_000_000)),
            never,
            "drift was last checked at 2027-01-15T08:00:00Z or later, and never in 1 stack",
        ),
        (
            check("IN_SYNC", Some(1_800_000_060)),
            check("DRIFTED", Some(1_800_000_000)),
            "drift was last checked at 2027-01-15T08:00:00Z or later; drifted then: home of eu-central-1. \
             `ipgeo deploy --repair-drift` repairs them",
        ),
    ];
    for (all, home, expected) in table {
        let mut seen = observed(&cloud, &config).await.expect("read");
        for stack in seen.regions.values_mut().flat_map(|region| region.stacks.values_mut()) {
            stack.drift.clone_from(&all);
        }
        let stacks = &mut seen.regions.get_mut(HOME).expect("home").stacks;
        stacks.get_mut(&StackKind::Home).expect("home's stack").drift = home;
        let plan = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts))).expect("a plan");
        assert_eq!(
            notes_with(&plan, "drift"),
            [expected].iter().copied().filter(|text| !text.is_empty()).collect::<Vec<_>>()
        );
    }
}
