use ipgeo_contract::RegionName;

use super::*;
use crate::config::{LogPipe, parse};
use crate::infra::stacks::Resource;

pub(crate) fn config() -> Config {
    parse("regions.toml", include_str!("../../../../../regions.toml")).expect("the shipped file is sound")
}

pub(crate) fn artifacts() -> ArtifactSet {
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &name.repeat(8))));
    ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &"9".repeat(64)),
        geo_description: "test data".to_owned(),
    }
}

fn with(add: &str) -> Config {
    let text = include_str!("../../../../../regions.toml").to_owned() + add;
    parse("regions.toml", &text).expect("sound")
}

#[test]
fn the_shipped_file_renders_as_committed() {
    let config = with("");
    let artifacts = artifacts();
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let stacks = renderer.all().expect("rendered");
    assert_eq!(stacks.len(), 19);
    let edge = stacks.iter().find(|stack| stack.kind == StackKind::Edge).expect("an edge");
    insta::assert_snapshot!("edge", edge.text);
    insta::assert_snapshot!("home", stacks[9].text);
    insta::assert_snapshot!("artifacts", stacks[0].text);
}

#[test]
fn buckets_forget_geo_data_that_nobody_may_keep() {
    let mut config = config();
    let artifacts = artifacts();
    for (licence, days) in [("CC BY 4.0", None), ("GeoLite End User License Agreement", Some(28))] {
        config.geo.licence = licence.to_owned();
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let stack = renderer.artifacts(&RegionName::new("eu-west-1")).expect("rendered");
        let rules = &stack.template.resources["ArtifactBucket"].properties["LifecycleConfiguration"]["Rules"];
        let rule = rules.as_array().expect("rules").iter().find(|rule| rule["Prefix"] == "geo/");
        assert_eq!(rule.and_then(|rule| rule["ExpirationInDays"].as_i64()), days, "{licence}");
    }
}

#[test]
fn rendering_is_the_same_to_the_byte_and_free_of_the_order_of_replicas() {
    let (config, artifacts) = (config(), artifacts());
    let once = Renderer::new(&config, &artifacts).and_then(|r| r.all()).expect("rendered");
    let twice = Renderer::new(&config, &artifacts).and_then(|r| r.all()).expect("rendered");
    assert_eq!(once, twice);
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let replica = |name: &str| Replica { region: RegionName::new(name), protected: true };
    let mut replicas = vec![replica("us-east-1"), replica("eu-central-1"), replica("af-south-1")];
    let forward = renderer.home(&replicas, DataPolicy::Keep).expect("rendered");
    replicas.reverse();
    assert_eq!(forward, renderer.home(&replicas, DataPolicy::Keep).expect("rendered"));
}

#[test]
fn no_text_of_the_file_is_pasted_raw() {
    let mut config = config();
    let nasty = "x\"\n  Evil: {{ 7 }} # ' %}\t\u{1F600}";
    config.alarms.email = Some(nasty.to_owned());
    let mut artifacts = artifacts();
    artifacts.geo_description = nasty.to_owned();
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let edge = renderer.edge(&config.regions[0]).expect("rendered");
    let layer = edge.template.resources["GeoLayer"].property("Description").expect("a description");
    assert_eq!(layer, nasty);
    let home = renderer.home(&[], DataPolicy::Keep).expect("rendered");
    let topic = &home.template.resources["AlarmTopic"].properties["Subscription"][0]["Endpoint"];
    assert_eq!(topic, nasty);
    config.alerts.webhook = Some(nasty.to_owned());
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let home = renderer.home(&[], DataPolicy::Keep).expect("rendered");
    let topic = &home.template.resources["AlertTopic"].properties["Subscription"][0]["Endpoint"];
    assert_eq!(topic, nasty);
}

