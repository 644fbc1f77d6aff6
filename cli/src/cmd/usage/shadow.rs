//! `ipgeo usage diff`, `adopt` and `discard`: a shadow ledger beside the ledger.

use std::collections::HashMap;

use anyhow::bail;
use clap::Args;
use ipgeo_contract::{Identity, KeyRecord};
use ipgeo_runtime::dynamo::LedgerTable;
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;

use super::recount::{Work, shadow_table};
use crate::args::Shared;
use crate::aws::Home;
use crate::cmd::support::{Target, all_keys, confirm, load_config};
use crate::ui::format::counted;
use crate::ui::output::{self, Column, ColumnOf, Format, grouped};
use crate::ui::progress::timed;
use crate::usage::recount::{self, Adopted, Ahead, ShadowName, compared, differences};
use crate::usage::report::name_of;

/// Rounds of catching up and replacing, before busy items are skipped.
const ADOPT_ROUNDS: usize = 3;

#[derive(Debug, Args)]
#[command(after_long_help = "\
A shadow ledger that `usage replay` filled from a time on is compared by complete days; a restored one \
is compared completely. `ahead` shows which ledger has counted more of the stream: such a difference may \
only be due to timing.

Examples:
  ipgeo usage diff check
  ipgeo usage diff restored --json")]
pub(crate) struct DiffArgs {
    /// Name of the shadow ledger
    #[arg(value_name = "NAME")]
    shadow: ShadowName,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
First counts newer events into the shadow ledger, then replaces items of the ledger: each completely, \
with its stream position, and only if the shadow ledger has counted everything that the ledger has and \
the ledger's item has not changed meanwhile. So the counter may keep running, no event is lost or counted \
twice, and the command can be stopped and repeated. Items that could not be replaced are reported. Months \
that the shadow ledger only has in part are skipped.

Examples:
  ipgeo usage adopt restored
  ipgeo usage adopt check --dev --yes")]
pub(crate) struct AdoptArgs {
    /// Name of the shadow ledger
    #[arg(value_name = "NAME")]
    shadow: ShadowName,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The ledger itself is not changed.

Examples:
  ipgeo usage discard check")]
pub(crate) struct DiscardArgs {
    /// Name of the shadow ledger
    #[arg(value_name = "NAME")]
    shadow: ShadowName,
    #[command(flatten)]
    target: Target,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
}

async fn existing(home: &Home, shadow: &ShadowName) -> anyhow::Result<LedgerTable> {
    let table = shadow_table(home, shadow);
    if table.is_active().await? == Some(true) {
        return Ok(table);
    }
    bail!(
        "no shadow ledger `{shadow}`: table {} does not exist\nhelp: create it with `ipgeo usage replay --into`, or restore a backup",
        table.name()
    )
}

#[derive(Debug, Default, Serialize)]
struct DifferenceRow {
    kind: &'static str,
    name: String,
    owner: String,
    month: String,
    part: String,
    ledger: u64,
    #[serde(rename = "generation")]
    shadow: u64,
    ahead: Ahead,
}

const DIFFERENCES: [ColumnOf<DifferenceRow>; 8] = [
    (Column::text("kind").rank(3), |row| row.kind.to_owned()),
    (Column::free_text("name"), |row| row.name.clone()),
    (Column::free_text("owner"), |row| row.owner.clone()),
    (Column::text("month").rank(2), |row| row.month.clone()),
    (Column::text("part"), |row| row.part.clone()),
    (Column::number("ledger"), |row| grouped(row.ledger)),
    (Column::number("shadow"), |row| grouped(row.shadow)),
    (Column::text("ahead").rank(1), |row| {
        let ahead = match row.ahead {
            Ahead::Neither => "",
            Ahead::Ledger => "ledger",
            Ahead::Shadow => "shadow",
            Ahead::Both => "both",
        };
        ahead.to_owned()
    }),
];

pub(super) async fn diff(args: DiffArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.shadow).await?;
    let since = table.since().await?;
    let both = async { Ok::<_, StoreError>((home.ledger.everything().await?, table.everything().await?)) };
    let (ours, theirs) = timed("reading both ledgers", both).await?;
    let keys: HashMap<Identity, KeyRecord> = all_keys(&home).await?.into_iter().collect();
    let compared = compared(&ours, &theirs, since);
    if let (0, Some(since)) = (compared, since) {
        bail!(
            "nothing to compare: shadow ledger `{}` has no complete day since {}",
            args.shadow,
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
                shadow: found.shadow,
                ahead: found.ahead,
            }
        })
        .collect();
    let basis = since.map_or_else(
        || "everything".to_owned(),
        |since| format!("complete days and months since {}", output::instant(since)),
    );
    if shared.format() == Format::Table && rows.is_empty() {
        output::print_note(&format!("no differences; compared {}: {basis}", counted(compared, "count")));
        return Ok(());
    }
    output::print_rows(shared.format(), &DIFFERENCES, &rows)?;
    output::print_note(&format!("{}; compared: {basis}", counted(rows.len(), "difference")));
    Ok(())
}

