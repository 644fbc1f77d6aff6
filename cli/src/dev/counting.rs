//! From a region's log to the ledger: wires up logs, pipes, stream and deliveries. Each continues where the last run
//! stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipgeo_runtime::dynamo::LedgerTable;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::alerts::AlertSink;
use super::delivery::{Delivery, Handler};
use super::faults::Faults;
use super::pipe::{EXTENSION, LogReader, RegionLog, region_log};
use super::stream::Stream;
use super::world::Options;
use crate::config::Config;
use crate::usage::stream::{SegmentedLog, StreamWriter};

/// Folder inside the stores' folder: the copy of the usage stream.
const STREAM_FOLDER: &str = "stream";
/// How long shutdown waits for counting; the next run counts the rest.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Counting {
    pub(super) stream_folder: PathBuf,
    pipes: Vec<JoinHandle<()>>,
    deliveries: Vec<JoinHandle<()>>,
}

impl Counting {
    /// Starts counting what the regions log; returns each region's log.
    pub(super) async fn start(
        config: &Config,
        options: &Options,
        ledger: &LedgerTable,
        handler: &Arc<Handler>,
        alerts: &Arc<AlertSink>,
    ) -> anyhow::Result<(Self, Vec<RegionLog>)> {
        let folder = &options.stores;
        let stream_folder = folder.join(STREAM_FOLDER);
        let is_new = !stream_folder.exists();
        let keeper = StreamWriter::open(&stream_folder, Timestamp::now())
            .context("open the copy of the usage stream")?;
        let mut logs = Vec::new();
        let mut readers = Vec::new();
        for name in log_names(config, folder)? {
            let position = if is_new {
                // If the stream's copy was deleted, the position of each log is lost with it. Counting lines twice would
                // be worse than skipping them.
                region_log(folder, &name).end().context("find the end of a log")?
            } else {
                keeper.log_position(&name)
            };
            let (log, reader) = RegionLog::open(folder, &name, position)
                .with_context(|| format!("open the log of {name} in {}", folder.display()))?;
            logs.push(log);
            readers.push(reader);
        }
        // The rest are regions that are no longer in the file: their logs are counted, and they get no calls.
        logs.truncate(config.regions.len());
        let (stream, shards) = Stream::new(options.shards, counted_up_to(ledger).await?, keeper);
        let stream = Arc::new(stream);
        let carry = |reader: LogReader| tokio::spawn(reader.carry(Arc::clone(&stream), options.log_lag));
        let pipes = readers.into_iter().map(carry).collect();
        let deliveries = shards.into_iter().zip(0_u64..).map(|((shard, records), number)| {
            let faults = Faults::new(options.stream_faults.map(|seed| seed.wrapping_add(number)));
            let (handler, alerts, folder) = (Arc::clone(handler), Arc::clone(alerts), stream_folder.clone());
            tokio::spawn(Delivery { handler, alerts, folder, shard, faults }.run(records))
        });
        Ok((Self { deliveries: deliveries.collect(), stream_folder, pipes }, logs))
    }

    /// Counts what is left. No region's log may be in use any more.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for pipe in self.pipes {
            pipe.await.context("a log pipe failed")?;
        }
        let end = tokio::time::Instant::now() + PATIENCE;
        for mut delivery in self.deliveries {
            match tokio::time::timeout_at(end, &mut delivery).await {
                Ok(ended) => ended.context("a delivery failed")?,
                Err(_) => {
                    delivery.abort();
                    crate::ui::output::print_note("some usage is not counted yet; the next start counts it");
                }
            }
        }
        Ok(())
    }
}

/// The regions of regions.toml in order, then others with a log.
fn log_names(config: &Config, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = config.regions.iter().map(|region| region.name.to_string()).collect();
    let left = SegmentedLog::names(folder, EXTENSION).context("look for logs")?;
    let others: Vec<String> = left.into_iter().filter(|name| !names.contains(name)).collect();
    names.extend(others);
    Ok(names)
}

/// The highest sequence number that the ledger records as counted; 0: none. The stream's copy has it too, unless it was
/// deleted.
async fn counted_up_to(ledger: &LedgerTable) -> anyhow::Result<u128> {
    let shards = ledger.newest().await.context("read the ledger's position")?;
    Ok(shards.iter().filter_map(|shard| shard.sequence.parse().ok()).max().unwrap_or(0))
}
