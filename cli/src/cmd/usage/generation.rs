//! `ipgeo usage diff`, `adopt` and `discard`: a generation beside the ledger.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::LedgerTable;
use jiff::Timestamp;
use serde::Serialize;

use super::replay::Work;
use crate::aws::Home;
use crate::cli::Shared;
use crate::cmd::cloud_args::confirm;
use crate::cmd::{Target, load_config};
use crate::keys::KeyStore as _;
use crate::ui::format::counted;
use crate::ui::output::{self, Column, Format, grouped};
use crate::usage::recount::{self, Adopted, Ahead, Generation, compared, differences};
use crate::usage::report::name_of;

/// Looks at a new table until it can be used, and the pause between two.
const ACTIVE_LOOKS: u32 = 120;
const ACTIVE_PAUSE: Duration = Duration::from_secs(1);
/// Rounds of catching up and taking over, before busy items are left for another day.
const ADOPT_ROUNDS: usize = 3;

/// Flags of `ipgeo usage diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
A generation that was filled since a time is compared by the days that it has whole; one that was restored by
everything. `ahead` says who has counted more of the stream: such a difference may be time alone.")]
pub struct DiffArgs {
    /// The generation
    #[arg(value_name = "GENERATION")]
    generation: Generation,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo usage adopt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Counts what came since into the generation, then puts its items in the place of the ledger's: each whole, with its
place in the stream, and only if the generation has counted all of it that the ledger has and the ledger's item has
not changed meanwhile. So the counter may go on, no event is lost or counted twice, and it may be stopped and run
again. What is left is told. Nothing is taken of a month that a generation has not whole.")]
pub struct AdoptArgs {
    /// The generation
    #[arg(value_name = "GENERATION")]
    generation: Generation,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo usage discard`.
#[derive(Debug, Args)]
#[command(after_help = "The ledger itself is not touched.")]
pub struct DiscardArgs {
    /// The generation
    #[arg(value_name = "GENERATION")]
    generation: Generation,
    #[command(flatten)]
    target: Target,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn generation_table(home: &Home, generation: &Generation) -> LedgerTable {
    home.ledger.beside(generation.table(home.ledger.name()))
}

async fn existing(home: &Home, generation: &Generation) -> anyhow::Result<LedgerTable> {
    let table = generation_table(home, generation);
    if table.is_active().await? == Some(true) {
        return Ok(table);
    }
    bail!(
        "there is no generation `{generation}`, for there is no table {}; `ipgeo usage replay --into` makes generations",
        table.name()
    )
}

pub(super) async fn wait_until_active(table: &LedgerTable) -> anyhow::Result<()> {
    for _look in 0..ACTIVE_LOOKS {
        if table.is_active().await? == Some(true) {
            return Ok(());
        }
        tokio::time::sleep(ACTIVE_PAUSE).await;
    }
    bail!("table {} is not ready after two minutes; run the same again later", table.name())
}

#[derive(Debug, Default, Serialize)]
struct DifferenceRow {
    kind: &'static str,
    name: String,
    owner: String,
    month: String,
    part: String,
    ledger: u64,
    generation: u64,
    ahead: Ahead,
}

const COLUMNS: [Column; 8] = [
    Column::text("who"),
    Column::text("name"),
    Column::text("owner"),
    Column::text("month"),
    Column::text("part"),
    Column::number("ledger"),
    Column::number("generation"),
    Column::text("ahead"),
];

pub(super) async fn diff(args: DiffArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.generation).await?;
    let since = table.since().await?;
    let (ours, theirs) = (home.ledger.everything().await?, table.everything().await?);
    let keys: HashMap<Identity, KeyRecord> = home.list().await?.into_iter().collect();
    let compared = compared(&ours, &theirs, since);
    if let (0, Some(since)) = (compared, since) {
        bail!(
            "nothing to compare: generation `{}` counts since {}, and no day is whole since then",
            args.generation,
            output::instant(since)
        );
    }
    let rows: Vec<DifferenceRow> = differences(&ours, &theirs, since)
        .into_iter()
        .map(|found| {
            let (kind, name, owner) = name_of(&found.identity, &keys);
            DifferenceRow {
                kind,
                name,
                owner,
                month: found.month.to_string(),
                part: found.part,
                ledger: found.ledger,
                generation: found.generation,
                ahead: found.ahead,
            }
        })
        .collect();
    let of = since.map_or_else(
        || "everything".to_owned(),
        |since| format!("whole days and months since {}", output::instant(since)),
    );
    if shared.format() == Format::Table && rows.is_empty() {
        output::print_note(&format!("no count differs; compared by {of}: {}", counted(compared, "count")));
        return Ok(());
    }
    let ahead = |ahead: Ahead| match ahead {
        Ahead::Neither => "",
        Ahead::Ledger => "ledger",
        Ahead::Generation => "generation",
        Ahead::Both => "both",
    };
    let text = output::format_rows(shared.format(), &COLUMNS, &rows, |row| {
        vec![
            row.kind.to_owned(),
            row.name.clone(),
            row.owner.clone(),
            row.month.clone(),
            row.part.clone(),
            grouped(row.ledger),
            grouped(row.generation),
            ahead(row.ahead).to_owned(),
        ]
    })?;
    output::print_data(&text)?;
    output::print_note(&format!("{}; compared by {of}", counted(rows.len(), "difference")));
    Ok(())
}

pub(super) async fn adopt(args: AdoptArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.generation).await?;
    let generation = &args.generation;
    let what = format!(
        "this replaces the ledger's counts with those of generation `{generation}` (see `ipgeo usage diff {generation}`)"
    );
    confirm(&what, args.yes)?;
    let (mut taken, mut last) = (0, Adopted::default());
    for round in 0..ADOPT_ROUNDS {
        let until = if round == 0 { now } else { Timestamp::now() };
        Work::new(&home, &args.target, &config, shared, until).catch_up(&table).await?;
        last = recount::adopt(&home.ledger, &table).await?;
        taken += last.taken;
        if last.ahead == 0 {
            break;
        }
    }
    let done = Adopted { taken, ..last };
    let columns = ["taken", "same", "ahead", "partial"].map(Column::number);
    let text = output::format_rows(shared.format(), &columns, &[done], |done| {
        [done.taken, done.same, done.ahead, done.partial].map(grouped).to_vec()
    })?;
    output::print_data(&text)?;
    if done.ahead > 0 {
        output::print_note(
            "the ledger was written to meanwhile: run the same again for the items that it is ahead of",
        );
    }
    if done.partial > 0 {
        output::print_note(
            "items of a month that the generation has not whole were left; restore a backup as a generation for those",
        );
    }
    Ok(())
}

/// What was deleted.
#[derive(Debug, Serialize)]
struct Discarded {
    generation: String,
    table: String,
}

pub(super) async fn discard(args: DiscardArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.generation).await?;
    confirm(&format!("this permanently deletes the table {}", table.name()), args.yes)?;
    table.delete().await?;
    let deleted = Discarded { generation: args.generation.to_string(), table: table.name().to_owned() };
    output::print_data(&output::format_value(shared.format(), &deleted, String::new)?)?;
    output::print_note(&format!("deleted {}", deleted.table));
    Ok(())
}
