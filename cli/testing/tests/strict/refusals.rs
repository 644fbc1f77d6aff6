//! The cloud in memory refuses what AWS refuses: else what is shown with it would show nothing.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo::internals::config::Config;
use ipgeo::internals::infra::cloud::{CloudRead as _, CloudWrite as _, Done, StepError};
use ipgeo::internals::infra::plan::{Action, Before, BucketKind, RecordChange, StackChange};
use ipgeo::internals::infra::stacks::{ArtifactRef, DataPolicy, Renderer, Replica, Stack, StackKind};
use ipgeo_cli_testing::harness::{File, HOME, deployed, observed, test_artifacts};
use ipgeo_cli_testing::{ACCOUNT, FaultKind, InjectedFault, MemoryCloud};
use ipgeo_contract::RegionName;

async fn ensure(cloud: &MemoryCloud, region: &str, action: Action) -> Result<Done, StepError> {
    let (region, mut action) = (RegionName::new(region), action);
    if let Action::Stack(change) = &mut action {
        let seen = cloud.region(&region, ACCOUNT, &[]).await;
        change.before = seen.stacks.get(&change.kind).map(Before::from);
    }
    cloud.ensure(&region, &action, &|_| {}).await
}

fn stack(stack: Stack, zone: bool) -> Action {
    let id = ("HostedZoneId".to_owned(), "Z0123456789".to_owned());
    Action::Stack(Box::new(StackChange {
        kind: stack.kind,
        name: stack.name,
        text: stack.text,
        parameters: if zone { BTreeMap::from([id]) } else { BTreeMap::new() },
        before: None,
        changes: Vec::new(),
        recreate: false,
        served_before: Vec::new(),
        replicas: BTreeSet::new(),
        allow_replace: BTreeSet::new(),
    }))
}

fn home(config: &Config, replicas: &[(&str, bool)], data: DataPolicy) -> Action {
    let artifacts = test_artifacts();
    let renderer = Renderer::new(config, &artifacts).expect("templates").for_account(ACCOUNT);
    let replica = |(region, protected): &(&str, bool)| Replica {
        region: RegionName::new(*region),
        protected: *protected,
    };
    let replicas: Vec<Replica> = replicas.iter().map(replica).collect();
    stack(renderer.home(&replicas, data).expect("rendered"), false)
}

#[tokio::test]
async fn replicas_come_and_go_one_at_a_time() {
    let config = File::with_regions(&[HOME, "eu-west-1", "us-east-1"]).config();
    let keep = DataPolicy::Keep;
    let table: [(&[(&str, bool)], &str); 5] = [
        (&[(HOME, true)], "one replica in an update"),
        (&[(HOME, true), ("eu-west-1", true)], "protected from deletion"),
        (&[("eu-west-1", true), ("us-east-1", true)], "home's own replica can't be removed"),
        (
            &[(HOME, true), ("eu-west-1", true), ("sa-east-1", true)],
            "one replica in an update: +(sa-east-1) -(us-east-1)",
        ),
        (
            &[(HOME, true), ("eu-west-1", true), ("us-east-1", true), ("a", true), ("b", true)],
            "one replica in an update: +(a, b) -()",
        ),
    ];
    let cloud = deployed(&File::with_regions(&[HOME, "eu-west-1", "us-east-1"])).await;
    for (replicas, why) in table {
        let cloud = cloud.fork();
        let refused = ensure(&cloud, HOME, home(&config, replicas, keep)).await.expect_err(why);
        assert!(refused.message.contains(why), "{refused}");
        assert_eq!(refused.resource.as_deref(), Some("AccessTable (AWS::DynamoDB::GlobalTable)"));
        assert_eq!(cloud.log().harm.len(), 1, "{why}");
        let seen = observed(&cloud, &config).await.expect("read");
        let stack = seen.stack(HOME, StackKind::Home).expect("a stack");
        assert_eq!(stack.status, "UPDATE_ROLLBACK_COMPLETE");
        assert_eq!(seen.replicas(&config.service.home).len(), 3);
    }
    // Released, it still must not go while an edge reads it.
    let free = [(HOME, true), ("eu-west-1", true), ("us-east-1", false)];
    ensure(&cloud, HOME, home(&config, &free, keep)).await.expect("released");
    let refused = ensure(&cloud, HOME, home(&config, &free[..2], keep)).await.expect_err("an edge reads it");
    assert!(refused.message.contains("while an edge reads it"), "{refused}");
}

