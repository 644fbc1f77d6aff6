//! The minimum cost of starting and answering: `bootstrap` with the same runtime, handler and database, but without a store.
//! It knows the one API key of the bench.

use std::sync::Arc;

use ipgeo_contract::{AddressSecret, Identity, KeyRecord, Limit, Published, Window};
use ipgeo_geo::Database;
use ipgeo_runtime::lookup::{Lookup, Settings, UsageSink};
use ipgeo_runtime::store::{AccessRead, StoreError};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

struct Known;

impl AccessRead for Known {
    async fn key(&self, _identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        Ok(Some(KeyRecord::new(
            String::new(),
            "acme",
            "startup",
            Limit { calls: 100_000_000, window: Window::Month },
            Timestamp::UNIX_EPOCH,
        )))
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        Ok(vec![None; identities.len()])
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        Ok(None)
    }
}

struct Stdout;

impl UsageSink for Stdout {
    fn usage(&self, mut line: String) {
        use std::io::Write as _;
        line.push('\n');
        let _ = std::io::stdout().write_all(line.as_bytes());
    }

    fn warn(&self, message: String) {
        self.usage(message);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (settings, database) = Settings::from_env(|name| std::env::var(name).ok())?;
    let lookup = Arc::new(Lookup::new(Known, Database::open(&database)?, Stdout, settings));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let lookup = Arc::clone(&lookup);
        async move {
            Ok::<_, Error>(lookup.handle_json(event.payload.get().as_bytes(), Timestamp::now()).await)
        }
    }))
    .await
}
