//! How every region stands, a line each: from what was observed and asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::Config;
use crate::infra::plan::{Observed, ObservedRegion, RecordKind, StackState};
use crate::infra::stacks::StackKind;

/// How long an edge's answer took, ms, or what was wrong.
pub type Asked = Result<f64, String>;

/// Characters of a digest that are shown.
const DIGEST_CHARS: usize = 8;

/// A region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub region: String,
    /// Whether it is home.
    pub home: bool,
    /// Whether the file has it.
    pub in_file: bool,
    /// `ok`, or the states that are not; `none` when nothing is deployed.
    pub stacks: String,
    /// Digest of the function's code, its beginning.
    pub code: Option<String>,
    /// Digest of the geo database's artifact, its beginning.
    pub database: Option<String>,
    /// DynamoDB's word for the access table's replica; `home` for the first.
    pub replica: Option<String>,
    /// `A AAAA`, what of them there is, `drained`, or `none`; empty without a domain.
    pub record: String,
    /// Where callers reach it.
    pub endpoint: Option<String>,
    /// How long an answer took, ms.
    pub probe_ms: Option<f64>,
    /// What was wrong with the answer.
    pub probe_error: Option<String>,
}

/// A line for each region of the file, and for each that is deployed and not in it.
pub fn standings(
    config: &Config,
    observed: &Observed,
    replicas: &BTreeMap<String, String>,
    asked: &BTreeMap<String, Asked>,
) -> Vec<Standing> {
    let in_file: Vec<String> = config.regions.iter().map(|region| region.name.clone()).collect();
    let known: BTreeSet<&String> = in_file.iter().collect();
    let mut deployed = observed.deployed_regions();
    deployed.extend(replicas.keys().cloned());
    let orphans: Vec<String> = deployed.into_iter().filter(|region| !known.contains(region)).collect();
    in_file
        .iter()
        .map(|region| (region, true))
        .chain(orphans.iter().map(|region| (region, false)))
        .map(|(region, in_file)| standing(config, observed, replicas, asked.get(region), region, in_file))
        .collect()
}

fn standing(
    config: &Config,
    observed: &Observed,
    replicas: &BTreeMap<String, String>,
    asked: Option<&Asked>,
    region: &str,
    in_file: bool,
) -> Standing {
    let home = config.service.home == region;
    let edge = observed.stack(region, StackKind::Edge);
    let output = |name: &str| edge.and_then(|edge| edge.outputs.get(name)).cloned();
    let digest = |name: &str| output(name).map(|digest| digest.chars().take(DIGEST_CHARS).collect());
    let has_home = home && observed.stack(region, StackKind::Home).is_some();
    Standing {
        region: region.to_owned(),
        home,
        in_file,
        stacks: stacks(observed.regions.get(region), home, in_file),
        code: digest("Code"),
        database: digest("Geo"),
        replica: if has_home { Some("home".to_owned()) } else { replicas.get(region).cloned() },
        record: record(config, observed, region),
        endpoint: match (&config.service.domain, edge) {
            (Some(domain), Some(_)) => Some(format!("https://{domain}")),
            _ => output("ApiEndpoint"),
        },
        probe_ms: asked.and_then(|asked| asked.as_ref().ok()).copied(),
        probe_error: asked.and_then(|asked| asked.as_ref().err()).cloned(),
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
    let mut told: Vec<String> = Vec::new();
    for kind in StackKind::ALL {
        match region.stacks.get(&kind) {
            Some(stack) if stack.state() == StackState::Settled => {}
            Some(stack) => told.push(format!("{kind} {}", stack.status)),
            None if in_file && (kind != StackKind::Home || home) => told.push(format!("no {kind}")),
            None => {}
        }
    }
    if !in_file {
        told.push("not in the file".to_owned());
    }
    if told.is_empty() { "ok".to_owned() } else { told.join(", ") }
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
    use crate::infra::plan::{Alias, ObservedStack, Problem, Record, Zone};

    fn stack(status: &str, outputs: &[(&str, &str)]) -> ObservedStack {
        ObservedStack {
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
            region: region.to_owned(),
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
            drained: BTreeSet::from(["us-east-1".to_owned()]),
            ..Zone::default()
        }
    }

    fn observed() -> Observed {
        let plain = stack("CREATE_COMPLETE", &[]);
        let outputs = [("Code", "0123456789"), ("Geo", "abcdefghij"), ("ApiEndpoint", "https://x")];
        let edge = stack("CREATE_COMPLETE", &outputs);
        let busy = stack("UPDATE_IN_PROGRESS", &[]);
        let (artifacts, home) = ((StackKind::Artifacts, plain.clone()), (StackKind::Home, plain));
        let unreachable = Some(Problem::new("not enabled", "enable it"));
        let regions = [
            ("eu-west-1", region(&[artifacts.clone(), home, (StackKind::Edge, edge)])),
            ("us-east-1", region(&[artifacts.clone(), (StackKind::Edge, busy)])),
            ("ap-south-1", region(&[artifacts])),
            ("af-south-1", ObservedRegion { unreachable, ..ObservedRegion::default() }),
        ];
        Observed {
            regions: regions.map(|(name, region)| (name.to_owned(), region)).into(),
            zone: Some(zone()),
            ..Observed::default()
        }
    }

    fn line(s: &Standing) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let probe = s.probe_ms.map_or_else(|| of(&s.probe_error), |ms| format!("{ms:.0} ms"));
        let (code, database, replica) = (of(&s.code), of(&s.database), of(&s.replica));
        format!("{} | {} | {code} {database} | {replica} | {} | {probe}", s.region, s.stacks, s.record)
    }

    #[test]
    fn each_region_is_told_as_it_stands() {
        let config = crate::config::parse("regions.toml", FILE).expect("sound");
        let replicas = BTreeMap::from([("us-east-1".to_owned(), "ACTIVE".to_owned())]);
        let asked = BTreeMap::from([
            ("eu-west-1".to_owned(), Ok(12.4)),
            ("us-east-1".to_owned(), Err("no answer".to_owned())),
        ]);
        let told: Vec<String> = standings(&config, &observed(), &replicas, &asked).iter().map(line).collect();
        let expected = [
            "eu-west-1 | ok | 01234567 abcdefgh | home | A AAAA | 12 ms",
            "us-east-1 | edge UPDATE_IN_PROGRESS | - - | ACTIVE | drained | no answer",
            "sa-east-1 | none | - - | - | none | -",
            "af-south-1 | not enabled | - - | - | none | -",
            "ap-south-1 | not in the file | - - | - | A | -",
        ];
        assert_eq!(told, expected);
    }
}
