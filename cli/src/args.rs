//! Flags that many verbs share: those of every verb, and `--profile`.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use crate::config::state_folder;
use crate::interrupt::Interrupts;
use crate::ui::output::{Color, Format};
use crate::ui::progress::Style;

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Shared {
    /// Configuration file [default: the nearest regions.toml]
    ///
    /// The nearest one is in this folder or above. The environment variable `IPGEO_CONFIG` sets it, too.
    #[arg(long, global = true, value_name = "FILE", env = "IPGEO_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// State folder [default: .ipgeo beside regions.toml]
    ///
    /// It holds the state of `ipgeo dev` and the geo databases. The environment variable `IPGEO_STATE` sets it, too.
    #[arg(
        long = "state",
        global = true,
        value_name = "FOLDER",
        env = "IPGEO_STATE",
        hide_env = true,
        hide_short_help = true
    )]
    state_flag: Option<PathBuf>,
    /// The state folder in use, set by `Shared::settled`.
    #[arg(skip)]
    pub state: PathBuf,
    /// Output format: table, json, jsonl, csv
    ///
    /// `table` is for people, `json` one JSON value, `jsonl` one JSON object per line, `csv` has a header row.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub output: Format,
    /// Same as --output json
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_short_help = true)]
    pub color: Color,
    /// Where the options' values come from, set by `Shared::settled`.
    #[arg(skip)]
    sources: Vec<(&'static str, ValueSource)>,
    /// Progress style [default: bars on a terminal, otherwise lines]
    ///
    /// The environment variable `IPGEO_PROGRESS` sets it, too.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "STYLE",
        env = "IPGEO_PROGRESS",
        hide_env = true,
        hide_short_help = true
    )]
    pub progress: Option<Style>,
    #[arg(skip)]
    pub interrupts: Interrupts,
}

/// The options whose sources are kept, by clap's ids.
const SOURCED: [&str; 6] = ["config", "state_flag", "output", "json", "color", "progress"];

impl Shared {
    /// Sets the state folder: the flag's, relative to the current folder, or the one beside the `regions.toml` in use,
    /// so that every verb finds it from any subfolder.
    #[must_use]
    pub(crate) fn settled(mut self, matches: &ArgMatches) -> Self {
        let current = std::env::current_dir().unwrap_or_default();
        let beside = || state_folder(self.config.as_deref(), &current);
        self.state = self.state_flag.clone().unwrap_or_else(beside);
        self.sources = SOURCED.into_iter().filter_map(|id| Some((id, matches.value_source(id)?))).collect();
        self
    }

    /// Whether an option, by clap's id, was given as a flag, in the environment, or not at all.
    pub(crate) fn source(&self, id: &str) -> ValueSource {
        let found = self.sources.iter().find(|(known, _)| *known == id);
        found.map_or(ValueSource::DefaultValue, |(_, source)| *source)
    }

    /// The state folder that `--state` names, as given.
    pub(crate) fn state_flag(&self) -> Option<&Path> {
        self.state_flag.as_deref()
    }

    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProfileArgs {
    /// AWS profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl ProfileArgs {
    /// The profile's name; `None`: the environment decides, as for every AWS tool.
    pub(crate) fn name(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}

/// The service role of CloudFormation.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RoleArgs {
    /// Service role for CloudFormation [default: none]
    ///
    /// A deploy may take longer than a session of `aws login`; CloudFormation renews its own role. It remembers the role
    /// of a stack for later runs without this flag. `ipgeo iam policy --for cloudformation` prints the role's rights.
    #[arg(long, value_name = "ARN", value_parser = role_arn)]
    role_arn: Option<String>,
}

impl RoleArgs {
    pub(crate) fn arn(&self) -> Option<&str> {
        self.role_arn.as_deref()
    }
}

/// An IAM role's ARN: `arn:aws:iam::123456789012:role/path/name`.
fn role_arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let valid = match parts.as_slice() {
        ["arn", partition, "iam", "", account, role] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && role.strip_prefix("role/").is_some_and(|name| {
                    let valid = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
                    !name.is_empty() && !name.ends_with('/') && name.chars().all(valid)
                })
        }
        _ => false,
    };
    let fault =
        "expected the ARN of an IAM role, such as arn:aws:iam::123456789012:role/ipgeo-cloudformation";
    valid.then(|| text.to_owned()).ok_or_else(|| fault.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arns_of_roles_are_accepted() {
        let table = [
            ("arn:aws:iam::123456789012:role/ipgeo-cloudformation", true),
            ("arn:aws-cn:iam::123456789012:role/service-role/a+b=c,d.e@f_g-h", true),
            ("arn:aws:iam::123456789012:user/me", false),
            ("arn:aws:iam::12345678901:role/x", false),
            ("arn:aws:iam:eu-west-1:123456789012:role/x", false),
            ("arn:aws:sts::123456789012:assumed-role/x/y", false),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::123456789012:role/x/", false),
            ("arn:aws:iam::123456789012:role/a b", false),
            ("ipgeo-cloudformation", false),
            ("", false),
        ];
        for (text, valid) in table {
            assert_eq!(role_arn(text).is_ok(), valid, "{text}");
        }
    }
}
