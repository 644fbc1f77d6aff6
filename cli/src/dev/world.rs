//! Starts the local service, and stops it without losing a usage line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_credential_types::Credentials;
use ipgeo_contract::{AddressSecret, RegionName};
use ipgeo_geo::Database;
use ipgeo_runtime::dynamo::{AccessTable, Effort, LedgerTable, client, create_access_table, create_tables};
use ipgeo_runtime::lookup::{Lookup, Settings};
use ipgeo_runtime::usage::UsageHandler;
use ipgeo_runtime::wire::{Account, Client};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::alerts::AlertSink;
use super::copies::{self, Table};
use super::counting::Counting;
use super::delivery::Handler;
use super::early;
use super::front::CallerRule;
use super::future_publications::Publications;
use super::nearest::Point;
use super::ports::listen;
use super::replication::{Feed, Replication, Running, Writes};
use super::serve::{Edge, EdgeTable, serve, stopped};
use super::state_owner::{check_owner, store_file};
use super::store::RegionStore;
use super::throttle::Throttle;
use super::tiers;
use crate::aws::Home;
use crate::config::{Config, Region};
use crate::fs::{create_private_folder, restrict_tree};
use crate::world::{RANDOM_BYTES, WorldFile, WorldKey, WorldRegion};

#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the state.
    pub stores: PathBuf,
    /// The "nearest region" port; the regions' ports follow it. 0: any free ports.
    pub port: u16,
    /// The public address that a loopback caller is presented as.
    pub caller: IpAddr,
    /// Whether a request may name its address in the header `ipgeo-simulate-address`.
    pub simulate_address: bool,
    /// Delay from a usage line to the stream.
    pub log_lag: Duration,
    /// Delay from home's access table to the other regions'.
    pub replication_lag: Duration,
    /// Delay from an answer to its early count at home; `None`: nothing is reported.
    pub report_lag: Option<Duration>,
    pub shards: usize,
    /// Seed for stream faults: repeated, divided and shuffled batches.
    pub stream_faults: Option<u64>,
    /// Whether regions throttle as API Gateway and Lambda do.
    pub throttled: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "{taken} in use; `ipgeo dev` needs ports {port} to {last}\n\
         help: pass another first port with `--port`, or `--port 0` for any free ports"
    )]
    PortsInUse {
        /// The ports in use, with a verb.
        taken: String,
        port: u16,
        last: usize,
    },
    #[error(
        "{count} ports are needed from {port} on, but the last port is 65535\n\
         help: pass `--port {highest}` or lower, or `--port 0` for any free ports"
    )]
    PortsBeyond {
        port: u16,
        count: usize,
        /// The highest possible first port.
        highest: usize,
    },
    #[error(
        "home's store {} is missing or empty: it held the API keys and the ledger\n\
         help: restore it from a backup, or start over with `--fresh`, which deletes the rest too",
        store.display()
    )]
    HomeStoreMissing { store: PathBuf },
    #[error(
        "the stores in {} belong to {what} `{was}`, but regions.toml has `{is}`\n\
         help: set {what} back, use another folder with `--state`, or start over with `--fresh`, which deletes all \
         API keys and usage",
        stores.display()
    )]
    StateOfAnotherService {
        /// `home` or `service`.
        what: &'static str,
        was: String,
        /// The value in regions.toml.
        is: String,
        stores: PathBuf,
    },
}

pub struct World {
    /// Its endpoints, as published in `world.json`.
    pub file: WorldFile,
    stop: watch::Sender<bool>,
    fronts: Vec<JoinHandle<()>>,
    counting: Counting,
    reports: JoinHandle<()>,
    clock: JoinHandle<()>,
    replication: Running,
    stores: Vec<RegionStore>,
    stop_stores: watch::Sender<bool>,
}

