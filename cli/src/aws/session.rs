//! AWS credentials, and clients of the services in every region.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::profile::{self, ProfileFileLoadError, ProfileSet};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_sdk_cloudformation::config::timeout::TimeoutConfig;
use aws_sdk_cloudformation::config::{Region, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_types::os_shim_internal::{Env, Fs};
use ipgeo_contract::{RegionName, error_chain};
use tokio::sync::OnceCell;

use super::credentials::{FIRST_ANSWER_WITHIN, Renewed, of_profile, provider_config, waiting_for};
use super::endpoints::Endpoints;
use super::origin::{NoCredentials, Origin};
use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::config::Config;
use crate::infra::cloud::{Problem, StepError};

/// Attempts per call: CloudFormation throttles (`Rate exceeded`) when the stacks of several regions are polled.
const ATTEMPTS: u32 = 10;
/// Attempts of the first call: it shows whether AWS can be reached at all.
const FIRST_ATTEMPTS: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The SDK's limit for a renewal of credentials; `Renewed` has its own, except for programs that may prompt.
const RENEWED_WITHIN: Duration = Duration::from_mins(10);

/// Why AWS can't be used.
#[derive(Debug, Clone)]
pub(super) enum Rejected {
    Credentials(NoCredentials),
    /// AWS is unreachable, or the account is another one.
    Account(Problem),
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Credentials(missing) => Self::new(missing.what, missing.help),
            Rejected::Account(problem) => problem,
        }
    }
}

impl From<Rejected> for anyhow::Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Credentials(missing) => missing.into(),
            Rejected::Account(problem) => problem.into(),
        }
    }
}

impl From<Rejected> for StepError {
    fn from(rejected: Rejected) -> Self {
        let problem = Problem::from(rejected);
        Self { remedy: Some(problem.remedy), ..Self::new(problem.what) }
    }
}

/// Credentials, endpoints and the polling pace.
#[derive(Debug, Clone)]
pub(super) struct Session {
    shared: SdkConfig,
    signed: Signed,
    /// Whether an emulator is used instead of AWS.
    pub(super) emulated: bool,
    credentials: Renewed,
    home: RegionName,
    /// The only account that may be used.
    pinned: Option<String>,
    account: Arc<OnceCell<String>>,
    /// CloudFormation's service role.
    pub(super) role: Option<String>,
    /// The pause between two polls of a running operation.
    pub(super) poll: Duration,
    /// The timeout of a running operation.
    pub(super) patience: Duration,
}

