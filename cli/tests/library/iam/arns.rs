//! The ARNs of rendered resources, and of what their handlers touch.

use ipgeo::internals::infra::stacks::{Resource, Stack};
use serde_json::Value;

use super::ACCOUNT;

/// A rendered resource with the ARNs of itself and of what its handlers touch for it.
pub(super) struct Rendered<'s> {
    pub(super) stack: &'s Stack,
    pub(super) resource: &'s Resource,
}

impl Rendered<'_> {
    /// A property's text: a literal, a substitution, or the name of the resource that it refers to.
    fn text(&self, value: &Value) -> String {
        if let Some(text) = value.as_str().or_else(|| value["Fn::Sub"].as_str()) {
            return text
                .replace("${AWS::Partition}", "aws")
                .replace("${AWS::AccountId}", ACCOUNT)
                .replace("${AWS::Region}", &self.stack.region);
        }
        let target = value["Ref"].as_str().or_else(|| value["Fn::GetAtt"][0].as_str()).expect("a reference");
        let resource = &self.stack.template.resources[target];
        let names =
            ["BucketName", "FunctionName", "LogGroupName", "RoleName", "TopicName", "LayerName", "TableName"];
        let name = names.iter().find_map(|name| resource.property(name));
        Rendered { stack: self.stack, resource }.text(name.expect("a name"))
    }

    fn property(&self, name: &str) -> String {
        self.text(self.resource.property(name).expect("a property"))
    }

    /// An ARN in the stack's region and account.
    fn here(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{ACCOUNT}:{rest}", self.stack.region)
    }

    /// The object that a property is read from.
    fn object(&self, property: &str) -> String {
        let place = self.resource.property(property).expect("a property");
        format!("arn:aws:s3:::{}/{}", self.text(&place["S3Bucket"]), self.text(&place["S3Key"]))
    }

    pub(super) fn arns(&self) -> Vec<String> {
        let here = |service: &str, rest: &str| vec![self.here(service, rest)];
        let kind = self.resource.kind.trim_start_matches("AWS::");
        match kind {
            "S3::Bucket" => vec![format!("arn:aws:s3:::{}", self.property("BucketName"))],
            "S3::BucketPolicy" => vec![format!("arn:aws:s3:::{}", self.property("Bucket"))],
            "DynamoDB::Table" => here("dynamodb", &format!("table/{}", self.property("TableName"))),
            "DynamoDB::GlobalTable" => self.replicas(),
            "Kinesis::Stream" => {
                let stream = self.here("kinesis", &format!("stream/{}", self.property("Name")));
                vec![stream, self.here("kms", "key/1")]
            }
            "IAM::Role" => vec![role(&self.property("RoleName"))],
            "Logs::LogGroup" | "Logs::SubscriptionFilter" => {
                let group = self.here("logs", &format!("log-group:{}", self.property("LogGroupName")));
                vec![group.clone(), format!("{group}:*")]
            }
            "Logs::Destination" => {
                let destination = format!("destination:{}", self.property("DestinationName"));
                vec![self.here("logs", &destination), self.property("RoleArn")]
            }
            "CertificateManager::Certificate" => {
                vec![self.here("acm", "certificate/1"), "arn:aws:route53:::hostedzone/Z1".to_owned()]
            }
            "CloudWatch::Alarm" => here("cloudwatch", &format!("alarm:{}", self.property("AlarmName"))),
            "SNS::Topic" => here("sns", &self.property("TopicName")),
            _ if kind.starts_with("Lambda::") => self.arns_of_lambda(kind),
            _ => self.arns_of_api(kind),
        }
    }

    fn replicas(&self) -> Vec<String> {
        let replicas = self.resource.property("Replicas").and_then(Value::as_array).expect("replicas");
        let table = |replica: &Value| {
            let region = self.text(&replica["Region"]);
            format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{}", self.property("TableName"))
        };
        let linked =
            "aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication";
        replicas.iter().map(table).chain([role(linked)]).collect()
    }

    fn arns_of_lambda(&self, kind: &str) -> Vec<String> {
        let here = |rest: &str| self.here("lambda", rest);
        match kind {
            "Lambda::Function" => {
                let function = here(&format!("function:{}", self.property("FunctionName")));
                let layers = self.resource.property("Layers").and_then(Value::as_array);
                let layer = |layer: &Value| here(&format!("layer:{}:1", self.text(layer)));
                let layers = layers.into_iter().flatten().map(layer);
                [function, role(&self.property("Role")), self.object("Code")]
                    .into_iter()
                    .chain(layers)
                    .collect()
            }
            "Lambda::LayerVersion" => {
                let layer = here(&format!("layer:{}", self.property("LayerName")));
                vec![layer.clone(), format!("{layer}:1"), self.object("Content")]
            }
            "Lambda::EventSourceMapping" => vec![here("event-source-mapping:1")],
            // A version, an alias, a permission.
            _ => {
                let function = here(&format!("function:{}", self.property("FunctionName")));
                ["", ":1", ":live"].map(|part| format!("{function}{part}")).to_vec()
            }
        }
    }

    fn arns_of_api(&self, kind: &str) -> Vec<String> {
        let paths: &[&str] = match kind {
            "ApiGatewayV2::DomainName" => &["domainnames", "domainnames/d"],
            "ApiGatewayV2::ApiMapping" => &["domainnames/d/apimappings", "domainnames/d/apimappings/1"],
            "ApiGatewayV2::Api" => &["apis", "apis/1", "tags/1"],
            "ApiGatewayV2::Integration" => &["apis/1/integrations", "apis/1/integrations/1"],
            "ApiGatewayV2::Route" => &["apis/1/routes", "apis/1/routes/1"],
            "ApiGatewayV2::Stage" => &["apis/1/stages", "apis/1/stages/1"],
            other => panic!("which ARNs has {other}?"),
        };
        paths.iter().map(|path| format!("arn:aws:apigateway:{}::/{path}", self.stack.region)).collect()
    }
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}
