//! The evaluator against the examples and rules of the IAM user guide.

use ipgeo_cli_testing::strict::{Decision, Policies, Request};
use serde_json::{Value, json};

fn policies(statements: &Value) -> Policies {
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    Policies::parse(&document.to_string()).expect("a document")
}

fn allowed(sid: &str) -> Decision {
    Decision::Allowed(sid.to_owned())
}

fn denied(sid: &str) -> Decision {
    Decision::ExplicitDeny(sid.to_owned())
}

#[test]
fn statements_are_evaluated_as_documented() {
    // "Policy evaluation logic": deny by default, an allow overrides it, an explicit deny overrides any allow.
    let bucket = policies(&json!([
        { "Sid": "List", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::examplebucket" },
        { "Sid": "Write", "Effect": "Allow", "Action": ["s3:Get*", "S3:PUTOBJECT"],
          "Resource": "arn:aws:s3:::examplebucket/*" },
        { "Sid": "Secret", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::examplebucket/secret-?.txt" },
    ]));
    let table = [
        ("s3:ListBucket", "arn:aws:s3:::examplebucket", allowed("List")),
        ("s3:ListBucket", "arn:aws:s3:::examplebucket/a", Decision::ImplicitDeny),
        ("s3:GetObject", "arn:aws:s3:::examplebucket", Decision::ImplicitDeny),
        ("s3:GetObject", "arn:aws:s3:::examplebucket/a/b/c", allowed("Write")),
        ("s3:PutObject", "arn:aws:s3:::examplebucket/a", allowed("Write")),
        ("s3:DeleteObject", "arn:aws:s3:::examplebucket/a", Decision::ImplicitDeny),
        ("s3:GetObject", "arn:aws:s3:::other/a", Decision::ImplicitDeny),
        ("s3:GetObject", "arn:aws:s3:::examplebucket/secret-1.txt", denied("Secret")),
        ("s3:GetObject", "arn:aws:s3:::examplebucket/secret-10.txt", allowed("Write")),
        ("ec2:GetConsoleOutput", "*", Decision::ImplicitDeny),
    ];
    for (action, resource, expected) in table {
        assert_eq!(bucket.decide(&Request::new(action, resource)), expected, "{action} {resource}");
    }
}

#[test]
fn an_action_without_a_resource_level_needs_every_resource() {
    let scoped = policies(&json!([{ "Sid": "Logs", "Effect": "Allow", "Action": "logs:*",
        "Resource": "arn:aws:logs:*:123456789012:log-group:*" }]));
    assert_eq!(scoped.decide(&Request::new("logs:DescribeLogGroups", "*")), Decision::ImplicitDeny);
    let wide = policies(&json!([{ "Sid": "Logs", "Effect": "Allow", "Action": "logs:*", "Resource": "*" }]));
    assert_eq!(wide.decide(&Request::new("logs:DescribeLogGroups", "*")), allowed("Logs"));
}

#[test]
fn the_parts_of_an_arn_are_compared_one_by_one() {
    let pattern = "arn:aws:lambda:*:123456789012:function:ipgeo-*";
    let policies =
        policies(&json!([{ "Sid": "F", "Effect": "Allow", "Action": "lambda:*", "Resource": pattern }]));
    let table = [
        ("arn:aws:lambda:us-east-1:123456789012:function:ipgeo-a", true),
        ("arn:aws:lambda:us-east-1:123456789012:function:ipgeo-a:live", true),
        ("arn:aws:lambda:us-east-1:999999999999:function:ipgeo-a", false),
        ("arn:aws:lambda:us-east-1:1:x:123456789012:function:ipgeo-a", false),
        ("arn:aws:lambda:us-east-1:123456789012:function:other", false),
        ("arn:aws:lambda:us-east-1", false),
    ];
    for (arn, expected) in table {
        assert_eq!(policies.allows(&Request::new("lambda:GetFunction", arn)), expected, "{arn}");
    }
}

#[test]
fn conditions_are_evaluated_as_documented() {
    let role = "arn:aws:iam::123456789012:role/a";
    let decide = |condition: Value, context: &[(&str, &str)]| {
        let policies = policies(&json!([{ "Sid": "Pass", "Effect": "Allow", "Action": "iam:PassRole",
            "Resource": role, "Condition": condition }]));
        let request = Request::new("iam:PassRole", role);
        policies.allows(&context.iter().fold(request, |request, (key, value)| request.with(key, *value)))
    };
    let to_lambda: &[(&str, &str)] = &[("iam:PassedToService", "lambda.amazonaws.com")];
    let none: &[(&str, &str)] = &[];
    let both: &[(&str, &str)] =
        &[("iam:passedtoservice", "lambda.amazonaws.com"), ("aws:RequestedRegion", "eu-west-1")];
    let table = [
        (json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } }), to_lambda, true),
        (
            json!({ "StringEquals": { "iam:PassedToService": ["ec2", "lambda.amazonaws.com"] } }),
            to_lambda,
            true,
        ),
        (json!({ "StringEquals": { "iam:PassedToService": "Lambda.amazonaws.com" } }), to_lambda, false),
        // A key that the request has not: false, unless IfExists or negated.
        (json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } }), none, false),
        (json!({ "StringEqualsIfExists": { "iam:PassedToService": "lambda.amazonaws.com" } }), none, true),
        (json!({ "StringNotEquals": { "iam:PassedToService": "lambda.amazonaws.com" } }), none, true),
        (json!({ "StringNotEquals": { "iam:PassedToService": "lambda.amazonaws.com" } }), to_lambda, false),
        (json!({ "StringLike": { "iam:PassedToService": "*.amazonaws.com" } }), to_lambda, true),
        (json!({ "StringEquals": { "iam:PassedToService": "*.amazonaws.com" } }), to_lambda, false),
        (json!({ "Null": { "iam:PassedToService": "true" } }), none, true),
        (json!({ "Null": { "iam:PassedToService": "true" } }), to_lambda, false),
        // Several keys and operators: all must hold.
        (
            json!({ "StringLike": { "iam:PassedToService": "lambda*", "aws:RequestedRegion": "eu-*" } }),
            both,
            true,
        ),
        (
            json!({ "StringLike": { "iam:PassedToService": "lambda*", "aws:RequestedRegion": "us-*" } }),
            both,
            false,
        ),
        (
            json!({ "StringLike": { "iam:PassedToService": "lambda*" },
                    "Bool": { "aws:SecureTransport": "true" } }),
            both,
            false,
        ),
        (
            json!({ "ArnLike": { "iam:PermissionsBoundary": "arn:aws:iam::*:policy/edge-*" } }),
            &[("iam:PermissionsBoundary", "arn:aws:iam::1:policy/edge-1")],
            true,
        ),
        (
            json!({ "ArnLike": { "iam:PermissionsBoundary": "arn:aws:iam::*:policy/edge-*" } }),
            &[("iam:PermissionsBoundary", "arn:aws:iam::1:role/edge-1")],
            false,
        ),
        (json!({ "Bool": { "aws:SecureTransport": false } }), &[("aws:SecureTransport", "False")], true),
    ];
    for (condition, context, expected) in table {
        assert_eq!(decide(condition.clone(), context), expected, "{condition} {context:?}");
    }
}

