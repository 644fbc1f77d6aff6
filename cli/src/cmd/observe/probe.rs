//! `ipgeo probe`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;

use crate::args::Shared;
use crate::aws::{Aws, NoCredentials};
use crate::cmd::support::{RegionArgs, Target, load_config, path_to_write, world_target};
use crate::config::Config;
use crate::fs::write_page;
use crate::infra::cloud::{ProbeTarget, ProbeTargets as _};
use crate::observe::probe::{
    INCIDENTS, Incident, ProbeClient, ProbeHistory, ProbeRow, ProbeRun, ProbeState, ProbedEdge, StatusPage,
    measure_all, parse_incidents, summarise,
};
use crate::ui::format::decimal;
use crate::ui::output::{self, Column, ColumnOf, Exit};
use crate::ui::progress::Task;
use crate::world::WorldFile;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Each sample uses a new connection, as a new caller would. DNS times depend on this machine's \
resolver and its cache.
Exit status: 0 if all regions answer, 4 if some do not, 1 if none does.

Examples:
  ipgeo probe --dev
  ipgeo probe -n 50 --regions eu-*
  ipgeo probe --html status.html             also shows previous runs
  ipgeo probe --html status.html --feed status.atom")]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    regions: RegionArgs,
    /// Number of requests to each region
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    samples: u32,
    /// Timeout of a request, in seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout_s: u64,
    /// Write a status page to this file
    #[arg(long, value_name = "FILE", value_parser = path_to_write())]
    html: Option<PathBuf>,
    /// Write an Atom feed of incidents and outages to this file
    #[arg(long, value_name = "FILE", requires = "html", value_parser = path_to_write())]
    feed: Option<PathBuf>,
    /// Incidents and notes to show [default: incidents.toml beside regions.toml, if it exists]
    #[arg(long, value_name = "FILE", requires = "html")]
    incidents: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: ProbeArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, path) = load_config(shared)?;
    // A mistake in the file is reported before anything is measured.
    let incidents = match args.html {
        Some(_) => incidents(args.incidents.as_deref(), &path, &config)?,
        None => Vec::new(),
    };
    let edges = edges(&args, &config, shared).await?;
    let client = ProbeClient::with_native_roots(Duration::from_secs(args.timeout_s))?;
    let now = Timestamp::now();
    let requests = usize::try_from(args.samples).unwrap_or(usize::MAX).saturating_mul(edges.len());
    let task = Task::items("probing", "request", Some(requests));
    let samples = measure_all(&client, &edges, args.samples, &|_| task.add(1)).await;
    task.done();
    let rows: Vec<ProbeRow> =
        edges.iter().zip(&samples).map(|(edge, samples)| summarise(edge, samples)).collect();
    print(&rows, shared)?;
    if let Some(file) = &args.html {
        publish(file, &args, &config, &rows, &incidents, now, shared)?;
    }
    let down = rows.iter().filter(|row| row.state == ProbeState::Down).count();
    Ok(match down {
        0 => Exit::Done,
        down if down == rows.len() => Exit::Failed,
        _ => Exit::SomeFailed,
    })
}

async fn edges(args: &ProbeArgs, config: &Config, shared: &Shared) -> anyhow::Result<Vec<ProbedEdge>> {
    let scope = args.regions.scope(config)?;
    let wanted: Vec<_> =
        config.regions.iter().filter(|region| scope.regions.contains(&region.name)).collect();
    let mut edges = Vec::new();
    if args.target.dev {
        let world = WorldFile::find(&shared.state)?;
        for region in wanted {
            let target = world_target(&world, &region.name).map_err(anyhow::Error::msg)?;
            edges.push(ProbedEdge { target, near: region.city.to_owned() });
        }
        return Ok(edges);
    }
    let aws = Aws::connect(config, args.target.profile.name()).await.map_err(NoCredentials::or_dev)?;
    let targets = wanted.iter().map(|region| aws.target(&region.name, config.service.domain.as_deref()));
    for (region, target) in wanted.iter().zip(futures_util::future::join_all(targets).await) {
        let target = target.with_context(|| format!("find the edge of {}", region.name))?;
        // A health check needs no API key.
        let target = ProbeTarget { api_key: None, ..target };
        edges.push(ProbedEdge { target, near: region.city.to_owned() });
    }
    Ok(edges)
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| decimal(value, 1))
}

