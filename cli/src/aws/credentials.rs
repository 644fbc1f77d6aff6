//! One provider of credentials for all clients of a session: each renewal is one call, also where it starts a program or
//! asks a service.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

use super::origin::{NoCredentials, Origin};
use crate::ui::output::print_note;

/// Credentials that expire sooner are renewed before they are used.
const EXPIRY_MARGIN: Duration = Duration::from_mins(2);
/// The first answer of AWS or of a sign-in service must come within this time.
pub(super) const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A note says what is waited for after this time.
const NOTE_AFTER: Duration = Duration::from_secs(3);

/// Credentials from one place, renewed before they expire.
#[derive(Debug, Clone)]
pub(super) struct Renewed {
    provider: SharedCredentialsProvider,
    pub(super) origin: Origin,
    cached: Arc<Mutex<Option<Credentials>>>,
}

impl Renewed {
    pub(super) fn new(provider: SharedCredentialsProvider, origin: Origin) -> Self {
        Self { provider, origin, cached: Arc::default() }
    }

    pub(super) async fn load(&self) -> Result<Credentials, NoCredentials> {
        let mut cached = self.cached.lock().await;
        let lasts = |margin: Duration| {
            let lasts = move |found: &&Credentials| {
                found.expiry().is_none_or(|expiry| expiry > SystemTime::now() + margin)
            };
            cached.as_ref().filter(lasts).cloned()
        };
        if let Some(found) = lasts(EXPIRY_MARGIN) {
            return Ok(found);
        }
        let loading = async {
            let loading = self.provider.provide_credentials();
            if self.origin.may_prompt() {
                return loading.await;
            }
            let within = tokio::time::timeout(FIRST_ANSWER_WITHIN, loading).await;
            within.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(FIRST_ANSWER_WITHIN)))
        };
        match waiting_for("AWS credentials", loading).await {
            Ok(found) => {
                *cached = Some(found.clone());
                Ok(found)
            }
            // The old ones are valid for some minutes: enough for a service that is away for a moment.
            Err(error) => lasts(Duration::ZERO).ok_or_else(|| self.origin.explain(&error)),
        }
    }
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.load().await.map_err(CredentialsError::provider_error) })
    }
}

/// The places that a profile given by a flag has. As in the AWS CLI, keys in the environment do not override it; the SDK's
/// default chain would prefer them.
pub(super) fn of_profile(profile: &str, conf: &ProviderConfig) -> CredentialsProviderChain {
    let named = ProfileFileCredentialsProvider::builder().configure(conf).profile_name(profile).build();
    CredentialsProviderChain::first_try("Profile", named)
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(conf).build())
        .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(conf).build())
}

/// The settings of a session's clients for providers that call AWS.
pub(super) fn provider_config(
    shared: &SdkConfig,
    http: impl aws_sdk_sts::config::HttpClient + 'static,
) -> ProviderConfig {
    let mut conf = ProviderConfig::without_region()
        .with_behavior_version(Some(aws_config::BehaviorVersion::latest()))
        .with_region(shared.region().cloned())
        .with_use_fips(shared.use_fips())
        .with_use_dual_stack(shared.use_dual_stack())
        .with_http_client(http);
    if let Some(retries) = shared.retry_config() {
        conf = conf.with_retry_config(retries.clone());
    }
    if let Some(timeouts) = shared.timeout_config() {
        conf = conf.with_timeout_config(timeouts.clone());
    }
    conf
}

/// Waits; prints a note when it takes long.
pub(super) async fn waiting_for<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = tokio::time::sleep(NOTE_AFTER) => {
            print_note(&format!("waiting for {what}"));
            work.await
        }
    }
}
