//! AWS credentials, and clients of the services in every region.

use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_cloudformation::config::Region;
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_sdk_cloudformation::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls;

use super::endpoints::Endpoints;
use super::signed::Signed;
use crate::config::Config;

/// Attempts per call: CloudFormation throttles (`Rate exceeded`) when the stacks of several regions are polled.
const ATTEMPTS: u32 = 10;

/// No AWS credentials were found.
#[derive(Debug, thiserror::Error)]
#[error("no AWS credentials\nhelp: set AWS_PROFILE, or run `aws sso login`{also}")]
pub(crate) struct NoCredentials {
    #[source]
    source: CredentialsError,
    also: &'static str,
}

impl NoCredentials {
    /// Adds the hint of verbs that have `--dev`; other errors are unchanged.
    pub(crate) fn or_dev(error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Self>() {
            Ok(missing) => {
                Self { also: "; pass `--dev` to use `ipgeo dev` on this machine", ..missing }.into()
            }
            Err(error) => error,
        }
    }
}

/// Credentials, endpoints and the polling pace.
#[derive(Debug, Clone)]
pub(super) struct Session {
    shared: SdkConfig,
    signed: Signed,
    /// Whether an emulator stands for AWS.
    pub(super) emulated: bool,
    /// The pause between two polls of a running operation.
    pub(super) poll: Duration,
    /// The timeout of a running operation.
    pub(super) patience: Duration,
}

impl Session {
    /// Loads credentials and endpoints from the standard AWS environment and profile. With an emulator in `regions.toml`:
    /// its endpoint and dummy credentials.
    pub(super) async fn connect(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_mins(2))
            .build();
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .region(Region::new(config.service.home.to_string()));
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(emulator) = &config.emulator {
            let dummy = Credentials::new("test", "test", None, None, "emulator");
            loader = loader
                .endpoint_url(&emulator.endpoint)
                .credentials_provider(SharedCredentialsProvider::new(dummy));
        }
        let shared = loader.load().await;
        let provider = shared.credentials_provider().context("no AWS credentials provider is configured")?;
        // Fail here with a clear message if they are missing, not in the first call.
        provider.provide_credentials().await.map_err(|source| NoCredentials { source, also: "" })?;
        let emulated = config.emulator.is_some();
        let (poll, patience) = if emulated {
            (Duration::from_millis(100), Duration::from_mins(2))
        } else {
            (Duration::from_secs(3), Duration::from_hours(2))
        };
        let signed = Signed::new(provider, Endpoints::new(&shared, emulated));
        Ok(Self { shared, signed, emulated, poll, patience })
    }

    #[cfg(test)]
    pub(super) fn for_tests(signed: Signed) -> Self {
        let shared = SdkConfig::builder().build();
        Self { shared, signed, emulated: true, poll: Duration::ZERO, patience: Duration::ZERO }
    }

    /// The client of services without an SDK crate.
    pub(super) fn signed(&self) -> Signed {
        self.signed.clone()
    }

    pub(super) fn cloudformation(&self, region: &str) -> aws_sdk_cloudformation::Client {
        let config = aws_sdk_cloudformation::config::Builder::from(&self.shared);
        aws_sdk_cloudformation::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }

    pub(super) fn dynamodb(&self, region: &str) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.shared);
        aws_sdk_dynamodb::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }

    pub(super) fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.shared)
    }

    pub(super) fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.shared)
    }
}