impl World {
    /// Starts every region; when this returns, all regions answer.
    pub async fn start(config: &Config, database: Arc<Database>, options: &Options) -> anyhow::Result<Self> {
        let (stop, _) = watch::channel(false);
        let (stop_stores, stores_stopped) = watch::channel(false);
        let listeners = listen(options.port, config.regions.len() + 1).await?;
        let key = access_key(options)?;
        let (feed, writes) = Feed::new(&config.service.access_table());
        let stores = open_stores(config, options, &key, &feed, &stores_stopped).await?;
        let home = home_index(config);
        let (access, home_access, ledger) = create_tables_everywhere(config, &stores, home, &key).await?;
        let published = Publications {
            home: stores[home].table(&config.service.access_table()),
            access: home_access.clone(),
            ledger: ledger.clone(),
            anonymous: config.tiers.anonymous,
        };
        published.correct(Timestamp::now()).await?;
        let clock = tokio::spawn(published.watch());

        let replication = replicate(config, &stores, home, options.replication_lag, (feed, writes)).await?;
        let tables = Home { access: home_access.clone(), ledger: ledger.clone() };
        tiers::apply_changes(&options.stores, &config.tiers, &tables).await?;
        let alerts = Arc::new(AlertSink::new(ledger.clone(), home_access.clone(), &options.stores));
        let handler = UsageHandler::new(ledger.clone(), home_access);
        let handler: Arc<Handler> = Arc::new(handler.with_alerts(config.alerts.thresholds.clone()));
        let (counting, logs) = Counting::start(config, options, &ledger, &handler, &alerts).await?;
        let (early, reports) = early::carry(Arc::clone(&handler), options.report_lag.unwrap_or_default());
        let edges = config.regions.iter().zip(access).zip(logs).zip(0_u64..);
        let edges = edges.map(|(((region, access), log), number)| Edge {
            log: log.gate(),
            lookup: Lookup::new(access, Arc::clone(&database), log, settings(config, region))
                .reporting_as(environment_name(options, number)),
            reports: early.clone(),
            name: region.name.clone(),
            point: Point { latitude: region.latitude, longitude: region.longitude },
            throttle: options.throttled.then(|| Throttle::new(&region.runtime)),
        });
        let edges = edges.collect();
        let file = world_file(config, &listeners, &stores, counting.stream_folder.clone(), key)?;
        let rule = CallerRule { loopback_as: options.caller, simulate: options.simulate_address };
        let fronts = serve(edges, listeners, &database, rule, &stop);
        Ok(Self { file, stop, fronts, counting, reports, clock, replication, stores, stop_stores })
    }

    /// Stops the ports, then counts, publishes and replicates the pending usage, then stops the stores.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for front in self.fronts {
            front.await.context("a port's server failed")?;
        }
        self.reports.abort();
        self.counting.stop().await?;
        self.clock.abort();
        let replication = self.replication;
        tokio::task::spawn_blocking(|| replication.stop()).await??;
        self.stop_stores.send_replace(true);
        for store in self.stores {
            store.closed().await;
        }
        Ok(())
    }
}

/// The name that a region's environment reports early counts under: not that of an earlier run, whose counts home still has.
/// Empty: it does not report.
fn environment_name(options: &Options, number: u64) -> String {
    let started_ms = Timestamp::now().as_millisecond();
    options.report_lag.map(|_| format!("{started_ms:x}x{number}")).unwrap_or_default()
}

fn home_index(config: &Config) -> usize {
    config.regions.iter().position(|region| region.name == config.service.home).unwrap_or(0)
}

/// The access key of the stores: the saved one, or a new one.
fn access_key(options: &Options) -> anyhow::Result<WorldKey> {
    let mut random = [0; RANDOM_BYTES];
    fill_random(&mut random)?;
    let new = WorldKey::new(random);
    let folder = &options.stores;
    create_private_folder(folder).with_context(|| format!("create {}", folder.display()))?;
    restrict_tree(folder).with_context(|| format!("make {} private", folder.display()))?;
    WorldKey::ensure(folder, new).context("make the access key of the stores")
}

fn fill_random(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))
}

