//! Data retained after home's stack was deleted: its cost, and the steps that delete it.

use ipgeo_contract::RegionName;

use super::model::{Action, BucketKind, DataKind, Plan, Step, WaveKind};
use super::observed::{KeptData, Observed};
use super::problem::Problem;
use crate::infra::stacks::Names;

impl Observed {
    /// A service's existing data, with or without a stack: home's access table, its replicas' regions, and the rest.
    fn data(&self) -> (bool, Vec<&RegionName>, KeptData) {
        let replicas = self.access.iter().flat_map(|access| &access.replicas);
        (self.access.is_some(), replicas.collect(), self.kept)
    }
}

/// Adds the waves that delete retained data. Replicas go one by one, because a table allows one change at a time. The
/// access table goes last: as long as it exists, a repeated run finds what is left.
pub(super) fn push_deletions(plan: &mut Plan, observed: &Observed, names: &Names) {
    let home = plan.home.clone();
    let (access, replicas, kept) = observed.data();
    let delete = |data: DataKind, name: &str, replica: Option<&RegionName>| {
        let (name, replica) = (name.to_owned(), replica.cloned());
        Step::new(&home, Action::DeleteData { data, name, replica })
    };
    let replicas = replicas.into_iter().filter(|region| **region != home);
    let gone: Vec<Step> =
        replicas.map(|region| delete(DataKind::Replica, &names.access_table, Some(region))).collect();
    plan.push(WaveKind::RemoveReplicas, gone);
    let mut steps = Vec::new();
    if kept.stream {
        steps.push(delete(DataKind::Stream, &names.stream, None));
    }
    if kept.failure_bucket {
        let bucket = names.failure_bucket(&observed.account);
        steps.push(Step::new(&home, Action::EmptyBucket { bucket: BucketKind::Failures }));
        steps.push(delete(DataKind::FailureBucket, &bucket, None));
    }
    if kept.ledger {
        steps.push(delete(DataKind::Ledger, &names.ledger_table, None));
    }
    if access {
        steps.push(delete(DataKind::AccessTable, &names.access_table, None));
    }
    plan.push(WaveKind::RemoveHome, steps);
}

/// How long AWS refuses to delete a table after it was the source of a new replica ("it has acted as a source region for
/// new replica(s) being added to the table in the last 24 hours"), s.
const SOURCE_S: i64 = 86_400;

/// Why the data can't be deleted yet: found before anything is deleted, because the refusal would come last.
pub(super) fn too_early(observed: &Observed, names: &Names, now_s: i64) -> Option<Problem> {
    let until = observed.kept.replica_made_s? + SOURCE_S;
    if now_s >= until || observed.access.is_none() {
        return None;
    }
    let at = jiff::Timestamp::from_second(until).ok()?;
    Some(Problem::new(
        format!(
            "AWS refuses to delete the table {} until {at}: it has made a replica in the last 24 hours",
            names.access_table
        ),
        "delete everything else now with `ipgeo destroy`, which retains the data, and the data after that time with `ipgeo destroy --delete-data`",
    ))
}

/// Notes on retained data, each with its price in us-east-1 (up to half more elsewhere), then what to do about it.
/// `owned`: home's stack still manages all of it.
pub(super) fn notes(observed: &Observed, names: &Names, home: &RegionName, owned: bool) -> Vec<String> {
    let (access, replicas, kept) = observed.data();
    let mut notes = Vec::new();
    let per_gb = "about $0.45 per GB a month (storage and point-in-time recovery)";
    if owned || access {
        let mut declared = observed.replicas(home);
        declared.extend(replicas.into_iter().cloned());
        declared.remove(home);
        let regions: Vec<RegionName> = declared.into_iter().collect();
        let replicas = match regions.as_slice() {
            [] => String::new(),
            regions => format!(", with replicas in {}", regions.join(", ")),
        };
        let each = if regions.is_empty() { "" } else { ", in each region" };
        notes.push(format!("retained: table {} in {home}{replicas}: {per_gb}{each}", names.access_table));
    }
    if owned || kept.ledger {
        notes.push(format!("retained: table {} in {home}: {per_gb}", names.ledger_table));
    }
    if owned || kept.stream {
        notes.push(format!("retained: stream {} in {home}: about $11 a month, even when idle", names.stream));
    }
    if owned || kept.failure_bucket {
        let bucket = names.failure_bucket(&observed.account);
        notes.push(format!("retained: bucket {bucket} in {home}: about $0.02 per GB a month"));
    }
    if !notes.is_empty() {
        notes
            .push("`ipgeo deploy` adopts retained data; `ipgeo destroy --delete-data` deletes it".to_owned());
    }
    notes
}
