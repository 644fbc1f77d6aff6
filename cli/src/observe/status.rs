//! The status of every region, one row each, from what was observed and what its edge answered. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::config::Config;
use crate::infra::plan::{Observed, ObservedRegion, RecordKind, StackState};
use crate::infra::stacks::{FunctionKind, StackKind};

/// How long an edge's answer took, ms, or what was wrong.
pub(crate) type EdgeAnswer = Result<f64, String>;

const DIGEST_CHARS: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct RegionStatus {
    pub region: RegionName,
    pub home: bool,
    /// Whether regions.toml has it.
    pub in_file: bool,
    /// `ok`, or what is wrong with its stacks; `none` if nothing is deployed.
    pub stacks: String,
    /// The version of the function that its alias serves.
    pub version: Option<u64>,
    /// The version that its stack has published last; another one: the region was rolled back.
    pub stack_version: Option<u64>,
    /// The version of the counter that serves; home only.
    pub counter_version: Option<u64>,
    /// The first characters of the digest of the code that serves.
    pub code: Option<String>,
    /// The same of the geo database.
    pub database: Option<String>,
    /// The state of the access table's replica, as DynamoDB names it; `home` at home.
    pub replica: Option<String>,
    /// The DNS records that exist (`A AAAA`), `drained`, or `none`; empty without a domain.
    pub record: String,
    /// Where callers reach it.
    pub endpoint: Option<String>,
    /// How long the answer to a probe took, ms.
    pub probe_ms: Option<f64>,
    pub probe_error: Option<String>,
}

/// A row for each region in regions.toml, then for each deployed region that is not in it.
pub(crate) fn region_statuses(
    config: &Config,
    observed: &Observed,
    replicas: &BTreeMap<RegionName, String>,
    answers: &BTreeMap<RegionName, EdgeAnswer>,
) -> Vec<RegionStatus> {
    let in_file: Vec<RegionName> = config.region_names().cloned().collect();
    let known: BTreeSet<&RegionName> = in_file.iter().collect();
    let mut deployed = observed.deployed_regions();
    deployed.extend(replicas.keys().cloned());
    let orphans: Vec<RegionName> = deployed.into_iter().filter(|region| !known.contains(region)).collect();
    in_file
        .iter()
        .map(|region| (region, true))
        .chain(orphans.iter().map(|region| (region, false)))
        .map(|(region, in_file)| {
            region_status(config, observed, replicas, answers.get(region), region, in_file)
        })
        .collect()
}

fn region_status(
    config: &Config,
    observed: &Observed,
    replicas: &BTreeMap<RegionName, String>,
    answer: Option<&EdgeAnswer>,
    region: &RegionName,
    in_file: bool,
) -> RegionStatus {
    let home = config.service.home == *region;
    let edge = observed.stack(region, StackKind::Edge);
    let output = |name: &str| edge.and_then(|edge| edge.outputs.get(name)).cloned();
    let digest =
        |name: &str| output(name).map(|digest| digest.chars().take(DIGEST_CHARS).collect::<String>());
    let live = |kind: FunctionKind| observed.function(region, kind).and_then(|function| function.live);
    let version = live(FunctionKind::Edge);
    let release = observed.function(region, FunctionKind::Edge).zip(version);
    let release = release.map(|(function, version)| function.release(version)).unwrap_or_default();
    let served = |part: Option<&str>, name: &str| part.map(str::to_owned).or_else(|| digest(name));
    let has_home = home && observed.stack(region, StackKind::Home).is_some();
    RegionStatus {
        region: region.clone(),
        home,
        in_file,
        stacks: stacks(observed.regions.get(region), home, in_file),
        version,
        stack_version: observed.stack_version(region, FunctionKind::Edge),
        counter_version: live(FunctionKind::Counter),
        code: served(release.code, "Code"),
        database: served(release.database, "Geo"),
        replica: if has_home { Some("home".to_owned()) } else { replicas.get(region).cloned() },
        record: record(config, observed, region),
        endpoint: match (&config.service.domain, edge) {
            (Some(domain), Some(_)) => Some(format!("https://{domain}")),
            _ => output("ApiEndpoint"),
        },
        probe_ms: answer.and_then(|answer| answer.as_ref().ok()).copied(),
        probe_error: answer.and_then(|answer| answer.as_ref().err()).cloned(),
    }
}

fn stacks(region: Option<&ObservedRegion>, home: bool, in_file: bool) -> String {
    let Some(region) = region else { return "none".to_owned() };
    if let Some(problem) = &region.unreachable {
        return problem.what.clone();
    }
    if region.stacks.is_empty() {
        return "none".to_owned();
    }
    let mut faults: Vec<String> = Vec::new();
    for kind in StackKind::ALL {
        match region.stacks.get(&kind) {
            Some(stack) if stack.state() == StackState::Settled => {}
            Some(stack) => faults.push(format!("{kind} {}", stack.status)),
            None if in_file && (kind != StackKind::Home || home) => faults.push(format!("no {kind}")),
            None => {}
        }
    }
    if !in_file {
        faults.push("not in the file".to_owned());
    }
    if faults.is_empty() { "ok".to_owned() } else { faults.join(", ") }
}

