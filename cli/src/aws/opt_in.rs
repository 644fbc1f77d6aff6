//! Finds why an opt-in region rejects credentials that other regions accept: the region is disabled, or the credentials have
//! a session token that is valid only in the regions enabled by default.

use serde_json::json;

use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::config::is_opt_in;
use crate::infra::cloud::Problem;

/// Account Management has one endpoint for all regions.
const ENDPOINT_REGION: &str = "us-east-1";

/// The cause of a refusal, if the account's settings show it.
pub(super) async fn cause(signed: &Signed, region: &str, refusal: &Refusal) -> Option<Problem> {
    let credentials = ["InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "OptInRequired"];
    if !is_opt_in(region) || !credentials.iter().any(|code| refusal.is(code)) {
        return None;
    }
    let input = json!({ "RegionName": region });
    let answer = signed
        .rest(Service::Account, ENDPOINT_REGION, "POST", "/getRegionOptStatus", Some(&input))
        .await
        .ok()?;
    let status = answer["RegionOptStatus"].as_str()?;
    let (what, remedy) = match status {
        "DISABLED" | "DISABLING" => (
            format!("the region {region} is off in this account"),
            format!(
                "enable it (it takes minutes, sometimes hours): aws account enable-region --region-name {region}; or remove it from regions.toml"
            ),
        ),
        "ENABLING" => (
            format!("the region {region} is being enabled"),
            format!("wait until it is ENABLED: aws account get-region-opt-status --region-name {region}"),
        ),
        "ENABLED" if signed.is_temporary().await => (
            format!("{region} does not accept these credentials: their token is of version 1, from the global endpoint of STS"),
            "export AWS_STS_REGIONAL_ENDPOINTS=regional and get new credentials; or, for the whole account: aws iam set-security-token-service-preferences --global-endpoint-token-version v2Token".to_owned(),
        ),
        _ => return None,
    };
    Some(Problem::new(what, remedy))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::signed::tests::server;
    use super::*;

    type Answer = Option<(u16, Value)>;

    #[tokio::test]
    async fn a_region_says_why_it_refuses() {
        let status = |status: &str| (200, json!({ "RegionName": "af-south-1", "RegionOptStatus": status }));
        let denied = (403, json!({ "__type": "AccessDeniedException", "message": "no" }));
        let table: [(&str, &str, Answer, Option<&str>); 8] = [
            ("af-south-1", "InvalidClientTokenId", Some(status("DISABLED")), Some("is off in this account")),
            ("af-south-1", "AuthFailure", Some(status("DISABLING")), Some("is off in this account")),
            ("af-south-1", "UnrecognizedClientException", Some(status("ENABLING")), Some("is being enabled")),
            // The server's credentials have no token, so they are simply wrong.
            ("af-south-1", "InvalidClientTokenId", Some(status("ENABLED")), None),
            ("af-south-1", "InvalidClientTokenId", Some(denied), None),
            ("af-south-1", "AccessDenied", None, None),
            ("us-east-1", "InvalidClientTokenId", None, None),
            ("me-south-1", "OptInRequired", Some(status("DISABLED")), Some("is off in this account")),
        ];
        for (region, code, answer, expected) in table {
            let (signed, thread) = server(answer.into_iter().collect());
            let refusal = Refusal { code: Some(code.to_owned()), message: "no".to_owned() };
            let problem = cause(&signed, region, &refusal).await;
            assert_eq!(problem.is_some(), expected.is_some(), "{region} {code}: {problem:?}");
            if let Some(problem) = problem {
                assert!(problem.what.contains(expected.expect("a cause")), "{problem:?}");
            }
            for request in thread.join().expect("a server") {
                assert!(request.starts_with("POST /getRegionOptStatus"), "{request}");
                assert!(request.contains(&format!("\"RegionName\":\"{region}\"")), "{request}");
            }
        }
    }
}
