//! `ipgeo config`.

use std::path::Path;

use clap::parser::ValueSource;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::args::{ProfileArgs, Shared};
use crate::aws::{AwsSetting, aws_settings};
use crate::cmd::support::config_path;
use crate::config::{Setting, load_settings};
use crate::ui::output::{self, Color, Format, UsageError, value_name};
use crate::ui::progress::Style;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show every setting in use, and where it comes from
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The program's settings come from a flag, the environment, the AWS profile or a default; the service's \
settings come from regions.toml or a default. A region uses its own settings, otherwise those of [runtime]. \
AWS is not called, and no credentials are shown.

Examples:
  ipgeo config show
  ipgeo config show runtime --origin
  ipgeo config show regions.eu-west-1.memory_mb --json")]
pub(crate) struct ShowArgs {
    /// Only this setting, or those below it: `service`, `runtime.memory_mb`
    #[arg(value_name = "SETTING")]
    setting: Option<String>,
    /// Show where each setting comes from (JSON and CSV always do)
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct SettingRow {
    setting: String,
    /// Null if it is not set.
    value: Value,
    /// `file`, `flag`, `environment`, `profile`, `default` or `unset`.
    origin: &'static str,
    /// File and line, flag, variable or profile.
    place: Option<String>,
}

impl SettingRow {
    fn new(setting: &str, value: impl Into<Value>, origin: &'static str, place: Option<&str>) -> Self {
        Self { setting: setting.to_owned(), value: value.into(), origin, place: place.map(str::to_owned) }
    }

    /// A field of regions.toml.
    fn of_file(setting: Setting, file: &str) -> Self {
        let origin = match setting.line {
            Some(_) => "file",
            None if setting.value.is_null() => "unset",
            None => "default",
        };
        let place = setting.line.map(|line| format!("{file}:{line}"));
        Self { setting: setting.name, value: setting.value, origin, place }
    }

    /// An option of every verb.
    fn of_option(setting: &str, value: &str, source: ValueSource, flag: &str, variable: &str) -> Self {
        match source {
            ValueSource::CommandLine => Self::new(setting, value, "flag", Some(flag)),
            ValueSource::EnvVariable => Self::new(setting, value, "environment", Some(variable)),
            _ => Self::new(setting, value, "default", None),
        }
    }

    fn is_below(&self, wanted: &str) -> bool {
        let rest = self.setting.strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    fn line(&self, with_origin: bool) -> String {
        let value = if self.value.is_null() { "(not set)".to_owned() } else { self.value.to_string() };
        let text = format!("{} = {value}", self.setting);
        let origin = match (&self.place, self.origin) {
            (Some(place), _) => place,
            // The value says it already.
            (None, "unset") => return output::printable(&text),
            (None, origin) => origin,
        };
        output::printable(&if with_origin { format!("{text:<46}  # {origin}") } else { text })
    }
}

impl From<AwsSetting> for SettingRow {
    fn from(AwsSetting { name, value, origin, place }: AwsSetting) -> Self {
        Self { setting: name, value: value.into(), origin, place }
    }
}

pub(crate) async fn run(verb: ConfigVerb, shared: &Shared) -> anyhow::Result<()> {
    let ConfigVerb::Show(args) = verb;
    let path = config_path(shared)?;
    let file = path.display().to_string();
    let mut rows = options(&path, shared);
    rows.extend(aws_settings(args.profile.name()).await?.into_iter().map(SettingRow::from));
    rows.extend(load_settings(&path)?.into_iter().map(|setting| SettingRow::of_file(setting, &file)));
    if let Some(wanted) = &args.setting {
        rows.retain(|row| row.is_below(wanted));
        if rows.is_empty() {
            return Err(
                UsageError(format!("there is no setting `{wanted}`; `ipgeo config show` lists all")).into()
            );
        }
    }
    let text = match shared.format() {
        Format::Table => rows.iter().map(|row| row.line(args.origin)).collect::<Vec<_>>().join("\n"),
        format => output::format_rows(format, &[], &rows)?,
    };
    Ok(output::print_data(&text)?)
}

fn options(path: &Path, shared: &Shared) -> Vec<SettingRow> {
    let format = match shared.source("json") {
        ValueSource::CommandLine => SettingRow::new("output", "json", "flag", Some("--json")),
        _ => SettingRow::of_option(
            "output",
            &value_name(&shared.format()),
            shared.source("output"),
            "--output",
            "",
        ),
    };
    let (config, state) = (path.display().to_string(), shared.state.display().to_string());
    vec![
        SettingRow::of_option("config", &config, shared.source("config"), "--config", "IPGEO_CONFIG"),
        SettingRow::of_option("state", &state, shared.source("state_flag"), "--state", "IPGEO_STATE"),
        format,
        color(shared),
        SettingRow::of_option(
            "progress",
            &value_name(&Style::current()),
            shared.source("progress"),
            "--progress",
            "IPGEO_PROGRESS",
        ),
    ]
}

/// Without the flag, two variables that many programs read decide.
fn color(shared: &Shared) -> SettingRow {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    match shared.color {
        Color::Auto if is_set("CLICOLOR_FORCE") => {
            SettingRow::new("color", "always", "environment", Some("CLICOLOR_FORCE"))
        }
        Color::Auto if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => {
            SettingRow::new("color", "never", "environment", Some("NO_COLOR"))
        }
        _ => {
            SettingRow::of_option("color", &value_name(&shared.color), shared.source("color"), "--color", "")
        }
    }
}
