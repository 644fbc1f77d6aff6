//! A service on an emulator of AWS, and what both show.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ministack::{self, Ministack};
use crate::python::Venv;
use crate::replicas::Replicas;
use crate::service::{ACCOUNT, HOME, NAME, Service};

pub(crate) const TEN: [&str; 10] = [
    "us-east-1",
    "us-west-2",
    "sa-east-1",
    "eu-west-1",
    "eu-central-1",
    "af-south-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-northeast-1",
    "ap-southeast-2",
];

/// An emulator with a service on it, and what the emulator leaves out.
pub(crate) struct Stage {
    pub(crate) service: Service,
    _replicas: Replicas,
    // The last to go: the others speak to it.
    _ministack: Ministack,
}

impl Stage {
    pub(crate) fn set() -> Option<Self> {
        let venv = Venv::with("ministack", &ministack::PACKAGES)?;
        let ministack = Ministack::start(&venv);
        let service = Service::on(&ministack, &ministack.endpoint());
        let regions = TEN.map(str::to_owned);
        let replicas = Replicas::keep(&service.raw, NAME, HOME, &regions);
        Some(Self { service, _replicas: replicas, _ministack: ministack })
    }
}

/// What is there of a service in these regions, without a domain.
pub(crate) fn whole(regions: &[&str]) -> BTreeSet<String> {
    let mut there: BTreeSet<String> = kept(regions);
    there.insert(format!("{HOME} stack {NAME}-home"));
    for what in ["usage-behind", "usage-errors", "usage-failures"] {
        there.insert(format!("{HOME} alarm {NAME}-{what}"));
    }
    there.insert(format!("{HOME} function {NAME}-usage"));
    there.insert(format!("{HOME} log group /aws/lambda/{NAME}-usage"));
    there.insert(format!("{HOME} mapping arn:aws:lambda:{HOME}:{ACCOUNT}:function:{NAME}-usage:live"));
    for role in ["log-pipe", "usage"] {
        there.insert(format!("- role {NAME}-{role}"));
    }
    for region in regions {
        there.insert(format!("- bucket {NAME}-{ACCOUNT}-{region}"));
        there.insert(format!("- role {NAME}-lookup-{region}"));
        there.insert(format!("{region} api {NAME}"));
        there.insert(format!("{region} function {NAME}-lookup"));
        there.insert(format!("{region} layer {NAME}-geo"));
        there.insert(format!("{region} log group /aws/lambda/{NAME}-lookup"));
        for kind in ["artifacts", "edge"] {
            there.insert(format!("{region} stack {NAME}-{kind}"));
        }
    }
    there
}

/// What a service leaves when its data is kept.
pub(crate) fn kept(regions: &[&str]) -> BTreeSet<String> {
    let mut there: BTreeSet<String> =
        regions.iter().map(|region| format!("{region} table {NAME}-access")).collect();
    there.insert(format!("{HOME} table {NAME}-ledger"));
    there.insert(format!("{HOME} stream {NAME}-usage"));
    there.insert(format!("- bucket {NAME}-failures-{ACCOUNT}"));
    there
}

/// The memory of every lookup function, by region.
pub(crate) fn memory(service: &Service, regions: &[&str]) -> Vec<u64> {
    let path = format!("/2015-03-31/functions/{NAME}-lookup/configuration");
    let ask = |region: &&str| {
        let answer = service.raw.rest(region, "lambda", "GET", &path, "").expect("a function");
        serde_json::from_str::<Value>(&answer).expect("JSON")["MemorySize"].as_u64().unwrap_or_default()
    };
    regions.iter().map(ask).collect()
}

/// The country that an edge tells of an address, and the region that answered.
pub(crate) fn answers(service: &Service, region: &str, api_key: Option<&str>) -> Result<(), String> {
    let answer = service.get(region, "/8.8.8.8", api_key);
    if answer.status != 200 || answer.json["country_code"] != "US" {
        return Err(format!("{region}: {} {}", answer.status, answer.json));
    }
    let health = service.get(region, "/health/", None);
    if health.json["region"] == region { Ok(()) } else { Err(format!("{region}: {}", health.json)) }
}

/// `add change replace remove` of a plan.
pub(crate) fn summary(plan: &Value) -> Vec<u64> {
    let number = |name: &str| plan["summary"][name].as_u64().expect("a number");
    ["add", "change", "replace", "remove"].map(number).to_vec()
}

pub(crate) const THREE: [&str; 3] = [HOME, "us-east-1", "ap-south-1"];
