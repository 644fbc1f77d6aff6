//! Where credentials come from, in the same order as in every AWS tool, and what to do if that source has none: messages name
//! the profile and the command that signs in. The SDK reads the same files, but only reports that no provider had any.

use std::error::Error;

use aws_config::profile::{Profile, ProfileSet};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_types::os_shim_internal::Env;
use ipgeo_contract::error_chain;

/// Maximum length of another program's or service's message in an error, characters.
const CAUSE_CHARS_MAX: usize = 300;

/// What an operator without an AWS account can run; verbs with `--dev` name that flag instead.
const WITHOUT_AWS: &str = "; without AWS, `ipgeo render`, `ipgeo dev` and `ipgeo doctor` work";

/// There are no AWS credentials, or AWS does not accept them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\nhelp: {help}{also}")]
pub(crate) struct NoCredentials {
    pub(crate) what: String,
    pub(crate) help: String,
    also: &'static str,
}

impl NoCredentials {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), also: "" }
    }

    /// The files of AWS can't be read.
    pub(super) fn unreadable(cause: &str) -> Self {
        let help = "correct the file (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE; by default in ~/.aws)";
        Self::new(format!("cannot read the AWS profiles: {}", brief(cause)), help)
    }

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Environment,
    Keys,
    Sso,
    Login,
    Process,
    WebIdentity,
    Container,
    /// Nothing is configured: the metadata service of an EC2 instance remains.
    Instance,
}

/// The place that the selected profile or the environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    kind: Kind,
    /// The selected profile.
    selected: String,
    /// The profile that names the place: the selected one, or the last of its `source_profile`s.
    profile: Option<String>,
    /// The role that is assumed last.
    role: Option<String>,
    /// Whether a role needs a code from an MFA device.
    mfa: bool,
}

impl Origin {
    /// Keys given in the configuration, for an emulator.
    pub(super) fn fixed() -> Self {
        Self { kind: Kind::Keys, selected: String::new(), profile: None, role: None, mfa: false }
    }

    /// Finds it as the SDK does. `explicit`: the profile was given by a flag, which has priority over keys in the
    /// environment.
    pub(super) fn find(profiles: &ProfileSet, explicit: bool, env: &Env) -> Result<Self, NoCredentials> {
        let set = |name: &str| env.get(name).is_ok_and(|value| !value.trim().is_empty());
        let selected = profiles.selected_profile();
        let exists = profiles.get_profile(selected).is_some();
        if !exists && (explicit || selected != "default") {
            let mut known: Vec<&str> = profiles.profiles().collect();
            known.sort_unstable();
            let known = if known.is_empty() { "no profiles".to_owned() } else { known.join(", ") };
            return Err(NoCredentials::new(
                format!("the AWS profile `{selected}` does not exist"),
                format!("check --profile and AWS_PROFILE; the files of AWS have: {known}"),
            ));
        }
        let keys = !explicit && set("AWS_ACCESS_KEY_ID");
        // As in the AWS CLI, half an access key is an error: the next place is not what the operator wants.
        if keys && !set("AWS_SECRET_ACCESS_KEY") {
            return Err(NoCredentials::new(
                "the environment has AWS_ACCESS_KEY_ID, but not AWS_SECRET_ACCESS_KEY",
                "export AWS_SECRET_ACCESS_KEY too, or unset AWS_ACCESS_KEY_ID to use a profile",
            ));
        }
        let kind = match () {
            () if keys => Kind::Environment,
            () if exists => return Self::of_profile(profiles, selected, &|| surroundings(explicit, &set)),
            () => surroundings(explicit, &set),
        };
        Ok(Self { kind, selected: selected.to_owned(), profile: None, role: None, mfa: false })
    }