#[test]
fn options_add_and_leave_out_what_they_say() {
    let domain = "[service]\nname = \"ipgeo\"\ndomain = \"api.example.com\"\nhosted_zone = \"example.com\"";
    let text = include_str!("../../../../../regions.toml").replace("[service]\nname = \"ipgeo\"", domain)
        + "[alarms]\nedges = true\nemail = \"ops@example.com\"\n";
    let with_domain = parse("regions.toml", &text).expect("sound");
    let emulated = with("[emulator]\nendpoint = \"http://127.0.0.1:4566\"\nlog_pipe = false\n");
    let artifacts = artifacts();
    let kinds = |config: &Config| -> Vec<String> {
        let renderer = Renderer::new(config, &artifacts).expect("templates");
        renderer.edge(&config.regions[0]).expect("rendered").template.resources.into_keys().collect()
    };
    let has = |kinds: &[String], name: &str| kinds.iter().any(|kind| kind == name);
    let (plain, named, local) = (kinds(&config()), kinds(&with_domain), kinds(&emulated));
    for name in ["Certificate", "Domain", "DomainMapping", "AlarmTopic", "LookupErrorsAlarm"] {
        assert!(has(&named, name) && !has(&plain, name), "{name}");
    }
    for name in ["UsageDestination", "UsageSubscription"] {
        assert!(has(&plain, name) && !has(&local, name), "{name}");
    }
    let renderer = Renderer::new(&emulated, &artifacts).expect("templates");
    let edge = renderer.edge(&emulated.regions[0]).expect("rendered").text;
    assert!(edge.contains("AWS_ENDPOINT_URL: \"http://127.0.0.1:4566\""), "{edge}");
}

#[test]
fn alerts_have_a_topic_if_they_have_a_recipient() {
    let artifacts = artifacts();
    // (what the file says, protocols of the topic's subscriptions)
    let table: [(&str, &[&str]); 4] = [
        ("", &[]),
        ("[alerts]\nthresholds = []\nemail = \"ops@example.com\"\n", &[]),
        ("[alerts]\nemail = \"ops@example.com\"\n", &["email"]),
        (
            "[alerts]\nemail = \"ops@example.com\"\nwebhook = \"https://example.com/hook\"\n",
            &["email", "https"],
        ),
    ];
    for (add, protocols) in table {
        let config = with(add);
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let home = renderer.home(&[], DataPolicy::Keep).expect("rendered").template;
        let topic = home.resources.get("AlertTopic");
        let found: Vec<&str> = topic
            .and_then(|topic| topic.properties["Subscription"].as_array())
            .into_iter()
            .flatten()
            .filter_map(|subscription| subscription["Protocol"].as_str())
            .collect();
        assert_eq!(found, protocols, "{add}");
        let variables = &home.resources["UsageFunction"].properties["Environment"]["Variables"];
        assert_eq!(variables.get(env::ALERT_TOPIC).is_some(), topic.is_some(), "{add}");
        let role = home.resources["UsageRole"].properties["Policies"].to_string();
        assert_eq!(role.contains("sns:Publish"), topic.is_some(), "{add}");
    }
}

