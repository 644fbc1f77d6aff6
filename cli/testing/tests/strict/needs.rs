//! What CloudFormation's handlers need for the stacks that are rendered.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo::internals::infra::stacks::{DataPolicy, Renderer, Replica, Template};
use ipgeo_cli_testing::ACCOUNT;
use ipgeo_cli_testing::harness::{File, HOME, test_artifacts};
use ipgeo_cli_testing::strict::{Operation, Place, Resolved, ResourceNeed, needs, registry, resolve};
use ipgeo_contract::RegionName;

/// Every stack of a file with these lines added.
fn stacks(add: &str) -> Vec<(Place, BTreeMap<String, Resolved>)> {
    let file = File::with_regions(&[HOME, "us-east-1"]).with(|file| add.clone_into(&mut file.add));
    let (config, artifacts) = (file.config(), test_artifacts());
    let renderer = Renderer::new(&config, &artifacts).expect("templates").for_account(ACCOUNT);
    let replica = |region: &str| Replica { region: RegionName::new(region), protected: true };
    let region = RegionName::new("us-east-1");
    let mut rendered =
        vec![renderer.home(&[replica(HOME), replica("us-east-1")], DataPolicy::Keep).expect("rendered")];
    let config_region = config.regions.iter().find(|known| known.name == region).expect("a region");
    rendered.push(renderer.artifacts(&region).expect("rendered"));
    rendered.push(renderer.edge(config_region).expect("rendered"));
    let resolved = |stack: ipgeo::internals::infra::stacks::Stack| {
        let at = if stack.kind.as_str() == "home" { HOME } else { "us-east-1" };
        let place = Place { region: at.to_owned(), account: ACCOUNT.to_owned(), stack: stack.name };
        let parameters = BTreeMap::from([("HostedZoneId".to_owned(), "Z0123456789".to_owned())]);
        let template = Template::parse(&stack.text).expect("a template");
        let resources = resolve(&template, &parameters, &place);
        (place, resources)
    };
    rendered.into_iter().map(resolved).collect()
}

fn lines(needs: &[ResourceNeed]) -> BTreeSet<String> {
    let line = |need: &ResourceNeed| -> Vec<String> {
        need.requests
            .iter()
            .map(|request| format!("{} {} {}", need.resource, request.action, request.resource))
            .collect()
    };
    needs.iter().flat_map(line).collect()
}

/// Whether an ARN has a form of the Service Authorization Reference.
fn has_form(arn: &str, form: &str) -> bool {
    let after = |part: &str| part.split_once('}').map_or(part.to_owned(), |(_, rest)| format!("*{rest}"));
    let pattern: String = form.split("${").map(after).collect();
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement":
        { "Sid": "A", "Effect": "Allow", "Action": "*", "Resource": pattern } });
    let policies = ipgeo_cli_testing::strict::Policies::parse(&policy.to_string()).expect("a document");
    policies.allows(&ipgeo_cli_testing::strict::Request::new("a:A", arn))
}

#[test]
fn every_request_has_a_form_that_the_action_takes() {
    let none = BTreeMap::new();
    for (place, resources) in stacks("") {
        for need in needs(&none, &resources, &place).into_iter().chain(needs(&resources, &none, &place)) {
            for request in need.requests {
                // The reference lists only some of API Gateway's paths.
                if request.action.starts_with("apigateway:") {
                    continue;
                }
                let forms = registry().actions[&request.action].as_ref().expect("IAM knows it");
                let fits = if forms.is_empty() {
                    request.resource == "*"
                } else {
                    // Logs evaluates a log group with the suffix of its streams.
                    let arn = request.resource.trim_end_matches(":log-stream:");
                    forms.iter().any(|form| has_form(arn, form)) && !arn.ends_with(":*")
                        || arn.ends_with("alarm:*")
                };
                assert!(fits, "{}: {} on {}", need.resource, request.action, request.resource);
            }
        }
    }
}

