//! Objects in the buckets that are not the artifacts that they are named after.

use ipgeo::internals::infra::plan::Plan;
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, carried_out, deploy, deployed, finish, planned, test_artifacts,
};

fn writes(plan: &Plan) -> Vec<String> {
    let steps = plan.steps().map(|(_, step)| format!("{} {}", step.region, step.title()));
    steps.filter(|step| step.contains(" upload ") || step.contains(" copy ")).collect()
}

/// A region's object, or home's, was replaced or is incomplete: the next deploy that uses it writes it again.
#[tokio::test(start_paused = true)]
async fn objects_that_are_not_what_they_say_are_written_again_before_they_are_used() {
    let geo = test_artifacts().geo;
    let short = format!("geo {}", &geo.digest[..8]);
    let file = File::with_regions(&FOUR);
    let upload = format!("{HOME} upload {short}");
    let table: [(&[&str], Vec<String>); 3] = [
        (&["us-east-1"], vec![format!("us-east-1 copy {short}")]),
        (&[HOME], vec![upload.clone()]),
        (&[HOME, "us-east-1"], vec![upload, format!("us-east-1 copy {short}")]),
    ];
    for (altered, expected) in table {
        let cloud = deployed(&file).await;
        for region in altered {
            cloud.alter_object(region, &geo.key, "another");
        }
        // Nothing uses it until a stack changes.
        assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
        let changed = file.with(|file| file.memory_mb = 512);
        let plan = planned(&cloud, &changed).await.expect("a plan");
        assert_eq!(writes(&plan), expected);
        for region in altered {
            let note = format!("{short} in the bucket of {region} is not what its name says");
            assert!(plan.notes.iter().any(|found| found.starts_with(&note)), "{:?}", plan.notes);
        }
        finish(&cloud, &plan).await;
        // All buckets are as after an undisturbed deploy.
        let undisturbed = deployed(&file).await;
        deploy(&undisturbed, &changed).await;
        assert_eq!(cloud.picture(), undisturbed.picture());
    }
}

/// An object that is replaced after the plan was made reaches no function, and the same command puts it right.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_replaced_during_a_deploy_is_not_used() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let changed = file.with(|file| file.memory_mb = 512);
    let plan = planned(&cloud, &changed).await.expect("a plan");
    let key = test_artifacts().geo.key;
    cloud.alter_object("us-east-1", &key, "another");
    let run = carried_out(&cloud, &plan).await;
    let failed: Vec<String> = run.failures.iter().map(|failure| format!("{failure:?}")).collect();
    assert!(failed.iter().all(|failure| failure.contains("is not what its name says")), "{failed:?}");
    assert_eq!(run.failures.len(), 1, "{failed:?}");
    deploy(&cloud, &changed).await;
    assert!(planned(&cloud, &changed).await.expect("a plan").is_empty());
}
