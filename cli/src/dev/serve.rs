//! The ports: each is a region's, or the one of the region that is nearest to the caller.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::Response;
use ipgeo_runtime::geo::Database;
use ipgeo_runtime::lookup::Lookup;
use ipgeo_runtime::tables;
use ipgeo_runtime::wire::Client;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::front::{self, CallerRule};
use super::nearest::{Point, nearest};
use super::pipe::RegionLog;
use super::throttle::Throttle;

/// How long open connections may hold up the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// An edge reads through the Lambda's own client, as on AWS.
pub(crate) type EdgeTable = tables::AccessTable<Client>;

/// A region's API and function.
pub(crate) struct Edge {
    /// The handler.
    pub(crate) lookup: Lookup<EdgeTable, Arc<Database>, RegionLog>,
    /// The region's name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) point: Point,
    /// What it lets through; `None`: everything.
    pub(crate) throttle: Option<Throttle>,
}

impl Edge {
    async fn answer(&self, request: Request, caller: IpAddr) -> Response<Body> {
        let passage = self.throttle.as_ref().map(|throttle| throttle.pass()).transpose();
        let _passage = match passage {
            Ok(passage) => passage,
            Err(refused) => return refused.response(),
        };
        match front::event(request, caller).await {
            Some(event) => front::response(self.lookup.handle(&event, Timestamp::now()).await, &self.name),
            None => front::too_large(),
        }
    }
}

/// Resolves when `stop` turns true, or nobody holds it any more.
pub(crate) async fn told(mut stop: watch::Receiver<bool>) {
    let _told_or_gone = stop.wait_for(|stop| *stop).await;
}

/// Serves the nearest-region port, which comes first, and every region's, each on a task of its own.
pub(crate) fn serve(
    edges: Vec<Edge>,
    listeners: Vec<TcpListener>,
    database: &Arc<Database>,
    rule: CallerRule,
    stop: &watch::Sender<bool>,
) -> Vec<JoinHandle<()>> {
    let edges: Arc<[Edge]> = edges.into();
    let mut fronts = Vec::with_capacity(listeners.len());
    for (index, listener) in listeners.into_iter().enumerate() {
        let (edges, database) = (Arc::clone(&edges), Arc::clone(database));
        let handler = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
            let caller = rule.address(peer, request.headers());
            let region = index.checked_sub(1).unwrap_or_else(|| nearest_region(&database, caller, &edges));
            let edges = Arc::clone(&edges);
            async move { edges[region].answer(request, caller).await }
        };
        let service = Router::new().fallback(handler).into_make_service_with_connect_info::<SocketAddr>();
        let (stopped, patience) = (told(stop.subscribe()), told(stop.subscribe()));
        fronts.push(tokio::spawn(async move {
            let served = axum::serve(listener, service).with_graceful_shutdown(stopped).into_future();
            // A client that keeps its connection open must not keep the world.
            let given_up = async {
                patience.await;
                tokio::time::sleep(PATIENCE).await;
            };
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    crate::output::say(&format!("a port is served no more: {error}"));
                },
                () = given_up => {}
            }
        }));
    }
    fronts
}

fn nearest_region(database: &Database, caller: IpAddr, edges: &[Edge]) -> usize {
    let mut members = String::from("{");
    let Some(location) = database.lookup(caller) else { return 0 };
    location.write_static(&mut members);
    members.push('}');
    let read: Option<Located> = serde_json::from_str(&members).ok();
    let at = read.and_then(|read| Some(Point { latitude: read.latitude?, longitude: read.longitude? }));
    at.map_or(0, |at| nearest(at, edges.iter().map(|edge| edge.point)))
}

#[derive(serde::Deserialize)]
struct Located {
    latitude: Option<f64>,
    longitude: Option<f64>,
}
