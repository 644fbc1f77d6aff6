//! What plans say, and what blocks one.

use std::collections::BTreeSet;

use ipgeo::internals::config::parse;
use ipgeo::internals::infra::cloud::{Ask, CloudRead as _, observe};
use ipgeo::internals::infra::plan::{Delegation, Plan, PlanError, Problem, plan, show};
use ipgeo::internals::infra::stacks::{Names, RenderError, StackKind};
use ipgeo_cli_testing::harness::{
    FOUR, File, HOME, TEN, blocked, carried_out, deployed, observed, options, planned, planned_destroy,
    planned_for, planned_with, test_artifacts,
};
use ipgeo_cli_testing::{ACCOUNT, MemoryCloud};
use ipgeo_contract::RegionName;

fn text(plan: &Plan, verbose: bool) -> String {
    let shown = show(plan, verbose);
    format!("{}\n{}", shown.body, shown.last_line)
}

#[tokio::test]
async fn a_first_plan_of_ten_regions() {
    let file = File::with_regions(&TEN);
    let cloud = MemoryCloud::new(&file.config());
    let plan = planned(&cloud, &file).await.expect("a plan");
    insta::assert_snapshot!("first", text(&plan, false));
    insta::assert_snapshot!("first_as_json", serde_json::to_string_pretty(&plan.summary()).expect("JSON"));
    let one = planned(&cloud, &File::with_regions(&[HOME])).await.expect("a plan");
    insta::assert_snapshot!("first_verbose", text(&one, true));
}

#[tokio::test]
async fn rights_and_replacements_stand_out() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let changed =
        file.with(|file| file.add = "[alarms]\nedges = true\nemail = \"ops@example.com\"\n".to_owned());
    insta::assert_snapshot!("alarms", text(&planned(&cloud, &changed).await.expect("a plan"), false));
    // Another geo database: a new layer version in the place of the old one.
    let (config, mut artifacts) = (file.config(), test_artifacts());
    artifacts.geo = ipgeo::internals::infra::stacks::ArtifactRef::new("geo", &"8".repeat(64));
    let seen = observed(&cloud, &config).await.expect("read");
    let plan = blocked(plan(&config, &artifacts, &seen, &options(&config, &artifacts)));
    insta::assert_snapshot!("another_database", text(&plan.expect("a plan"), false));
}

#[tokio::test]
async fn a_missing_artifact_blocks_the_deploy() {
    let file = File::with_regions(&FOUR);
    let cloud = MemoryCloud::new(&file.config());
    let faults = planned_with(&cloud, &file, |options| options.files.clear()).await.expect_err("no files");
    let found: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|what| what.ends_with("is neither on this machine nor in the bucket")),
        "{found:?}"
    );
    // What home's bucket holds need not be here.
    let cloud = deployed(&file).await;
    let more = file.with(|file| {
        file.regions.insert(RegionName::new("eu-west-1"));
    });
    let plan = planned_with(&cloud, &more, |options| options.files.clear()).await.expect("a plan");
    assert!(!plan.is_empty());
}