#[test]
fn only_age_gives_a_batch_up_and_the_stream_still_has_it_then() {
    let (config, artifacts) = (config(), artifacts());
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let home = renderer.home(&[], DataPolicy::Keep).expect("rendered").template;
    let source = &home.resources["UsageSource"].properties;
    assert_eq!(source["MaximumRetryAttempts"], -1);
    assert_eq!(source["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(source["ParallelizationFactor"], 1);
    assert!(source["DestinationConfig"]["OnFailure"].to_string().contains("FailureBucket"));
    let age_s = source["MaximumRecordAgeInSeconds"].as_u64().expect("a number");
    let kept_h = home.resources["UsageStream"].properties["RetentionPeriodHours"].as_u64();
    let kept_s = kept_h.expect("a number") * 3_600;
    assert!(age_s < kept_s && age_s >= kept_s - 7_200, "{age_s} of {kept_s}");
}

#[test]
fn data_is_retained_by_default() {
    let (config, artifacts) = (config(), artifacts());
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let replicas = [Replica { region: RegionName::new("eu-central-1"), protected: true }];
    for (policy, word, protected) in
        [(DataPolicy::Keep, "Retain", true), (DataPolicy::Delete, "Delete", false)]
    {
        let home = renderer.home(&replicas, policy).expect("rendered").template;
        for name in ["AccessTable", "Ledger", "UsageStream", "FailureBucket"] {
            assert_eq!(home.resources[name].deletion_policy.as_deref(), Some(word), "{name}");
        }
        assert_eq!(home.resources["Ledger"].properties["DeletionProtectionEnabled"], protected);
        let replica = &home.resources["AccessTable"].properties["Replicas"][0];
        assert_eq!(replica["DeletionProtectionEnabled"], protected);
    }
}

/// The configured pipe, more configuration, the parts deployed earlier, whether a destination and a forwarder are rendered, and the
/// target of the subscription.
type Row<'a> = (&'a str, &'a str, PipeParts, (bool, bool), Option<&'a str>);

#[test]
fn an_edge_has_the_log_pipe_of_the_file_and_keeps_what_it_has() {
    let artifacts = artifacts();
    let local = "[emulator]\nendpoint = \"http://127.0.0.1:4566\"\nlog_pipe = false\n";
    let (none, both) = (PipeParts::default(), PipeParts { destination: true, forwarder: true });
    let table: [Row<'_>; 6] = [
        ("destination", "", none, (true, false), Some("UsageDestination")),
        ("forwarder", "", none, (false, true), Some("ForwardAlias")),
        ("destination", "", both, (true, true), Some("UsageDestination")),
        ("forwarder", "", both, (true, true), Some("ForwardAlias")),
        ("forwarder", local, none, (false, false), None),
        ("destination", local, both, (false, false), None),
    ];
    for (pipe, add, before, (destination, forwarder), target) in table {
        let text = include_str!("../../../../../regions.toml")
            .replace("quiet_permille = 4", &format!("quiet_permille = 4\npipe = \"{pipe}\""))
            + add;
        let config = parse("regions.toml", &text).expect("sound");
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let edge = renderer.edge_with(&config.regions[0], before).expect("rendered").template;
        assert_eq!(PipeParts::deployed(&edge), PipeParts { destination, forwarder }, "{pipe} {before:?}");
        let filters: Vec<&Resource> =
            edge.resources.values().filter(|one| one.kind == "AWS::Logs::SubscriptionFilter").collect();
        assert_eq!(filters.len(), usize::from(target.is_some()), "one subscription at most");
        let found = filters.first().map(|filter| filter.refers_to());
        let found = found.as_ref().and_then(|found| found.iter().find(|name| *name != "LogGroup"));
        assert_eq!(found.map(String::as_str), target, "{pipe} {before:?}");
    }
}

#[test]
fn a_forwarder_may_do_what_it_must_and_loses_nothing() {
    let artifacts = artifacts();
    let text = include_str!("../../../../../regions.toml")
        .replace("quiet_permille = 4", "quiet_permille = 4\npipe = \"forwarder\"");
    let config = parse("regions.toml", &text).expect("sound");
    let renderer = Renderer::new(&config, &artifacts).expect("templates");
    let edge = renderer.edge(&config.regions[0]).expect("rendered");
    insta::assert_snapshot!("forwarder", edge.text);
    assert_eq!(
        edge.template.resources["UsageSubscription"].depends_on,
        ["ForwardPermission", "ForwardRetries"]
    );
    let retries = &edge.template.resources["ForwardRetries"].properties;
    assert!(
        retries["DestinationConfig"]["OnFailure"]["Destination"].to_string().contains("s3:::"),
        "{retries}"
    );
}

/// AWS documents no `aws:SourceAccount` for this role, and regional names of the service in regions that must be enabled.
#[test]
fn the_log_pipe_role_trusts_the_service_of_every_region() {
    let mut config = config();
    let artifacts = artifacts();
    for (regions, expected) in [
        (vec!["eu-central-1", "us-east-1"], serde_json::json!("logs.amazonaws.com")),
        (
            vec!["me-south-1", "eu-central-1", "af-south-1"],
            serde_json::json!([
                "logs.amazonaws.com",
                "logs.af-south-1.amazonaws.com",
                "logs.me-south-1.amazonaws.com"
            ]),
        ),
    ] {
        let like = config.regions[0].clone();
        config.regions =
            regions.into_iter().map(|name| Region { name: RegionName::new(name), ..like.clone() }).collect();
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let home = renderer.home(&[], DataPolicy::Keep).expect("rendered").template;
        let trust = &home.resources["LogPipeRole"].properties["AssumeRolePolicyDocument"]["Statement"][0];
        assert_eq!(trust["Principal"]["Service"], expected);
        assert!(!trust.to_string().contains("SourceAccount"), "{trust}");
    }
}

type Change = Box<dyn Fn(&mut Config, &mut ArtifactSet)>;

/// A version's logical name must change if and only if Lambda would publish a new version. Otherwise the update fails, or the
/// change is never served.
#[test]
fn a_version_is_named_by_what_it_contains() {
    let version = |change: &dyn Fn(&mut Config, &mut ArtifactSet)| {
        let (mut config, mut artifacts) = (config(), artifacts());
        config.usage.pipe = LogPipe::Forwarder;
        change(&mut config, &mut artifacts);
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let edge = renderer.edge(&config.regions[0]).expect("rendered").template;
        let home = renderer.home(&[], DataPolicy::Keep).expect("rendered").template;
        let name = |template: &Template, kind| template.version(kind).expect("a version").to_owned();
        [
            name(&edge, FunctionKind::Edge),
            name(&home, FunctionKind::Counter),
            name(&edge, FunctionKind::Forwarder),
        ]
    };
    let plain = version(&|_, _| ());
    let digest = |digit: &str| digit.repeat(64);
    let table: [(&str, Change, [bool; 3]); 8] = [
        (
            "reserved",
            Box::new(|config, _| config.regions[0].runtime.reserved_concurrency = Some(9)),
            [false; 3],
        ),
        ("throttle", Box::new(|config, _| config.regions[0].runtime.throttle_rate = 9), [false; 3]),
        ("domain", Box::new(|config, _| config.service.domain = Some("a.example.com".into())), [false; 3]),
        ("memory", Box::new(|config, _| config.regions[0].runtime.memory_mb = 999), [true, false, false]),
        (
            "variables",
            Box::new(|config, _| config.regions[0].runtime.access_cache_s = 9),
            [true, false, false],
        ),
        (
            "alerts",
            Box::new(|config, _| config.alerts.email = Some("a@example.com".into())),
            [false, true, false],
        ),
        (
            "database",
            Box::new(move |_, set| set.geo = ArtifactRef::new("geo", &digest("7"))),
            [true, false, false],
        ),
        (
            "code",
            Box::new(|_, set| drop(set.code.insert("arm64", ArtifactRef::new("code", &"7".repeat(64))))),
            [true; 3],
        ),
    ];
    for (what, change, expected) in table {
        let other = version(&change);
        assert_eq!([0, 1, 2].map(|at| other[at] != plain[at]), expected, "{what}");
    }
    let mut lite = config();
    lite.geo.name = "GeoLite City".to_owned();
    let set = ArtifactSet { geo_description: "GeoLite City 2026-11-01".to_owned(), ..artifacts() };
    let edge =
        Renderer::new(&lite, &set).expect("templates").edge(&lite.regions[0]).expect("rendered").template;
    let described =
        &edge.resources[edge.version(FunctionKind::Edge).expect("a version")].properties["Description"];
    assert_eq!(described, "code arm64arm, database 99999999 until 2026-12-01");
}

#[test]
fn alarms_about_the_log_pipe_are_chosen_in_the_file() {
    let artifacts = artifacts();
    for (add, hours, edges) in [
        ("", None, false),
        ("[alarms]\nsilence_h = 6\n", Some(6), false),
        ("[alarms]\nedges = true\n", None, true),
    ] {
        let config = with(add);
        let renderer = Renderer::new(&config, &artifacts).expect("templates");
        let home = renderer.home(&[], DataPolicy::Keep).expect("rendered").template;
        let alarm = home.resources.get("UsageSilentAlarm").map(|alarm| &alarm.properties);
        assert_eq!(alarm.map(|alarm| alarm["EvaluationPeriods"].clone()), hours.map(Into::into), "{add}");
        assert!(alarm.is_none_or(|alarm| alarm["TreatMissingData"] == "breaching"));
        let edge = renderer.edge(&config.regions[0]).expect("rendered").template;
        assert_eq!(edge.resources.contains_key("LogDeliveryAlarm"), edges, "{add}");
        let mut forwards = config.clone();
        forwards.usage.pipe = LogPipe::Forwarder;
        let renderer = Renderer::new(&forwards, &artifacts).expect("templates");
        let forwarding = renderer.edge(&config.regions[0]).expect("rendered").template;
        let alarm = |edge: &Template| edge.resources.contains_key("ForwardFailuresAlarm");
        assert_eq!((alarm(&edge), alarm(&forwarding)), (false, edges), "{add}");
    }
}