    fn of_profile(
        profiles: &ProfileSet,
        selected: &str,
        surroundings: &dyn Fn() -> Kind,
    ) -> Result<Self, NoCredentials> {
        let (mut name, mut visited) = (selected, Vec::new());
        let (mut role, mut mfa) = (None, false);
        loop {
            let Some(profile) = profiles.get_profile(name) else {
                let by = visited.last().copied().unwrap_or(selected);
                return Err(NoCredentials::new(
                    format!("the AWS profile `{name}` does not exist; it is `source_profile` of `{by}`"),
                    "correct `source_profile` in ~/.aws/config",
                ));
            };
            if visited.contains(&name) {
                return Err(NoCredentials::new(
                    format!("the AWS profile `{selected}` leads back to itself by `source_profile`"),
                    "correct `source_profile` in ~/.aws/config",
                ));
            }
            let source = profile.get("source_profile").filter(|source| *source != name);
            let has_keys = profile.get("aws_access_key_id").is_some();
            // A source's own keys have priority over its role.
            if profile.get("role_arn").is_some()
                && profile.get("web_identity_token_file").is_none()
                && (visited.is_empty() || !has_keys)
            {
                role = role.or_else(|| profile.get("role_arn").map(str::to_owned));
                mfa |= profile.get("mfa_serial").is_some();
                if let Some(source) = source {
                    visited.push(name);
                    name = source;
                    continue;
                }
            }
            let kind = kind_of(profile).unwrap_or_else(surroundings);
            // An empty default profile was not chosen by anyone, so messages do not name it.
            let named = kind != Kind::Instance || name != "default";
            let (selected, profile) = (selected.to_owned(), named.then(|| name.to_owned()));
            return Ok(Self { kind, selected, profile, role, mfa });
        }
    }

    /// Whether it may prompt a person; there is no timeout then.
    pub(super) fn may_prompt(&self) -> bool {
        self.kind == Kind::Process
    }

    pub(super) fn explain(&self, error: &CredentialsError) -> NoCredentials {
        let place = self.place();
        let cause = error_chain(error, ": ");
        if self.kind == Kind::Process {
            let printed = brief(cause.rsplit("Stderr: ").next().unwrap_or(&cause));
            let printed = if printed.is_empty() { "it printed no error".to_owned() } else { printed };
            return NoCredentials::new(
                format!("the {place} failed: {printed}"),
                "run the command of `credential_process` in ~/.aws/config by hand, then try again",
            );
        }
        if let Some(reason) = refused_role(error) {
            let role = self.role.as_deref().unwrap_or("its role");
            let what = format!("the AWS profile `{}` can't assume {role}: {}", self.selected, brief(&reason));
            return NoCredentials::new(what, self.role_help());
        }
        let unreachable =
            ["dispatch failure", "timed out", "timeout"].iter().any(|word| cause.contains(word));
        match self.kind {
            Kind::Instance if matches!(error, CredentialsError::CredentialsNotLoaded(_)) => {
                let what = match &self.profile {
                    Some(profile) => format!("the AWS profile `{profile}` has no credentials"),
                    None => "no AWS credentials".to_owned(),
                };
                NoCredentials { also: WITHOUT_AWS, ..NoCredentials::new(what, self.sign_in()) }
            }
            _ if unreachable => NoCredentials::new(
                format!("the {place} gave no answer: {}", brief(&cause)),
                "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL",
            ),
            Kind::Sso | Kind::Login => {
                let mut what = format!("the {place} is missing or has expired");
                if let Some((_, reason)) = cause.split_once("service error: ") {
                    what = format!("{what}: {}", brief(reason));
                }
                NoCredentials::new(what, self.sign_in())
            }
            _ => NoCredentials::new(
                format!("the {place} gave no credentials: {}", brief(&cause)),
                self.sign_in(),
            ),
        }
    }

    /// AWS has answered that the credentials have expired.
    pub(super) fn expired(&self) -> NoCredentials {
        NoCredentials::new(format!("the {} has expired", self.place()), self.sign_in())
    }