pub(super) async fn adopt(args: AdoptArgs, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.shadow).await?;
    let shadow = &args.shadow;
    let what = format!(
        "this replaces the ledger's counts with those of shadow ledger `{shadow}` (see `ipgeo usage diff {shadow}`)"
    );
    confirm(&what, args.yes)?;
    let (mut taken, mut last) = (0, Adopted::default());
    for round in 0..ADOPT_ROUNDS {
        let until = if round == 0 { now } else { Timestamp::now() };
        Work::new(&home, &args.target, &config, shared, until).catch_up(&table).await?;
        last = timed("replacing counts", recount::adopt(&home.ledger, &table)).await?;
        taken += last.taken;
        if last.ahead == 0 {
            break;
        }
    }
    let done = Adopted { taken, ..last };
    output::print_rows(shared.format(), &ADOPTED, &[done])?;
    if done.ahead > 0 {
        output::print_note("the ledger changed meanwhile: run the command again for the items under `ahead`");
    }
    if done.partial > 0 {
        output::print_note(
            "skipped months that the shadow ledger has only in part (`partial`); to adopt those, restore a backup as a shadow ledger",
        );
    }
    Ok(())
}

const ADOPTED: [ColumnOf<Adopted>; 4] = [
    (Column::number("taken"), |done| grouped(done.taken)),
    (Column::number("same"), |done| grouped(done.same)),
    (Column::number("ahead"), |done| grouped(done.ahead)),
    (Column::number("partial"), |done| grouped(done.partial)),
];

#[derive(Debug, Serialize)]
struct Discarded {
    #[serde(rename = "generation")]
    shadow: String,
    table: String,
}

pub(super) async fn discard(args: DiscardArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let home = args.target.home(shared, &config).await?;
    let table = existing(&home, &args.shadow).await?;
    confirm(&format!("this permanently deletes the table {}", table.name()), args.yes)?;
    table.delete().await?;
    let deleted = Discarded { shadow: args.shadow.to_string(), table: table.name().to_owned() };
    output::print_data(&output::format_value(shared.format(), &deleted, String::new)?)?;
    output::print_note(&format!("deleted {}", deleted.table));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_fit_a_terminal() {
        let row = |owner: &str, ahead| DifferenceRow {
            kind: "key",
            name: "ipg_…x3Kq".to_owned(),
            owner: owner.to_owned(),
            month: "2026-11".to_owned(),
            part: "region ap-southeast-1".to_owned(),
            ledger: 1_234_567,
            shadow: 1_234_000,
            ahead,
        };
        let rows = [
            row("acme", Ahead::Ledger),
            row("Vereinigte Stadtwerke Beispielstadt GmbH & Co. KG", Ahead::Both),
        ];
        output::assert_tables("usage diff", || {
            output::format_rows(Format::Table, &DIFFERENCES, &rows).expect("a table")
        });
        let done = Adopted { taken: 1_234_567, same: 1_234_567, ..Adopted::default() };
        output::assert_tables("usage adopt", || {
            output::format_rows(Format::Table, &ADOPTED, &[done]).expect("a table")
        });
    }
}
