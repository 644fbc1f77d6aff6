//! What a plan says of the account before anything is changed.

use ipgeo::internals::config::parse;
use ipgeo::internals::infra::plan::{Delegation, Plan, TrafficChange, TrafficError, drain_or_attach, plan};
use ipgeo_cli_testing::MemoryCloud;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, blocked, deployed, observed, options, planned, planned_destroy, set, test_artifacts,
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
    assert_eq!(notes_with(&plan, "public DNS leads for example.com to ns1.registrar.test").len(), 1);
    // Offline nothing is known, and that is said.
    for cloud in [&empty, &cloud] {
        cloud.set_delegation(&Delegation::Unknown("no answer".to_owned()));
        let plan = planned(cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
        let note = "not checked whether public DNS leads to the zone example.com: no answer";
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
