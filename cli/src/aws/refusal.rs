//! A failed call of any service, as code and message.

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use ipgeo_contract::error_chain;

use crate::infra::cloud::{NO_REASON, Problem, StepError, explain};

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// AWS's code; none: there was no answer.
    pub(super) code: Option<String>,
    /// The reason.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The stack, table, bucket or key that was asked for is not there.
    pub(super) fn is_absent(&self) -> bool {
        let absent =
            ["NotFound", "NoSuchKey", "NoSuchBucket", "ResourceNotFoundException", "ChangeSetNotFound"];
        self.code.as_deref().is_some_and(|code| absent.contains(&code))
            || (self.is("ValidationError") && self.message.contains("does not exist"))
    }

    pub(super) fn for_reading(&self, region: &str) -> Problem {
        explain(region, self.code.as_deref(), &self.message)
    }
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        let known = explain("the region", refusal.code.as_deref(), &refusal.message);
        Self {
            remedy: (known.what
                != format!("{} ({})", refusal.message, refusal.code.clone().unwrap_or_default()))
            .then_some(known.remedy),
            code: refusal.code,
            message: refusal.message,
            resource: None,
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
                // An answer without a code is an answer all the same.
                Self { code: Some(code.unwrap_or_else(|| "Unknown".to_owned())), message }
            }
            None => Self { code: None, message: error_chain(&error, ": ") },
        }
    }
}

impl From<aws_sdk_cloudformation::error::BuildError> for Refusal {
    fn from(error: aws_sdk_cloudformation::error::BuildError) -> Self {
        Self { code: Some("Request".to_owned()), message: error.to_string() }
    }
}
