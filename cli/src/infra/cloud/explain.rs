//! Explains AWS's error codes: what is wrong, and what to do about it.

use crate::infra::plan::Problem;

/// The message of an error that came without one.
pub(crate) const NO_REASON: &str = "no reason was given";

/// The code of a call that was not sent because there are no valid credentials; its message says what to do about that.
pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";

/// Explains a failed call to a region by its error code (`None`: no answer) and message.
pub fn explain(region: &str, code: Option<&str>, message: &str) -> Problem {
    let (what, remedy) = match code {
        None => (
            format!("AWS can't be reached in {region}: {message}"),
            "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL".to_owned(),
        ),
        Some("InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure" | "OptInRequired") => (
            format!(
                "the region {region} is not enabled for this account, or the credentials belong to another account"
            ),
            format!(
                "enable it: aws account enable-region --region-name {region}; or remove it from regions.toml"
            ),
        ),
        Some(NO_CREDENTIALS) => {
            (message.to_owned(), "then run the same command again: it continues".to_owned())
        }
        Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => (
            "the credentials have expired".to_owned(),
            "sign in again (aws login, aws sso login), then run the same command again".to_owned(),
        ),
        Some("SignatureDoesNotMatch" | "RequestTimeTooSkewed" | "InvalidSignatureException")
            if mentions_time(message) =>
        {
            (
                format!("this machine's clock is off: {message}"),
                "set the clock (timedatectl set-ntp true), then try again".to_owned(),
            )
        }
        Some("SignatureDoesNotMatch" | "InvalidSignatureException") => (
            "the secret access key does not belong to the access key".to_owned(),
            "check AWS_SECRET_ACCESS_KEY or the profile".to_owned(),
        ),
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "AccessDeniedFault",
        ) => (
            format!("a permission is missing: {message}"),
            "compare the deployer's policy with `ipgeo iam policy`".to_owned(),
        ),
        Some(code) if message == NO_REASON || message == code => (
            format!("AWS gave no reason ({code})"),
            "try again; if it persists, check that the account and AWS_ENDPOINT_URL offer this service"
                .to_owned(),
        ),
        Some(code) => (
            format!("{message} ({code})"),
            "fix what the message names, then run the same command again; nothing was changed".to_owned(),
        ),
    };
    Problem::new(what, remedy)
}

fn mentions_time(message: &str) -> bool {
    ["expired", "earlier than", "later than", "not yet", "skew", "too large"]
        .iter()
        .any(|word| message.to_lowercase().contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_code_has_a_remedy() {
        let table = [
            (None, "connection refused", "can't be reached in eu-west-1", "check the network"),
            (
                Some("InvalidClientTokenId"),
                "x",
                "eu-west-1 is not enabled",
                "enable-region --region-name eu-west-1",
            ),
            (Some("ExpiredToken"), "x", "have expired", "aws sso login"),
            (
                Some("SignatureDoesNotMatch"),
                "Signature expired: 2026 is now earlier than 2027",
                "clock is off",
                "timedatectl",
            ),
            (Some("RequestTimeTooSkewed"), "the difference is too large", "clock is off", "timedatectl"),
            (Some(NO_CREDENTIALS), "run `aws login`", "run `aws login`", "run the same command again"),
            (Some("SignatureDoesNotMatch"), "x", "secret access key", "AWS_SECRET_ACCESS_KEY"),
            (
                Some("AccessDenied"),
                "not authorized to perform: s3:PutObject",
                "s3:PutObject",
                "ipgeo iam policy",
            ),
            (Some("status 400"), NO_REASON, "gave no reason (status 400)", "try again"),
            (Some("Surprise"), "Surprise", "gave no reason (Surprise)", "try again"),
            (Some("Surprise"), "boo", "boo (Surprise)", "nothing was changed"),
        ];
        for (code, message, what, remedy) in table {
            let problem = explain("eu-west-1", code, message);
            assert!(problem.what.contains(what), "{problem:?}");
            assert!(problem.remedy.contains(remedy), "{problem:?}");
            // A remedy must not refer to a reason that is missing.
            assert!(!problem.remedy.contains("reason"), "{problem:?}");
        }
    }
}
