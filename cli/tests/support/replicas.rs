//! Replicas of a global table, which the emulator does not support. A thread creates and deletes them from the current
//! template of home's stack, as CloudFormation would.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ipgeo::internals::infra::plan::replicas_of;
use ipgeo::internals::infra::stacks::Template;
use serde_json::json;

use crate::raw::{Raw, texts};

const PAUSE: Duration = Duration::from_millis(200);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Replicas {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Replicas {
    /// Keeps the access table of a service as home's stack declares it, in any of `regions`.
    pub(crate) fn keep(raw: &Raw, service: &str, home: &str, regions: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut keeper = Keeper {
            raw: raw.clone(),
            stack: format!("{service}-home"),
            table: format!("{service}-access"),
            home: home.to_owned(),
            regions: regions.to_vec(),
            seen: false,
            read: None,
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                keeper.once();
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Keeper {
    raw: Raw,
    stack: String,
    table: String,
    home: String,
    regions: Vec<String>,
    seen: bool,
    /// The regions of the template that was read last, with the state of the stack then.
    read: Option<(Vec<String>, BTreeSet<String>)>,
}

impl Keeper {
    fn once(&mut self) {
        let Some(there) = self.replicas() else {
            if std::mem::take(&mut self.seen) {
                self.forget();
            }
            return;
        };
        self.seen = true;
        let Some(wanted) = self.wanted() else { return };
        // A failure (the table may just have been deleted) is retried in the next round.
        for region in wanted.difference(&there) {
            let _ = self.update("Create", region);
        }
        for region in there.difference(&wanted) {
            let body = json!({ "TableName": self.table });
            let _ = self.raw.json(region, "dynamodb", "DynamoDB_20120810.DeleteTable", &body);
            let gone = self.raw.json(region, "dynamodb", "DynamoDB_20120810.DescribeTable", &body).is_err();
            if gone {
                let _ = self.update("Delete", region);
            }
        }
    }

    fn update(&self, action: &str, region: &str) -> Result<serde_json::Value, String> {
        let update =
            json!({ "TableName": self.table, "ReplicaUpdates": [{ action: { "RegionName": region } }] });
        self.raw.json(&self.home, "dynamodb", "DynamoDB_20120810.UpdateTable", &update)
    }

    /// The regions with the table, except home; `None`: it is deleted.
    fn replicas(&self) -> Option<BTreeSet<String>> {
        let body = json!({ "TableName": self.table });
        let table = self.raw.json(&self.home, "dynamodb", "DynamoDB_20120810.DescribeTable", &body).ok()?;
        let replicas = table["Table"]["Replicas"].as_array().cloned().unwrap_or_default();
        let names = replicas.iter().filter_map(|replica| replica["RegionName"].as_str()).map(str::to_owned);
        Some(names.filter(|region| *region != self.home).collect())
    }

    /// The regions that should have it, except home; `None`: not in the stack.
    fn wanted(&mut self) -> Option<BTreeSet<String>> {
        let form = |action: &str| format!("Action={action}&Version=2010-05-15&StackName={}", self.stack);
        let state = self.raw.form(&self.home, "cloudformation", &form("DescribeStacks")).ok()?;
        if !texts(&state, "StackStatus").first()?.ends_with("_COMPLETE") {
            return None;
        }
        // The template is read once after each change of the stack: most of the emulator's time would go into it.
        let version =
            ["StackId", "StackStatus", "LastUpdatedTime"].map(|name| texts(&state, name).concat()).to_vec();
        if let Some((_, wanted)) = self.read.as_ref().filter(|(read, _)| *read == version) {
            return Some(wanted.clone());
        }
        let answer = self.raw.form(&self.home, "cloudformation", &form("GetTemplate")).ok()?;
        let text = texts(&answer, "TemplateBody").pop()?;
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        let mut wanted = replicas_of(&Template::parse(&text).ok()?);
        wanted.remove(self.home.as_str());
        let wanted: BTreeSet<String> = wanted.iter().map(String::from).collect();
        self.read = Some((version, wanted.clone()));
        Some(wanted)
    }

    fn forget(&self) {
        for region in &self.regions {
            let body = json!({ "TableName": self.table });
            let _ = self.raw.json(region, "dynamodb", "DynamoDB_20120810.DeleteTable", &body);
        }
    }
}
