//! A `regions.toml` that tests change, and its deploys to a cloud in memory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::MemoryCloud;
use ipgeo::internals::config::{Config, parse};
use ipgeo::internals::infra::cloud::{Ask, Problem, observe};
use ipgeo::internals::infra::deploy::{Event, ExecuteOptions, Run, Sink, Stop, execute};
use ipgeo::internals::infra::plan::{
    ArtifactFile, DestroyOptions, Observed, Plan, PlanError, PlanOptions, ProbeSpec, Scope, destroy, plan,
    show,
};
use ipgeo::internals::infra::stacks::{ArtifactRef, ArtifactSet};
use ipgeo_contract::RegionName;

/// The home region of [`File::with_regions`].
pub const HOME: &str = "eu-central-1";
/// Ten regions, home among them.
pub const TEN: [&str; 10] = [
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
pub const FOUR: [&str; 4] = ["ap-south-1", "eu-central-1", "sa-east-1", "us-east-1"];

/// The domain of files that have one.
pub const DOMAIN: &str = "api.example.com";
const ZONE: &str = "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n";

/// The parts of a `regions.toml` that tests change.
#[derive(Debug, Clone)]
pub struct File {
    /// The home region.
    pub home: RegionName,
    /// Regions, home among them.
    pub regions: BTreeSet<RegionName>,
    /// Memory of the lookup functions, MB.
    pub memory_mb: u32,
    /// Whether it has [`DOMAIN`].
    pub has_domain: bool,
    /// Limit of the tier `startup`.
    pub startup: String,
    /// `prod`, `staging`, …
    pub environment: String,
    /// Text to append.
    pub add: String,
}

impl File {
    /// A file with these regions, otherwise as in production.
    pub fn with_regions(regions: &[&str]) -> Self {
        Self {
            home: RegionName::new(HOME),
            regions: set(regions),
            memory_mb: 256,
            has_domain: true,
            startup: "100_000/month".to_owned(),
            environment: "prod".to_owned(),
            add: String::new(),
        }
    }

    /// The same file with a change.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut file = self.clone();
        change(&mut file);
        file
    }

    /// The file as it is parsed.
    pub fn config(&self) -> Config {
        parse("regions.toml", &self.text()).expect("a sound file")
    }

    /// The file as text.
    pub fn text(&self) -> String {
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

/// Names as a set.
pub fn set(names: &[&str]) -> BTreeSet<RegionName> {
    names.iter().map(|name| RegionName::new(*name)).collect()
}

/// Options of a deploy of everything, with every artifact at hand.
pub fn options(config: &Config, artifacts: &ArtifactSet) -> PlanOptions {
    let file = |artifact: &ArtifactRef| ArtifactFile {
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
        follow: None,
        today: "2026-11-28".to_owned(),
    }
}

/// Artifacts with made-up digests.
pub fn test_artifacts() -> ArtifactSet {
    let code = ["arm64", "x86_64"].map(|name| (name, ArtifactRef::new("code", &name.repeat(8))));
    ArtifactSet {
        code: code.into(),
        geo: ArtifactRef::new("geo", &"9".repeat(64)),
        geo_description: "test data".to_owned(),
    }
}

/// What the cloud holds.
pub async fn observed(cloud: &MemoryCloud, config: &Config) -> Result<Observed, Problem> {
    observe(cloud, &Ask::everywhere(config, Some(&test_artifacts()))).await
}

/// The plan, or the problems that block it.
pub fn blocked(plan: Result<Plan, PlanError>) -> Result<Plan, Vec<Problem>> {
    plan.map_err(|error| error.into_problems().expect("rendered"))
}

/// The plan of a deploy of everything, with options changed.
pub async fn planned_with(
    cloud: &MemoryCloud,
    file: &File,
    change: impl FnOnce(&mut PlanOptions),
) -> Result<Plan, Vec<Problem>> {
    let (config, artifacts) = (file.config(), test_artifacts());
    let mut options = options(&config, &artifacts);
    change(&mut options);
    let observed = observed(cloud, &config).await.expect("a cloud that can be read");
    blocked(plan(&config, &artifacts, &observed, &options))
}

/// The plan of a deploy of everything.
pub async fn planned(cloud: &MemoryCloud, file: &File) -> Result<Plan, Vec<Problem>> {
    planned_with(cloud, file, |_| {}).await
}

/// The plan of a deploy of some regions.
pub async fn planned_for(cloud: &MemoryCloud, file: &File, regions: &[&str]) -> Result<Plan, Vec<Problem>> {
    let scope = Scope { regions: set(regions), whole: false };
    planned_with(cloud, file, |options| options.scope = scope).await
}

/// The time of destroys, seconds since 1970.
pub const NOW_S: i64 = 1_800_000_000;

/// The plan of a destroy.
pub async fn planned_destroy(
    cloud: &MemoryCloud,
    file: &File,
    delete_data: bool,
) -> Result<Plan, Vec<Problem>> {
    let (config, artifacts) = (file.config(), test_artifacts());
    let ask = Ask::everywhere(&config, Some(&artifacts)).with_kept_data();
    let observed = observe(cloud, &ask).await.expect("a cloud that can be read");
    blocked(destroy(&config, &artifacts, &observed, DestroyOptions { delete_data, now_s: NOW_S }))
}

/// Stores all events.
#[derive(Debug, Default)]
pub struct Kept(pub Mutex<Vec<(u64, Event)>>);

impl Sink for Kept {
    fn emit(&self, at_ms: u64, event: &Event) {
        self.0.lock().expect("nobody else panicked").push((at_ms, event.clone()));
    }
}

/// All regions at once.
pub const TOGETHER: ExecuteOptions = ExecuteOptions { concurrency: 34 };

/// Carries a plan out, whatever becomes of it.
pub async fn carried_out(cloud: &MemoryCloud, plan: &Plan) -> Run {
    execute(plan, cloud, TOGETHER, &Stop::default(), &Kept::default()).await
}

/// The same, unless a step kills it in the middle.
pub async fn carried_out_or_killed(cloud: &MemoryCloud, plan: &Plan) -> Option<Run> {
    tokio::select! {
        run = carried_out(cloud, plan) => Some(run),
        () = cloud.killed() => None,
    }
}

/// A cloud to which a file was deployed without a hitch.
pub async fn deployed(file: &File) -> MemoryCloud {
    let cloud = MemoryCloud::new(&file.config());
    deploy(&cloud, file).await;
    cloud.clear_log();
    cloud
}

/// Deploys; it must be done, and no harm.
pub async fn deploy(cloud: &MemoryCloud, file: &File) -> Plan {
    let plan = planned(cloud, file).await.expect("nothing forbids it");
    finish(cloud, &plan).await;
    plan
}

/// Carries a plan out, which must succeed.
pub async fn finish(cloud: &MemoryCloud, plan: &Plan) {
    let run = carried_out(cloud, plan).await;
    assert_eq!(run.failures, [], "{}", show(plan, false).body);
    assert_eq!(cloud.log().harm, Vec::<String>::new());
}

/// What an operator is after.
#[derive(Debug, Clone)]
pub enum Goal {
    /// The file is deployed.
    Deploy(File),
    /// Deletes the service, with its data if the flag is set.
    Destroy(File, bool),
}

impl Goal {
    /// The plan towards it.
    pub async fn planned(&self, cloud: &MemoryCloud) -> Result<Plan, Vec<Problem>> {
        match self {
            Self::Deploy(file) => planned_with(cloud, file, |options| options.recreate_failed = true).await,
            Self::Destroy(file, delete_data) => planned_destroy(cloud, file, *delete_data).await,
        }
    }
}

/// Deploys until nothing is left to do, as an operator who follows the remedies would. Returns the number of runs.
pub async fn converge(cloud: &MemoryCloud, goal: &Goal) -> usize {
    for runs in 0..8 {
        match goal.planned(cloud).await {
            Ok(plan) if plan.is_empty() => return runs,
            Ok(plan) => drop(carried_out(cloud, &plan).await),
            Err(faults) => {
                let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                if text.contains("being changed") {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                } else if text.contains("stuck") {
                    cloud.repair_stuck_stacks();
                } else {
                    panic!("no remedy was followed for:\n{text}");
                }
            }
        }
    }
    panic!("it does not converge:\n{}", cloud.picture().join("\n"));
}
