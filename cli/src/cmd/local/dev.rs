//! `ipgeo dev`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, value_parser};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Shared;
use crate::cmd::support::{BuildTasks, load_config};
use crate::dev::{Options, Welcome, World, has_location, ready_json, serve_database};
use crate::fs::{parent_folder, restrict_umask};
use crate::ui::format::counted;
use crate::ui::output::{self, Exit, Format, UsageError};
use crate::ui::progress::{erase_echo, timed};
use crate::world::{StateLock, WorldFile, create_state_folder};

/// The longest lag: a day.
const LAG_MS_MAX: u64 = 86_400_000;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo dev
  ipgeo dev --port 0 --json                  for scripts: JSON when ready
  ipgeo dev --simulate-address               let requests set their address")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct DevArgs {
    /// Port of the nearest region; the regions' ports follow (0: any free ports)
    #[arg(long, value_name = "PORT", default_value_t = 4170)]
    port: u16,
    /// Start over with empty stores
    #[arg(long)]
    fresh: bool,
    /// Public address that requests from this machine appear to come from
    #[arg(long, value_name = "ADDRESS", default_value = "81.2.69.142")]
    caller: IpAddr,
    /// Let requests set their address in the header ipgeo-simulate-address
    #[arg(long)]
    simulate_address: bool,
    /// Compiled geo database [default: the output of `ipgeo geo build`, otherwise the sample]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Delay from a request to the usage counter, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = value_parser!(u64).range(..=LAG_MS_MAX))]
    log_lag_ms: u64,
    /// Delay from home's access table to the other regions, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = value_parser!(u64).range(..=LAG_MS_MAX))]
    replication_lag_ms: u64,
    /// Delay from an answer to its early count at home, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = value_parser!(u64).range(..=LAG_MS_MAX))]
    report_lag_ms: u64,
    /// Do not report early counts, as if home's counter could not be invoked
    #[arg(long, conflicts_with = "report_lag_ms")]
    no_early_counts: bool,
    /// Number of shards of the usage stream
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=100))]
    shards: u16,
    /// Repeat, cut and shuffle the usage stream, by this random seed
    #[arg(long, value_name = "SEED")]
    stream_faults: Option<u64>,
    /// Do not enforce the rate and concurrency limits of the API and the function
    #[arg(long)]
    no_throttle: bool,
}

pub(crate) async fn run(args: DevArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let (config, config_path) = load_config(shared)?;
    if !has_location(args.caller) {
        return Err(UsageError(format!(
            "{} is not a public IP address, so it has no location\n\
             help: pass a public address, such as `--caller 81.2.69.142`",
            args.caller
        ))
        .into());
    }
    let state = &shared.state;
    restrict_umask();
    create_state_folder(state).with_context(|| format!("create {}", state.display()))?;
    let lock = StateLock::take(state, nonce()?)?;
    let stores = state.join("stores");
    if args.fresh && stores.exists() {
        std::fs::remove_dir_all(&stores).with_context(|| format!("delete {}", stores.display()))?;
    }
    let progress = BuildTasks::default();
    let served = serve_database(
        &config,
        parent_folder(&config_path),
        state,
        args.database.as_deref(),
        Timestamp::now(),
        &progress,
    )?;
    progress.done();
    let info = served.database.info().clone();
    let options = Options {
        stores,
        port: args.port,
        caller: args.caller,
        simulate_address: args.simulate_address,
        log_lag: Duration::from_millis(args.log_lag_ms),
        replication_lag: Duration::from_millis(args.replication_lag_ms),
        report_lag: (!args.no_early_counts).then(|| Duration::from_millis(args.report_lag_ms)),
        shards: args.shards.into(),
        stream_faults: args.stream_faults,
        throttled: !args.no_throttle,
    };
    let starting = format!("starting {}", counted(config.regions.len(), "region"));
    let mut world = timed(&starting, World::start(&config, Arc::new(served.database), &options)).await?;
    lock.nonce().clone_into(&mut world.file.nonce);
    // Listen before `dev` reports that it is ready, so that an immediate signal is not missed.
    let mut signals = Signals::listen()?;
    let _handled_by_signals = shared.interrupts.hand_over();
    world.file.write(state)?;
    if shared.format() == Format::Table {
        let welcome = Welcome {
            config: &config,
            world: &world.file,
            info: &info,
            is_sample: served.is_sample,
            caller: args.caller,
            lags: (options.log_lag, options.replication_lag),
            throttled: options.throttled,
        };
        output::print_data(&welcome.text())?;
    } else {
        output::print_data(&ready_json(&world.file))?;
    }
    stop(world, state, &mut signals).await
}

/// Waits for a signal and stops the service; a second signal leaves the rest for the next start.
async fn stop(world: World, state: &Path, signals: &mut Signals) -> anyhow::Result<Exit> {
    signals.end().await;
    erase_echo();
    output::print_note(
        "stopping: counting the last calls; press Ctrl-C again to leave them for the next start",
    );
    WorldFile::remove(state);
    tokio::select! {
        stopped = timed("counting", world.stop()) => stopped.map(|()| Exit::Done),
        () = signals.end_at_once() => Ok(Exit::Interrupted),
    }
}

fn nonce() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("read random bytes: {error}"))?;
    Ok(hex::encode(bytes))
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal was closed.
    hang_up: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for termination signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Resolves at the first signal.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Resolves at a second signal. A second hang-up does not count: a closing terminal may send two.
    async fn end_at_once(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
