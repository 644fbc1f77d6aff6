//! `ipgeo dev`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;

use super::geo::Bar;
use super::load_config;
use crate::cli::Shared;
use crate::dev::{Options, World, ready_json, serve_database, welcome};
use crate::output::{self, Format};
use crate::whole::keep_private;
use crate::world::{WorldFile, make_state};

/// Flags of `ipgeo dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo dev
  ipgeo dev --port 0 --json                  for scripts: any free ports, one line of JSON
  ipgeo dev --simulate-address               then: curl -H 'ipgeo-simulate-address: 1.1.1.1' URL/")]
pub struct DevArgs {
    /// The nearest-region port; the regions' ports follow it. 0: any free ports
    #[arg(long, value_name = "PORT", default_value_t = 4170)]
    port: u16,
    /// Start over with empty stores
    #[arg(long)]
    fresh: bool,
    /// The public address that callers of this machine are presented as
    #[arg(long, value_name = "ADDRESS", default_value = "81.2.69.142")]
    caller: IpAddr,
    /// Let a request name its address in the header ipgeo-simulate-address
    #[arg(long)]
    simulate_address: bool,
    /// The compiled geo database to serve
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Milliseconds from a request to the usage counter
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    log_lag_ms: u64,
    /// Milliseconds from home's access table to the other regions
    #[arg(long, value_name = "MS", default_value_t = 500)]
    replication_lag_ms: u64,
    /// Shards of the usage stream
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: usize,
    /// Repeat, cut and shuffle the usage stream, from this seed
    #[arg(long, value_name = "SEED")]
    stream_faults: Option<u64>,
    /// Let everything through; else a region refuses what its API and function would
    #[arg(long)]
    no_throttle: bool,
}

/// Runs the world until Ctrl-C.
pub(crate) async fn run(args: DevArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let state = &shared.state;
    if WorldFile::find(state).is_ok() {
        bail!(
            "a world is already running in {}; stop it, or name another folder with --state",
            state.display()
        );
    }
    let stores = state.join("stores");
    if args.fresh && stores.exists() {
        std::fs::remove_dir_all(&stores).with_context(|| format!("empty {}", stores.display()))?;
    }
    keep_private();
    make_state(state).with_context(|| format!("create {}", state.display()))?;
    let served = serve_database(&config, state, args.database.as_deref(), Timestamp::now(), &Bar::default())?;
    let info = served.database.info().clone();
    let options = Options {
        stores: Some(stores),
        port: args.port,
        caller: args.caller,
        simulate_address: args.simulate_address,
        log_lag: Duration::from_millis(args.log_lag_ms),
        replication_lag: Duration::from_millis(args.replication_lag_ms),
        shards: args.shards,
        stream_faults: args.stream_faults,
        throttled: !args.no_throttle,
    };
    let world = World::start(&config, Arc::new(served.database), &options).await?;
    world.file.write(state)?;
    if shared.format() == Format::Table {
        let lags = (options.log_lag, options.replication_lag);
        let throttled = options.throttled;
        output::data(&welcome(&config, &world.file, &info, served.is_sample, args.caller, lags, throttled))?;
    } else {
        output::data(&ready_json(&world.file))?;
    }
    stopped().await?;
    output::say("stopping: counting what is left");
    WorldFile::remove(state);
    world.stop().await
}

/// Resolves at Ctrl-C, or when the system asks the program to end.
async fn stopped() -> anyhow::Result<()> {
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("listen for the system's signal to end")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C"),
        _ = ended.recv() => Ok(()),
    }
}
