//! What the environment and the AWS profile set for calls to AWS, for `ipgeo config show`: read from the environment and
//! the AWS files, without a call.

use aws_config::profile::ProfileSet;
use aws_types::os_shim_internal::Env;

use super::origin::{NoCredentials, Origin};
use super::session::profiles;
use super::signed::Service;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwsSetting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// `flag`, `environment`, `profile`, `default` or `unset`.
    pub(crate) origin: &'static str,
    /// The flag, variable or profile, or why there is no value.
    pub(crate) place: Option<String>,
}

/// Services that have SDK clients, beside those of [`Service`].
const OF_SDK: [&str; 3] = ["CloudFormation", "DynamoDB", "Route 53"];

pub(crate) async fn aws_settings(flag: Option<&str>) -> Result<Vec<AwsSetting>, NoCredentials> {
    Ok(of_profiles(&profiles(flag).await?, flag.is_some(), &Env::real()))
}

fn of_profiles(profiles: &ProfileSet, explicit: bool, env: &Env) -> Vec<AwsSetting> {
    let set = |name: &str| env.get(name).ok().filter(|value| !value.trim().is_empty());
    let selected = profiles.selected_profile();
    let (origin, place) = match () {
        () if explicit => ("flag", Some("--profile")),
        () if set("AWS_PROFILE").is_some() => ("environment", Some("AWS_PROFILE")),
        () => ("default", None),
    };
    let mut found = vec![setting("aws.profile", Some(selected.to_owned()), origin, place)];
    found.push(match Origin::find(profiles, explicit, env) {
        Ok(credentials) => setting("aws.credentials", Some(credentials.place()), credentials.source(), None),
        Err(missing) => setting("aws.credentials", None, "unset", Some(&missing.what)),
    });
    let own = profiles.get_profile(selected).and_then(|profile| profile.get("endpoint_url"));
    let of_file = || Some(("profile", own?.to_owned(), format!("endpoint_url of profile `{selected}`")));
    let of_env = |name: &str| Some(("environment", set(name)?, name.to_owned()));
    let mut add = |name: &str, value: Option<(&'static str, String, String)>| {
        if let Some((origin, value, place)) = value {
            found.push(setting(name, Some(without_password(&value)), origin, Some(&place)));
        }
    };
    add("aws.endpoint_url", of_env("AWS_ENDPOINT_URL").or_else(of_file));
    for service in Service::ALL.into_iter().map(Service::id).chain(OF_SDK) {
        let variable = format!("AWS_ENDPOINT_URL_{}", service.to_uppercase().replace(' ', "_"));
        add(&variable.to_lowercase().replacen('_', ".", 1), of_env(&variable));
    }
    add("aws.proxy", of_env("HTTPS_PROXY").or_else(|| of_env("https_proxy")));
    found
}

fn setting(name: &str, value: Option<String>, origin: &'static str, place: Option<&str>) -> AwsSetting {
    AwsSetting { name: name.to_owned(), value, origin, place: place.map(str::to_owned) }
}

/// A URL without the user and password that may be in it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::profile;
    use aws_types::os_shim_internal::Fs;

    use super::*;

    #[tokio::test]
    async fn each_setting_names_its_place() {
        let file = "[default]\nendpoint_url = http://file.test\n[profile p]\naws_access_key_id = AKIDEXAMPLE\n\
                    aws_secret_access_key = hidden\n";
        let all = async |explicit: Option<&str>, variables: &[(&'static str, &'static str)]| {
            let fs = Fs::from_slice(&[("config", file)]);
            let files = [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "none")];
            let env = Env::from_slice(&[&files[..], variables].concat());
            let selected = explicit.map(|name| name.to_owned().into());
            let profiles = profile::load(&fs, &env, &<_>::default(), selected).await.expect("profiles");
            let line = |one: AwsSetting| {
                format!(
                    "{} = {} ({}, {})",
                    one.name,
                    one.value.unwrap_or_default(),
                    one.origin,
                    one.place.unwrap_or_default()
                )
            };
            of_profiles(&profiles, explicit.is_some(), &env).into_iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(
            all(None, &[]).await,
            [
                "aws.profile = default (default, )",
                "aws.credentials = instance's metadata service (default, )",
                "aws.endpoint_url = http://file.test (profile, endpoint_url of profile `default`)",
            ]
        );
        assert_eq!(
            all(Some("p"), &[]).await,
            [
                "aws.profile = p (flag, --profile)",
                "aws.credentials = access key of AWS profile `p` (profile, )"
            ]
        );
        let keys = [
            ("AWS_PROFILE", "p"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000"),
            ("HTTPS_PROXY", "http://me:hidden@proxy.test:8080/x@y"),
        ];
        assert_eq!(
            all(None, &keys).await,
            [
                "aws.profile = p (environment, AWS_PROFILE)",
                "aws.credentials = access key in the environment (AWS_ACCESS_KEY_ID) (environment, )",
                "aws.endpoint_url_dynamodb = http://127.0.0.1:8000 (environment, AWS_ENDPOINT_URL_DYNAMODB)",
                "aws.proxy = http://proxy.test:8080/x@y (environment, HTTPS_PROXY)",
            ]
        );
        assert_eq!(
            all(Some("nope"), &[]).await,
            [
                "aws.profile = nope (flag, --profile)",
                "aws.credentials =  (unset, the AWS profile `nope` does not exist)"
            ]
        );
    }
}
