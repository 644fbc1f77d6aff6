//! Replaces Lambda's asynchronous invocations: carries early counts from the regions to home's counter after a lag.

use std::sync::Arc;
use std::time::Duration;

use ipgeo_contract::EarlyReport;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::delivery::Handler;

/// Where a region's function sends its reports. An environment sends ten a second at most.
pub(crate) type EarlyReports = UnboundedSender<EarlyReport>;

/// Starts carrying reports to home. Reports that are still on their way when the task is aborted are lost, as when Lambda
/// loses them: the stream has their calls too.
pub(super) fn carry(handler: Arc<Handler>, lag: Duration) -> (EarlyReports, JoinHandle<()>) {
    let (reports, receiver) = unbounded_channel();
    (reports, tokio::spawn(deliver(receiver, handler, lag)))
}

async fn deliver(mut reports: UnboundedReceiver<EarlyReport>, handler: Arc<Handler>, lag: Duration) {
    while let Some(report) = reports.recv().await {
        let handler = Arc::clone(&handler);
        // In a task of its own, because reports overtake each other on AWS too.
        tokio::spawn(async move {
            tokio::time::sleep(lag).await;
            let outcome = handler.count_early(&report, Timestamp::now()).await;
            for failure in outcome.failures {
                crate::ui::output::print_note(&format!("early counts: {failure}"));
            }
        });
    }
}