#[tokio::test]
async fn stacks_need_what_they_name() {
    let file = File::with_regions(&[HOME, "eu-west-1"]);
    let config = file.config();
    let artifacts = test_artifacts();
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let edge = |name: &str, zone: bool| {
        let region = config.regions.iter().find(|region| region.name == name).expect("a region");
        stack(renderer.edge(region).expect("rendered"), zone)
    };
    let cloud = MemoryCloud::new(&config);
    let bucket = |region: &str| stack(renderer.artifacts(&RegionName::new(region)).expect("rendered"), false);
    // No bucket, then no code in it.
    for _ in 0..2 {
        let refused = ensure(&cloud, HOME, home(&config, &[(HOME, true)], DataPolicy::Keep)).await;
        assert!(refused.expect_err("no code").message.contains("NoSuchKey"));
        ensure(&cloud, HOME, bucket(HOME)).await.expect("a bucket");
    }
    // A source that is not there can't be copied; a bucket that is not there can't be filled.
    let copy = |artifact: &ArtifactRef, from: &str| Action::Copy {
        artifact: artifact.clone(),
        from: RegionName::new(from),
    };
    let refused = ensure(&cloud, "eu-west-1", copy(&artifacts.geo, HOME)).await.expect_err("no source");
    assert_eq!(refused.code.as_deref(), Some("NoSuchKey"));
    cloud.put_object("ipgeo-prod-123456789012-eu-central-1", &artifacts.geo.key);
    let refused = ensure(&cloud, "eu-west-1", copy(&artifacts.geo, HOME)).await.expect_err("no bucket");
    assert_eq!(refused.code.as_deref(), Some("NoSuchBucket"));
    // An edge needs home's stream and role, and a zone to validate its domain in.
    cloud.put_object("ipgeo-prod-123456789012-eu-central-1", &artifacts.code["arm64"].key);
    let refused = ensure(&cloud, HOME, edge(HOME, true)).await.expect_err("no stream");
    assert!(refused.message.contains("Could not deliver test message"), "{refused}");
    ensure(&cloud, HOME, home(&config, &[(HOME, true)], DataPolicy::Keep)).await.expect("home");
    let refused = ensure(&cloud, HOME, edge(HOME, false)).await.expect_err("no zone");
    assert!(refused.message.contains("HostedZoneId"), "{refused}");
    assert_eq!(ensure(&cloud, HOME, edge(HOME, true)).await, Ok(Done::Changed));
    assert_eq!(ensure(&cloud, HOME, edge(HOME, true)).await, Ok(Done::AlreadySo));
    // Code of another region's bucket is of no use.
    let refused = ensure(&cloud, "eu-west-1", edge("eu-west-1", true)).await.expect_err("no code there");
    assert!(refused.message.contains("NoSuchKey"), "{refused}");
}

#[tokio::test]
async fn what_is_protected_or_full_is_not_removed() {
    let file = File::with_regions(&[HOME]);
    let cloud = deployed(&file).await;
    let delete =
        |kind: StackKind, name: &str| Action::DeleteStack { kind, name: name.to_owned(), before: None };
    // Home's stack is protected from whoever does not mean home.
    let refused =
        ensure(&cloud, HOME, delete(StackKind::Edge, "ipgeo-prod-home")).await.expect_err("protected");
    assert!(refused.message.contains("protected from termination"), "{refused}");
    let refused = ensure(&cloud, HOME, delete(StackKind::Artifacts, "ipgeo-prod-artifacts")).await;
    assert!(refused.expect_err("not empty").message.contains("not empty"));
    let status = |seen: &ipgeo::internals::infra::plan::Observed, kind| {
        seen.stack(HOME, kind).map(|stack| stack.status.clone())
    };
    let seen = observed(&cloud, &file.config()).await.expect("read");
    assert_eq!(status(&seen, StackKind::Artifacts).as_deref(), Some("DELETE_FAILED"));
    ensure(&cloud, HOME, Action::EmptyBucket { bucket: BucketKind::Artifacts }).await.expect("emptied");
    ensure(&cloud, HOME, delete(StackKind::Artifacts, "ipgeo-prod-artifacts")).await.expect("removed");
    // An edge that callers are led to: removed, but it is noted as harm.
    ensure(&cloud, HOME, delete(StackKind::Edge, "ipgeo-prod-edge")).await.expect("removed");
    assert_eq!(cloud.log().harm, ["the edge of eu-central-1 goes while callers are led to it"]);
}

