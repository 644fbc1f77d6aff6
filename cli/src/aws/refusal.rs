//! A failed call to any AWS service, reduced to code and message.

use std::error::Error;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use ipgeo_contract::error_chain;

use super::origin::NoCredentials;
use crate::infra::cloud::{NO_CREDENTIALS, NO_REASON, Problem, StepError, explain};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub(super) struct Refusal {
    /// AWS's error code; `None`: no answer.
    pub(super) code: Option<String>,
    pub(super) message: String,
}

impl Refusal {
    /// An answer that is not what the service's API documents.
    pub(super) fn unexpected(message: impl Into<String>) -> Self {
        Self { code: Some("Answer".to_owned()), message: message.into() }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the requested stack, table, bucket or key does not exist.
    pub(super) fn is_absent(&self) -> bool {
        let absent =
            ["NotFound", "NoSuchKey", "NoSuchBucket", "ResourceNotFoundException", "ChangeSetNotFound"];
        self.code.as_deref().is_some_and(|code| absent.contains(&code))
            || (self.is("ValidationError") && self.message.contains("does not exist"))
    }

    /// A missing resource is a result; a failed read is an error.
    pub(super) fn absent_as_none<T>(read: Result<T, Self>) -> Result<Option<T>, Self> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(refusal) if refusal.is_absent() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) fn for_reading(&self, region: &str) -> Problem {
        explain(region, self.code.as_deref(), &self.message)
    }
}

impl From<NoCredentials> for Refusal {
    fn from(missing: NoCredentials) -> Self {
        let NoCredentials { what, help, .. } = missing;
        Self { code: Some(NO_CREDENTIALS.to_owned()), message: format!("{what}; {help}") }
    }
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        let known = explain("the region", refusal.code.as_deref(), &refusal.message);
        Self {
            remedy: (known.what != refusal.to_string()).then_some(known.remedy),
            code: refusal.code,
            message: refusal.message,
            ..Self::default()
        }
    }
}

impl<E, R> From<SdkError<E, R>> for Refusal
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        match error.as_service_error() {
            Some(service) => {
                let code = service.code().map(str::to_owned);
                let message = service
                    .message()
                    .map_or_else(|| code.clone().unwrap_or_else(|| NO_REASON.to_owned()), str::to_owned);
                // `None` would mean that no answer came.
                Self { code: Some(code.unwrap_or_else(|| "Unknown".to_owned())), message }
            }
            None => match missing_credentials(&error) {
                Some(missing) => missing.clone().into(),
                None => Self { code: None, message: error_chain(&error, ": ") },
            },
        }
    }
}

/// The reason why a call was not even signed.
fn missing_credentials<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a NoCredentials> {
    let found = error.downcast_ref::<NoCredentials>();
    found.or_else(|| missing_credentials(error.source()?))
}

impl From<aws_sdk_cloudformation::error::BuildError> for Refusal {
    fn from(error: aws_sdk_cloudformation::error::BuildError) -> Self {
        Self { code: Some("Request".to_owned()), message: error.to_string() }
    }
}
