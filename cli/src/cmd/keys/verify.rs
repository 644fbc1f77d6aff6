//! `ipgeo keys verify`.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use futures_util::future::join_all;
use ipgeo_contract::{Identity, KeyRecord, RegionName};
use ipgeo_runtime::dynamo::AccessTable;
use jiff::Timestamp;
use serde::Serialize;

use super::KeysContext;
use crate::args::Shared;
use crate::aws::Home;
use crate::cmd::support::{OneArgs, all_keys, identity_from_stdin, wrong_name};
use crate::keys::choose;
use crate::ui::format::grouped_limit;
use crate::ui::output::{self, Column, ColumnOf, Format, grouped, instant};
use crate::world::WorldFile;

/// How long to wait for a mark in a region, and the pause between two reads.
const WAIT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
#[command(after_long_help = "\
With --all-regions, reads the table of every region and measures the propagation: a marker is written \
to the record at home, and `propagation` is the time until a region has it. --read-only writes no marker.

Examples:
  ipgeo keys verify ipg_…x3Kq
  ipgeo keys verify - --all-regions < api-key.txt")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Check every region, not only home
    #[arg(long)]
    all_regions: bool,
    /// Do not write a marker, and skip measuring the propagation
    #[arg(long, requires = "all_regions")]
    read_only: bool,
}

/// What one region knows about an API key.
#[derive(Debug, Default, Serialize)]
struct Sight {
    region: RegionName,
    /// `yes`, `no`, or `older`: known with other settings than home's.
    known: &'static str,
    since: Option<String>,
    propagation_ms: Option<u64>,
    status: String,
    limit: String,
    published: u64,
}

const COLUMNS: [ColumnOf<Sight>; 7] = [
    (Column::text("region"), |sight| sight.region.to_string()),
    (Column::state("known"), |sight| sight.known.to_owned()),
    (Column::text("since").rank(2), |sight| sight.since.clone().unwrap_or_default()),
    (Column::number("propagation"), |sight| {
        sight.propagation_ms.map(|ms| format!("{} ms", grouped(ms))).unwrap_or_default()
    }),
    (Column::state("status"), |sight| sight.status.clone()),
    (Column::text("limit"), |sight| grouped_limit(&sight.limit)),
    (Column::number("published"), |sight| grouped(sight.published)),
];

async fn regions(
    args: &VerifyArgs,
    home: &Home,
    context: KeysContext<'_>,
) -> anyhow::Result<Vec<(RegionName, AccessTable)>> {
    let KeysContext { config, shared, .. } = context;
    let target = &args.one.target;
    let home_table = (config.service.home.clone(), home.access.clone());
    if !args.all_regions {
        return Ok(vec![home_table]);
    }
    if target.dev {
        let others = Home::replicas_of_world(&WorldFile::find(&shared.state)?);
        return Ok(std::iter::once(home_table).chain(others).collect());
    }
    Home::replicas_of_account(config, target.profile.name()).await
}

pub(super) async fn verify(args: VerifyArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    let home = args.one.target.home(shared, config).await?;
    let identity = match args.one.key.as_str() {
        "-" => identity_from_stdin()?,
        text => choose(text, &all_keys(&home).await?).map_err(wrong_name)?.0.clone(),
    };
    let known = home.access.key_now(&identity).await?;
    let mark = known.is_some() && args.all_regions && !args.read_only;
    if mark {
        home.access.mark_key(&identity, now).await?;
    }
    let began = Instant::now();
    let wanted = mark.then_some(now);
    let looks = regions(&args, &home, context).await?;
    let looks =
        looks.iter().map(|(region, access)| look(region, access, &identity, known.as_ref(), wanted, began));
    let sights: Vec<Sight> = join_all(looks).await.into_iter().collect::<anyhow::Result<_>>()?;
    print(&sights, shared)?;
    match known {
        None => bail!("this API key is unknown at home\nhelp: `ipgeo keys list` shows the known ones"),
        Some(_) => Ok(()),
    }
}

/// Reads one region until it shows the mark, or once if no mark is awaited.
async fn look(
    region: &RegionName,
    access: &AccessTable,
    identity: &Identity,
    home: Option<&KeyRecord>,
    wanted: Option<Timestamp>,
    began: Instant,
) -> anyhow::Result<Sight> {
    let mut propagation_ms = None;
    let found = loop {
        let found = access.key_and_mark(identity).await?;
        let Some(wanted) = wanted else { break found };
        let marked = found.as_ref().and_then(|(_, mark)| *mark);
        if marked.is_some_and(|mark| mark.as_millisecond() >= wanted.as_millisecond()) {
            propagation_ms = u64::try_from(began.elapsed().as_millis()).ok();
            break found;
        }
        if began.elapsed() > WAIT {
            break found;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let record = found.map(|(record, _)| record);
    Ok(sight(region, record.as_ref(), home, propagation_ms))
}

fn sight(
    region: &RegionName,
    record: Option<&KeyRecord>,
    home: Option<&KeyRecord>,
    propagation_ms: Option<u64>,
) -> Sight {
    let settings = |record: &KeyRecord| KeyRecord { published: None, ..record.clone() };
    let known = match (record, home) {
        (None, _) => "no",
        (Some(record), Some(home)) if settings(record) != settings(home) => "older",
        _ => "yes",
    };
    Sight {
        region: region.clone(),
        known,
        since: record.map(|record| instant(record.created)),
        propagation_ms,
        status: record.map(|record| record.status.to_string()).unwrap_or_default(),
        limit: record.map(|record| record.limit.to_string()).unwrap_or_default(),
        published: record.and_then(|record| record.published).map_or(0, |published| published.used),
    }
}

fn print(sights: &[Sight], shared: &Shared) -> anyhow::Result<()> {
    output::print_rows(shared.format(), &COLUMNS, sights)?;
    if shared.format() == Format::Table {
        let known = sights.iter().filter(|sight| sight.known == "yes").count();
        let slowest = sights.iter().filter_map(|sight| sight.propagation_ms).max();
        let took =
            slowest.map(|ms| format!("; a change at home reaches all regions within {} ms", grouped(ms)));
        let took =
            took.filter(|_| sights.iter().all(|sight| sight.propagation_ms.is_some())).unwrap_or_default();
        output::print_note(&format!("known in {known} of {} regions{took}", sights.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_of_an_api_key_fit_a_terminal() {
        let sight = |region: &str, known, propagation_ms| Sight {
            region: RegionName::new(region),
            known,
            since: Some("2026-01-01T00:00:00Z".to_owned()),
            propagation_ms,
            status: "active".to_owned(),
            limit: "100000/month".to_owned(),
            published: 98_000,
        };
        let sights = [sight("ap-southeast-1", "yes", Some(1_234)), sight("eu-central-1", "older", None)];
        output::assert_tables("keys verify", || {
            output::format_rows(Format::Table, &COLUMNS, &sights).expect("a table")
        });
    }
}
