//! Built under `#[cfg(test)]` alone: a file, a cloud in memory, and deploys of the one to the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::config::{Config, parse};
use crate::infra::cloud::memory::Memory;
use crate::infra::cloud::{Ask, CloudError, observe};
use crate::infra::deploy::{Event, ExecuteOptions, Run, Sink, Stop, execute};
use crate::infra::plan::{
    ArtifactFile, DestroyOptions, Fault, Observed, Plan, PlanOptions, ProbeSpec, Scope, destroy, plan, show,
};
use crate::infra::stacks::{ArtifactSet, test_artifacts};

pub(crate) const HOME: &str = "eu-central-1";
pub(crate) const TEN: [&str; 10] = [
    "af-south-1",
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-west-2",
];
/// Few enough to try everything in.
pub(crate) const FOUR: [&str; 4] = ["ap-south-1", "eu-central-1", "sa-east-1", "us-east-1"];

pub(crate) const DOMAIN: &str = "api.example.com";
const ZONE: &str = "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n";

/// What a file says, as far as tests change it.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) home: String,
    pub(crate) regions: BTreeSet<String>,
    pub(crate) memory_mb: u32,
    pub(crate) has_domain: bool,
    pub(crate) startup: String,
    pub(crate) environment: String,
    pub(crate) add: String,
}

impl File {
    pub(crate) fn of(regions: &[&str]) -> Self {
        Self {
            home: HOME.to_owned(),
            regions: set(regions),
            memory_mb: 256,
            has_domain: true,
            startup: "100_000/month".to_owned(),
            environment: "prod".to_owned(),
            add: String::new(),
        }
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut file = self.clone();
        change(&mut file);
        file
    }

    pub(crate) fn config(&self) -> Config {
        parse("regions.toml", &self.text()).expect("a sound file")
    }

    pub(crate) fn text(&self) -> String {
        let domain = if self.has_domain { ZONE } else { "" };
        let regions = self.regions.iter().fold(String::new(), |text, name| text + "[regions." + name + "]\n");
        format!(
            "[service]\nname = \"ipgeo\"\nenvironment = \"{}\"\nhome = \"{}\"\n{domain}\
             [runtime]\nmemory_mb = {}\n\
             [tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50_000/day\"\n\
             [tiers.startup]\nlimit = \"{}\"\n[tiers.business]\nlimit = \"2_500_000/month\"\n\
             {regions}{}",
            self.environment, self.home, self.memory_mb, self.startup, self.add
        )
    }
}

pub(crate) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn options(config: &Config, artifacts: &ArtifactSet) -> PlanOptions {
    let file = |artifact: &crate::infra::stacks::ArtifactRef| ArtifactFile {
        artifact: artifact.clone(),
        file: PathBuf::from("an.zip"),
        bytes: 2_500_000,
    };
    PlanOptions {
        scope: Scope {
            regions: config.regions.iter().map(|region| region.name.clone()).collect(),
            whole: true,
        },
        allow_replace: BTreeSet::new(),
        recreate_failed: false,
        files: artifacts.code.values().chain([&artifacts.geo]).map(file).collect(),
        probe: ProbeSpec { address: "8.8.8.8".to_owned(), ..ProbeSpec::default() },
    }
}

pub(crate) async fn observed(cloud: &Memory, config: &Config) -> Result<Observed, CloudError> {
    observe(cloud, &Ask::everywhere(config, Some(&test_artifacts()))).await
}

/// The plan of a deploy of everything, with options changed.
pub(crate) async fn planned_with(
    cloud: &Memory,
    file: &File,
    change: impl FnOnce(&mut PlanOptions),
) -> Result<Plan, Vec<Fault>> {
    let (config, artifacts) = (file.config(), test_artifacts());
    let mut options = options(&config, &artifacts);
    change(&mut options);
    let observed = observed(cloud, &config).await.expect("a cloud that can be read");
    plan(&config, &artifacts, &observed, &options).expect("rendered")
}

pub(crate) async fn planned(cloud: &Memory, file: &File) -> Result<Plan, Vec<Fault>> {
    planned_with(cloud, file, |_| {}).await
}

/// The plan of a deploy of some regions.
pub(crate) async fn planned_for(cloud: &Memory, file: &File, regions: &[&str]) -> Result<Plan, Vec<Fault>> {
    let scope = Scope { regions: set(regions), whole: false };
    planned_with(cloud, file, |options| options.scope = scope).await
}

pub(crate) async fn planned_destroy(
    cloud: &Memory,
    file: &File,
    delete_data: bool,
) -> Result<Plan, Vec<Fault>> {
    let (config, artifacts) = (file.config(), test_artifacts());
    let ask = Ask::everywhere(&config, Some(&artifacts)).with_kept_data();
    let observed = observe(cloud, &ask).await.expect("a cloud that can be read");
    destroy(&config, &artifacts, &observed, DestroyOptions { delete_data }).expect("rendered")
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<(u64, Event)>>);

impl Sink for Kept {
    fn tell(&self, at_ms: u64, event: &Event) {
        self.0.lock().expect("nobody else panicked").push((at_ms, event.clone()));
    }
}

pub(crate) const TOGETHER: ExecuteOptions = ExecuteOptions { concurrency: 34 };

pub(crate) async fn carried_out(cloud: &Memory, plan: &Plan) -> Run {
    execute(plan, cloud, TOGETHER, &Stop::default(), &Kept::default()).await
}

/// The same, unless a step kills it in the middle.
pub(crate) async fn carried_out_or_killed(cloud: &Memory, plan: &Plan) -> Option<Run> {
    tokio::select! {
        run = carried_out(cloud, plan) => Some(run),
        () = cloud.killed() => None,
    }
}

/// A cloud to which a file was deployed without a hitch.
pub(crate) async fn deployed(file: &File) -> Memory {
    let cloud = Memory::new(&file.config());
    deploy(&cloud, file).await;
    cloud.clear_log();
    cloud
}

/// Deploys; it must be done, and no harm.
pub(crate) async fn deploy(cloud: &Memory, file: &File) -> Plan {
    let plan = planned(cloud, file).await.expect("nothing forbids it");
    finish(cloud, &plan).await;
    plan
}

/// Carries a plan out, which must succeed.
pub(crate) async fn finish(cloud: &Memory, plan: &Plan) {
    let run = carried_out(cloud, plan).await;
    assert_eq!(run.failures, [], "{}", show(plan, false).body);
    assert_eq!(cloud.log().harm, Vec::<String>::new());
}

/// What an operator is after.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    Deploy(File),
    Destroy(File, bool),
}

impl Goal {
    pub(crate) async fn planned(&self, cloud: &Memory) -> Result<Plan, Vec<Fault>> {
        match self {
            Self::Deploy(file) => planned_with(cloud, file, |options| options.recreate_failed = true).await,
            Self::Destroy(file, delete_data) => planned_destroy(cloud, file, *delete_data).await,
        }
    }
}

/// Goes on until there is nothing to do, as an operator would who follows the remedies; tells how often.
pub(crate) async fn converge(cloud: &Memory, goal: &Goal) -> usize {
    for runs in 0..8 {
        match goal.planned(cloud).await {
            Ok(plan) if plan.is_empty() => return runs,
            Ok(plan) => drop(carried_out(cloud, &plan).await),
            Err(faults) => {
                let told = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                if told.contains("being changed") {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                } else if told.contains("stuck") {
                    cloud.repair_stuck_stacks();
                } else {
                    panic!("no remedy was followed for:\n{told}");
                }
            }
        }
    }
    panic!("it does not converge:\n{}", cloud.picture().join("\n"));
}