#[test]
fn what_is_not_known_is_an_error() {
    let allow = |extra: &str, value: Value| {
        let mut statement = json!({ "Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        statement[extra] = value;
        json!({ "Version": "2012-10-17", "Statement": statement })
    };
    let table = [
        (json!({ "Version": "2008-10-17", "Statement": [] }), "version"),
        (json!({ "Version": "2012-10-17", "Statement": [], "Extra": 1 }), "Extra"),
        (allow("NotAction", json!("s3:*")), "NotAction"),
        (allow("Principal", json!("*")), "Principal"),
        (allow("Effect", json!("allow")), "effect"),
        (allow("Sid", json!("With Space")), "Sid"),
        (allow("Action", json!("PutObject")), "PutObject"),
        (allow("Resource", json!("bucket")), "bucket"),
        (allow("Resource", json!("arn:aws:s3:::${aws:username}")), "username"),
        (allow("Condition", json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } })), "IpAddress"),
        (allow("Condition", json!({ "StringEquals": { "aws:SourceIp": "1" } })), "aws:sourceip"),
    ];
    for (document, part) in table {
        let error = Policies::parse(&document.to_string()).expect_err(part);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn every_part_can_be_taken_out() {
    let named = json!([
        { "name": "one", "document": { "Version": "2012-10-17", "Statement": [
            { "Sid": "A", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*" }] } },
        { "name": "two", "document": { "Version": "2012-10-17", "Statement": [
            { "Sid": "A", "Effect": "Allow", "Action": "sqs:*", "Resource": "*" },
            { "Sid": "B", "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*" }] } },
    ]);
    let policies = Policies::parse(&named.to_string()).expect("documents");
    let parts = policies.parts();
    let names: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {} {}", part.document, part.sid, part.action.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(names, ["one A -", "one A s3:GetObject", "one A s3:PutObject", "two A -", "two A sqs:*"]);
    let (get, send) = (Request::new("s3:GetObject", "*"), Request::new("sqs:SendMessage", "*"));
    let allows = |index: usize, request: &Request| policies.without(&parts[index]).allows(request);
    assert!(policies.allows(&get) && policies.allows(&send));
    assert_eq!([0, 1, 2, 3, 4].map(|index| allows(index, &get)), [false, false, true, true, true]);
    assert_eq!([0, 1, 2, 3, 4].map(|index| allows(index, &send)), [true, true, true, false, false]);
}
