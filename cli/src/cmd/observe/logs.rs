//! `ipgeo logs`.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ipgeo_contract::RegionName;
use jiff::Timestamp;

use crate::args::Shared;
use crate::aws::{Aws, NoCredentials};
use crate::cmd::support::{RegionArgs, Target, load_config};
use crate::infra::cloud::Problem;
use crate::keys::{Grace, parse_grace};
use crate::observe::logs::{LocalLogs, LogFollower, LogLine, LogSource, ShownLine, read_once};
use crate::ui::output::{self, Exit, Format, Formats, UsageError};
use crate::world::WorldFile;

/// Pause between two reads: on this machine, and at AWS, where each region is a request.
const DEV_PAUSE: Duration = Duration::from_millis(500);
const AWS_PAUSE: Duration = Duration::from_secs(5);

/// Flags of `ipgeo logs`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A usage line shows time, region, verdict, calls charged, who was charged, and the tier of a \
refused call. Addresses and API keys are never shown. With --follow, JSON is one object a line.

Examples:
  ipgeo logs --dev -f
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
    let scope = args.regions.scope(&config)?;
    let regions: Vec<RegionName> = config.regions.iter().map(|region| region.name.clone()).collect();
    let regions: Vec<RegionName> = regions.into_iter().filter(|name| scope.regions.contains(name)).collect();
    let since = Timestamp::now().checked_sub(args.since);
    let since = since.map_err(|_| UsageError::new("--since is too long ago"))?;
    if args.target.dev {
        WorldFile::find(&shared.state)?;
        return show(&LocalLogs::new(&shared.state), &regions, since, DEV_PAUSE, &args, shared).await;
    }
    let aws = Aws::connect(&config, args.target.profile.name()).await.map_err(NoCredentials::or_dev)?;
    show(&aws, &regions, since, AWS_PAUSE, &args, shared).await
}

async fn show<S: LogSource>(
    source: &S,
    regions: &[RegionName],
    since: Timestamp,
    pause: Duration,
    args: &LogsArgs,
    shared: &Shared,
) -> anyhow::Result<Exit> {
    let filter = args.filter.as_deref();
    if !args.follow {
        let (lines, failed) = read_once(source, regions, since, filter).await;
        print(&lines, shared.format())?;
        report(&failed);
        if lines.is_empty() && failed.is_empty() {
            output::print_note(
                "no lines\nhelp: go further back with --since, or check the log pipe with `ipgeo doctor`",
            );
        }
        return Ok(match failed.len() {
            0 => Exit::Done,
            some if some == regions.len() => Exit::Failed,
            _ => Exit::SomeFailed,
        });
    }
    let mut follow = LogFollower::new(since);
    let mut reported = Vec::new();
    loop {
        let (lines, failed) = follow.next(source, regions, filter).await;
        // An array would never end: JSON is printed as lines.
        print(&lines, if shared.format() == Format::Json { Format::Jsonl } else { shared.format() })?;
        // A region that stays unreachable is reported once.
        if failed != reported {
            report(&failed);
            reported = failed;
        }
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("listen for Ctrl-C")?;
                return Ok(Exit::Done);
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn report(failed: &[(RegionName, Problem)]) {
    for (region, error) in failed {
        output::print_note(&format!("{region}: {error}"));
    }
}

fn print(lines: &[LogLine], format: Format) -> anyhow::Result<()> {
    if lines.is_empty() && format == Format::Table {
        return Ok(());
    }
    let shown: Vec<ShownLine> = lines.iter().map(LogLine::shown).collect();
    let text = match format {
        Format::Table => {
            let width = shown.iter().map(|line| line.region.len()).max().unwrap_or(0).max(14);
            shown.iter().map(|line| output::printable(&line.text(width))).collect::<Vec<_>>().join("\n")
        }
        other => output::format_rows(other, &[], &shown, |_| Vec::new())?,
    };
    Ok(output::print_data(&text)?)
}
