//! An HTTP event of any bytes, and one whose parts are taken from the bytes: there is always an answer, never a 5xx,
//! and no log line contains an API key, the caller's address or the requested address.
#![no_main]

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Mutex;

use ipgeo_contract::{AddressSecret, ApiKey, Identity, KeyRecord, Published};
use ipgeo_fuzz::lookup::{Event, Geo, Lookup, Origins, Settings, UsageSink};
use ipgeo_fuzz::store::{AccessRead, StoreError};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const CALLER: &str = "81.2.69.142";

/// An access table with one API key in it.
struct Table(Identity, KeyRecord);

impl AccessRead for Table {
    async fn key(&self, identity: &Identity) -> Result<Option<KeyRecord>, StoreError> {
        Ok((*identity == self.0).then(|| self.1.clone()))
    }

    async fn published(&self, identities: &[Identity]) -> Result<Vec<Option<Published>>, StoreError> {
        Ok(vec![None; identities.len()])
    }

    async fn address_secret(&self) -> Result<Option<AddressSecret>, StoreError> {
        Ok(Some(AddressSecret::new([3; 32])))
    }
}

/// A geo database with one location.
struct OnePlace;

impl Geo for OnePlace {
    fn write_location(&self, _address: IpAddr, _now: Timestamp, out: &mut String) -> Option<&str> {
        out.push_str(r#""city":"London","latitude":51.5"#);
        Some("")
    }

    fn asn(&self, number: u32) -> Option<String> {
        (number % 2 == 1).then(|| format!(r#"{{"asn":"AS{number}"}}"#))
    }

    fn origins(&self, _address: IpAddr) -> Option<Origins<'_>> {
        None
    }

    fn date(&self) -> &str {
        "2026-11-24"
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        None
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl UsageSink for &'static Lines {
    fn usage(&self, line: String) {
        self.0.lock().expect("unpoisoned").push(line);
    }

    fn warn(&self, message: String) {
        self.0.lock().expect("unpoisoned").push(message);
    }
}

fn api_key() -> ApiKey {
    ApiKey::generate("ipg", |bytes| bytes.fill(9)).expect("an API key")
}

type Handler = (Lookup<Table, OnePlace, &'static Lines>, &'static Lines);

fn handler() -> Handler {
    let (key, lines): (_, &'static Lines) = (api_key(), Box::leak(Box::default()));
    let record = KeyRecord::new(key.hint(), "acme", "startup", "1000000000/month".parse().expect("a limit"), Timestamp::UNIX_EPOCH);
    let settings = Settings {
        region: ipgeo_contract::RegionName::new("eu-central-1"),
        access_cache_s: 10,
        anonymous_limit: "1000000000/day".parse().expect("a limit"),
        anonymous_site_limit: "1000000000/day".parse().expect("a limit"),
        rates: ipgeo_contract::Rates::default(),
        quiet_permille: 0,
        unknown_key_status: 401,
        quota_status: 429,
        foreign_api_keys: false,
        web_page: true,
    };
    (Lookup::new(Table(Identity::key(&key.hash()), record), OnePlace, lines, settings), lines)
}

thread_local! {
    static HANDLER: RefCell<Handler> = RefCell::new(handler());
}

/// Splits the bytes at line feeds into the parts of an event.
fn event(data: &[u8]) -> Event {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\n');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let mut event = Event { raw_path: next(), raw_query_string: next(), ..Event::default() };
    event.request_context.http.method =
        match next().as_str() { "" => "GET".to_owned(), "b" => "POST".to_owned(), other => other.to_owned() };
    event.request_context.http.source_ip = CALLER.to_owned();
    event.request_context.stage = next();
    for name in ["x-api-key", "authorization", "referer", "accept", "user-agent", "x-forwarded-for"] {
        let value = next();
        if !value.is_empty() {
            let value = if value == "good" { api_key().expose().to_owned() } else { value };
            event.headers.insert(name.to_owned(), value);
        }
    }
    event.is_base64_encoded = next() == "b";
    event.body = Some(next());
    event
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    HANDLER.with_borrow(|(lookup, lines)| {
        let now = Timestamp::UNIX_EPOCH;
        let answers = runtime.block_on(async {
            [lookup.handle_json(data, now).await, lookup.handle(&event(data), now).await]
        });
        for answer in answers {
            assert!((200..500).contains(&answer.status_code), "{answer:?}");
            let is_json = answer.headers.get("content-type").is_some_and(|kind| kind.contains("json"));
            if is_json && !answer.body.is_empty() {
                serde_json::from_str::<serde_json::Value>(&answer.body).expect("JSON");
            }
            for (name, value) in &answer.headers {
                assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            }
            assert!(!format!("{answer:?}").contains(api_key().expose()), "an API key is in an answer");
        }
        for line in lines.0.lock().expect("unpoisoned").drain(..) {
            assert!(!line.contains(api_key().expose()) && !line.contains(CALLER), "{line}");
        }
    });
});
