//! `ipgeo keys import` and `export`.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::Serialize;

use super::KeysContext;
use crate::cmd::support::{Target, all_keys};
use crate::keys::{ImportProblems, KeyFilter, export_rows, plan_import, read_csv, store_all};
use crate::ui::output::{self, Format, UsageError, grouped};
use crate::ui::progress::Task;

const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(after_long_help = "\
The first line names the columns: `owner`, `tier`, and `api_key` or `hash` (its SHA-256 in hex).
Optional: `limit`, `expires`, `status`, `sites`, `networks`, `created`, and `hint` as written by \
`export` (hints are shown in plain text, so other texts are refused). Only hashes are stored.
All errors are reported with their lines; if there is any, nothing is written. Existing API keys are \
skipped, so an import can be repeated.
API keys in other formats than ipgeo's need `foreign_api_keys = true` under [compat] in regions.toml.

Examples:
  ipgeo keys import customers.csv --check
  gpg -d customers.csv.gpg | ipgeo keys import -")]
pub(crate) struct ImportArgs {
    /// CSV file; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check the file without importing it
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints CSV, or JSON with -o json or -o jsonl. API keys cannot be exported: only their hashes are stored.

Examples:
  ipgeo keys export > customers.csv
  ipgeo keys export --owner acme -o jsonl")]
pub(crate) struct ExportArgs {
    /// Only API keys of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// The result of an import, for JSON and CSV.
#[derive(Debug, Serialize)]
struct ImportRow {
    new: usize,
    /// API keys that existed already.
    known: u64,
    /// Whether the new API keys were stored; false with --check.
    stored: bool,
}

/// Says where a missing file was looked for: a relative name may be meant from another folder.
fn not_opened(file: &Path, error: std::io::Error) -> anyhow::Error {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    if error.kind() == std::io::ErrorKind::NotFound {
        return anyhow!("{} does not exist\nhelp: check the path; `-` reads standard input", path.display());
    }
    anyhow::Error::new(error).context(format!("cannot open {}", path.display()))
}

fn bytes_of(file: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        let read = std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
    } else {
        let opened = std::fs::File::open(file).map_err(|error| not_opened(file, error))?;
        let read = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {}", file.display()))?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{} is larger than 64 MiB; import it in parts", file.display());
    }
    Ok(bytes)
}

pub(super) async fn import(args: ImportArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    let name =
        if args.file.as_os_str() == "-" { "stdin".to_owned() } else { args.file.display().to_string() };
    let error = |faults: ImportProblems| anyhow!(faults.report(&name));
    let imported = read_csv(&bytes_of(&args.file)?, config, now).map_err(error)?;
    let home = args.target.home(shared, config).await?;
    let existing: HashMap<_, _> = all_keys(&home).await?.into_iter().collect();
    let plan = plan_import(imported, &existing).map_err(error)?;
    let (new, known) = (grouped(plan.new.len() as u64), grouped(plan.known));
    let row = ImportRow { new: plan.new.len(), known: plan.known, stored: !args.check };
    if args.check {
        output::print_data(&output::format_value(shared.format(), &row, String::new)?)?;
        output::print_note(&format!("no errors; new: {new}, already stored: {known}"));
        return Ok(());
    }
    let task = Task::items("storing API keys", "API key", Some(plan.new.len()));
    store_all(&home, &plan.new, || task.add(1)).await?;
    task.done();
    output::print_data(&output::format_value(shared.format(), &row, String::new)?)?;
    output::print_note(&format!("stored: {new}, already stored: {known}"));
    Ok(())
}

pub(super) async fn export(args: ExportArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, .. } = context;
    let all = all_keys(&args.target.home(shared, config).await?).await?;
    let filter = KeyFilter { owner: args.owner, tier: None };
    let keys = filter.apply(&all, &config.tiers).map_err(|error| UsageError(error.to_string()))?;
    let nothing = keys.empty_reason();
    if let Some(message) = &nothing {
        output::print_note(&format!("nothing to export: {message}"));
    }
    let owners: HashMap<_, _> = keys
        .found
        .iter()
        .map(|(identity, record)| (identity.name().to_owned(), record.owner.clone()))
        .collect();
    let rows = export_rows(keys.found);
    if rows.is_empty() && nothing.is_none() {
        output::print_note("nothing to export: the only API key is the probes' own");
    }
    let repaired = rows.iter().filter(|row| owners.get(&row.hash) != Some(&row.owner)).count();
    if repaired > 0 {
        output::print_note(&format!(
            "owners adjusted to what `import` accepts (at most 200 bytes, no control characters or surrounding spaces): \
             {repaired}; `ipgeo keys update --owner` changes the stored ones"
        ));
    }
    let format = if shared.format() == Format::Table { Format::Csv } else { shared.format() };
    output::print_rows(format, &[], &rows)
}