async fn open_stores(
    config: &Config,
    options: &Options,
    key: &WorldKey,
    feed: &Feed,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Vec<RegionStore>> {
    check_owner(&options.stores, config)?;
    let mut stores = Vec::with_capacity(config.regions.len());
    for region in &config.regions {
        let file = store_file(&options.stores, &region.name);
        let feed = (region.name == config.service.home).then(|| feed.clone());
        stores.push(RegionStore::open(&file, key, feed, stopped(stop.clone())).await?);
    }
    Ok(stores)
}

/// Creates missing tables. Returns every region's access table as its edge reads it, and home's tables as home writes them.
async fn create_tables_everywhere(
    config: &Config,
    stores: &[RegionStore],
    home: usize,
    key: &WorldKey,
) -> anyhow::Result<(Vec<EdgeTable>, AccessTable, LedgerTable)> {
    let (access_name, ledger_name) = (config.service.access_table(), config.service.ledger_table());
    let credentials = || Credentials::new(&key.access, &key.secret, None, None, "ipgeo dev");
    let mut access = Vec::with_capacity(stores.len());
    for (region, store) in config.regions.iter().zip(stores) {
        let client = client(Some(&store.endpoint), &region.name, credentials(), Effort::Patient);
        create_access_table(&client, &access_name).await?;
        let edge = Client::new(&Account::at(&store.endpoint, &region.name, credentials()), Effort::Patient)?;
        access.push(EdgeTable::new(edge, &access_name));
    }
    let client = client(Some(&stores[home].endpoint), &config.service.home, credentials(), Effort::Patient);
    create_tables(&client, &access_name, &ledger_name).await?;
    let mut secret = [0; 32];
    fill_random(&mut secret)?;
    let home_access = AccessTable::new(client.clone(), &access_name);
    home_access.ensure_address_secret(AddressSecret::new(secret)).await?;
    Ok((access, home_access, LedgerTable::new(client, &ledger_name)))
}

/// Synchronises the other regions' access tables with home's and starts replication.
async fn replicate(
    config: &Config,
    stores: &[RegionStore],
    home: usize,
    lag: Duration,
    (feed, writes): (Feed, Writes),
) -> anyhow::Result<Running> {
    let name = config.service.access_table();
    let mut tables: Vec<(RegionName, Table)> = config
        .regions
        .iter()
        .zip(stores)
        .map(|(region, store)| (region.name.clone(), store.table(&name)))
        .collect();
    let (_, home) = tables.remove(home);
    let synchronised = tokio::task::spawn_blocking(move || {
        copies::synchronise(&home, &tables)?;
        anyhow::Ok(Replication::new(home, tables, lag))
    });
    synchronised.await??.follow(feed, writes)
}

fn settings(config: &Config, region: &Region) -> Settings {
    Settings {
        region: region.name.clone(),
        access_cache_s: region.runtime.access_cache_s,
        anonymous_limit: config.tiers.anonymous.limit,
        anonymous_site_limit: config.tiers.anonymous.site_limit,
        rates: config.tiers.rates(),
        quiet_permille: config.usage.quiet_permille,
        unknown_key_status: config.compat.unknown_key_status,
        quota_status: config.compat.quota_status,
        foreign_api_keys: config.compat.foreign_api_keys,
        web_page: config.web.page,
    }
}

fn url(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr().context("read a port")?))
}

fn world_file(
    config: &Config,
    listeners: &[TcpListener],
    stores: &[RegionStore],
    stream: PathBuf,
    key: WorldKey,
) -> anyhow::Result<WorldFile> {
    let regions = config
        .regions
        .iter()
        .zip(&listeners[1..])
        .zip(stores)
        .map(|((region, listener), store)| {
            Ok(WorldRegion {
                region: region.name.clone(),
                url: url(listener)?,
                dynamodb: store.endpoint.clone(),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(WorldFile {
        schema: crate::world::SCHEMA,
        pid: std::process::id(),
        nonce: String::new(),
        nearest: url(&listeners[0])?,
        home: config.service.home.clone(),
        access_table: config.service.access_table(),
        ledger_table: config.service.ledger_table(),
        stream,
        key,
        regions,
    })
}