#[tokio::test]
async fn retained_data_is_adopted_unchanged_or_not_at_all() {
    let file = File::with_regions(&[HOME, "eu-west-1"]);
    let (cloud, config) = (deployed(&file).await, file.config());
    let name = "ipgeo-prod-home".to_owned();
    ensure(&cloud, HOME, Action::DeleteStack { kind: StackKind::Home, name, before: None })
        .await
        .expect("removed");
    assert!(cloud.log().harm.iter().all(|harm| harm.contains("flow into it")), "the role went before edges");
    let refused = ensure(&cloud, HOME, home(&config, &[(HOME, true)], DataPolicy::Keep)).await;
    assert!(refused.expect_err("other replicas").message.contains("is declared with"));
    let both = [(HOME, true), ("eu-west-1", true)];
    ensure(&cloud, HOME, home(&config, &both, DataPolicy::Keep)).await.expect("adopted");
    assert!(observed(&cloud, &config).await.expect("read").access.expect("a table").ready);
}

#[tokio::test]
async fn both_ends_of_a_failed_creation_can_be_had() {
    let file = File::with_regions(&[HOME]);
    let config = file.config();
    let artifacts = test_artifacts();
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let table = [
        (true, FaultKind::Fail, None),
        (false, FaultKind::Fail, Some("ROLLBACK_COMPLETE")),
        (true, FaultKind::Stick, Some("ROLLBACK_FAILED")),
    ];
    for (deleted, kind, status) in table {
        let cloud = MemoryCloud::new(&config);
        cloud.set_failed_creations_deleted(deleted);
        let (region, step) = (RegionName::new(HOME), "artifacts stack".to_owned());
        cloud.inject(InjectedFault { region, step, nth: 0, kind });
        let bucket = || stack(renderer.artifacts(&RegionName::new(HOME)).expect("rendered"), false);
        ensure(&cloud, HOME, bucket()).await.expect_err("broken");
        let seen = observed(&cloud, &config).await.expect("read");
        assert_eq!(seen.stack(HOME, StackKind::Artifacts).map(|s| s.status.as_str()), status);
        // What is left can't be updated.
        assert_eq!(ensure(&cloud, HOME, bucket()).await.is_ok(), status.is_none());
    }
}

#[tokio::test]
async fn records_of_others_are_in_nobodys_hands() {
    let file = File::with_regions(&[HOME]);
    let (cloud, config) = (deployed(&file).await, file.config());
    cloud.add_foreign_record("api.example.com", "A");
    let seen = observed(&cloud, &config).await.expect("read").zone.expect("a zone");
    assert_eq!((seen.records.len(), seen.foreign.len()), (2, 1));
    let change = RecordChange {
        domain: "api.example.com".to_owned(),
        zone: seen.id,
        attach: BTreeSet::from([RegionName::new(HOME)]),
        ..RecordChange::default()
    };
    let refused = ensure(&cloud, HOME, Action::Records(change.clone())).await.expect_err("in the way");
    assert_eq!(refused.code.as_deref(), Some("InvalidChangeBatch"));
    let nowhere = RecordChange { zone: "Z9".to_owned(), ..change };
    let refused = ensure(&cloud, HOME, Action::Records(nowhere)).await.expect_err("no zone");
    assert_eq!(refused.code.as_deref(), Some("NoSuchHostedZone"));
}
