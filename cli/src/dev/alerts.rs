//! Prints alerts, and appends them to a file as JSON lines, as a webhook would receive them.

use std::path::{Path, PathBuf};

use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::store::{AccessRead as _, Alert};
use ipgeo_runtime::usage::AlertMessage;
use jiff::Timestamp;

use super::pipe::append;

/// File in the stores' folder.
const FILE_NAME: &str = "alerts.jsonl";

pub(crate) struct AlertSink {
    ledger: LedgerTable,
    access: AccessTable,
    file: Option<PathBuf>,
}

impl AlertSink {
    /// Writes a file in `stores`; `None`: state is in memory, and alerts are only printed.
    pub(crate) fn new(ledger: LedgerTable, access: AccessTable, stores: Option<&Path>) -> Self {
        Self { ledger, access, file: stores.map(|folder| folder.join(FILE_NAME)) }
    }

    /// Publishes an alert, and records that it was sent.
    pub(crate) async fn send(&self, alert: &Alert) {
        let record = self.access.key(&alert.identity).await.ok().flatten();
        let message = AlertMessage::new(alert, record.as_ref());
        if let Some(file) = &self.file {
            append(file, &[message.to_json()]).await;
        }
        crate::ui::output::print_note(&format!("alert: {message}"));
        if let Err(error) = self.ledger.alert_was_sent(alert, Timestamp::now()).await {
            crate::ui::output::print_note(&format!("usage: {error}"));
        }
    }
}