    /// Whether the environment, a profile or neither names the place.
    pub(super) fn source(&self) -> &'static str {
        match (self.kind, &self.profile) {
            (_, Some(_)) => "profile",
            (Kind::Instance, None) => "default",
            (_, None) => "environment",
        }
    }

    /// Describes the credentials; used after `the`.
    pub(super) fn place(&self) -> String {
        let profile = self.profile.as_deref().map(|profile| format!(" of AWS profile `{profile}`"));
        let what = match self.kind {
            Kind::Environment => "access key in the environment (AWS_ACCESS_KEY_ID)",
            Kind::Keys => "access key",
            Kind::Sso => "SSO session",
            Kind::Login => "`aws login` session",
            Kind::Process => "`credential_process`",
            Kind::WebIdentity => "web identity",
            Kind::Container => "container's credentials service",
            Kind::Instance => "instance's metadata service",
        };
        format!("{what}{}", profile.unwrap_or_default())
    }

    /// How to get valid credentials.
    fn sign_in(&self) -> String {
        let flag = match self.profile.as_deref() {
            Some(profile) if profile != "default" => format!(" --profile {profile}"),
            _ => String::new(),
        };
        match self.kind {
            Kind::Environment => {
                "export new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset them"
                    .to_owned()
            }
            Kind::Keys => format!("run `aws configure{flag}`, or renew the profile's session token"),
            Kind::Sso => format!("run `aws sso login{flag}`"),
            Kind::Login => format!("run `aws login{flag}`"),
            Kind::Process => "run the command of `credential_process` in ~/.aws/config by hand".to_owned(),
            Kind::WebIdentity => "check AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or the profile's \
                                  `web_identity_token_file` and `role_arn`"
                .to_owned(),
            Kind::Container => "check the task's role and AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(),
            Kind::Instance if self.profile.is_some() => {
                format!("run `aws login{flag}`, `aws configure sso{flag}` or `aws configure{flag}`")
            }
            Kind::Instance => "set AWS_PROFILE, or run `aws login` or `aws sso login`".to_owned(),
        }
    }

    fn role_help(&self) -> String {
        if self.mfa {
            return format!(
                "ipgeo does not prompt for MFA codes: run `aws configure export-credentials --profile {} --format env`, \
                 and use what it prints without AWS_PROFILE",
                self.selected
            );
        }
        if self.kind == Kind::WebIdentity {
            self.sign_in()
        } else {
            "check `role_arn` and the role's trust policy".to_owned()
        }
    }
}

/// The place that a profile's own settings name.
fn kind_of(profile: &Profile) -> Option<Kind> {
    let has = |name: &str| profile.get(name).is_some();
    if let Some(source) = profile.get("credential_source") {
        return Some(match source.to_ascii_lowercase().as_str() {
            "environment" => Kind::Environment,
            "ecscontainer" => Kind::Container,
            _ => Kind::Instance,
        });
    }
    let table = [
        ("web_identity_token_file", Kind::WebIdentity),
        ("sso_session", Kind::Sso),
        ("sso_start_url", Kind::Sso),
        ("login_session", Kind::Login),
        ("credential_process", Kind::Process),
        ("aws_access_key_id", Kind::Keys),
    ];
    table.into_iter().find(|(name, _)| has(name)).map(|(_, kind)| kind)
}

/// The place that remains when no profile names one. A profile given by a flag ignores a web identity in the environment.
fn surroundings(explicit: bool, set: &dyn Fn(&str) -> bool) -> Kind {
    if !explicit && set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        Kind::WebIdentity
    } else if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        Kind::Container
    } else {
        Kind::Instance
    }
}

/// STS's reason if it refused a role.
fn refused_role(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.downcast_ref::<AssumeRoleError>().map(ProvideErrorMetadata::message);
        let message = message.or_else(|| {
            error.downcast_ref::<AssumeRoleWithWebIdentityError>().map(ProvideErrorMetadata::message)
        });
        if let Some(message) = message {
            return Some(message.unwrap_or("no reason was given").to_owned());
        }
        next = error.source();
    }
    None
}

/// The end of a message on one line; the cause is usually at the end.
fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = line.as_str();
    for start in [
        "an error occurred while loading credentials: ",
        "Error retrieving credentials from external process, ",
    ] {
        line = line.strip_prefix(start).unwrap_or(line);
    }
    match line.char_indices().rev().nth(CAUSE_CHARS_MAX) {
        Some((at, _)) => format!("… {}", &line[at..]),
        None => line.to_owned(),
    }
}
