//! Where alerts go on a laptop: a line on the screen, and a line of JSON in a file, as a webhook would get it.

use std::path::{Path, PathBuf};

use ipgeo_runtime::dynamo::{AccessTable, LedgerTable};
use ipgeo_runtime::store::{AccessRead as _, Alert};
use ipgeo_runtime::usage::AlertMessage;
use jiff::Timestamp;

use super::pipe::append;

/// Name of the file, below the stores.
const FILE_NAME: &str = "alerts.jsonl";

/// Takes alerts.
pub(crate) struct AlertSink {
    ledger: LedgerTable,
    access: AccessTable,
    file: Option<PathBuf>,
}

impl AlertSink {
    /// A sink whose file is in `stores`; a world in memory has none.
    pub(crate) fn new(ledger: LedgerTable, access: AccessTable, stores: Option<&Path>) -> Self {
        Self { ledger, access, file: stores.map(|folder| folder.join(FILE_NAME)) }
    }

    /// Hands an alert on, and notes that it was.
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