/// Each row of what may be wrong with an account: reported before anything is changed, with a remedy.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn problems_are_reported_before_anything_is_changed() {
    type Spoil = fn(&MemoryCloud);
    let bucket = "ipgeo-prod-123456789012-eu-west-1";
    let table: [(&str, Spoil, &str, &str, &str); 16] = [
        (
            "a region that is not enabled",
            |cloud| cloud.make_unreachable("sa-east-1", "OptInRequired", "opt in"),
            "sa-east-1",
            "is not enabled",
            "aws account enable-region --region-name sa-east-1",
        ),
        (
            "a missing permission",
            |cloud| {
                cloud.make_unreachable(
                    "us-east-1",
                    "AccessDenied",
                    "not authorized: cloudformation:DescribeStacks",
                );
            },
            "us-east-1",
            "cloudformation:DescribeStacks",
            "ipgeo iam policy",
        ),
        (
            "a missing zone",
            |cloud| cloud.remove_zone(),
            HOME,
            "no public Route 53 zone `example.com`",
            "correct `hosted_zone`",
        ),
        (
            "two zones of one name",
            |cloud| cloud.add_zone_of_same_name("Z222"),
            HOME,
            "2 public zones are named example.com: Z0123456789, Z222; public DNS uses Z0123456789",
            "set `hosted_zone = \"Z0123456789\"`",
        ),
        (
            "a zone that public DNS does not lead to",
            |cloud| cloud.set_delegation(&Delegation::Elsewhere(["ns1.registrar.test".to_owned()].into())),
            HOME,
            "public DNS delegates example.com to ns1.registrar.test, not to the zone Z0123456789",
            "set the name servers of example.com at its registrar",
        ),
        (
            "a zone that nothing leads to",
            |cloud| cloud.set_delegation(&Delegation::Elsewhere(BTreeSet::new())),
            HOME,
            "public DNS delegates example.com to no name server",
            "to ns-1.z0123456789.awsdns.test",
        ),
        (
            "a record in the way",
            |cloud| cloud.add_foreign_record("api.example.com", "CNAME"),
            HOME,
            "has a record of another kind: CNAME",
            "remove that record",
        ),
        (
            "a bucket of somebody else",
            |cloud| cloud.take_bucket("ipgeo-prod-123456789012-eu-west-1"),
            "eu-west-1",
            "is taken by another account",
            "choose another `name` or `environment`",
        ),
        (
            "a stack that was never created",
            |cloud| cloud.set_stack_status("sa-east-1", "ipgeo-prod-edge", "ROLLBACK_COMPLETE"),
            "sa-east-1",
            "the edge stack was never created (ROLLBACK_COMPLETE)",
            "--recreate-failed",
        ),
        (
            "a stack whose creation failed",
            |cloud| cloud.set_stack_status("sa-east-1", "ipgeo-prod-edge", "CREATE_FAILED"),
            "sa-east-1",
            "is stuck (CREATE_FAILED)",
            "aws cloudformation delete-stack --stack-name ipgeo-prod-edge --region sa-east-1",
        ),
        (
            "a stack whose undoing failed",
            |cloud| cloud.set_stack_status(HOME, "ipgeo-prod-home", "UPDATE_ROLLBACK_FAILED"),
            HOME,
            "the home stack is stuck",
            "continue-update-rollback --stack-name ipgeo-prod-home",
        ),
        (
            "a stack whose removal failed",
            |cloud| cloud.set_stack_status("us-east-1", "ipgeo-prod-artifacts", "DELETE_FAILED"),
            "us-east-1",
            "the artifacts stack is stuck (DELETE_FAILED)",
            "delete-stack",
        ),
        (
            "a stack that is being changed",
            |cloud| cloud.set_stack_status("us-east-1", "ipgeo-prod-edge", "UPDATE_IN_PROGRESS"),
            "us-east-1",
            "is being changed (UPDATE_IN_PROGRESS)",
            "wait until that is done",
        ),
        (
            "a replica that no stack knows, where one is to be added",
            |cloud| cloud.add_stray_replica("eu-west-1"),
            HOME,
            "has a replica in eu-west-1 that home's stack does not know",
            "aws dynamodb update-table --table-name ipgeo-prod-access --region eu-central-1",
        ),
        (
            "an orphan that is being changed",
            |cloud| cloud.set_stack_status("ap-south-1", "ipgeo-prod-edge", "UPDATE_IN_PROGRESS"),
            "ap-south-1",
            "is being changed",
            "wait until that is done",
        ),
        (
            "a region that is to be added and is not enabled",
            |cloud| cloud.make_unreachable("eu-west-1", "OptInRequired", "opt in"),
            "eu-west-1",
            "is not enabled",
            "enable-region --region-name eu-west-1",
        ),
    ];
    let before = deployed(&File::with_regions(&FOUR)).await;
    // One more, one less, and a change for every edge.
    let file =
        File::with_regions(&[HOME, "eu-west-1", "sa-east-1", "us-east-1"]).with(|file| file.memory_mb = 512);
    let names = Names::new(&file.config());
    assert_eq!(names.bucket(ACCOUNT, "eu-west-1"), bucket);
    for (row, spoil, region, what, remedy) in table {
        let cloud = before.fork();
        spoil(&cloud);
        let faults = planned(&cloud, &file).await.expect_err(row);
        assert!(!faults.is_empty(), "{row}");
        for Problem { region: at, what: found, remedy: help } in &faults {
            assert!(
                at.as_deref() == Some(region) && found.contains(what) && help.contains(remedy),
                "{row}: {faults:?}"
            );
        }
        let log = cloud.log();
        assert_eq!((log.calls, log.effects), (vec![], vec![]), "{row}");
    }
}

/// Invalid credentials are reported before planning.
#[tokio::test]
async fn missing_credentials_are_reported_first() {
    let table = [
        ("ExpiredToken", "The security token included in the request is expired", "expired", "aws sso login"),
        ("InvalidClientTokenId", "The security token is invalid", "rejects these credentials", "AWS_PROFILE"),
        ("SignatureDoesNotMatch", "x", "secret access key", "AWS_SECRET_ACCESS_KEY"),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261125T033000Z is now earlier than 20261125T040000Z",
            "clock is off",
            "timedatectl",
        ),
        ("RequestTimeTooSkewed", "The difference is too large", "clock is off", "timedatectl"),
        (
            "AccessDenied",
            "not authorized to perform: sts:GetCallerIdentity",
            "permission",
            "ipgeo iam policy",
        ),
    ];
    let file = File::with_regions(&FOUR);
    for (code, message, what, remedy) in table {
        let cloud = deployed(&file).await;
        cloud.refuse_all(code, message);
        let config = file.config();
        let error = observe(&cloud, &Ask::everywhere(&config, None)).await.expect_err(code);
        assert!(error.what.contains(what) && error.remedy.contains(remedy), "{error:?}");
        assert!(cloud.account().await.is_err());
    }
}

