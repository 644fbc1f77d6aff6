//! The facts that are checked. Each is the value that was read, or why the read failed.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;
use ipgeo_contract::RegionName;

use crate::infra::cloud::Problem;

/// A fact, or why it could not be read.
pub type Read<T> = Result<T, Problem>;

/// The state of an edge's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its state, as AWS names it: `ISSUED`, `PENDING_VALIDATION`, …
    pub status: String,
    /// Days until it expires, once it is issued.
    pub days_left: Option<i64>,
}

/// The Lambda environments that an account may run at the same time in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// All of them.
    pub limit: u64,
    /// Not reserved for a function.
    pub unreserved: u64,
}

/// Where an edge's log lines are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The destination.
    pub destination: String,
    /// The pattern that lines must match.
    pub pattern: String,
}

/// The facts of one region. A fact that is `None` does not apply: a local service has no certificate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeFacts {
    /// Whether the region is enabled and reachable.
    pub open: Option<Read<()>>,
    /// The state of its stack, as CloudFormation names it; `None` inside: no stack.
    pub stack: Option<Read<Option<String>>>,
    /// Its answer to `/health`: the date of its database.
    pub health: Option<Result<Option<String>, String>>,
    /// Its certificate; `None` inside: no certificate.
    pub certificate: Option<Read<Option<Certificate>>>,
    /// Lambda concurrency.
    pub concurrency: Option<Read<Concurrency>>,
    /// The account's API throttle rate, requests per second.
    pub rate: Option<Read<f64>>,
    /// Where its log is sent; `None` inside: nowhere.
    pub subscription: Option<Read<Option<Subscription>>>,
    /// The state of its replica of the access table, as DynamoDB names it; `None` inside: no replica.
    pub replica: Option<Read<Option<String>>>,
}

/// The facts of home.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HomeFacts {
    /// The stream's state; `None` inside: no stream.
    pub stream: Option<Read<Option<String>>>,
    /// The state of the counter's event source mapping; `None` inside: no mapping.
    pub counter: Option<Read<Option<String>>>,
    /// Whether the domain's hosted zone exists.
    pub zone: Option<Read<bool>>,
    /// Seconds that this machine's clock is ahead of AWS's.
    pub clock_ahead_s: Option<Read<f64>>,
}

/// A geo database on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFacts {
    /// Its name.
    pub name: String,
    /// Its date.
    pub date: String,
    /// Its licence.
    pub licence: String,
    /// Its credit.
    pub attribution: String,
    /// Whether it matches geo.lock, or why not.
    pub lock: Result<(), String>,
}

/// All facts.
#[derive(Debug, Clone, PartialEq)]
pub struct DoctorFacts {
    /// The AWS account; `None` inside: not needed, as for a local service.
    pub account: Read<Option<String>>,
    /// Home.
    pub home: HomeFacts,
    /// The regions in the order of regions.toml.
    pub edges: Vec<(RegionName, EdgeFacts)>,
    /// The compiled database on this machine; `None`: not built.
    pub database: Option<Result<CopyFacts, String>>,
}

/// Reading facts.
pub trait Examine: Sync {
    /// The AWS account.
    fn account(&self) -> impl Future<Output = Read<Option<String>>> + Send;

    /// The facts of home.
    fn home(&self) -> impl Future<Output = HomeFacts> + Send;

    /// The states of the access table's replicas, by region; `None`: cannot be read.
    fn replicas(&self) -> impl Future<Output = Option<Read<BTreeMap<RegionName, String>>>> + Send;

    /// The facts of a region, without its replica.
    fn edge(&self, region: &str) -> impl Future<Output = EdgeFacts> + Send;
}

/// Reads all facts, regions in parallel. Without an account nothing else is read.
pub async fn examine<E: Examine>(
    service: &E,
    regions: &[RegionName],
    database: Option<Result<CopyFacts, String>>,
) -> DoctorFacts {
    let account = service.account().await;
    if account.is_err() {
        let edges = regions.iter().map(|region| (region.clone(), EdgeFacts::default())).collect();
        return DoctorFacts { account, home: HomeFacts::default(), edges, database };
    }
    let read = join_all(regions.iter().map(|region| service.edge(region)));
    let (home, replicas, edges) = futures_util::join!(service.home(), service.replicas(), read);
    let replica = |region: &RegionName| {
        replicas.as_ref().map(|read| match read {
            Ok(replicas) => Ok(replicas.get(region).cloned()),
            Err(error) => Err(error.clone()),
        })
    };
    let edges = regions.iter().zip(edges).map(|(region, mut edge)| {
        edge.replica = replica(region);
        (region.clone(), edge)
    });
    DoctorFacts { account, home, edges: edges.collect(), database }
}