#[test]
fn what_a_resource_needs_follows_from_its_properties() {
    let none = BTreeMap::new();
    let stacks = stacks("");
    let created: BTreeSet<String> =
        stacks.iter().flat_map(|(place, resources)| lines(&needs(&none, resources, place))).collect();
    let stream = format!("arn:aws:kinesis:{HOME}:{ACCOUNT}:stream/ipgeo-prod-usage");
    let bucket = format!("arn:aws:s3:::ipgeo-prod-{ACCOUNT}-us-east-1");
    let table = |region: &str| format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/ipgeo-prod-access");
    for line in [
        format!("UsageStream kinesis:CreateStream {stream}"),
        format!("AccessTable dynamodb:CreateTableReplica {}", table("us-east-1")),
        format!("AccessTable dynamodb:CreateTableReplica {}", table(HOME)),
        "AccessTable dynamodb:DescribeLimits *".to_owned(),
        format!(
            "AccessTable iam:CreateServiceLinkedRole arn:aws:iam::{ACCOUNT}:role/aws-service-role/\
             replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication"
        ),
        format!("LookupFunction iam:PassRole arn:aws:iam::{ACCOUNT}:role/ipgeo-prod-lookup-us-east-1"),
        format!(
            "LookupFunction lambda:GetLayerVersion arn:aws:lambda:us-east-1:{ACCOUNT}:layer:ipgeo-prod-geo:1"
        ),
        format!("LookupFunction s3:GetObject {bucket}/{}", test_artifacts().code["arm64"].key),
        format!(
            "UsageSource lambda:TagResource arn:aws:lambda:{HOME}:{ACCOUNT}:event-source-mapping:generated"
        ),
        "UsageSource lambda:CreateEventSourceMapping *".to_owned(),
        "Certificate route53:ChangeResourceRecordSets arn:aws:route53:::hostedzone/Z0123456789".to_owned(),
        format!(
            "LogGroup logs:PutRetentionPolicy arn:aws:logs:us-east-1:{ACCOUNT}:log-group:\
             /aws/lambda/ipgeo-prod-lookup:log-stream:"
        ),
        format!(
            "LogGroup logs:TagResource arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/ipgeo-prod-lookup"
        ),
        "Route apigateway:POST arn:aws:apigateway:us-east-1::/apis/generated/routes".to_owned(),
    ] {
        assert!(created.contains(&line), "{line} is not in {created:#?}");
    }
    for action in
        ["ec2:", "kms:", "application-autoscaling:", "s3tables:", "iam:AttachRolePolicy", "codedeploy:"]
    {
        let found: Vec<_> = created.iter().filter(|line| line.contains(&format!(" {action}"))).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn only_what_changes_needs_anything() {
    let (place, before) =
        stacks("").into_iter().find(|(place, _)| place.stack.ends_with("edge")).expect("an edge");
    assert_eq!(needs(&before, &before, &place), []);
    let operations = |change: &dyn Fn(&mut BTreeMap<String, Resolved>)| -> Vec<(String, Operation)> {
        let mut after = before.clone();
        change(&mut after);
        needs(&before, &after, &place).into_iter().map(|need| (need.resource, need.operation)).collect()
    };
    let one = |name: &str, operation| (name.to_owned(), operation);
    let changed = operations(&|after| {
        after.get_mut("LookupFunction").expect("a function").properties["MemorySize"] = 512.into();
    });
    assert_eq!(changed, [one("LookupFunction", Operation::Update)]);
    let replaced = operations(&|after| {
        after.get_mut("GeoLayer").expect("a layer").properties["Description"] = "other".into();
    });
    assert_eq!(replaced, [one("GeoLayer", Operation::Create), one("GeoLayer", Operation::Delete)]);
    let removed = operations(&|after| drop(after.remove("Route")));
    assert_eq!(removed, [one("Route", Operation::Delete)]);
}
