//! The ports of `ipgeo dev`: first the one that routes to the nearest region, then one for each region.

use tokio::net::TcpListener;

use super::world::StartError;
use crate::ui::output::UsageError;

/// Listens on consecutive ports from `port`, on all or none; 0: any free ports.
pub(super) async fn listen(port: u16, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let last = usize::from(port) + count.saturating_sub(1);
    if port != 0 && last > usize::from(u16::MAX) {
        let highest = usize::from(u16::MAX) + 1 - count;
        return Err(UsageError(StartError::PortsBeyond { port, count, highest }.to_string()).into());
    }
    let mut listeners = Vec::with_capacity(count);
    let mut taken = Vec::new();
    for offset in 0..u16::try_from(count).unwrap_or(u16::MAX) {
        let port = if port == 0 { 0 } else { port + offset };
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken.push(port.to_string()),
            Err(error) => return Err(anyhow::Error::from(error).context(format!("listen on port {port}"))),
        }
    }
    if taken.is_empty() {
        return Ok(listeners);
    }
    let taken = match taken.as_slice() {
        [one] => format!("port {one} is"),
        many => format!("ports {} are", many.join(", ")),
    };
    Err(StartError::PortsInUse { taken, port, last }.into())
}
