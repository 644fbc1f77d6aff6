//! Deleting the service, with and without its data, and deploying it again.

use ipgeo::internals::infra::cloud::{Ask, observe};
use ipgeo::internals::infra::deploy::DeployOutcome;
use ipgeo::internals::infra::plan::{DestroyOptions, Problem, destroy};
use ipgeo_cli_testing::FaultKind;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, NOW_S, blocked, carried_out, deploy, deployed, finish, observed, planned,
    planned_destroy, set, test_artifacts,
};

use super::carried_out::{break_at, text};

#[tokio::test(start_paused = true)]
async fn a_destroy_keeps_data_and_a_later_deploy_adopts_it() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    cloud.put_object("ipgeo-prod-failures-123456789012", "batch");
    let plan = planned_destroy(&cloud, &file, false).await.expect("a plan");
    insta::assert_snapshot!("destroy", text(&plan));
    finish(&cloud, &plan).await;
    insta::assert_snapshot!("kept", cloud.picture().join("\n"));
    assert!(planned_destroy(&cloud, &file, false).await.expect("a plan").is_empty());

    // Adopted with other regions than it was kept with: as it is at first, then one replica after the other.
    let other = File::with_regions(&[HOME, "us-east-1", "eu-west-1"]);
    cloud.clear_log();
    let plan = planned(&cloud, &other).await.expect("a plan");
    insta::assert_snapshot!("adopted", text(&plan));
    finish(&cloud, &plan).await;
    let seen = observed(&cloud, &other.config()).await.expect("read");
    assert_eq!(seen.replicas(&other.home), set(&[HOME, "us-east-1", "eu-west-1"]));
    assert_eq!(cloud.log().effects_of("secret"), Vec::<String>::new(), "the secret was kept");
    assert!(planned(&cloud, &other).await.expect("a plan").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_destroy_with_all_data_leaves_nothing() {
    for has_domain in [true, false] {
        let file = File::with_regions(&FOUR).with(|file| file.has_domain = has_domain);
        let cloud = deployed(&file).await;
        cloud.put_object("ipgeo-prod-failures-123456789012", "batch");
        let plan = planned_destroy(&cloud, &file, true).await.expect("a plan");
        if has_domain {
            insta::assert_snapshot!("destroy_with_data", text(&plan));
        }
        finish(&cloud, &plan).await;
        assert_eq!(cloud.picture(), Vec::<String>::new());
        deploy(&cloud, &file).await;
    }
}

/// A later destroy finds and deletes data that an earlier one retained: with and without replicas, and after a failed
/// deploy.
#[tokio::test(start_paused = true)]
async fn retained_data_is_found_and_deleted_by_a_later_destroy() {
    for regions in [&FOUR[..], &[HOME]] {
        let file = File::with_regions(regions);
        let cloud = deployed(&file).await;
        cloud.put_object("ipgeo-prod-failures-123456789012", "batch");
        finish(&cloud, &planned_destroy(&cloud, &file, false).await.expect("a plan")).await;
        // Run again, it lists what is retained and what to do about it.
        let again = planned_destroy(&cloud, &file, false).await.expect("a plan");
        assert!(
            again.is_empty() && again.notes.iter().any(|note| note.contains("--delete-data")),
            "{again:?}"
        );
        let plan = planned_destroy(&cloud, &file, true).await.expect("a plan");
        if regions.len() > 1 {
            insta::assert_snapshot!("kept_deleted", text(&plan));
        }
        // Without access to home's stack, nothing is deleted.
        let artifacts = test_artifacts();
        let config = file.config();
        let ask = Ask::everywhere(&config, None).with_kept_data();
        let mut seen = observe(&cloud, &ask).await.expect("read");
        seen.regions.get_mut(HOME).expect("home").unreachable = Some(Problem::new("not allowed", "allow it"));
        let refused = destroy(&config, &artifacts, &seen, DestroyOptions { delete_data: true, now_s: NOW_S });
        assert_eq!(blocked(refused).expect_err("unreachable")[0].what, "not allowed");
        // The same command continues an interrupted run.
        let some = cloud.fork();
        break_at(&some, HOME, "delete ledger", FaultKind::Fail);
        assert_eq!(carried_out(&some, &plan).await.outcome(), DeployOutcome::Failed);
        let rest = planned_destroy(&some, &file, true).await.expect("a plan");
        assert!(!rest.is_empty());
        for (cloud, plan) in [(&cloud, &plan), (&some, &rest)] {
            finish(cloud, plan).await;
            assert_eq!(cloud.picture(), Vec::<String>::new());
            assert!(planned_destroy(cloud, &file, true).await.expect("a plan").is_empty());
        }
        deploy(&cloud, &file).await;
    }
}

/// AWS refuses to delete a table that has just made a replica: said before the records, edges and counter are gone.
#[tokio::test(start_paused = true)]
async fn data_is_not_deleted_within_a_day_of_a_new_replica() {
    let file = File::with_regions(&FOUR);
    let deployed = deployed(&file).await;
    let retained = deployed.fork();
    finish(&retained, &planned_destroy(&retained, &file, false).await.expect("a plan")).await;
    for (cloud, stack) in [(deployed, true), (retained, false)] {
        cloud.set_replica_made(NOW_S - 3_600);
        let problems = planned_destroy(&cloud, &file, true).await.expect_err("too early");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(
            problems[0].what,
            "AWS refuses to delete the table ipgeo-prod-access until 2027-01-16T07:00:00Z: it has made a replica in the last 24 hours"
        );
        assert!(problems[0].remedy.contains("`ipgeo destroy --delete-data`"), "{problems:?}");
        // Everything else can go at once, the data a day later.
        assert_eq!(planned_destroy(&cloud, &file, false).await.expect("a plan").is_empty(), !stack);
        cloud.set_replica_made(NOW_S - 86_400);
        finish(&cloud, &planned_destroy(&cloud, &file, true).await.expect("a plan")).await;
        assert_eq!(cloud.picture(), Vec::<String>::new());
    }
}
