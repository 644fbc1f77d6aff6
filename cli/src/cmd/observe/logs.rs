//! `ipgeo logs`.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ipgeo_contract::{RegionName, UsageEvent};
use jiff::Timestamp;

use crate::args::Shared;
use crate::aws::{Aws, NoCredentials};
use crate::cmd::support::{RegionArgs, Target, find_key, load_config};
use crate::infra::cloud::Problem;
use crate::keys::{Grace, parse_grace};
use crate::observe::logs::{LocalLogs, LogFollower, LogLine, LogSource, ShownLine, read_once};
use crate::ui::format::counted;
use crate::ui::output::{self, Exit, Format, Formats, UsageError};
use crate::ui::progress::erase_echo;
use crate::world::WorldFile;

/// Pause between two reads: on this machine, and at AWS, where each region is a request.
const DEV_PAUSE: Duration = Duration::from_millis(500);
const AWS_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_long_help = "\
A usage line shows time, region, verdict, calls charged and who was charged; JSON also has the tier of a \
refused call. Other lines (errors of the function, messages of the platform) are shown with --all. \
Addresses and API keys are never shown. With --follow, JSON is one object a line.

Examples:
  ipgeo logs --dev -f
  ipgeo logs --key ipg_…x3Kq
  ipgeo logs --all --since 15m
  ipgeo logs --since 10m --regions eu-* --filter over_quota
  ipgeo logs --since 2h -o jsonl | jq .verdict")]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Show new lines as they arrive, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Start this long ago: 10m, 2h, 1d (logs are kept for one day)
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_grace)]
    since: Grace,
    /// Only lines that contain this text, as logged or as shown
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only calls with this API key: hint, last four characters or hash; `-` reads it from stdin
    #[arg(long, value_name = "KEY", conflicts_with = "all")]
    key: Option<String>,
    /// Also show lines other than usage lines
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

impl LogsArgs {
    /// Endless output has no CSV form.
    pub(crate) fn forms(&self) -> Formats {
        if self.follow { Formats::EVENTS } else { Formats::ALL }
    }
}

/// Shows the logs of all regions, merged by time.
pub(crate) async fn run(args: LogsArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let regions = args.regions.names(&config)?;
    let since = Timestamp::now().checked_sub(args.since);
    let since = since.map_err(|_| UsageError::new("--since is too long ago"))?;
    let mark = match &args.key {
        Some(key) => {
            let home = args.target.home(shared, &config).await?;
            Some(UsageEvent::mark(&find_key(key, &home).await?.0))
        }
        None => None,
    };
    let wanted = Wanted { mark, text: args.filter.clone(), all: args.all };
    if args.target.dev {
        WorldFile::find(&shared.state)?;
        let show =
            Show { source: &LocalLogs::new(&shared.state), regions: &regions, wanted, pause: DEV_PAUSE };
        return show.run(since, args.follow, shared.format()).await;
    }
    let aws = Aws::connect(&config, args.target.profile.name()).await.map_err(NoCredentials::or_dev)?;
    let show = Show { source: &aws, regions: &regions, wanted, pause: AWS_PAUSE };
    show.run(since, args.follow, shared.format()).await
}

/// The lines to show.
struct Wanted {
    /// What usage lines of the chosen API key contain.
    mark: Option<String>,
    text: Option<String>,
    /// Lines that are not usage lines, too.
    all: bool,
}

impl Wanted {
    /// What a source searches for.
    fn search(&self) -> Option<&str> {
        self.mark.as_deref().or(self.text.as_deref())
    }

    /// Keeps the wanted lines of those that a source has found, and counts the others that contain the text.
    fn keep(&self, lines: &mut Vec<LogLine>) -> usize {
        if let Some(text) = self.text.as_ref().filter(|_| self.mark.is_some()) {
            lines.retain(|line| line.contains(text));
        }
        let found = lines.len();
        if !self.all {
            lines.retain(LogLine::is_usage);
        }
        found - lines.len()
    }