const COLUMNS: [ColumnOf<ProbeRow>; 11] = [
    (Column::text("region"), |row| row.region.to_string()),
    (Column::free_text("near").rank(4), |row| row.near.clone()),
    (Column::state("state"), |row| row.state.as_str().to_owned()),
    (Column::number("dns").rank(3), |row| ms(row.dns_p50_ms)),
    (Column::number("connect").rank(3), |row| ms(row.connect_p50_ms)),
    (Column::number("tls").rank(3), |row| ms(row.tls_p50_ms)),
    (Column::number("first byte").rank(2), |row| ms(row.first_byte_p50_ms)),
    (Column::number("p50"), |row| ms(row.total_p50_ms)),
    (Column::number("p95"), |row| ms(row.total_p95_ms)),
    (Column::number("p99").rank(1), |row| ms(row.total_p99_ms)),
    (Column::number("failed"), |row| format!("{} of {}", row.failed, row.samples)),
];

fn print(rows: &[ProbeRow], shared: &Shared) -> anyhow::Result<()> {
    output::print_rows(shared.format(), &COLUMNS, rows)?;
    for row in rows {
        if let Some(failure) = &row.failure {
            output::print_note(&format!("{}: {failure}", row.region));
        }
    }
    output::print_note(
        "times in milliseconds; dns to first byte are medians, p50 to p99 cover complete requests",
    );
    Ok(())
}

/// The incidents of the given file, or of the one beside the configuration.
fn incidents(file: Option<&Path>, config_path: &Path, config: &Config) -> anyhow::Result<Vec<Incident>> {
    let beside = config_path.with_file_name(INCIDENTS);
    let path = file.unwrap_or(&beside);
    let text = match std::fs::read_to_string(path) {
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "--incidents: there is no file {}\nhelp: create it as docs/COMMANDS.md describes, or leave out --incidents",
            path.display()
        ),
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    let regions: Vec<_> = config.region_names().cloned().collect();
    Ok(parse_incidents(&path.display().to_string(), &text, &regions)?)
}

/// Adds this run to the history and writes the page and its feed.
fn publish(
    file: &Path,
    args: &ProbeArgs,
    config: &Config,
    rows: &[ProbeRow],
    incidents: &[Incident],
    now: Timestamp,
    shared: &Shared,
) -> anyhow::Result<()> {
    let service = if args.target.dev { "dev".to_owned() } else { config.service.full_name() };
    let path = ProbeHistory::path(&shared.state, &service);
    let mut history = ProbeHistory::read(&path);
    history
        .add(ProbeRun::new(now, rows), &path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // The page links to the feed if they are published side by side.
    let beside = args.feed.as_deref().filter(|feed| feed.parent() == file.parent());
    let page = StatusPage {
        title: config.service.domain.as_ref().unwrap_or(&config.service.name),
        at: now,
        credit: rows.iter().find_map(|row| row.attribution.as_ref()),
        rows,
        history: &history,
        incidents,
        feed: beside.and_then(|feed| feed.file_name()?.to_str()),
    };
    write_page(file, &page.html()?).with_context(|| format!("cannot write {}", file.display()))?;
    output::print_note(&format!("wrote the status page to {}", file.display()));
    if let Some(feed) = &args.feed {
        write_page(feed, &page.feed()?).with_context(|| format!("cannot write {}", feed.display()))?;
        output::print_note(&format!("wrote the feed to {}", feed.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_fit_a_terminal() {
        let row = |region: &str, near: &str, state, ms: Option<f64>| ProbeRow {
            region: ipgeo_contract::RegionName::new(region),
            near: near.to_owned(),
            state,
            samples: 200,
            failed: if ms.is_some() { 0 } else { 200 },
            dns_p50_ms: ms,
            connect_p50_ms: ms,
            tls_p50_ms: ms.map(|ms| ms * 2.0),
            first_byte_p50_ms: ms.map(|ms| ms * 4.0),
            total_p50_ms: ms.map(|ms| ms * 5.0),
            total_p95_ms: ms.map(|ms| ms * 9.0),
            total_p99_ms: ms.map(|ms| ms * 15.0),
            ..ProbeRow::default()
        };
        let rows = [
            row("eu-central-1", "Frankfurt", ProbeState::Up, Some(12.25)),
            row("ap-southeast-2", "Sydney", ProbeState::Shaky, Some(301.5)),
            row("us-east-1", "Northern Virginia", ProbeState::Down, None),
        ];
        output::assert_tables("probe", || {
            output::format_rows(output::Format::Table, &COLUMNS, &rows).expect("a table")
        });
    }
}
