//! `ipgeo usage report --by hour`: from the log lines of the last day, because the ledger counts by day.

use anyhow::anyhow;
use ipgeo_contract::{RegionName, UsageEvent};
use jiff::{SignedDuration, Timestamp};

use super::report::{ReportArgs, Section, print_tables};
use crate::args::Shared;
use crate::aws::{Aws, NoCredentials};
use crate::cmd::support::load_config;
use crate::keys::KeyStore as _;
use crate::observe::logs::{LocalLogs, LogSource, read_once};
use crate::ui::format::counted;
use crate::ui::output::{self, Format, UsageError, instant};
use crate::usage::report::{GroupBy, HourFilter, hours};
use crate::world::WorldFile;

/// CloudWatch keeps the lines of a region's function for one day.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The beginning of the first hour to report.
fn first_hour(args: &ReportArgs, now: Timestamp) -> Result<Timestamp, UsageError> {
    let since = args.since.unwrap_or(KEPT);
    if args.month.is_some() || since > KEPT {
        return Err(UsageError::new(
            "--by hour reads log lines, which are kept for one day; use --since 24h or less\n\
             help: `ipgeo usage report --by day` reports older usage",
        ));
    }
    if let Some(other) = args.by.iter().find(|part| !matches!(part, GroupBy::Key | GroupBy::Hour)) {
        let other = other.word();
        return Err(UsageError(format!("--by hour can be combined with `key`, but not with `{other}`")));
    }
    let from = now.checked_sub(since).unwrap_or(now).as_second();
    // The first hour is reported as a whole.
    Ok(Timestamp::from_second(from - from.rem_euclid(3_600)).unwrap_or(now))
}

pub(super) async fn print_hours(args: &ReportArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let since = first_hour(args, now)?;
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let regions: Vec<RegionName> = config.region_names().cloned().collect();
    let events = if args.target.dev {
        WorldFile::find(&shared.state)?;
        events(&LocalLogs::new(&shared.state), &regions, since).await?
    } else {
        let aws = Aws::connect(&config, args.target.profile.name()).await.map_err(NoCredentials::or_dev)?;
        events(&aws, &regions, since).await?
    };
    let keys = home.list().await?.into_iter().collect();
    let filter = HourFilter { kind: args.kind.map(Into::into), owner: args.owner.clone() };
    let section = Section { by_identity: args.by.contains(&GroupBy::Key), part: Some(GroupBy::Hour) };
    let rows = hours(&events, &keys, section.by_identity, &filter);
    let calls: u64 = hours(&events, &keys, false, &filter).iter().filter_map(|row| row.calls).sum();
    print_tables(&[(section, rows)], shared)?;
    if shared.format() == Format::Table {
        output::print_note(&format!("{} since {}, from log lines", counted(calls, "call"), instant(since)));
    }
    Ok(())
}

/// The usage events of all regions. Without one region the sums would be wrong, so that is an error.
async fn events<S: LogSource>(
    source: &S,
    regions: &[RegionName],
    since: Timestamp,
) -> anyhow::Result<Vec<UsageEvent>> {
    let (lines, failed) = read_once(source, regions, since, None).await;
    if let Some((region, problem)) = failed.into_iter().next() {
        return Err(anyhow!(problem).context(format!("read the log of {region}")));
    }
    Ok(lines.iter().filter_map(|line| UsageEvent::parse(&line.text).ok()).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReportArgs,
    }

    #[test]
    fn hours_are_those_of_the_last_day() {
        let now = "2026-11-28T18:40:00Z".parse().expect("a time");
        let first = |line: &str| {
            let args = Line::parse_from(line.split(' ')).args;
            first_hour(&args, now).map(|time| time.to_string()).map_err(|error| error.to_string())
        };
        for (line, expected) in [
            ("x --by hour", "2026-11-27T18:00:00Z"),
            ("x --by key,hour --since 10m", "2026-11-28T18:00:00Z"),
            ("x --by hour --since 2h", "2026-11-28T16:00:00Z"),
        ] {
            assert_eq!(first(line).as_deref(), Ok(expected), "{line}");
        }
        for (line, fault) in [
            ("x --by hour --since 25h", "--since 24h or less"),
            ("x --by hour --month 2026-11", "--since 24h or less"),
            ("x --by hour,region", "not with `region`"),
        ] {
            assert!(first(line).is_err_and(|error| error.contains(fault)), "{line}");
        }
    }
}
