//! What can be known of a service; every fact, or why it could not be read.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;

use crate::infra::cloud::Problem;

/// A fact, or why it is not known.
pub type Read<T> = Result<T, Problem>;

/// The state of an edge's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// AWS's word for its state: `ISSUED`, `PENDING_VALIDATION`, …
    pub status: String,
    /// Days that it is still valid, when it is issued.
    pub days_left: Option<i64>,
}

/// Environments of functions that a region's account may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// In all.
    pub limit: u64,
    /// Those that no function has reserved.
    pub unreserved: u64,
}

/// Where an edge's log lines are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The destination.
    pub destination: String,
    /// The pattern that picks lines.
    pub pattern: String,
}

/// What is known of one region. A fact that is `None` does not apply: a world on this machine has no
/// certificate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeFacts {
    /// Whether the region can be spoken to.
    pub open: Option<Read<()>>,
    /// CloudFormation's word for the state of its stack; none in it: there is no stack.
    pub stack: Option<Read<Option<String>>>,
    /// How it answers `/health`: the date of its database.
    pub health: Option<Result<Option<String>, String>>,
    /// Its certificate; none in it: there is none.
    pub certificate: Option<Read<Option<Certificate>>>,
    /// Environments at once.
    pub concurrency: Option<Read<Concurrency>>,
    /// Requests a second that the account's APIs may have.
    pub rate: Option<Read<f64>>,
    /// Where its log goes; none in it: nowhere.
    pub subscription: Option<Read<Option<Subscription>>>,
    /// DynamoDB's word for its replica of the access table; none in it: there is none.
    pub replica: Option<Read<Option<String>>>,
}

/// What is known of home.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HomeFacts {
    /// The stream's state; none in it: there is none.
    pub stream: Option<Read<Option<String>>>,
    /// The state of what feeds the counter from the stream; none in it: there is nothing.
    pub counter: Option<Read<Option<String>>>,
    /// Whether the zone of the domain is there.
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
    /// What the lock has against it.
    pub lock: Result<(), String>,
}

/// Everything that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Who we are; none in it: nobody, as in a world on this machine.
    pub account: Read<Option<String>>,
    /// Home.
    pub home: HomeFacts,
    /// Every region of the file, in its order.
    pub edges: Vec<(String, EdgeFacts)>,
    /// The compiled database here; none: there is none.
    pub database: Option<Result<CopyFacts, String>>,
}

/// Reading facts.
pub trait Examine: Sync {
    /// Who we are.
    fn account(&self) -> impl Future<Output = Read<Option<String>>> + Send;

    /// What is known of home.
    fn home(&self) -> impl Future<Output = HomeFacts> + Send;

    /// The access table's replicas, by region; none: this is not asked here.
    fn replicas(&self) -> impl Future<Output = Option<Read<BTreeMap<String, String>>>> + Send;

    /// What is known of a region, but for its replica.
    fn edge(&self, region: &str) -> impl Future<Output = EdgeFacts> + Send;
}

/// Reads everything, all regions at once. Without an account nothing else is asked for.
pub async fn examine<E: Examine>(
    service: &E,
    regions: &[String],
    database: Option<Result<CopyFacts, String>>,
) -> Facts {
    let account = service.account().await;
    if account.is_err() {
        let edges = regions.iter().map(|region| (region.clone(), EdgeFacts::default())).collect();
        return Facts { account, home: HomeFacts::default(), edges, database };
    }
    let read = join_all(regions.iter().map(|region| service.edge(region)));
    let (home, replicas, edges) = futures_util::join!(service.home(), service.replicas(), read);
    let of = |region: &String| {
        replicas.as_ref().map(|read| match read {
            Ok(replicas) => Ok(replicas.get(region).cloned()),
            Err(error) => Err(error.clone()),
        })
    };
    let edges = regions.iter().zip(edges).map(|(region, mut edge)| {
        edge.replica = of(region);
        (region.clone(), edge)
    });
    Facts { account, home, edges: edges.collect(), database }
}