impl Session {
    /// Loads credentials and endpoints from the standard AWS environment and profile, and checks them with AWS: whatever
    /// is wrong with them, or with the network, is reported before any other call. With an emulator in `regions.toml`:
    /// its endpoint and dummy credentials.
    pub(super) async fn connect(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        let http = http_client();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(Duration::from_mins(2))
            .build();
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http.clone())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .region(Region::new(config.service.home.to_string()));
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let origin = match &config.emulator {
            Some(emulator) => {
                let dummy = Credentials::new("test", "test", None, None, "emulator");
                loader = loader
                    .endpoint_url(&emulator.endpoint)
                    .credentials_provider(SharedCredentialsProvider::new(dummy));
                Origin::fixed()
            }
            None => Origin::find(&profiles(profile).await?, profile.is_some(), &Env::real())?,
        };
        let shared = loader.load().await;
        let provider = match profile.filter(|_| config.emulator.is_none()) {
            Some(profile) => {
                SharedCredentialsProvider::new(of_profile(profile, &provider_config(&shared, http)))
            }
            None => shared.credentials_provider().context("no AWS credentials provider is configured")?,
        };
        let session = Self::new(shared, Renewed::new(provider, origin), config);
        session.credentials.load().await?;
        // Tools may stand in for one service each (`AWS_ENDPOINT_URL_DYNAMODB`); those have no accounts.
        if session.pinned.is_some() || !session.signed.endpoints().are_set() {
            session.account().await?;
        }
        Ok(session)
    }

    fn new(shared: SdkConfig, credentials: Renewed, config: &Config) -> Self {
        let emulated = config.emulator.is_some();
        let (poll, patience) = if emulated {
            (Duration::from_millis(100), Duration::from_mins(2))
        } else {
            (Duration::from_secs(3), Duration::from_hours(2))
        };
        let signed = Signed::new(credentials.clone(), Endpoints::new(&shared, emulated));
        let shared = shared
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            .identity_cache(IdentityCache::lazy().load_timeout(RENEWED_WITHIN).build())
            .build();
        let pinned = config.service.account.clone().filter(|_| !emulated);
        let home = config.service.home.clone();
        Self {
            shared,
            signed,
            emulated,
            credentials,
            home,
            pinned,
            account: Arc::default(),
            role: None,
            poll,
            patience,
        }
    }

    /// The number of the account that the credentials belong to. The first call to AWS: it fails within seconds.
    pub(super) async fn account(&self) -> Result<&str, Rejected> {
        let account = self.account.get_or_try_init(|| async {
            let config = aws_sdk_sts::config::Builder::from(&self.shared)
                .retry_config(RetryConfig::standard().with_max_attempts(FIRST_ATTEMPTS))
                .timeout_config(
                    TimeoutConfig::builder()
                        .connect_timeout(CONNECT_TIMEOUT)
                        .operation_timeout(FIRST_ANSWER_WITHIN)
                        .build(),
                );
            let endpoint = self.signed.endpoints().url(Service::Sts, &self.home, None);
            let client = aws_sdk_sts::Client::from_conf(config.build());
            let answer = waiting_for(&endpoint, client.get_caller_identity().send()).await;
            let account = answer.map_err(|error| self.rejected(&error.into(), &endpoint))?;
            self.checked(account.account.unwrap_or_default())
        });
        Ok(account.await?.as_str())
    }

    fn checked(&self, account: String) -> Result<String, Rejected> {
        match &self.pinned {
            Some(pinned) if *pinned != account => Err(Rejected::Account(Problem::new(
                format!(
                    "these credentials belong to account {account}, but regions.toml has `account = \"{pinned}\"`"
                ),
                "choose the profile of that account with --profile or AWS_PROFILE, or correct `account`",
            ))),
            _ => Ok(account),
        }
    }

    fn rejected(&self, refusal: &Refusal, endpoint: &str) -> Rejected {
        let home = &self.home;
        match refusal.code.as_deref() {
            Some("ExpiredToken" | "ExpiredTokenException") => {
                Rejected::Credentials(self.credentials.origin.expired())
            }
            Some("InvalidClientTokenId") => Rejected::Account(Problem::new(
                format!("AWS rejects these credentials in {home}"),
                "check AWS_PROFILE and the access key; the home region must be enabled",
            )),
            None if !endpoint.contains("://") => Rejected::Account(Problem::new(
                format!("AWS_ENDPOINT_URL is not a URL: {endpoint}"),
                "write it with http:// or https://, or unset it; in a profile it is `endpoint_url`",
            )),
            None => Rejected::Account(Problem::new(
                format!(
                    "AWS can't be reached: no answer from {endpoint} (home region {home}): {}",
                    refusal.message
                ),
                "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL",
            )),
            _ => Rejected::Account(refusal.for_reading(home)),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests(signed: Signed) -> Self {
        let shared = SdkConfig::builder().build();
        let credentials = signed.credentials().clone();
        let (home, account) = (RegionName::new("eu-west-1"), Arc::default());
        let (poll, patience) = (Duration::ZERO, Duration::ZERO);
        let emulated = true;
        Self {
            shared,
            signed,
            emulated,
            credentials,
            home,
            pinned: None,
            account,
            role: None,
            poll,
            patience,
        }
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
}

/// The SDK's HTTP client. Without a connector of its own it would ignore `HTTPS_PROXY` and `NO_PROXY`, which the AWS CLI
/// and the client in `signed` use.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder();
        connector
            .set_connector_settings(settings.cloned())
            .set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .proxy_config(ProxyConfig::from_env())
            .build()
    })
}

/// The profiles of the AWS files, with the selected one.
pub(super) async fn profiles(profile: Option<&str>) -> Result<ProfileSet, NoCredentials> {
    let selected = profile.map(|profile| profile.to_owned().into());
    let read = profile::load(&Fs::real(), &Env::real(), &<_>::default(), selected).await;
    read.map_err(|error: ProfileFileLoadError| NoCredentials::unreadable(&error_chain(&error, ": ")))
}
