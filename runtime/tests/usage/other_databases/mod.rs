//! The code for the tables on four implementations of DynamoDB's API: the same operations must have the same results and leave
//! the same rows on each. Known differences are listed with their reasons; a listed difference that no longer exists also fails.
//!
//! They need `python3` with `pip`, `npm`, and access to the package indexes; without them, a test prints that it was skipped.

mod operations;
mod servers;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::config::Credentials;
use fastrand::Rng;
use ipgeo_runtime::dynamo::{AccessTable, Effort, client};
use ipgeo_runtime::store::AccessRead as _;
use ipgeo_runtime::tables;
use ipgeo_runtime::wire::{Account, Client};
use operations::{NAMES, Without, outcome, rows, run};
use servers::DATABASES;

use crate::support::Tables;

/// Sequences of operations, by seed.
const SEEDS: std::ops::Range<u64> = 0..3;
/// Operations of a sequence.
const LENGTH: usize = 250;

/// Where another database differs: its name, the operations, and why.
const DIFFERENCES: [(&str, &[&str], &str); 1] = [(
    "dynalite 4.0.0",
    &["apply", "publish", "add_early"],
    "it does not return the item that refused a change (`ReturnValuesOnConditionCheckFailure` is newer than it is)",
)];

/// What each operation of a sequence returned: its place, its name, and the outcome.
async fn outcomes(seed: u64, tables: &Tables, without: &Without) -> Vec<(usize, &'static str, String)> {
    let mut choice = Rng::with_seed(seed);
    let mut found = Vec::with_capacity(LENGTH);
    for place in 0..LENGTH {
        let operation = choice.usize(..NAMES.len());
        let mut arguments = Rng::with_seed(seed.wrapping_mul(1_000_003) + place as u64);
        found.push((place, NAMES[operation], run(operation, &mut arguments, tables, without).await));
    }
    found
}

#[tokio::test]
async fn other_peoples_databases_do_what_ours_does() {
    for database in &DATABASES {
        let without = &database.without;
        let allowed: BTreeSet<&str> = DIFFERENCES
            .iter()
            .filter(|(name, ..)| *name == database.name)
            .flat_map(|(_, of, _)| *of)
            .copied()
            .collect();
        let mut differ: BTreeSet<&str> = BTreeSet::new();
        let mut report = Vec::new();
        let Some(other) = database.serve().await else { return };
        for seed in SEEDS {
            other.empty().await;
            let ours = Tables::serve().await;
            let (expected, found) =
                (outcomes(seed, &ours, without).await, outcomes(seed, &other.tables, without).await);
            for (expected, found) in expected.iter().zip(&found).filter(|(expected, found)| expected != found)
            {
                differ.insert(found.1);
                report.push(format!("seed {seed}, {}\n  {}\n  {}", found.0, expected.2, found.2));
            }
            let (expected, found) = (rows(&ours).await, rows(&other.tables).await);
            let only = |these: &[String], those: &[String]| {
                these.iter().filter(|row| !those.contains(row)).cloned().collect::<Vec<_>>().join("\n  ")
            };
            if expected != found {
                differ.insert("rows");
                let (missing, more) = (only(&expected, &found), only(&found, &expected));
                report.push(format!("seed {seed}, rows at the end\n  {missing}\n  instead\n  {more}"));
            }
        }
        assert_eq!(differ, allowed, "{}:\n{}", database.name, report.join("\n"));
    }
}

/// Errors of the service that the tables' code tells apart, or that an operator reads.
#[tokio::test]
async fn other_peoples_databases_refuse_as_ours_does() {
    for database in &DATABASES {
        let Some(other) = database.serve().await else { return };
        let ours = Tables::serve().await;
        let (expected, found) = (refusals(&ours).await, refusals(&other.tables).await);
        assert_eq!(found, expected, "{}", database.name);
    }
}

async fn refusals(tables: &Tables) -> Vec<(&'static str, String)> {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    let sdk = client(Some(&tables.endpoint), "eu-central-1", credentials.clone(), Effort::Patient);
    let own = Client::new(&Account::at(&tables.endpoint, "eu-central-1", credentials), Effort::Patient);
    let absent = tables::AccessTable::new(own.expect("a client"), "absent");
    let key = "key#01".parse().expect("an identity");
    let record = ipgeo_contract::KeyRecord::new(
        "ipg_…abcd",
        "a".repeat(410_000),
        "startup",
        "1/day".parse().expect("a limit"),
        crate::support::now(),
    );
    let small = ipgeo_contract::KeyRecord { owner: "acme".into(), ..record.clone() };
    vec![
        ("a read of no table", outcome(absent.key(&key).await)),
        ("reads of no table", outcome(absent.published(&["addr#0a".parse().expect("an identity")]).await)),
        ("a scan of no table", outcome(AccessTable::new(sdk.clone(), "absent").list_keys().await)),
        ("a write to no table", outcome(AccessTable::new(sdk, "absent").put_key(&key, &small).await)),
        ("an item over 400 KiB", outcome(tables.access.put_key(&key, &record).await)),
        ("a state of no table", outcome(tables.ledger.beside("absent").is_active().await)),
        ("a deletion of no table", outcome(tables.ledger.beside("absent").delete().await)),
    ]
}
