//! `ipgeo bulk`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::source_args::SourceArgs;
use crate::args::Shared;
use crate::fs::{require_folder, write_streamed};
use crate::lookup::{
    Bulk, BulkOptions, BulkOutcome, Input, Interrupted, MAIN_FIELDS, StopFlag, addresses, columns,
};
use crate::ui::output::{self, Exit, grouped};
use crate::ui::progress::{Style, Task};

/// How long the work may take to end after Ctrl-C; a read from a terminal does not end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_long_help = "\
FILE is CSV with any of the delimiters `,`, `;` and tab, or a list of addresses, one a line. The column of \
addresses is the one whose values are addresses; with several, the one named ip, ip_address or address, or the \
first. Rows and cells are kept in order; cells are added at the end, and `ip_error` says why a row has no \
location. An added column whose name exists already gets the prefix `ip_`. Empty lines are skipped.
Through the API, a throttled request is repeated; a quota that resets later ends the command. An address \
with a location costs one call.

Examples:
  ipgeo bulk visits.csv --out located.csv
  ipgeo bulk visits.csv --column client --fields 'country_code,asn.*'
  zcat log.csv.gz | ipgeo bulk - --url https://api.example.com")]
pub(crate) struct BulkArgs {
    /// CSV file or list of addresses; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Column of the addresses, by name or number from 1 [default: found by its values]
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// The first row has no column names; write none
    #[arg(long)]
    no_header: bool,
    /// Fields to add [default: place, time zone and network]
    ///
    /// The default is `country_code`, `region`, `city`, `latitude`, `longitude`, `time_zone.name`, `asn.asn` and `asn.name`.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    fields: Vec<String>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

pub(crate) async fn run(args: BulkArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (shared, stop) = (shared.clone(), StopFlag::default());
    let of_work = stop.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&args, &shared, &of_work));
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        stop.stop();
        tokio::time::sleep(PATIENCE).await;
    };
    let ended = tokio::select! {
        ended = &mut work => ended.context("look up the addresses")?,
        () = interrupted => return Ok(Exit::Interrupted),
    };
    match ended {
        Err(error) if error.is::<Interrupted>() => {
            output::print_note("interrupted");
            Ok(Exit::Interrupted)
        }
        ended => ended,
    }
}

impl BulkArgs {
    /// The file to write; `None` or `-`: standard output.
    fn out(&self) -> Option<&Path> {
        self.out.as_deref().filter(|out| *out != Path::new("-"))
    }
}

fn work(args: &BulkArgs, shared: &Shared, stop: &StopFlag) -> anyhow::Result<Exit> {
    let options = BulkOptions {
        column: args.column.clone(),
        no_header: args.no_header,
        columns: if args.fields.is_empty() { columns(&MAIN_FIELDS)? } else { columns(&args.fields)? },
    };
    if let Some(out) = args.out() {
        require_folder(out)?;
    }
    let (mut source, _) = args.source.open(shared)?;
    let input = Input::open(&args.file)?;
    // Lines of progress between rows on one terminal would be read as rows.
    let is_mixed = args.out().is_none() && output::stdout_is_terminal();
    let style = if is_mixed { Style::chosen().unwrap_or(Style::None) } else { Style::current() };
    let task = Task::bytes(style, "looking up", input.bytes);
    let progress = |bytes: u64| task.add(usize::try_from(bytes).unwrap_or(usize::MAX));
    let outcome = match args.out() {
        Some(path) => {
            write_streamed(path, |file| Bulk::new(input, file, options)?.run(&mut source, stop, &progress))
                .map(Some)
        }
        None => output::stream_data(|out| Bulk::new(input, out, options)?.run(&mut source, stop, &progress)),
    };
    match &outcome {
        Ok(_) => task.done(),
        Err(error) if error.is::<Interrupted>() => task.stopped(),
        Err(_) => drop(task),
    }
    let outcome = outcome?;
    // The reader of the pipe has seen enough.
    let Some(outcome) = outcome else { return Ok(Exit::Done) };
    output::print_note(&report(outcome, args.out()));
    Ok(Exit::Done)
}

fn report(outcome: BulkOutcome, out: Option<&Path>) -> String {
    let BulkOutcome { rows, failed, renamed } = outcome;
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {} of them without a location (see `ip_error`)", grouped(failed)),
    };
    let renamed = match renamed {
        0 => "",
        _ => "; added columns have the prefix `ip_` where their names existed already",
    };
    let wrote = out.map(|out| format!("; wrote {}", out.display())).unwrap_or_default();
    format!("{}{failed}{renamed}{wrote}", addresses(rows))
}
