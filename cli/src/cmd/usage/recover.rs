//! `ipgeo usage recover`.

use std::path::PathBuf;

use clap::Args;
use ipgeo_runtime::dynamo::RecoveringLedger;
use jiff::Timestamp;

use super::recount::note_unsent;
use crate::args::Shared;
use crate::aws::{FailureBucket, UsageStream};
use crate::cmd::support::{Target, load_config};
use crate::ui::format::counted;
use crate::ui::output::{self, Column, ColumnOf, Exit, Format, UsageError, grouped};
use crate::ui::progress::Task;
use crate::usage::recount::{Recovered, Recovery};
use crate::usage::stream::FailedFolder;
use crate::world::WorldFile;

/// Folder beside the copy of the stream that `ipgeo dev` keeps.
const DEV_FOLDER: &str = "failures";

#[derive(Debug, Args)]
#[command(after_long_help = "\
Lambda retries a batch until its records are 23 hours old, then moves it to the failure bucket.
This command counts the events in the bucket that were not counted before. Each event is added \
once: running it again, even after an interruption, counts nothing twice. The counter may keep \
running. Usage that crosses a step of its limit is published.

With `pipe = \"forwarder\"`, batches that could not be forwarded are in the buckets of their regions. This \
command puts them into the stream of the home region, where the counter counts them, and \
deletes each object once it is put, also without --delete. A run that is killed between the two \
puts the batch again next time; the counter recognises its lines if it has seen them lately.

`ipgeo dev` never drops a batch; with --dev, this reads `stores/failures` in the state folder.
The exit status is 4 if something could not be recovered.

Examples:
  ipgeo usage recover --dry-run
  ipgeo usage recover --delete")]
pub(crate) struct RecoverArgs {
    /// Preview what would be added
    #[arg(long)]
    dry_run: bool,
    /// Delete each object once all of it is counted; its old versions stay for 30 days
    #[arg(long, conflicts_with = "dry_run")]
    delete: bool,
    /// Read a copy of the buckets from this folder
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: RecoverArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<Exit> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let folder = match (&args.folder, args.target.dev) {
        (Some(folder), _) if !folder.is_dir() => {
            return Err(UsageError::new(format!("--folder: there is no folder {}", folder.display())).into());
        }
        (Some(folder), _) => Some(folder.clone()),
        (None, true) => Some(WorldFile::find(&shared.state)?.stream.with_file_name(DEV_FOLDER)),
        (None, false) => None,
    };
    let profile = args.target.profile.name();
    let stream = if args.target.dev { None } else { Some(UsageStream::of_account(&config, profile).await?) };
    let recovery = Recovery {
        ledger: RecoveringLedger::new(home.ledger.clone(), now, args.dry_run),
        publish: (!args.dry_run).then(|| home.access.clone()),
        thresholds: config.alerts.thresholds.clone(),
        stream,
        now,
        preview: args.dry_run,
        remove: args.delete,
    };
    let task = Task::items("recovering", "record", None);
    let note = |done: &Recovered| {
        if !args.dry_run {
            shared.interrupts.note_changes(changes(done));
        }
    };
    let report = |done: &Recovered| {
        task.set(done.records);
        note(done);
    };
    let done = match folder {
        Some(folder) => {
            note(&Recovered::default());
            recovery.run(&[FailedFolder::at(folder)], &report).await?
        }
        None => {
            let buckets = FailureBucket::of_account(&config, profile).await?;
            note(&Recovered::default());
            recovery.run(&buckets, &report).await?
        }
    };
    task.done();
    print(&args, &done, shared)?;
    let all = done.unreadable == 0 && done.problems.is_empty();
    Ok(if all { Exit::Done } else { Exit::SomeFailed })
}

/// What an interrupted recovery has changed. The event that is being added is not in it.
fn changes(done: &Recovered) -> String {
    let (records, added) = (counted(done.records, "record"), counted(done.added, "charge"));
    format!("{records} read, {added} added, or one event more; repeating the command counts none twice")
}

const COLUMNS: [ColumnOf<Recovered>; 7] = [
    (Column::number("objects"), |done| grouped(done.objects)),
    (Column::number("records"), |done| grouped(done.records)),
    (Column::number("events"), |done| grouped(done.events)),
    (Column::number("added"), |done| grouped(done.added)),
    (Column::number("known"), |done| grouped(done.known)),
    (Column::number("forwarded"), |done| grouped(done.forwarded)),
    (Column::number("removed"), |done| grouped(done.removed)),
];

fn print(args: &RecoverArgs, done: &Recovered, shared: &Shared) -> anyhow::Result<()> {
    output::print_rows(shared.format(), &COLUMNS, std::slice::from_ref(done))?;
    if shared.format() == Format::Table {
        let added = if args.dry_run { "would be added" } else { "added" };
        output::print_note(&format!(
            "{} {added}, {} already counted",
            counted(done.added, "charge"),
            grouped(done.known)
        ));
        if done.forwarded > 0 {
            let put = if args.dry_run { "would be put" } else { "were put" };
            output::print_note(&format!(
                "batches of forwarders that {put} into the stream, for the counter: {}",
                grouped(done.forwarded)
            ));
        }
    }
    if done.unreadable > 0 {
        output::print_note(&format!("unreadable objects, records or lines: {}", grouped(done.unreadable)));
    }
    for problem in &done.problems {
        output::print_note(problem);
    }
    if done.undecided_records > 0 {
        output::print_note(&format!(
            "records skipped by an older version of the counter: {}; events that it may have counted were not added",
            grouped(done.undecided_records)
        ));
    }
    note_unsent(&done.alerts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_fits_a_terminal() {
        let done = Recovered {
            objects: 1_234,
            records: 1_234_567,
            events: 9_876_543,
            added: 9_876_000,
            known: 543,
            ..Recovered::default()
        };
        output::assert_tables("usage recover", || {
            output::format_rows(Format::Table, &COLUMNS, std::slice::from_ref(&done)).expect("a table")
        });
    }
}
