//! Hostile databases: whatever is in the file, opening it fails or lookups find nothing; nothing panics, hangs or reads
//! outside of it.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;

use ipgeo_geo::Database;
use ipgeo_geo::compile::{BuildError, DataDescription, Networks, NoProgress, Source, build, diff, sample};
use proptest::prelude::*;

/// The head of a value of the format.
fn head(kind: u8, size: usize) -> Vec<u8> {
    let (first, extra) = match size {
        0..29 => (u8::try_from(size).expect("small"), 0),
        29..285 => (29, 1),
        285..65_821 => (30, 2),
        _ => (31, 3),
    };
    let mut out = if kind < 8 { vec![kind << 5 | first] } else { vec![first, kind - 7] };
    let rest = size - [0, 29, 285, 65_821][extra];
    out.extend(&rest.to_be_bytes()[8 - extra..]);
    out
}

fn text(text: &str) -> Vec<u8> {
    [head(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn uint(kind: u8, number: u64) -> Vec<u8> {
    [head(kind, 8), number.to_be_bytes().to_vec()].concat()
}

fn pointer(target: u32) -> Vec<u8> {
    [vec![0b0011_1000], target.to_be_bytes().to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().map(|(name, value)| [text(name), value.clone()].concat());
    [head(7, entries.len()), entries.collect::<Vec<_>>().concat()].concat()
}

/// A database each of whose parts can be made invalid; it starts out valid.
#[derive(Clone)]
struct Made {
    nodes: Vec<[u32; 2]>,
    record_bits: u64,
    data: Vec<u8>,
    node_count: u64,
    ip_version: u64,
    metadata: Option<Vec<u8>>,
}

impl Made {
    /// A tree of one node of 32-bit records, with this data on both sides.
    fn of(data: Vec<u8>) -> Self {
        Self { nodes: vec![[17, 17]], record_bits: 32, data, node_count: 1, ip_version: 4, metadata: None }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn metadata(&self) -> Vec<u8> {
        map(&[
            ("node_count", uint(9, self.node_count)),
            ("record_size", uint(9, self.record_bits)),
            ("ip_version", uint(9, self.ip_version)),
            ("database_type", text("ipgeo")),
            ("description", map(&[("ipgeo_format", text("3"))])),
        ])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for [left, right] in &self.nodes {
            out.extend(left.to_be_bytes());
            out.extend(right.to_be_bytes());
        }
        out.extend([0; 16]);
        out.extend(&self.data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        out.extend(self.metadata.clone().unwrap_or_else(|| self.metadata()));
        out
    }
}

/// Looks up various addresses through every function; returns what is known about the first.
fn look_around(database: &Database) -> Option<String> {
    let now = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    let mut first = None;
    for n in 0..=255_u8 {
        let wide = u16::from(n) << 8 | u16::from(n);
        for address in [IpAddr::from([n, n, n, n]), IpAddr::from([wide; 8])] {
            let mut out = String::new();
            if let Some(location) = database.lookup(address) {
                location.write_static(&mut out);
                location.write_time_zone(now, &mut out);
                first.get_or_insert(out);
            }
            database.pages(address);
        }
    }
    for number in [0, 1, 15_169, u32::MAX] {
        database.asn(number);
    }
    first
}

fn place(value: Vec<u8>) -> Vec<u8> {
    map(&[("place", value)])
}

#[test]
fn a_sound_one_is_read() {
    let table = [
        (Made::of(place(text("\"city\":\"X\""))), Some("\"city\":\"X\"")),
        (Made::of(map(&[("area", map(&[("text", text("\"a\":1"))]))])), Some("\"a\":1")),
        // Names that are recognised by their offset, and a record that points to them.
        (
            Made::of([text("place"), text("area"), head(7, 1), pointer(0), text("\"c\":2")].concat())
                .with(|made| made.nodes = vec![[17 + 11, 17 + 11]]),
            Some("\"c\":2"),
        ),
    ];
    for (made, expected) in table {
        let database = Database::from_bytes(made.bytes()).expect("it opens");
        assert_eq!(look_around(&database).as_deref(), expected);
    }
}

#[test]
fn files_without_sound_metadata_are_refused() {
    let sound = Made::of(place(text("x")));
    let instead = |metadata: Vec<u8>| sound.clone().with(|made| made.metadata = Some(metadata)).bytes();
    let deep = |kind: u8| [vec![head(kind, 1); 100_000].concat(), uint(9, 1)].concat();
    let marker = b"\xab\xcd\xefMaxMind.com".to_vec();
    let table = [
        ("nothing", vec![]),
        ("a marker alone", marker.clone()),
        ("half a marker", marker[..9].to_vec()),
        ("a marker before too much", [marker.clone(), vec![0; 200_000]].concat()),
        ("a pointer to itself", instead(pointer(0))),
        ("pointers in a ring", instead([pointer(5), pointer(0)].concat())),
        ("a map in a map in a map", instead([head(7, 1), text("a"), pointer(0)].concat())),
        ("arrays without end", instead(deep(11))),
        ("maps without end", instead(deep(7))),
        ("a map of sixteen million", instead([vec![0xff; 4], text("a"), uint(9, 1)].concat())),
        (
            "an array of sixteen million pointers to itself",
            instead([vec![0x1f, 4, 255, 255, 255], pointer(0)].concat()),
        ),
        ("a text longer than the file", instead(vec![0x5f, 255, 255, 255])),
        ("a text that is no UTF-8", instead([head(7, 1), vec![0x41, 0xff], uint(9, 1)].concat())),
        ("a kind that there is not", instead(vec![0x01, 200])),
        ("the end instead of a size", instead(vec![0xff])),
        ("no tree", sound.clone().with(|made| made.node_count = 1 << 20).bytes()),
        ("more nodes than a record counts", sound.clone().with(|made| made.node_count = u64::MAX).bytes()),
        (
            "as many nodes as a record counts",
            sound.clone().with(|made| made.node_count = u32::MAX.into()).bytes(),
        ),
        ("records of no bits", sound.clone().with(|made| made.record_bits = 0).bytes()),
        ("records of too many bits", sound.clone().with(|made| made.record_bits = 1 << 33).bytes()),
        ("addresses of no version", sound.clone().with(|made| made.ip_version = 5).bytes()),
        ("a version too large", sound.clone().with(|made| made.ip_version = (1 << 16) + 4).bytes()),
    ];
    for (what, bytes) in table {
        assert!(Database::from_bytes(bytes).is_err(), "{what}");
    }
}

#[test]
fn trees_with_invalid_pointers_find_nothing() {
    let data = || place(text("x"));
    let table = [
        ("a ring of one", Made::of(data()).with(|made| made.nodes = vec![[0, 0]])),
        (
            "a ring of three",
            Made::of(data()).with(|made| {
                made.nodes = vec![[1, 1], [2, 2], [0, 1]];
                made.node_count = 3;
            }),
        ),
        ("a ring in IPv6", Made::of(data()).with(|made| (made.nodes, made.ip_version) = (vec![[0, 0]], 6))),
        ("no node", Made::of(data()).with(|made| (made.nodes, made.node_count) = (vec![], 0))),
        ("the separator", Made::of(data()).with(|made| made.nodes = vec![[2, 16]])),
        ("behind the data", Made::of(data()).with(|made| made.nodes = vec![[17 + 200, u32::MAX]])),
        ("the end of the data", Made::of(data()).with(|made| made.nodes = vec![[17 + 9, 17 + 10]])),
        ("the middle of a text", Made::of(data()).with(|made| made.nodes = vec![[17 + 3, 17 + 8]])),
        ("24 bits that were 32", Made::of(data()).with(|made| made.record_bits = 24)),
        ("28 bits that were 32", Made::of(data()).with(|made| made.record_bits = 28)),
    ];
    for (what, made) in table {
        if let Ok(database) = Database::from_bytes(made.bytes()) {
            assert_eq!(look_around(&database), None, "{what}");
        }
    }
}

#[test]
fn invalid_records_find_nothing() {
    let many =
        |entries: usize| [head(7, entries), [text("place"), text("x")].concat().repeat(entries)].concat();
    let table = [
        ("nothing", vec![], None),
        ("a pointer to itself", pointer(0), None),
        ("pointers in a ring", [pointer(5), pointer(0)].concat(), None),
        ("a pointer far behind", pointer(u32::MAX), None),
        ("half a pointer", vec![0b0011_1000, 0], None),
        ("a text", text("place"), None),
        ("an array", [head(11, 1), text("place")].concat(), None),
        ("an empty map", map(&[]), None),
        ("a map of sixteen million", [vec![0xff; 4], text("place"), text("x")].concat(), None),
        ("a map that is cut", [head(7, 2), text("place"), text("x")].concat(), None),
        ("more entries than are read", many(100), Some("x")),
        ("a place that is a number", place(uint(9, 7)), None),
        ("a place that is no UTF-8", place(vec![0x42, 0xc3, 0x28]), None),
        ("a place longer than the file", place(vec![0x5f, 255, 255, 255]), None),
        ("a place that is the record", place(pointer(0)), None),
        ("a name that is a number", [head(7, 1), uint(9, 1), text("x")].concat(), None),
        ("a name that points in a ring", [head(7, 1), pointer(1), text("x")].concat(), None),
        ("an area that is the record", map(&[("area", pointer(0))]), None),
        ("an area that is a text", map(&[("area", text("x"))]), None),
        ("an area of nothing", map(&[("area", map(&[]))]), None),
        ("an area with a zone alone", map(&[("area", map(&[("zone", text("Europe/Berlin"))]))]), None),
        (
            "a zone that nobody knows",
            map(&[("place", text("x")), ("area", map(&[("zone", text("../../etc"))]))]),
            Some("x"),
        ),
        ("another's record", map(&[("country", map(&[("iso_code", text("DE"))]))]), None),
    ];
    for (what, data, expected) in table {
        let database = Database::from_bytes(Made::of(data).bytes()).expect("it opens");
        assert_eq!(look_around(&database).as_deref(), expected, "{what}");
    }
}

#[test]
fn a_sparse_file_of_gigabytes_is_opened_and_finds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.mmdb");
    let made = Made::of(vec![]).with(|made| {
        // All of its nodes lead to the first one.
        made.node_count = 400_000_000;
    });
    let mut file = std::fs::File::create(&path).expect("a file");
    // Sparse: it takes no disk space.
    file.seek(SeekFrom::Start(400_000_000 * 8 + 16)).expect("a place");
    file.write_all(b"\xab\xcd\xefMaxMind.com").expect("written");
    file.write_all(&made.metadata()).expect("written");
    let database = Database::open(&path).expect("it opens");
    assert_eq!(look_around(&database), None);
    let networks = Networks::open(&path).expect("it opens");
    assert_eq!((networks.len(false), networks.len(true)), (0, 0));
    assert_eq!(diff(&path, &path, 100, 1).expect("compared").sampled.len(), 3);
}

/// A source of the flat layout with these nodes.
fn source(nodes: Vec<[u32; 2]>, ip_version: u64) -> Made {
    let data = map(&[("country_code", text("US")), ("city", text("Berkeley"))]);
    Made::of(data).with(|made| {
        (made.node_count, made.nodes, made.ip_version) = (nodes.len() as u64, nodes, ip_version);
    })
}

#[test]
fn a_source_whose_nodes_are_shared_or_lead_back_is_refused_and_an_odd_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("source.mmdb");
    // A record that points to the data of a tree with this many nodes.
    let leaf = |nodes: u32| nodes + 16;
    let chain = |length: u32, both: bool| -> Vec<[u32; 2]> {
        let mut nodes: Vec<[u32; 2]> =
            (1..length).map(|next| [next, if both { next } else { length }]).collect();
        nodes.push([leaf(length); 2]);
        nodes
    };
    let table = [
        ("two that lead to each other", source(vec![[1, 1], [0, leaf(2)]], 6), false),
        ("two that lead to each other, in IPv4", source(vec![[1, 1], [0, leaf(2)]], 4), false),
        ("one that leads to itself", source(vec![[0, leaf(1)]], 6), true),
        ("one that leads to itself twice", source(vec![[1, 1], [1, 1], [leaf(3); 2]], 4), false),
        ("three in a ring", source(vec![[1, 2], [2, 0], [leaf(3), 1]], 6), false),
        ("halves that are one, all the way down", source(chain(128, true), 6), false),
        ("halves that are one, in IPv4", source(chain(32, true), 4), false),
        ("halves that are one, seven times", source(chain(7, true), 6), true),
        ("a chain", source(chain(128, false), 6), true),
        ("a chain in IPv4", source(chain(32, false), 4), true),
    ];
    for (what, made, sound) in table {
        std::fs::write(&path, made.bytes()).expect("written");
        let opened = [Source::open(&path).expect("it opens").into()];
        match build(&opened, &DataDescription::default(), &NoProgress) {
            Ok(_) => assert!(sound, "{what}"),
            Err(BuildError::Tangled { path: named }) => assert!(!sound && named == path, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn texts_of_megabytes_are_not_read_for_every_address() {
    let long = "x".repeat(200_000);
    for data in
        [place(text(&long)), map(&[("area", map(&[("text", text(&long))]))]), map(&[("n24", text(&long))])]
    {
        let database = Database::from_bytes(Made::of(data).bytes()).expect("it opens");
        assert_eq!(look_around(&database), None);
    }
}

#[test]
fn what_counts_networks_ends_on_rings_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ring.mmdb");
    for (ip_version, nodes) in [
        (4, vec![[0, 0]]),
        (6, vec![[0, 0]]),
        (6, vec![[1, 2], [2, 0], [1, 20]]),
        (6, (0..200).map(|node| [node + 1, node]).collect::<Vec<_>>()),
    ] {
        let made = Made::of(place(text("x"))).with(|made| {
            (made.node_count, made.nodes, made.ip_version) = (nodes.len() as u64, nodes, ip_version);
        });
        std::fs::write(&path, made.bytes()).expect("written");
        let networks = Networks::open(&path).expect("it opens");
        for ipv6 in [false, true] {
            for number in [0, 1, networks.len(ipv6) / 2, u64::MAX] {
                let _ = networks.address(ipv6, number, u128::MAX);
            }
        }
    }
}

fn sample_bytes() -> Vec<u8> {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| sample().expect("it compiles")).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Any tree over any data.
    #[test]
    fn anything_between_sound_metadata_does_no_harm(
        nodes in prop::collection::vec(any::<[u8; 2]>(), 1..40), data: Vec<u8>, ip_version in prop::sample::select(vec![4_u64, 6]),
        record_bits in prop::sample::select(vec![24_u64, 28, 32]), names: bool,
    ) {
        let mut made = Made::of(data);
        if names {
            made.data = [["place", "area", "text", "zone", "n24", "number"].map(text).concat(), made.data].concat();
        }
        // Small numbers, so that many lead to nodes and into the data.
        made.nodes = nodes.into_iter().map(|node| node.map(u32::from)).collect();
        (made.node_count, made.ip_version, made.record_bits) = (made.nodes.len() as u64, ip_version, record_bits);
        if let Ok(database) = Database::from_bytes(made.bytes()) {
            look_around(&database);
        }
    }

    /// The sample with bytes flipped, runs of it copied over others, and its end cut off.
    #[test]
    fn a_torn_database_does_no_harm(
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..600_usize), 0..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample_bytes();
        let tail = bytes.split_off(bytes.len() - 600);
        for (from, to, length) in moves {
            let from = from.index(bytes.len());
            let run = bytes[from..bytes.len().min(from + length)].to_vec();
            let to = to.index(bytes.len() - run.len() + 1);
            bytes[to..to + run.len()].copy_from_slice(&run);
        }
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(tail);
        if let Ok(database) = Database::from_bytes(bytes) {
            look_around(&database);
        }
    }
}
