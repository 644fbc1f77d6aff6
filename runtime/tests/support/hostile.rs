//! Generates bad requests, and checks that no log contains what they must not reveal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipgeo_contract::ApiKey;
use ipgeo_runtime::lookup::Event;

/// Addresses that occur nowhere else, so a log that contains them has revealed them.
pub const CALLERS: [&str; 3] = ["185.199.77.201", "2a09:bac1:76a0:4711::2222", "::ffff:185.199.77.202"];
const REQUESTED: [&str; 3] = ["91.198.174.192", "2a02:ec80:300:ed1a::1", "91.198.174.193"];
/// Values that must not be logged, in any format.
const MARKS: [&str; 6] = ["185.199.77", "2a09:bac1", "b9c7:4dc", "91.198.174", "2a02:ec80", "5bc6:aec"];

/// Number of API keys. Each is generated with its number as the random byte; larger bytes are rejected.
const KEYS_MAX: u8 = 247;

/// Generates requests; the same seed gives the same requests.
pub struct Dice(pub fastrand::Rng);

impl Dice {
    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.usize(0..of.len())]
    }

    /// Text of arbitrary characters, some with a special meaning in a format.
    fn junk(&mut self, most: usize) -> String {
        let length = self.0.usize(0..=most);
        let mut text = String::new();
        for _ in 0..length {
            match self.0.u8(0..8) {
                0 => text.push(self.0.char(..)),
                1 => {
                    text.push_str(self.one_of(&[
                        "%", "%2", "%00", "%ff", "%2f..", "\r\n", "\0", "\u{202e}", "'", "\"", "\\",
                    ]));
                }
                2 => text.push(char::from(self.0.u8(b'0'..=b'9'))),
                3 => text.push_str(
                    self.one_of(&["..", "/", "//", ":", "::", "[", "]", "?", "#", "&", "=", ",", ";"]),
                ),
                _ => text.push(self.0.alphanumeric()),
            }
        }
        text
    }

    fn asked(&mut self) -> String {
        match self.0.u8(0..8) {
            0..4 => self.one_of(&REQUESTED).to_owned(),
            4 => self
                .one_of(&[
                    "10.0.0.1",
                    "::1",
                    "0.0.0.0",
                    "08.8.8.8",
                    "1.2.3",
                    "::ffff:10.0.0.1",
                    "fe80::1%25eth0",
                ])
                .to_owned(),
            5 => format!("{}{}", self.one_of(&REQUESTED), self.junk(3)),
            6 => format!("{}.{}", self.0.u64(..), self.junk(4)),
            _ => self.junk(60),
        }
    }

    fn path(&mut self) -> String {
        match self.0.u8(0..12) {
            0..4 => format!("/{}", self.asked()),
            4 => {
                format!(
                    "/{}/{}",
                    self.asked(),
                    self.one_of(&["city", "asn", "carrier", "planet", "", "ip", "fr-FR", "24"])
                )
            }
            5 => format!("/AS{}", self.junk(14)),
            6 => "/bulk".to_owned(),
            7 => format!(
                "/{}",
                self.one_of(&[
                    "health",
                    "openapi.json",
                    "city",
                    "HEALTH",
                    "bulk/",
                    "favicon.ico",
                    "docs",
                    "robots.txt",
                    ".env"
                ])
            ),
            8 => "/".repeat(self.0.usize(0..300)),
            9 => format!("/{}", "9".repeat(self.0.usize(0..20_000))),
            _ => self.junk(80),
        }
    }

    fn query(&mut self, key: &str) -> String {
        match self.0.u8(0..6) {
            0 => format!("fields={}", self.junk(40)),
            1 => format!("fields={}", "city,".repeat(self.0.usize(0..2_000))),
            2 => format!("api-key={key}"),
            3 => self.junk(60),
            _ => String::new(),
        }
    }

    /// A text in place of an API key: valid and known, valid and unknown, changed, cut, too long, or arbitrary.
    fn key_text(&mut self) -> String {
        let known = api_key(1).expose().to_owned();
        match self.0.u8(0..7) {
            0 | 1 => known,
            2 => api_key(self.0.u8(2..=KEYS_MAX)).expose().to_owned(),
            3 => known.to_uppercase(),
            4 => known[..self.0.usize(0..known.len())].to_owned(),
            5 => known.repeat(self.0.usize(2..200)),
            _ => self.junk(60),
        }
    }

    fn body(&mut self) -> (Option<String>, bool) {
        let body = match self.0.u8(0..9) {
            0 => format!("[\"{}\"]", self.asked().escape_default()),
            1 => serde_json::to_string(&vec![self.asked(); self.0.usize(0..120)]).expect("JSON"),
            2 => "[".repeat(self.0.usize(0..70_000)),
            3 => format!("{}{}", "{\"a\":".repeat(500), "1"),
            4 => "x".repeat(self.0.usize(0..100_000)),
            5 => STANDARD.encode(format!("[\"{}\"]", self.one_of(&REQUESTED))),
            6 => "[null,1,{},[],1e999,\"\\ud800\",\"AS1\",\"AS2\"]".to_owned(),
            7 => return (None, self.0.bool()),
            _ => self.junk(200),
        };
        (Some(body), self.0.u8(0..4) == 0)
    }

    /// An event with arbitrary parts.
    pub fn event(&mut self) -> Event {
        let key = self.key_text();
        let mut event =
            Event { raw_path: self.path(), raw_query_string: self.query(&key), ..Event::default() };
        let http = &mut event.request_context.http;
        http.method = match self.0.u8(0..12) {
            _ if event.raw_path.starts_with("/bulk") && self.0.bool() => "POST".to_owned(),
            0 => self.one_of(&["POST", "OPTIONS", "TRACE", "get", ""]).to_owned(),
            1 => "HEAD".to_owned(),
            _ => "GET".to_owned(),
        };
        http.source_ip = match self.0.u8(0..20) {
            0 => self.junk(20),
            _ => self.one_of(&CALLERS).to_owned(),
        };
        event.request_context.request_id = self.junk(16);
        event.request_context.stage = self.one_of(&["", "$default", "v1", "/"]).into();
        if self.0.u8(0..16) == 0 {
            event.headers.insert("content-encoding".into(), self.one_of(&["gzip", "identity", "\0"]).into());
        }
        for name in
            ["x-api-key", "authorization", "referer", "accept", "user-agent", "x-forwarded-for", "cookie"]
        {
            if self.0.u8(0..3) == 0 {
                let value = match (name, self.0.u8(0..3)) {
                    ("x-api-key", 0 | 1) => key.clone(),
                    ("authorization", 0 | 1) => {
                        format!("{} {key}", self.one_of(&["Bearer", "bearer", "Basic", ""]))
                    }
                    ("referer", 0) => {
                        format!("https://{}.example/?ip={}&key={key}", self.0.u8(..), self.one_of(&REQUESTED))
                    }
                    ("x-forwarded-for" | "user-agent" | "cookie", 0) => {
                        format!("{} {key}", self.one_of(&CALLERS))
                    }
                    ("user-agent", 1) => {
                        self.one_of(&["ipdata-rust/1", "GuzzleHttp/7", "io.ipdata.client.java.1"]).to_owned()
                    }
                    ("accept", 0) => self
                        .one_of(&["text/plain", "application/json", "text/html", "*/*;q=0.1, text/*"])
                        .to_owned(),
                    _ => self.junk(60),
                };
                event.headers.insert(name.into(), value);
            }
        }
        (event.body, event.is_base64_encoded) = self.body();
        event
    }

    /// The JSON of an event with a few bytes changed, removed or inserted.
    pub fn damaged(&mut self, event: &Event) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(event).expect("JSON");
        for _ in 0..self.0.usize(1..5) {
            let at = self.0.usize(0..bytes.len());
            match self.0.u8(0..4) {
                0 => bytes[at] = self.0.u8(..),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"{}[]\",:0\\\xff"[self.0.usize(0..10)]),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    }
}

/// Every API key that a request may have contained.
pub fn whole_keys() -> Vec<ApiKey> {
    (1..=KEYS_MAX).map(api_key).collect()
}

/// The `number`th API key.
pub fn api_key(number: u8) -> ApiKey {
    ApiKey::generate("ipg", |bytes| bytes.fill(number)).expect("an API key")
}

/// Asserts that no line contains an address or one of the API keys.
pub fn check_log<'a>(lines: impl IntoIterator<Item = &'a str>, keys: &[ApiKey]) {
    for line in lines {
        for mark in MARKS {
            assert!(!line.contains(mark), "an address is logged: {line}");
        }
        // All have the same prefix, so each key is only searched in lines that contain it.
        if line.contains("ipg_") {
            assert!(!keys.iter().any(|key| line.contains(key.expose())), "an API key is logged: {line}");
        }
    }
}
