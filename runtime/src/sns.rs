//! The SNS adapter: hands an alert to a topic, whose subscribers get it by e-mail or webhook.

use std::time::Duration;

use aws_sdk_sns::Client;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::config::timeout::TimeoutConfig;
use aws_sdk_sns::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sns::error::DisplayErrorContext;
use aws_smithy_http_client::tls;
use ipgeo_contract::env;
use serde_json::json;

use crate::store::StoreError;
use crate::usage::AlertMessage;

/// A topic of SNS.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

/// What the environment lacks for a client.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {0} is not set; Lambda sets it by itself")]
pub struct TopicError(&'static str);

impl Topic {
    /// A topic by its ARN, through a client from Lambda's environment, whose variables `var` reads.
    pub fn from_env(var: impl Fn(&str) -> Option<String>, arn: String) -> Result<Self, TopicError> {
        let need = |name: &'static str| var(name).ok_or(TopicError(name));
        let region = need("AWS_REGION")?;
        let (id, secret) = (need("AWS_ACCESS_KEY_ID")?, need("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, var("AWS_SESSION_TOKEN"), None, "Lambda environment");
        let endpoint = var(env::ENDPOINT_SNS).or_else(|| var(env::ENDPOINT));
        Ok(Self::new(endpoint.as_deref(), region, credentials, arn))
    }

    /// A topic at an endpoint (`None`: AWS's own for the region).
    pub fn new(endpoint: Option<&str>, region: String, credentials: Credentials, arn: String) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        // A batch waits for its alerts: they are few, and counting must go on.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(10))
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(credentials)
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3));
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self { client: Client::from_conf(config.build()), arn }
    }

    /// Hands an alert to the topic: text for e-mails, JSON for webhooks.
    pub async fn send(&self, message: &AlertMessage) -> Result<(), StoreError> {
        let (text, json) = (message.to_string(), message.to_json());
        let by_protocol = json!({ "default": text, "email": text, "https": json, "email-json": json });
        self.client
            .publish()
            .topic_arn(&self.arn)
            .subject(message.subject())
            .message_structure("json")
            .message(by_protocol.to_string())
            .send()
            .await
            .map(drop)
            .map_err(|error| {
                let chain = DisplayErrorContext(&error).to_string();
                let why = chain.split(" (").next().unwrap_or(&chain).to_owned();
                StoreError { action: "sending of an alert".to_owned(), source: why.into() }
            })
    }
}