fn record(config: &Config, observed: &Observed, region: &str) -> String {
    if config.service.domain.is_none() {
        return String::new();
    }
    let Some(zone) = &observed.zone else { return "no zone".to_owned() };
    if zone.drained.contains(region) {
        return "drained".to_owned();
    }
    let there = |kind: RecordKind| zone.records.iter().any(|r| r.region == region && r.kind == kind);
    let kinds: Vec<&str> =
        RecordKind::ALL.into_iter().filter(|kind| there(*kind)).map(RecordKind::as_str).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::plan::{Alias, ObservedFunction, ObservedStack, Problem, Record, Zone};

    fn stack(status: &str, outputs: &[(&str, &str)]) -> ObservedStack {
        ObservedStack {
            drift: None,
            status: status.to_owned(),
            text: String::new(),
            parameters: BTreeMap::new(),
            outputs: outputs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    const FILE: &str = r#"
[service]
name = "geo"
home = "eu-west-1"
domain = "api.example.com"
hosted_zone = "example.com"
[tiers.anonymous]
limit = "1500/day"
[tiers.paid]
limit = "9/day"
[regions.eu-west-1]
[regions.us-east-1]
[regions.sa-east-1]
[regions.af-south-1]
"#;

    fn region(stacks: &[(StackKind, ObservedStack)]) -> ObservedRegion {
        ObservedRegion { stacks: stacks.iter().cloned().collect(), ..ObservedRegion::default() }
    }

    fn zone() -> Zone {
        let record = |region: &str, kind| Record {
            region: RegionName::new(region),
            kind,
            alias: Alias { domain: "d".into(), zone: "Z".into() },
            evaluates_health: true,
        };
        Zone {
            records: vec![
                record("eu-west-1", RecordKind::A),
                record("eu-west-1", RecordKind::Aaaa),
                record("ap-south-1", RecordKind::A),
            ],
            drained: BTreeSet::from([RegionName::new("us-east-1")]),
            name: "example.com".to_owned(),
            ..Zone::default()
        }
    }

    fn observed() -> Observed {
        let plain = stack("CREATE_COMPLETE", &[]);
        let outputs = [("Code", "0123456789"), ("Geo", "abcdefghij"), ("ApiEndpoint", "https://x")];
        let edge = stack("CREATE_COMPLETE", &outputs);
        let busy = stack("UPDATE_IN_PROGRESS", &[]);
        let (artifacts, home) = ((StackKind::Artifacts, plain.clone()), (StackKind::Home, plain));
        // Rolled back: the alias serves another version than the stack's.
        let versions = [(3, "code 76543210, database hgfedcba"), (4, "code 01234567, database abcdefgh")];
        let versions = versions.map(|(number, description)| (number, description.to_owned())).into();
        let function = ObservedFunction { live: Some(3), versions };
        let mut rolled_back = region(&[artifacts.clone(), home, (StackKind::Edge, edge)]);
        rolled_back.functions.insert(FunctionKind::Edge, function);
        let unreachable = Some(Problem::new("not enabled", "enable it"));
        let regions = [
            ("eu-west-1", rolled_back),
            ("us-east-1", region(&[artifacts.clone(), (StackKind::Edge, busy)])),
            ("ap-south-1", region(&[artifacts])),
            ("af-south-1", ObservedRegion { unreachable, ..ObservedRegion::default() }),
        ];
        Observed {
            regions: regions.map(|(name, region)| (RegionName::new(name), region)).into(),
            zone: Some(zone()),
            ..Observed::default()
        }
    }

    fn line(s: &RegionStatus) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let probe = s.probe_ms.map_or_else(|| of(&s.probe_error), |ms| format!("{ms:.0} ms"));
        let (code, database, replica) = (of(&s.code), of(&s.database), of(&s.replica));
        let version = s.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        format!(
            "{} | {} | {version} {code} {database} | {replica} | {} | {probe}",
            s.region, s.stacks, s.record
        )
    }

    #[test]
    fn each_region_has_its_status() {
        let config = crate::config::parse("regions.toml", FILE).expect("sound");
        let replicas = BTreeMap::from([(RegionName::new("us-east-1"), "ACTIVE".to_owned())]);
        let answers = BTreeMap::from([
            (RegionName::new("eu-west-1"), Ok(12.4)),
            (RegionName::new("us-east-1"), Err("no answer".to_owned())),
        ]);
        let lines: Vec<String> =
            region_statuses(&config, &observed(), &replicas, &answers).iter().map(line).collect();
        let expected = [
            "eu-west-1 | ok | 3 76543210 hgfedcba | home | A AAAA | 12 ms",
            "us-east-1 | edge UPDATE_IN_PROGRESS | - - - | ACTIVE | drained | no answer",
            "sa-east-1 | none | - - - | - | none | -",
            "af-south-1 | not enabled | - - - | - | none | -",
            "ap-south-1 | not in the file | - - - | - | A | -",
        ];
        assert_eq!(lines, expected);
    }
}
