//! Each rule of the strict AWS refuses what AWS would refuse, in the answers that the program reads, and only while it is on.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use ipgeo_cli_testing::strict::{Rule, StrictAws, Strictness};
use serde_json::{Value, json};

/// An emulator that accepts everything. It has one log group, `/left`, and nothing else.
fn emulator() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = read(&mut client);
            let (status, body) = if request.contains("/cloudformation/aws4_request") {
                (200, "<R><Id>set</Id><StackId>stack</StackId></R>".to_owned())
            } else if request.contains("Logs_20140328.DescribeLogGroups") {
                (200, json!({ "logGroups": [{ "logGroupName": "/left" }] }).to_string())
            } else {
                (404, String::new())
            };
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            client.write_all((head + &body).as_bytes()).expect("written");
        }
    });
    endpoint
}

/// A request: its head, in lower case, and its body.
fn read(client: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let count = client.read(&mut buffer).expect("bytes");
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().split("content-length: ").nth(1).map(str::to_owned);
        let length: usize = length.and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
        if count == 0 || body.len() >= length {
            return text.into_owned();
        }
    }
}

/// A call of the program to CloudFormation; the answer with its status.
fn call(aws: &StrictAws, form: &[(&str, &str)]) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let head = format!(
        "POST / HTTP/1.1\r\nuser-agent: ipgeo/0\r\ncontent-type: application/x-www-form-urlencoded\r\nauthorization: \
         AWS4-HMAC-SHA256 Credential=test/20261128/eu-central-1/cloudformation/aws4_request, SignedHeaders=host, \
         Signature=0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut server = TcpStream::connect(aws.endpoint().trim_start_matches("http://")).expect("a proxy");
    server.write_all((head + &body).as_bytes()).expect("written");
    let mut answer = String::new();
    server.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Deploys resources as the program does; everything that it is answered.
fn deploy(aws: &StrictAws, resources: &Value, capabilities: bool) -> String {
    let template = json!({ "Resources": resources }).to_string();
    let mut create = vec![
        ("Action", "CreateChangeSet"),
        ("StackName", "s"),
        ("ChangeSetName", "c"),
        ("ChangeSetType", "UPDATE"),
        ("TemplateBody", template.as_str()),
    ];
    create.extend(capabilities.then_some(("Capabilities.member.1", "CAPABILITY_NAMED_IAM")));
    let mut answers = call(aws, &create);
    for action in ["DescribeChangeSet", "DescribeEvents", "ExecuteChangeSet", "DescribeStackEvents"] {
        answers += &call(aws, &[("Action", action), ("StackName", "s"), ("ChangeSetName", "set")]);
    }
    answers
}

fn role(more: &Value) -> Value {
    let mut properties = json!({ "RoleName": "r", "AssumeRolePolicyDocument": {} });
    let members = more.as_object().expect("properties").clone();
    properties.as_object_mut().expect("properties").extend(members);
    json!({ "Type": "AWS::IAM::Role", "Properties": properties })
}

fn function(more: &str) -> Value {
    let role = json!({ "Fn::GetAtt": ["Role", "Arn"] });
    let environment = json!({ "Variables": { "A": more } });
    let properties = json!({ "FunctionName": "f", "Code": {}, "Role": role, "Environment": environment });
    json!({ "Type": "AWS::Lambda::Function", "Properties": properties })
}

fn table(replicas: &[&str]) -> Value {
    let replicas: Vec<Value> = replicas.iter().map(|region| json!({ "Region": region })).collect();
    let properties = json!({
        "TableName": "t", "KeySchema": [], "AttributeDefinitions": [], "Replicas": replicas,
    });
    json!({ "Table": { "Type": "AWS::DynamoDB::GlobalTable", "Properties": properties } })
}

fn stream(properties: &Value) -> Value {
    json!({ "Stream": { "Type": "AWS::Kinesis::Stream", "Properties": properties } })
}

/// What is deployed, what is deployed over it, whether with capabilities, and what AWS answers.
type Row = (Rule, Value, Value, bool, &'static str);

fn rows() -> Vec<Row> {
    let (none, plain) = (json!({}), role(&json!({})));
    let large = json!({ "Policies": [{ "PolicyDocument": { "Statement": "x".repeat(10_240) } }] });
    let group = json!({ "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": "/left" } });
    let one = json!({ "Role": plain });
    let both = |more: &str| json!({ "Role": plain, "Function": function(more) });
    vec![
        (
            Rule::Capabilities,
            none.clone(),
            one.clone(),
            false,
            "Requires capabilities : [CAPABILITY_NAMED_IAM]",
        ),
        (
            Rule::CreateOnly,
            one.clone(),
            json!({ "Role": role(&json!({ "Path": "/other/" })) }),
            true,
            "cannot update a stack when a custom-named resource requires replacing",
        ),
        (Rule::EarlyValidation, none.clone(), json!({ "Group": group }), true, "already exists"),
        (
            Rule::Limits,
            none.clone(),
            stream(&json!({ "Name": "x".repeat(51_200) })),
            true,
            "length less than or equal to 51200",
        ),
        (
            Rule::Limits,
            one.clone(),
            json!({ "Role": role(&large) }),
            true,
            "Maximum policy size of 10240 bytes exceeded",
        ),
        (Rule::Limits, both(""), both(&"x".repeat(4_096)), true, "exceeded the 4KB limit"),
        (
            Rule::OneReplica,
            table(&["eu-central-1"]),
            table(&["eu-central-1", "us-east-1", "us-west-2"]),
            true,
            "more than one replica in a single update",
        ),
        (Rule::RolePropagation, none.clone(), both(""), true, "cannot be assumed by Lambda"),
        (
            Rule::Schemas,
            none.clone(),
            stream(&json!({ "Colour": "red" })),
            true,
            "Unsupported property [Colour]",
        ),
        (Rule::Schemas, none.clone(), stream(&json!({ "Arn": "arn" })), true, "Read-only property [Arn]"),
        (
            Rule::Schemas,
            none.clone(),
            stream(&json!({ "Name": "x".repeat(129) })),
            true,
            "Name has 129 characters",
        ),
        (
            Rule::Schemas,
            none.clone(),
            json!({ "Version": { "Type": "AWS::Lambda::Version", "Properties": {} } }),
            true,
            "Required property [FunctionName] not found",
        ),
    ]
}

fn set(aws: &StrictAws, rules: impl IntoIterator<Item = Rule>) {
    aws.set(Strictness { rules: rules.into_iter().collect(), ..Strictness::default() });
}

#[test]
fn each_rule_refuses_while_it_is_on() {
    let emulator = emulator();
    for (rule, before, after, capabilities, why) in rows() {
        let deployed = || {
            let aws = StrictAws::before(&emulator, Strictness::default());
            deploy(&aws, &before, true);
            assert_eq!(aws.take_refusals(), Vec::<String>::new(), "{rule:?}: without rules");
            aws
        };
        let aws = deployed();
        set(&aws, [rule]);
        let answers = deploy(&aws, &after, capabilities);
        assert!(answers.contains(why), "{rule:?}: {why}: {answers}");
        assert_eq!(aws.take_refusals().len(), 1, "{rule:?}: {why}");
        let aws = deployed();
        set(&aws, Rule::ALL.into_iter().filter(|other| *other != rule && *other != Rule::Throttling));
        let answers = deploy(&aws, &after, capabilities);
        assert!(!answers.contains(why), "{rule:?} is off: {why}: {answers}");
    }
}

#[test]
fn one_call_in_several_is_throttled() {
    let aws = StrictAws::before(&emulator(), Strictness::default());
    let throttled = |aws: &StrictAws| {
        let calls = (0..18).map(|_| call(aws, &[("Action", "DescribeStacks")]));
        calls.filter(|answer| answer.starts_with("HTTP/1.1 400") && answer.contains("Rate exceeded")).count()
    };
    assert_eq!(throttled(&aws), 0);
    set(&aws, [Rule::Throttling]);
    assert_eq!(throttled(&aws), 2);
}

#[test]
fn no_rule_is_without_a_test() {
    let mut tested: BTreeSet<Rule> = rows().into_iter().map(|(rule, ..)| rule).collect();
    tested.insert(Rule::Throttling);
    assert_eq!(tested, Rule::ALL.into());
}