    /// The message when no region has a line.
    fn nothing_found(&self, since: Timestamp) -> String {
        let since = output::instant(since);
        if self.mark.is_some() {
            let matching = if self.text.is_some() { " that matches --filter" } else { "" };
            return format!(
                "no call with this API key{matching} since {since}\n\
                 help: go further back with --since; if there were calls, check the log pipe with `ipgeo doctor`"
            );
        }
        format!(
            "no lines since {since}\nhelp: go further back with --since, or check the log pipe with `ipgeo doctor`"
        )
    }
}

/// What to show of which logs.
struct Show<'a, S> {
    source: &'a S,
    regions: &'a [RegionName],
    wanted: Wanted,
    /// Between two reads.
    pause: Duration,
}

impl<S: LogSource> Show<'_, S> {
    async fn run(&self, since: Timestamp, follow: bool, format: Format) -> anyhow::Result<Exit> {
        if follow { self.follow(since, format).await } else { self.once(since, format).await }
    }

    async fn once(&self, since: Timestamp, format: Format) -> anyhow::Result<Exit> {
        let (mut lines, failed) = read_once(self.source, self.regions, since, self.wanted.search()).await;
        let hidden = self.wanted.keep(&mut lines);
        print(&lines, format)?;
        report(&failed);
        if hidden > 0 {
            output::print_note(&format!("{} hidden; --all shows them", counted(hidden, "other line")));
        } else if lines.is_empty() && failed.is_empty() {
            output::print_note(&self.wanted.nothing_found(since));
        }
        Ok(match failed.len() {
            0 => Exit::Done,
            some if some == self.regions.len() => Exit::Failed,
            _ => Exit::SomeFailed,
        })
    }

    /// Until Ctrl-C, which also ends a read, or until nobody reads the output.
    async fn follow(&self, since: Timestamp, format: Format) -> anyhow::Result<Exit> {
        tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("listen for Ctrl-C")?;
                erase_echo();
                Ok(Exit::Done)
            }
            ended = self.follow_until_closed(since, format) => ended,
        }
    }

    async fn follow_until_closed(&self, since: Timestamp, format: Format) -> anyhow::Result<Exit> {
        let mut follow = LogFollower::new(since);
        let mut reported = Vec::new();
        loop {
            let (mut lines, failed) = follow.next(self.source, self.regions, self.wanted.search()).await;
            self.wanted.keep(&mut lines);
            // An array would never end: JSON is printed as lines.
            if !print(&lines, if format == Format::Json { Format::Jsonl } else { format })? {
                return Ok(Exit::Done);
            }
            // A region that stays unreachable is reported once.
            if failed != reported {
                report(&failed);
                reported = failed;
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}

fn report(failed: &[(RegionName, Problem)]) {
    for (region, error) in failed {
        output::print_note(&format!("{region}: {error}"));
    }
}

/// False if nobody reads the output any more.
fn print(lines: &[LogLine], format: Format) -> anyhow::Result<bool> {
    if lines.is_empty() && format == Format::Table {
        return Ok(true);
    }
    let shown: Vec<ShownLine> = lines.iter().map(LogLine::shown).collect();
    let text = match format {
        Format::Table => {
            let width = shown.iter().map(|line| line.region.len()).max().unwrap_or(0).max(14);
            shown.iter().map(|line| output::printable(&line.text(width))).collect::<Vec<_>>().join("\n")
        }
        other => output::format_rows(other, &[], &shown)?,
    };
    Ok(output::print_part(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_api_key_has_no_call_before_its_log_pipe_is_doubted() {
        let message = |mark: Option<&str>, text: Option<&str>| {
            let wanted = Wanted { mark: mark.map(str::to_owned), text: text.map(str::to_owned), all: false };
            let message = wanted.nothing_found(Timestamp::UNIX_EPOCH);
            message.lines().next().expect("a line").to_owned()
        };
        assert_eq!(message(None, None), "no lines since 1970-01-01T00:00:00Z");
        let key = Some("key#1");
        assert_eq!(message(key, None), "no call with this API key since 1970-01-01T00:00:00Z");
        assert_eq!(
            message(key, Some("denied")),
            "no call with this API key that matches --filter since 1970-01-01T00:00:00Z"
        );
    }
}
