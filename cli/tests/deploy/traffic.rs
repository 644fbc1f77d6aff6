//! Draining and attaching regions in DNS.

use ipgeo::internals::infra::plan::{TrafficChange, TrafficError, drain_or_attach};
use ipgeo_cli_testing::harness::{FOUR, File, HOME, deployed, finish, observed, planned, set};
use ipgeo_contract::RegionName;

#[tokio::test(start_paused = true)]
async fn traffic_is_drained_and_attached_in_one_batch() {
    let file = File::with_regions(&FOUR);
    let (cloud, config) = (deployed(&file).await, file.config());
    let all = set(&FOUR);
    let change = async |change, region: &str, force| {
        let seen = observed(&cloud, &config).await.expect("read");
        drain_or_attach(&config, &seen, change, region, &all, force)
    };
    for region in ["ap-south-1", "sa-east-1", "us-east-1"] {
        let plan = change(TrafficChange::Drain, region, false).await.expect("others are left");
        assert_eq!(plan.steps().count(), 1);
        finish(&cloud, &plan).await;
        // Draining what is drained is nothing.
        assert!(change(TrafficChange::Drain, region, false).await.expect("a plan").is_empty());
    }
    // A deploy leaves them drained, even one that changes their edges.
    let plan = planned(&cloud, &file.with(|file| file.memory_mb = 512)).await.expect("a plan");
    assert_eq!(plan.notes, ["drained, and left so: ap-south-1, sa-east-1, us-east-1"]);
    finish(&cloud, &plan).await;
    assert_eq!(observed(&cloud, &config).await.expect("read").attached(), set(&[HOME]));

    let last = change(TrafficChange::Drain, HOME, false).await;
    assert_eq!(last, Err(TrafficError::Last(RegionName::new(HOME))));
    assert_eq!(change(TrafficChange::Drain, HOME, true).await.expect("forced").steps().count(), 1);
    // A region that is not part of the service is neither attached nor recorded as drained.
    for (region, meant) in
        [("us-esat-1", "did you mean `us-east-1`?"), ("eu-west-1", "its regions: ap-south-1, ")]
    {
        for wanted in [TrafficChange::Attach, TrafficChange::Drain] {
            let refused = change(wanted, region, true).await.expect_err(region);
            assert!(matches!(refused, TrafficError::Unknown { .. }), "{refused}");
            assert!(refused.to_string().contains(meant), "{refused}");
        }
    }
    // A region of the file may be drained before it is deployed; there is nothing to attach.
    let more = file.with(|file| file.regions.extend([RegionName::new("eu-west-1")])).config();
    let seen = observed(&cloud, &more).await.expect("read");
    let planned = |change| drain_or_attach(&more, &seen, change, "eu-west-1", &all, false);
    assert_eq!(planned(TrafficChange::Drain).expect("a plan").steps().count(), 1);
    assert_eq!(planned(TrafficChange::Attach), Err(TrafficError::NoEdge(RegionName::new("eu-west-1"))));
    for region in ["ap-south-1", "sa-east-1", "us-east-1"] {
        finish(&cloud, &change(TrafficChange::Attach, region, false).await.expect("a plan")).await;
        assert!(change(TrafficChange::Attach, region, false).await.expect("a plan").is_empty());
    }
    assert_eq!(observed(&cloud, &config).await.expect("read").attached(), all);
    assert_eq!(cloud.foreign_records(), ["www.example.com A", "www.example.com TXT"]);
    // Whoever does not answer does not count as left.
    let seen = observed(&cloud, &config).await.expect("read");
    let only = drain_or_attach(&config, &seen, TrafficChange::Drain, HOME, &set(&[HOME]), false);
    assert_eq!(only, Err(TrafficError::Last(RegionName::new(HOME))));
    let nameless = file.with(|file| file.has_domain = false).config();
    let refused = drain_or_attach(&nameless, &seen, TrafficChange::Drain, HOME, &all, false);
    assert_eq!(refused, Err(TrafficError::NoDomain));
}

#[tokio::test(start_paused = true)]
async fn the_last_routed_region_is_not_removed() {
    let (cloud, file) =
        (deployed(&File::with_regions(&[HOME, "us-east-1"])).await, File::with_regions(&[HOME]));
    let config = file.config();
    let seen = observed(&cloud, &config).await.expect("read");
    let drain = drain_or_attach(&config, &seen, TrafficChange::Drain, HOME, &set(&["us-east-1"]), false);
    finish(&cloud, &drain.expect("another is left")).await;
    let faults = planned(&cloud, &file).await.expect_err("nobody would be left");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].what.contains("would lead nowhere"), "{faults:?}");
    assert!(faults[0].remedy.contains("traffic attach"), "{faults:?}");
}