#[tokio::test]
async fn a_region_that_is_not_selected_may_be_unreachable() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let closed = |region: &str| cloud.make_unreachable(region, "InvalidClientTokenId", "x");
    closed("me-south-1");
    assert!(planned(&cloud, &file).await.expect("a plan").is_empty());
    closed("sa-east-1");
    assert!(planned_for(&cloud, &file, &["us-east-1"]).await.expect("a plan").is_empty());
    // An unreachable region that is removed: what is known of it is deleted, the rest is reported.
    let less = File::with_regions(&["ap-south-1", HOME, "us-east-1"]);
    let plan = planned(&cloud, &less).await.expect("a plan");
    assert!(plan.notes.iter().any(|note| note.starts_with("stacks of sa-east-1 are unknown")), "{plan:?}");
}

#[test]
fn unknown_regions_are_reported_with_a_suggestion() {
    let text = File::with_regions(&FOUR).text().replace("[regions.us-east-1]", "[regions.us-esat-1]");
    let error = parse("regions.toml", &text).expect_err("a misspelt region").to_string();
    assert!(error.contains("us-esat-1") && error.contains("us-east-1"), "{error}");
}

#[tokio::test]
async fn a_template_over_the_limit_is_reported_before_anything_is_changed() {
    let file = File::with_regions(&FOUR);
    let (mut config, artifacts) = (file.config(), test_artifacts());
    config.alarms.email = Some(format!("{}@example.com", "x".repeat(60_000)));
    let cloud = MemoryCloud::new(&config);
    let seen = observed(&cloud, &config).await.expect("read");
    let error = plan(&config, &artifacts, &seen, &options(&config, &artifacts)).expect_err("too large");
    let is_home = matches!(error, PlanError::Render(RenderError::Unsound { kind: StackKind::Home, .. }));
    assert!(is_home, "{error:?}");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("CloudFormation allows 51200"), "{cause}");
}

#[tokio::test]
async fn home_can_be_neither_moved_nor_removed() {
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    for move_it in [true, false] {
        let moved = File::with_regions(&FOUR).with(|file| {
            file.home = RegionName::new("us-east-1");
            if move_it {
                file.regions.remove(HOME);
            }
        });
        for faults in [
            planned(&cloud, &moved).await.expect_err("moved"),
            planned_destroy(&cloud, &moved, true).await.expect_err("moved"),
        ] {
            assert!(faults[0].what.contains("it can't be moved"), "{faults:?}");
            assert!(faults[0].remedy.contains("set `home = \"eu-central-1\"`"), "{faults:?}");
        }
    }
    let without = File::with_regions(&["us-east-1"]).text();
    let error = parse("regions.toml", &without).expect_err("no home").to_string();
    assert!(error.contains("home"), "{error}");
}

/// What must not be lost goes only when it is named.
#[tokio::test]
async fn data_pipe_and_domain_are_lost_only_by_name() {
    let file = File::with_regions(&FOUR);
    let cloud = deployed(&file).await;
    let elsewhere = |file: &File| file.text().replace("api.example.com", "geo.example.com");
    let nameless = file.with(|file| file.has_domain = false);
    let table = [
        ("another domain", elsewhere(&file), vec!["Certificate", "Domain"]),
        ("no domain", nameless.text(), vec!["Certificate", "Domain"]),
        (
            "no log pipe",
            file.text() + "[emulator]\nendpoint = \"http://127.0.0.1:4566\"\nlog_pipe = false\n",
            vec!["UsageDestination"],
        ),
    ];
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    for (row, text, names) in table {
        let (config, artifacts) = (parse("regions.toml", &text).expect("sound"), test_artifacts());
        let seen = observed(&cloud, &config).await.expect("read");
        let mut options = options(&config, &artifacts);
        let faults = blocked(plan(&config, &artifacts, &seen, &options)).expect_err(row);
        let regions: BTreeSet<String> = faults
            .iter()
            .filter_map(|fault| fault.remedy.split("--allow-replace ").nth(1)?.split(' ').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(regions, texts(&names), "{row}");
        assert_eq!(faults.len(), names.len() * FOUR.len(), "{row}");
        // One name of two is not enough; both are.
        options.allow_replace = texts(&names[..1]);
        let left = plan(&config, &artifacts, &seen, &options);
        assert_eq!(left.is_err(), names.len() > 1, "{row}");
        options.allow_replace = texts(&names);
        let plan = plan(&config, &artifacts, &seen, &options).expect(row);
        let text = show(&plan, false).body;
        assert!(text.contains("[DATA OR PIPE]"), "{text}");
        let leaves = text.contains("records of api.example.com are left as they are");
        assert_eq!(leaves, row.ends_with("domain"), "{text}");
    }
}

#[tokio::test]
async fn another_environment_is_another_service() {
    let cloud = deployed(&File::with_regions(&FOUR)).await;
    let staging = File::with_regions(&[HOME]).with(|file| file.environment = "staging".to_owned());
    let fresh = MemoryCloud::new(&staging.config());
    let plan = planned(&fresh, &staging).await.expect("a plan");
    assert_eq!(plan.service, "ipgeo-staging");
    assert!(!carried_out(&cloud, &plan).await.done.is_empty());
}
