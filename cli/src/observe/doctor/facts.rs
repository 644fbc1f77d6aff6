//! The facts that `ipgeo doctor` checks.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;
use ipgeo_contract::RegionName;

use crate::infra::cloud::Problem;
use crate::infra::lock::LockItem;
use crate::infra::plan::Zone;

/// What is known of a resource or a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Fact<T> {
    /// Not read: it does not apply, as for a local service, or something that it depends on could not be read.
    #[default]
    NotRead,
    Unreadable(Problem),
    /// The resource does not exist.
    Absent,
    Known(T),
}

impl<T> From<Result<Option<T>, Problem>> for Fact<T> {
    fn from(read: Result<Option<T>, Problem>) -> Self {
        match read {
            Ok(Some(value)) => Self::Known(value),
            Ok(None) => Self::Absent,
            Err(problem) => Self::Unreadable(problem),
        }
    }
}

/// The state of an edge's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its state, as AWS names it: `ISSUED`, `PENDING_VALIDATION`, …
    pub status: String,
    /// Days until it expires, once it is issued.
    pub days_left: Option<i64>,
}

/// The Lambda environments that an account may run at the same time in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Concurrency {
    pub limit: u64,
    /// Not reserved for a function.
    pub unreserved: u64,
}

/// Where an edge's log lines are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub destination: String,
    /// The pattern that lines must match.
    pub pattern: String,
    /// All subscriptions of the log, this one included.
    pub count: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EdgeFacts {
    /// Whether the region is enabled and reachable.
    pub reachable: Fact<()>,
    /// CloudFormation's status of its stack.
    pub stack: Fact<String>,
    /// Its answer to `/health`, the date of its database; `None`: not read.
    pub health: Option<Result<Option<String>, String>>,
    pub certificate: Fact<Certificate>,
    pub concurrency: Fact<Concurrency>,
    /// The account's API throttle rate, requests per second.
    pub rate: Fact<f64>,
    pub subscription: Fact<Subscription>,
    /// Batches of usage lines that its forwarder gave up, in the region's bucket.
    pub unforwarded: Fact<usize>,
    /// DynamoDB's status of its replica of the access table.
    pub replica: Fact<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HomeFacts {
    pub stream: Fact<String>,
    /// The state of the counter's event source mapping.
    pub counter: Fact<String>,
    /// The service's active alarms at home, by name.
    pub alarms: Fact<Vec<String>>,
    pub zone: Fact<Zone>,
    /// The lock of a run that changes the service.
    pub run: Fact<LockItem>,
    /// Seconds that this machine's clock is ahead of AWS's.
    pub clock_ahead_s: Fact<f64>,
}

/// A geo database on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseFacts {
    pub name: String,
    pub date: String,
    pub licence: String,
    pub attribution: String,
    /// Whether it matches geo.lock, or why not.
    pub lock: Result<(), String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DoctorFacts {
    /// The AWS account's number. Not read for a local service, which needs none.
    pub account: Fact<String>,
    pub home: HomeFacts,
    /// The regions in the order of regions.toml.
    pub edges: Vec<(RegionName, EdgeFacts)>,
    /// The compiled database on this machine; `None`: not built.
    pub database: Option<Result<DatabaseFacts, String>>,
}

/// Reads facts, from AWS or a local service.
pub(crate) trait Examine: Sync {
    fn account(&self) -> impl Future<Output = Fact<String>> + Send;

    fn home(&self) -> impl Future<Output = HomeFacts> + Send;

    /// DynamoDB's status of the access table's replicas, by region.
    fn replicas(&self) -> impl Future<Output = Fact<BTreeMap<RegionName, String>>> + Send;

    /// The facts of a region, without its replica.
    fn edge(&self, region: &str) -> impl Future<Output = EdgeFacts> + Send;
}

/// Reads all facts, regions in parallel. Without an account nothing else is read.
pub(crate) async fn examine<E: Examine>(
    service: &E,
    regions: &[RegionName],
    database: Option<Result<DatabaseFacts, String>>,
) -> DoctorFacts {
    let account = service.account().await;
    if matches!(account, Fact::Unreadable(_)) {
        let edges = regions.iter().map(|region| (region.clone(), EdgeFacts::default())).collect();
        return DoctorFacts { account, home: HomeFacts::default(), edges, database };
    }
    let read = join_all(regions.iter().map(|region| service.edge(region)));
    let (home, replicas, edges) = futures_util::join!(service.home(), service.replicas(), read);
    let replica = |region: &RegionName| match &replicas {
        Fact::NotRead => Fact::NotRead,
        Fact::Unreadable(problem) => Fact::Unreadable(problem.clone()),
        Fact::Absent => Fact::Absent,
        Fact::Known(replicas) => replicas.get(region).cloned().map_or(Fact::Absent, Fact::Known),
    };
    let edges = regions.iter().zip(edges).map(|(region, mut edge)| {
        edge.replica = replica(region);
        (region.clone(), edge)
    });
    DoctorFacts { account, home, edges: edges.collect(), database }
}
