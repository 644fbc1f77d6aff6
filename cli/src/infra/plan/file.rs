//! A plan in a file: what `ipgeo plan --out` writes and `ipgeo deploy FILE` runs.
//!
//! The file holds no templates: it holds the digests of what each step finds and leaves. `deploy` reads what is deployed,
//! plans once more and compares. What runs is therefore the plan that was shown, or nothing. Steps that are done may be
//! missing from the new plan, so an interrupted deploy continues with the same command.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::model::{Action, Before, Plan, Step};
use super::observed::Record;
use crate::infra::stacks::ArtifactSet;

/// Version of the file's form.
const VERSION: u32 = 1;
/// Maximum size of a plan file, bytes; a plan of all regions takes 100 kB.
pub(crate) const BYTES_MAX: u64 = 16 << 20;

/// Flags of `ipgeo plan` that a plan depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedFlags {
    pub(crate) regions: Vec<String>,
    pub(crate) exclude_regions: Vec<String>,
    pub(crate) allow_replace: Vec<String>,
    pub(crate) recreate_failed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedFrom {
    pub(crate) account: String,
    /// SHA-256 of `regions.toml`.
    pub(crate) config: String,
    /// Keys of artifacts.
    pub(crate) artifacts: Vec<String>,
    pub(crate) flags: PlannedFlags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanFile {
    ipgeo_plan: u32,
    /// The release that made it.
    release: String,
    created: Timestamp,
    service: String,
    #[serde(flatten)]
    pub(crate) from: PlannedFrom,
    steps: Vec<Value>,
    /// SHA-256 of everything else.
    sha256: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanFileError {
    #[error("it is not a plan of `ipgeo plan --out`: {0}")]
    NotAPlan(String),
    #[error("it was made by ipgeo {0}, and this is {release}", release = env!("CARGO_PKG_VERSION"))]
    Release(String),
    #[error("it was edited or damaged: its SHA-256 does not match")]
    Damaged,
    #[error("it is a plan of {0}, and regions.toml describes {1}")]
    Service(String, String),
    #[error("it is a plan of account {0}, and the credentials are of {1}")]
    Account(String, String),
    #[error("regions.toml has changed since it was made")]
    Config,
    #[error("the {0} has changed since it was made: {1} is not what was planned")]
    Artifact(&'static str, String),
    #[error("what is deployed has changed since it was made: {0}")]
    Deployed(String),
}

impl PlanFile {
    pub(crate) fn new(plan: &Plan, from: PlannedFrom, created: Timestamp) -> Self {
        let mut file = Self {
            ipgeo_plan: VERSION,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            created,
            service: plan.service.clone(),
            from,
            steps: steps_of(plan),
            sha256: String::new(),
        };
        file.sha256 = file.digest();
        file
    }

    pub(crate) fn text(&self) -> String {
        format!("{:#}\n", json!(self))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, PlanFileError> {
        let not = |error: serde_json::Error| PlanFileError::NotAPlan(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(not)?;
        let release = value["release"].as_str().unwrap_or_default();
        if value["ipgeo_plan"].is_u64() && !release.is_empty() && release != env!("CARGO_PKG_VERSION") {
            return Err(PlanFileError::Release(release.to_owned()));
        }
        let file: Self = serde_json::from_value(value).map_err(not)?;
        if file.ipgeo_plan != VERSION {
            return Err(PlanFileError::NotAPlan(format!("its version {} is unknown", file.ipgeo_plan)));
        }
        if file.digest() != file.sha256 {
            return Err(PlanFileError::Damaged);
        }
        Ok(file)
    }

    fn digest(&self) -> String {
        let file = Self { sha256: String::new(), ..self.clone() };
        digest(&json!(file).to_string())
    }

    /// Checks what does not need AWS: the service and its configuration.
    pub(crate) fn check_config(&self, service: &str, config: &str) -> Result<(), PlanFileError> {
        if self.service != service {
            return Err(PlanFileError::Service(self.service.clone(), service.to_owned()));
        }
        if self.from.config == config { Ok(()) } else { Err(PlanFileError::Config) }
    }

    pub(crate) fn check_inputs(&self, account: &str, artifacts: &ArtifactSet) -> Result<(), PlanFileError> {
        if self.from.account != account {
            return Err(PlanFileError::Account(self.from.account.clone(), account.to_owned()));
        }
        let other = keys_of(artifacts).into_iter().find(|key| !self.from.artifacts.contains(key));
        match other {
            Some(key) if key.starts_with("geo") => Err(PlanFileError::Artifact("geo database", key)),
            Some(key) => Err(PlanFileError::Artifact("function's code", key)),
            None => Ok(()),
        }
    }

    /// Checks that the plan of this moment has no step that the file does not have.
    pub(crate) fn check_plan(&self, now: &Plan) -> Result<(), PlanFileError> {
        let steps = steps_of(now);
        // A marked call changes nothing, and a continued deploy follows one through its next canary.
        let is_other = |(step, new): &(&Value, (_, &Step))| {
            !self.steps.contains(step) && !matches!(new.1.action, Action::Follow(_))
        };
        let Some((step, new)) = steps.iter().zip(now.steps()).find(is_other) else {
            return Ok(());
        };
        let (region, title) = (&new.1.region, new.1.title());
        let planned = self
            .steps
            .iter()
            .find(|known| known["region"] == step["region"] && known["title"] == step["title"]);
        let why = match planned {
            None => format!("{region} needs a step that was not planned: {title}"),
            Some(known) if known["before"] != step["before"] => {
                format!("{title} in {region} would start from another state")
            }
            Some(_) => format!("{title} in {region} would do something else"),
        };
        Err(PlanFileError::Deployed(why))
    }
}

pub(crate) fn keys_of(artifacts: &ArtifactSet) -> Vec<String> {
    artifacts.code.values().chain([&artifacts.geo]).map(|artifact| artifact.key.clone()).collect()
}

pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn steps_of(plan: &Plan) -> Vec<Value> {
    plan.steps().map(|(_, step)| canonical(step)).collect()
}

/// A step with digests of what it finds and leaves, without what may differ between two machines or two minutes.
fn canonical(step: &Step) -> Value {
    let mut value = json!(step);
    value["title"] = json!(step.title());
    match &step.action {
        Action::Stack(change) => {
            value["after"] = json!(digest(&change.text));
            value["before"] = json!(change.before.as_ref().map(state));
        }
        Action::DeleteStack { before, .. } => value["before"] = json!(before.as_deref().map(state)),
        Action::Records(change) => {
            let record = |record: &Record| {
                let Record { region, kind, alias, evaluates_health } = record;
                json!([region, kind, alias, evaluates_health])
            };
            let records: Option<Vec<Value>> =
                change.before.as_ref().map(|records| records.iter().map(record).collect());
            value["before"] = json!([records, change.drained_before, change.others_stay]);
        }
        Action::Tier(_) => drop(value.as_object_mut().and_then(|step| step.remove("api_keys"))),
        Action::Upload(_) => drop(value.as_object_mut().and_then(|step| step.remove("file"))),
        _ => {}
    }
    value
}

fn state(before: &Before) -> String {
    digest(&json!([before.text, before.parameters]).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::infra::plan::{Observed, PlanOptions, ProbeSpec, Scope, plan};
    use crate::infra::stacks::{test_artifacts, test_config};

    fn planned() -> Plan {
        let (config, artifacts) = (test_config(), test_artifacts());
        let regions = config.regions.iter().map(|region| region.name.clone()).collect();
        let files =
            artifacts.code.values().chain([&artifacts.geo]).map(|artifact| super::super::ArtifactFile {
                artifact: artifact.clone(),
                file: "/home/anna/x.zip".into(),
                bytes: 1,
            });
        let options = PlanOptions {
            scope: Scope { regions, whole: true },
            allow_replace: BTreeSet::new(),
            recreate_failed: false,
            files: files.collect(),
            probe: ProbeSpec::default(),
            follow: None,
            today: "2026-11-24".to_owned(),
        };
        let zone = config.service.domain.as_ref().map(|_| crate::infra::plan::Zone::default());
        let observed = Observed { account: "123456789012".to_owned(), zone, ..Observed::default() };
        plan(&config, &artifacts, &observed, &options).expect("a plan")
    }

    fn file(plan: &Plan) -> PlanFile {
        let from = PlannedFrom {
            account: "123456789012".to_owned(),
            config: digest("[service]"),
            artifacts: keys_of(&test_artifacts()),
            flags: PlannedFlags { regions: vec!["eu-*".to_owned()], ..PlannedFlags::default() },
        };
        PlanFile::new(plan, from, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_refused_if_it_was_touched() {
        let written = file(&planned());
        let text = written.text();
        assert_eq!(PlanFile::parse(&text).as_ref(), Ok(&written));
        assert!(!text.contains("/home/anna") && !text.contains("AWSTemplateFormatVersion"), "{text}");
        let release = env!("CARGO_PKG_VERSION");
        let table = [
            (text[..text.len() / 2].to_owned(), "it is not a plan"),
            (String::new(), "it is not a plan"),
            ("[]".to_owned(), "it is not a plan"),
            ("{\"ipgeo_plan\": 1}".to_owned(), "it is not a plan"),
            (text.replace("\"ipgeo_plan\": 1", "\"ipgeo_plan\": 2"), "its version 2 is unknown"),
            (
                text.replace(&format!("\"release\": \"{release}\""), "\"release\": \"9.9.9\""),
                "made by ipgeo 9.9.9",
            ),
            (text.replace("\"eu-*\"", "\"us-*\""), "it was edited or damaged"),
            (text.replacen("eu-central-1", "eu-central-2", 1), "it was edited or damaged"),
        ];
        for (text, why) in table {
            let error = PlanFile::parse(&text).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        /// Bytes are replaced or removed anywhere; what is still accepted is the same plan, in another layout.
        #[test]
        fn a_damaged_file_is_refused(at: proptest::sample::Index, length in 0_usize..4, new in "[ -~\n]{0,3}") {
            static WRITTEN: std::sync::LazyLock<PlanFile> = std::sync::LazyLock::new(|| file(&planned()));
            let mut text = WRITTEN.text();
            let start = at.index(text.len() - 4);
            if text.is_char_boundary(start) && text.is_char_boundary(start + length) {
                text.replace_range(start..start + length, &new);
            }
            if let Ok(read) = PlanFile::parse(&text) {
                proptest::prop_assert_eq!(&read, &*WRITTEN);
            }
        }
    }

    #[test]
    fn a_file_is_for_one_service_account_configuration_and_code() {
        let (plan, artifacts) = (planned(), test_artifacts());
        let file = file(&plan);
        let config = digest("[service]");
        assert_eq!(file.check_config(&plan.service, &config), Ok(()));
        assert!(matches!(file.check_config("other-prod", &config), Err(PlanFileError::Service(..))));
        assert_eq!(file.check_config(&plan.service, &digest("x")), Err(PlanFileError::Config));
        assert_eq!(file.check_inputs("123456789012", &artifacts), Ok(()));
        assert!(matches!(file.check_inputs("2", &artifacts), Err(PlanFileError::Account(..))));
        let mut other = artifacts;
        other.geo.key = "geo/other.zip".to_owned();
        assert!(matches!(
            file.check_inputs("123456789012", &other),
            Err(PlanFileError::Artifact("geo database", _))
        ));
    }

    /// Steps may be missing because they are done, and artifacts may have other paths; nothing else may differ.
    #[test]
    fn a_plan_may_only_lack_steps_of_its_file() {
        let plan = planned();
        let file = file(&plan);
        assert_eq!(file.check_plan(&plan), Ok(()));
        let mut rest = plan.clone();
        rest.waves.remove(0);
        for step in rest.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
            if let Action::Upload(upload) = &mut step.action {
                upload.file = "/srv/ci/x.zip".into();
            }
        }
        assert_eq!(file.check_plan(&rest), Ok(()));
        let changed = |change: fn(&mut super::super::StackChange)| {
            let mut plan = plan.clone();
            let steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
            let stacks = steps.filter_map(|step| match &mut step.action {
                Action::Stack(stack) => Some(stack),
                _ => None,
            });
            stacks.take(1).for_each(|stack| change(stack));
            file.check_plan(&plan).expect_err("changed").to_string()
        };
        let found = changed(|stack| {
            stack.before =
                Some(Before { text: String::new(), parameters: std::collections::BTreeMap::new() });
        });
        assert!(found.contains("would start from another state"), "{found}");
        let found = changed(|stack| stack.text.push('#'));
        assert!(found.contains("would do something else"), "{found}");
        let mut more = plan.clone();
        let step = Step::new(&ipgeo_contract::RegionName::new("mars-1"), Action::Secret);
        more.waves[0].steps.push(step);
        let found = file.check_plan(&more).expect_err("one more").to_string();
        assert!(found.contains("mars-1 needs a step that was not planned"), "{found}");
    }
}
