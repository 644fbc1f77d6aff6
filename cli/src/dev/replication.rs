//! The global table on a laptop: what changes in home's access table is put into every other region's,
//! a visible lag later.
//!
//! It follows the table's own change stream, as DynamoDB does, and puts whole items. Nothing but home is
//! ever written to by a handler or a verb, so there is nothing to resolve.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::{Database, Item};

/// How often the change stream is looked at.
const POLL: Duration = Duration::from_millis(25);

/// Home's table, its copies, and where in home's change stream the copying stands.
pub(crate) struct Replication {
    table: String,
    home: Database,
    copies: Vec<Database>,
    lag: Duration,
    iterator: String,
    waiting: VecDeque<(Instant, Record)>,
}

impl Replication {
    /// Copies home's items to every other region at once and takes its place in the change stream.
    pub(crate) fn start(
        table: &str,
        home: Database,
        copies: Vec<Database>,
        lag: Duration,
    ) -> anyhow::Result<Self> {
        let iterator = latest_position(&home, table)?;
        let replication =
            Self { table: table.to_owned(), home, copies, lag, iterator, waiting: VecDeque::new() };
        replication.copy_all()?;
        Ok(replication)
    }

    /// Follows the stream until `stop` is dropped or sent to; then copies what still waits, without lag.
    /// Blocks: run it on a thread of its own.
    pub(crate) fn run(mut self, stop: &Receiver<()>) -> anyhow::Result<()> {
        while matches!(stop.recv_timeout(POLL), Err(RecvTimeoutError::Timeout)) {
            self.look()?;
            self.copy_due(Instant::now())?;
        }
        self.look()?;
        self.copy_due(Instant::now() + self.lag)
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let request = GetRecordsRequest { shard_iterator: self.iterator.clone(), limit: None };
        let answer = self.home.get_records(request).context("read the change stream of the access table")?;
        let due = Instant::now() + self.lag;
        self.waiting.extend(answer.records.into_iter().map(|record| (due, record)));
        if let Some(next) = answer.next_shard_iterator {
            self.iterator = next;
        }
        Ok(())
    }

    fn copy_due(&mut self, now: Instant) -> anyhow::Result<()> {
        while self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, record)) = self.waiting.pop_front() else { break };
            for copy in &self.copies {
                apply(copy, &self.table, &record)?;
            }
        }
        Ok(())
    }

    /// What was written while no world ran, or into a world with fewer regions.
    fn copy_all(&self) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let request = ScanRequest {
                table_name: self.table.clone(),
                exclusive_start_key: after,
                ..ScanRequest::default()
            };
            let page = self.home.scan(request).context("read home's access table")?;
            for item in page.items.unwrap_or_default() {
                for copy in &self.copies {
                    put(copy, &self.table, item.clone())?;
                }
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

fn latest_position(home: &Database, table: &str) -> anyhow::Result<String> {
    let described = home
        .describe_table(DescribeTableRequest { table_name: table.to_owned() })
        .context("describe the access table")?;
    let stream_arn = described
        .table
        .latest_stream_arn
        .ok_or_else(|| anyhow!("the access table of an older world has no change stream; use --fresh"))?;
    let request = GetShardIteratorRequest {
        stream_arn,
        shard_id: dynoxide::streams::shard_id(table),
        shard_iterator_type: "LATEST".to_owned(),
        sequence_number: None,
    };
    let answer = home.get_shard_iterator(request).context("find the end of the change stream")?;
    answer.shard_iterator.ok_or_else(|| anyhow!("the change stream of the access table has no end"))
}

fn apply(copy: &Database, table: &str, record: &Record) -> anyhow::Result<()> {
    match &record.dynamodb.new_image {
        Some(item) => put(copy, table, item.clone()),
        None => {
            let key = record.dynamodb.keys.clone();
            let request =
                DeleteItemRequest { table_name: table.to_owned(), key, ..DeleteItemRequest::default() };
            copy.delete_item(request).map(drop).context("delete a copied item")
        }
    }
}

fn put(copy: &Database, table: &str, item: Item) -> anyhow::Result<()> {
    let request = PutItemRequest { table_name: table.to_owned(), item, ..PutItemRequest::default() };
    copy.put_item(request).map(drop).context("put a copied item")
}
