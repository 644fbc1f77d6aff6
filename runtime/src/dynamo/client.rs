//! Clients of the DynamoDB API.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_http_client::tls;
use ipgeo_contract::env;

/// How long a call may take and how often it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// An edge's read: a caller waits, and a stale or missing record is better than a late one.
    Quick,
    /// Home's writes and the operator's verbs: nobody waits on the line.
    Patient,
}

impl Effort {
    fn timeouts(self) -> TimeoutConfig {
        let (connect_ms, attempt_ms, all_ms) = match self {
            Self::Quick => (500, 800, 1_500),
            Self::Patient => (3_000, 5_000, 20_000),
        };
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(connect_ms))
            .operation_attempt_timeout(Duration::from_millis(attempt_ms))
            .operation_timeout(Duration::from_millis(all_ms))
            .build()
    }

    fn retries(self) -> RetryConfig {
        match self {
            Self::Quick => {
                RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(20))
            }
            Self::Patient => RetryConfig::standard().with_max_attempts(5),
        }
    }
}

/// What the environment lacks for a client.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {0} is not set; Lambda sets it by itself")]
pub struct ClientError(&'static str);

/// A client for an endpoint (`None`: AWS's own for the region) with the given credentials.
pub fn client(endpoint: Option<&str>, region: &str, credentials: Credentials, effort: Effort) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(http)
        .timeout_config(effort.timeouts())
        .retry_config(effort.retries());
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// A client from Lambda's environment, whose variables `var` reads: region, credentials (which do not
/// change while an environment lives) and, when set, another endpoint.
pub fn client_from_env(var: impl Fn(&str) -> Option<String>, effort: Effort) -> Result<Client, ClientError> {
    let need = |name: &'static str| var(name).ok_or(ClientError(name));
    let region = need("AWS_REGION")?;
    let (id, secret) = (need("AWS_ACCESS_KEY_ID")?, need("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(id, secret, var("AWS_SESSION_TOKEN"), None, "Lambda environment");
    let endpoint = var(env::ENDPOINT_DYNAMODB).or_else(|| var(env::ENDPOINT));
    Ok(client(endpoint.as_deref(), &region, credentials, effort))
}
