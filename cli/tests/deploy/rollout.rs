//! A geo database is rolled out and back, and nothing else with it.

use ipgeo::internals::infra::deploy::{DatabaseRollout, RolloutError, plan_rollout, served_digests};
use ipgeo::internals::infra::plan::{ArtifactFile, Plan, WantedVersion};
use ipgeo::internals::infra::stacks::ArtifactRef;
use ipgeo_cli_testing::harness::{FOUR, File, deployed, finish, options, test_artifacts};
use ipgeo_cli_testing::{ACCOUNT, MemoryCloud};

use crate::versions::{deploy_set, planned_rollback, with_code};

/// The plan that rolls the database with this digest out to every region of a file.
pub(crate) async fn given(cloud: &MemoryCloud, file: &File, digest: &str) -> Result<Plan, RolloutError> {
    let config = file.config();
    let artifact = ArtifactRef::new("geo", digest);
    let files = vec![ArtifactFile { artifact: artifact.clone(), file: "x.zip".into(), bytes: 1 }];
    let description = format!("database {digest:.8}");
    let options = options(&config, &test_artifacts());
    let (probe, today) = (options.probe, options.today);
    let wanted = DatabaseRollout { artifact, description, files, probe, today };
    plan_rollout(cloud, &config, wanted, options.scope).await
}

async fn served(cloud: &MemoryCloud, file: &File) -> Vec<String> {
    served_digests(cloud, &file.config(), ACCOUNT).await.into_iter().collect()
}

/// Templates are rendered for the deployed account: a rollout and its rollback find nothing to replace, and afterwards
/// every region has the database.
#[tokio::test(start_paused = true)]
async fn a_deployed_service_gets_a_database_and_the_one_before_again() {
    for has_domain in [true, false] {
        let file = File::with_regions(&FOUR).with(|file| file.has_domain = has_domain);
        let cloud = deployed(&file).await;
        let before = served(&cloud, &file).await;
        let newer = "7".repeat(64);
        let plan = given(&cloud, &file, &newer).await.expect("a plan");
        finish(&cloud, &plan).await;
        assert_eq!(served(&cloud, &file).await, [newer.as_str()]);
        assert!(given(&cloud, &file, &newer).await.expect("a plan").is_empty(), "twice is once");
        // The return to the file's own database, which the buckets still hold.
        let back = given(&cloud, &file, &before[0]).await.expect("a plan");
        assert!(!back.steps().any(|(_, step)| step.title().starts_with("upload")), "{back:?}");
        finish(&cloud, &back).await;
        assert_eq!(served(&cloud, &file).await, before);
    }
}

/// `ipgeo rollback` moves aliases and leaves stacks: the version that serves has the older database.
#[tokio::test(start_paused = true)]
async fn what_is_served_is_read_from_the_live_version() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let before = served(&cloud, &file).await;
    let newer = "7".repeat(64);
    finish(&cloud, &given(&cloud, &file, &newer).await.expect("a plan")).await;
    let previous = WantedVersion::Previous;
    let one = planned_rollback(&cloud, &file, &["us-east-1"], &previous).await.expect("a plan");
    finish(&cloud, &one).await;
    assert_eq!(served(&cloud, &file).await, [&newer, &before[0][..8]]);
    finish(&cloud, &planned_rollback(&cloud, &file, &FOUR, &previous).await.expect("a plan")).await;
    assert_eq!(served(&cloud, &file).await, [&before[0][..8]]);
    // The code is the same, so another database may follow.
    finish(&cloud, &given(&cloud, &file, &"6".repeat(64)).await.expect("a plan")).await;
    assert_eq!(served(&cloud, &file).await, ["6".repeat(64)]);
}

/// A rollout leaves the code as it is, so it must not bring back code that was rolled back.
#[tokio::test(start_paused = true)]
async fn code_that_was_rolled_back_does_not_return_with_a_database() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    deploy_set(&cloud, &file, &with_code("b"), "2026-11-28").await;
    let back = planned_rollback(&cloud, &file, &FOUR, &WantedVersion::Previous).await.expect("a plan");
    finish(&cloud, &back).await;
    let refused = given(&cloud, &file, &"7".repeat(64)).await.expect_err("other code");
    assert!(matches!(refused, RolloutError::RolledBack(_, 1)), "{refused}");
    assert!(refused.to_string().contains("run `ipgeo deploy` first"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_for_a_deploy() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let changed = file.with(|file| file.memory_mb = 512);
    let refused = given(&cloud, &changed, &"7".repeat(64)).await.expect_err("more would change");
    assert!(refused.to_string().contains("edge LookupFunction"), "{refused}");
    let nowhere = MemoryCloud::new(&file.config());
    let refused = given(&nowhere, &file, &"7".repeat(64)).await.expect_err("nothing is deployed");
    assert!(refused.to_string().contains("has no edge yet"), "{refused}");
}
