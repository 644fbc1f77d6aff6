//! Prints alerts, and appends them to a file as JSON lines, as a webhook would receive them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::store::{AccessRead as _, Alert};
use ipgeo_runtime::usage::AlertMessage;
use jiff::Timestamp;

use crate::ui::output::print_note;

/// File in the stores' folder.
const FILE_NAME: &str = "alerts.jsonl";

pub(crate) struct AlertSink {
    ledger: LedgerTable,
    access: AccessTable,
    file: PathBuf,
}

impl AlertSink {
    pub(crate) fn new(ledger: LedgerTable, access: AccessTable, stores: &Path) -> Self {
        Self { ledger, access, file: stores.join(FILE_NAME) }
    }

    /// Publishes an alert, and records that it was sent.
    pub(crate) async fn send(&self, alert: &Alert) {
        let record = self.access.key(&alert.identity).await.ok().flatten();
        let message = AlertMessage::new(alert, record.as_ref());
        if let Err(error) = append(&self.file, &message.to_json()) {
            print_note(&format!("{} can't be written: {error}", self.file.display()));
        }
        print_note(&format!("alert: {message}"));
        if let Err(error) = self.ledger.alert_was_sent(alert, Timestamp::now()).await {
            print_note(&format!("usage: {error}"));
        }
    }
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    let mut opened = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    opened.write_all(format!("{line}\n").as_bytes())
}
