//! Rewrites databases for the peers and for growth: a source in MaxMind's City layout, and a source with coarser networks.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipgeo_geo::Database;
use ipgeo_geo::raw::{Layout, Step};
use serde_json::Value;

/// A value of the format, encoded.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (first, extra) = match size {
        0..29 => (size as u8, 0),
        29..285 => (29, 1),
        _ => (30, 2),
    };
    if kind < 8 {
        out.push(kind << 5 | first);
    } else {
        out.extend([first, kind - 7]);
    }
    let rest = size - [0, 29, 285][extra];
    out.extend(&rest.to_be_bytes()[8 - extra..]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    control(out, 2, text.len());
    out.extend(text.as_bytes());
}

fn uint(out: &mut Vec<u8>, kind: u8, number: u64) {
    let bytes = number.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(8);
    control(out, kind, 8 - start);
    out.extend(&bytes[start..]);
}

/// A file of 28-bit nodes. A half below the number of nodes is a node; `None` is empty.
pub(super) struct File {
    pub(super) nodes: Vec<[Half; 2]>,
    pub(super) data: Vec<u8>,
    pub(super) ip_version: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Empty,
    Node(u32),
    Data(u32),
}

impl File {
    /// Encodes the file.
    pub(super) fn bytes(&self, database_type: &str) -> Vec<u8> {
        let count = self.nodes.len() as u32;
        let mut out = Vec::with_capacity(self.nodes.len() * 7 + self.data.len() + 400);
        for node in &self.nodes {
            let [left, right] = node.map(|half| match half {
                Half::Empty => count,
                Half::Node(node) => node,
                Half::Data(at) => count + 16 + at,
            });
            let ([l3, l2, l1, l0], [r3, r2, r1, r0]) = (left.to_be_bytes(), right.to_be_bytes());
            out.extend([l2, l1, l0, l3 << 4 | r3, r2, r1, r0]);
        }
        out.extend([0; 16]);
        out.extend(&self.data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        control(&mut out, 7, 9);
        for (name, kind, number) in [
            ("binary_format_major_version", 5, 2),
            ("binary_format_minor_version", 5, 0),
            ("build_epoch", 9, 1_780_000_000),
            ("ip_version", 5, self.ip_version),
            ("node_count", 6, u64::from(count)),
            ("record_size", 5, 28),
        ] {
            text(&mut out, name);
            uint(&mut out, kind, number);
        }
        text(&mut out, "database_type");
        text(&mut out, database_type);
        text(&mut out, "description");
        control(&mut out, 7, 1);
        text(&mut out, "en");
        text(&mut out, "made for a bench");
        text(&mut out, "languages");
        control(&mut out, 11, 1);
        text(&mut out, "en");
        out
    }
}

/// Data in MaxMind's City layout; each text and map once, as MaxMind writes them.
#[derive(Default)]
struct City {
    data: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl City {
    /// A pointer to a value that is stored once.
    fn once(&mut self, value: Vec<u8>) -> Vec<u8> {
        if value.len() <= 4 {
            return value;
        }
        let next = self.data.len() as u32;
        let at = *self.known.entry(value.clone()).or_insert(next);
        if at == next {
            self.data.extend(value);
        }
        // The longest pointer encoding fits any offset.
        let mut pointer = vec![0b0011_1000];
        pointer.extend(at.to_be_bytes());
        pointer
    }

    fn text(&mut self, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        text(&mut out, value);
        self.once(out)
    }

    fn map(&mut self, entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        let known: Vec<_> = entries.iter().filter(|(_, value)| !value.is_empty()).collect();
        control(&mut out, 7, known.len());
        for (name, value) in known {
            out.extend(self.text(name));
            out.extend(value);
        }
        out
    }

    fn names(&mut self, name: &str) -> Vec<u8> {
        let name = self.text(name);
        let names = self.map(&[("en", name)]);
        self.once(names)
    }

    /// A record with the content of `answer`, in the fields of MaxMind's City.
    fn record(&mut self, answer: &Value, zone: Option<&str>) -> u32 {
        let said = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| match answer[name].as_f64() {
            Some(number) => [&[0x68][..], &number.to_be_bytes()].concat(),
            None => Vec::new(),
        };
        let mut named = |entries: &[(&str, String)], name: String| {
            let mut fields: Vec<(&str, Vec<u8>)> = Vec::new();
            for (field, value) in entries {
                let value = if value.is_empty() { Vec::new() } else { self.text(value) };
                fields.push((field, value));
            }
            if name.is_empty() {
                return Vec::new();
            }
            fields.push(("names", self.names(&name)));
            let map = self.map(&fields);
            self.once(map)
        };
        let city = named(&[], said("city"));
        let continent = named(&[("code", said("continent_code"))], said("continent_name"));
        let country = named(&[("iso_code", said("country_code"))], said("country_name"));
        let subdivision = named(&[("iso_code", said("region_code"))], said("region"));
        let (latitude, longitude) = (number("latitude"), number("longitude"));
        let zone = zone.map_or_else(Vec::new, |zone| self.text(zone));
        let location = self.map(&[("latitude", latitude), ("longitude", longitude), ("time_zone", zone)]);
        let postal = said("postal");
        let postal = if postal.is_empty() {
            Vec::new()
        } else {
            let code = self.text(&postal);
            self.map(&[("code", code)])
        };
        let subdivisions =
            if subdivision.is_empty() { Vec::new() } else { [&[0x01, 0x04][..], &subdivision].concat() };
        let record = self.map(&[
            ("city", city),
            ("continent", continent),
            ("country", country),
            ("location", location),
            ("postal", postal),
            ("subdivisions", subdivisions),
        ]);
        let at = self.data.len() as u32;
        self.data.extend(record);
        at
    }
}

/// The IPv4 source `source` in MaxMind's City layout: the same networks, with their data from the compiled database.
pub(super) fn in_city_layout(source: &[u8], compiled: &Database) -> Vec<u8> {
    let (layout, _) = Layout::read(source).expect("a source");
    let mut city = City::default();
    let mut records: HashMap<usize, u32> = HashMap::new();
    let mut nodes = vec![[Half::Empty; 2]; layout.node_count as usize];
    let mut waiting = vec![(layout.ipv4_start, 0_u32, 0_u32)];
    while let Some((node, bits, depth)) = waiting.pop() {
        for bit in [0, 1_u8] {
            let below = bits | u32::from(bit) << (31 - depth);
            nodes[node as usize][usize::from(bit)] = match layout.step(layout.record(source, node, bit)) {
                Step::Empty => Half::Empty,
                Step::Node(next) => {
                    waiting.push((next, below, depth + 1));
                    Half::Node(next)
                }
                Step::Data(at) => Half::Data(*records.entry(at).or_insert_with(|| {
                    let mut answer = String::from("{");
                    let location = compiled.lookup(Ipv4Addr::from_bits(below).into());
                    if let Some(location) = &location {
                        location.write_static(&mut answer);
                    }
                    answer.push('}');
                    let answer = serde_json::from_str(&answer).expect("JSON");
                    city.record(&answer, location.and_then(|location| location.time_zone()))
                })),
            };
        }
    }
    let file = File { nodes, data: city.data, ip_version: 4 };
    file.bytes("GeoLite2-City")
}

/// The source with coarser networks: below `depth` bits, one network replaces all others.
pub(super) fn coarser(source: &[u8], depth: u32) -> Vec<u8> {
    let (layout, _) = Layout::read(source).expect("a source");
    let mut nodes: Vec<[Half; 2]> = vec![[Half::Empty; 2]];
    let mut waiting = vec![(layout.ipv4_start, 0_usize, 0_u32)];
    while let Some((node, new, level)) = waiting.pop() {
        for bit in [0, 1_u8] {
            let mut step = layout.step(layout.record(source, node, bit));
            if level + 1 >= depth {
                while let Step::Node(next) = step {
                    let left = layout.step(layout.record(source, next, 0));
                    step =
                        if left == Step::Empty { layout.step(layout.record(source, next, 1)) } else { left };
                }
            }
            nodes[new][usize::from(bit)] = match step {
                Step::Empty => Half::Empty,
                Step::Data(at) => Half::Data(at as u32),
                Step::Node(next) => {
                    nodes.push([Half::Empty; 2]);
                    waiting.push((next, nodes.len() - 1, level + 1));
                    Half::Node(nodes.len() as u32 - 1)
                }
            };
        }
    }
    let data = source[layout.data_start..layout.data_end].to_vec();
    File { nodes, data, ip_version: 4 }.bytes("city")
}
