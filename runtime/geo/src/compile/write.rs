//! Encodes a compiled database: search tree, data section and metadata, by the MaxMind DB format's specification (2.0).
//!
//! Nothing that a lookup reads at once (a record, an area, a network's text) lies in two pages if it fits into one; gaps are
//! filled with empty texts. Records are grouped by place, after all areas, and each page that has records of a place has a copy
//! of it, so that a lookup reads both at once. The names of entries are at the start of
//! the data section, so the reader learns their offsets once and recognises a name by its pointer. Flags that many networks
//! share and the origins follow: the flags are in a page that stays in memory, and an ordinary lookup reads no origin.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::format::{
    AREA, ATTRIBUTION, ATTRIBUTION_LINK, BASE, COUNTRY, DATABASE_TYPE, DATE, DESCRIPTION, FACTS, FLAGS,
    FORMAT, FORMAT_VERSION, LICENCE, NAME, NUMBER, ORIGIN, PLACE, RECORDS, SOURCE_DATES, TEXT, USUAL_ORIGIN,
    ZONE, network_entry,
};

use super::error::BuildError;
use super::pages;
use super::record::{CompiledRecord, RecordSet, SharedArea};
use super::section::{ARRAY, MAP, SectionWriter, UINT16, UINT32, UINT64};
use super::tree::{FinishedTree, Target, TargetKind};

/// The description of the data in a compiled database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataDescription {
    /// The name, such as `DB-IP City Lite`.
    pub name: String,
    /// The date of the data, `2026-06-05`.
    pub date: String,
    /// The licence of the data.
    pub licence: String,
    /// The attribution that the licence requires; empty if it requires none.
    pub attribution: String,
    /// The link of the attribution.
    pub attribution_link: String,
    /// When the newest source was made, Unix seconds. Not the time of the build, so that the same sources give the same
    /// bytes.
    pub build_epoch: u64,
    /// The date of each source that states one, by name.
    pub source_dates: BTreeMap<String, String>,
}

const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
const SEPARATOR_BYTES: usize = 16;

/// The data section under construction, with the offsets of the texts that records point to.
struct DataSection<'a> {
    section: SectionWriter,
    records: &'a RecordSet,
    keys: [usize; KEYS.len()],
    /// The names for the member `asn`, by the length of the route.
    network_keys: Vec<usize>,
    areas: Vec<usize>,
    asns: Vec<usize>,
    facts: Vec<usize>,
    /// `None`: the usual origin, which is not named.
    origins: Vec<Option<usize>>,
    /// The latest base, with its place and area.
    base: Option<(BaseOf, usize)>,
    /// The latest country of an area, by index.
    country: Option<(u32, usize)>,
}

/// A place and its area.
type BaseOf = (Option<u32>, Option<u32>);

const KEYS: [&str; 9] = [PLACE, AREA, TEXT, ZONE, NUMBER, FACTS, ORIGIN, BASE, COUNTRY];
/// Maximum bytes of a record that shares a base: entries of a name and a pointer for base, network, facts and origin.
const SHARING_BYTES_MAX: usize = 1 + 4 * (2 + 5);
/// Maximum bytes of an area that shares a country, besides its texts: three names, the heads of two texts, and a pointer.
const AREA_BYTES_MAX: usize = 1 + 3 * 2 + 2 * 4 + 5;

impl<'a> DataSection<'a> {
    /// Starts with the names of all entries, so that every pointer to one takes two bytes, then the texts that many records
    /// share. `start` is the section's offset in the file.
    fn new(records: &'a RecordSet, start: usize) -> Self {
        let mut section = SectionWriter { bytes: Vec::new(), start };
        let keys = KEYS.map(|key| {
            let at = section.at();
            section.text(key);
            at
        });
        let network_keys = (0..=128).map(|length| {
            let at = section.at();
            section.text(&network_entry(length));
            at
        });
        let network_keys = network_keys.collect();
        let mut data = Self {
            section,
            records,
            keys,
            network_keys,
            areas: vec![0; records.areas.values().len()],
            asns: Vec::new(),
            facts: Vec::new(),
            origins: Vec::with_capacity(records.origins.values().len()),
            base: None,
            country: None,
        };
        data.facts = data.shared(records.facts.values(), |record| record.facts);
        data.areas();
        data.origins();
        data.asns = data.shared(records.asns.values(), |record| record.asn.map(|(asn, _)| asn));
        data
    }

    /// How often each of `count` texts is likely to be looked up.
    fn uses(&self, count: usize, of: impl Fn(&CompiledRecord) -> Option<u32>) -> Vec<u64> {
        let mut uses = vec![0_u64; count];
        for (index, record) in self.records.records.values().iter().enumerate() {
            if let Some(used) = of(record) {
                let uses = &mut uses[used as usize];
                *uses = uses.saturating_add(self.records.weight(index));
            }
        }
        uses
    }

    /// Writes texts, the most used first, so that frequent ones share pages that stay in memory. Returns their offsets.
    fn shared(&mut self, texts: &[String], of: impl Fn(&CompiledRecord) -> Option<u32>) -> Vec<usize> {
        let uses = self.uses(texts.len(), of);
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|index| Reverse(uses[*index]));
        let mut offsets = vec![0; texts.len()];
        for index in order {
            let at = self.section.at();
            self.section.text(&texts[index]);
            offsets[index] = at + self.section.keep_together(at);
        }
        offsets
    }

    /// Writes the areas, those of one country together: each page with areas of a country has a copy of its text.
    fn areas(&mut self) {
        let areas = self.records.areas.values();
        let uses = self.uses(areas.len(), |record| record.area);
        let mut uses_by_country = vec![0_u64; self.records.country_texts.values().len()];
        for (area, uses) in areas.iter().zip(&uses) {
            if let Some(country) = area.country {
                let sum: &mut u64 = &mut uses_by_country[country as usize];
                *sum = sum.saturating_add(*uses);
            }
        }
        let mut order: Vec<usize> = (0..areas.len()).collect();
        order.sort_by_key(|index| {
            let country = areas[*index].country;
            let of_country = country.map(|country| uses_by_country[country as usize]);
            (Reverse(of_country), country, Reverse(uses[*index]))
        });
        for index in order {
            self.areas[index] = self.area(&areas[index]);
        }
    }

    fn origins(&mut self) {
        let usual = self.records.usual_origin();
        for origin in self.records.origins.values() {
            let at = (!origin.is_within(&usual)).then(|| {
                let at = self.section.at();
                self.section.text(&self.records.origin_text(origin));
                at
            });
            self.origins.push(at);
        }
    }

    fn key(&mut self, name: &str) {
        let index = KEYS.iter().position(|key| *key == name).unwrap_or(0);
        self.section.pointer(self.keys[index]);
    }

    /// Writes all records, those of one place together, the most used first: many of the lookups then read the same pages.
    /// Returns their offsets.
    fn records(&mut self) -> Vec<u32> {
        let (all, records) = (self.records, self.records.records.values());
        let base_of = |index: &usize| (records[*index].place, records[*index].area);
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_unstable_by_key(|index| (base_of(index), Reverse(all.weight(*index)), *index));
        let mut groups: Vec<(u64, &[usize])> = order
            .chunk_by(|one, other| base_of(one) == base_of(other))
            .map(|group| {
                (group.iter().fold(0_u64, |sum, index| sum.saturating_add(all.weight(*index))), group)
            })
            .collect();
        groups.sort_by_key(|(weight, _)| Reverse(*weight));
        let mut offsets = vec![0; records.len()];
        for (_, group) in groups {
            for index in group {
                let at = self.record(&records[*index], group.len() > 1);
                offsets[*index] = u32::try_from(at).unwrap_or(u32::MAX);
            }
        }
        offsets
    }

    /// Writes a record. Returns its offset.
    fn record(&mut self, record: &CompiledRecord, is_shared: bool) -> usize {
        let asn =
            record.asn.map(|(asn, length)| (self.network_keys[usize::from(length)], self.asns[asn as usize]));
        let facts = record.facts.map(|facts| self.facts[facts as usize]);
        let origin = record.origin.and_then(|origin| self.origins[origin as usize]);
        let base = (record.place, record.area);
        let has_base = is_shared && base != (None, None);
        let known = self.known_base(base).filter(|_| has_base);
        let at = self.section.at();
        let mut new_base = None;
        let rest =
            asn.iter().count() + [facts, origin].iter().flatten().count() + record.number.iter().count();
        let places = if has_base { 1 } else { [base.0, base.1].iter().flatten().count() };
        self.section.control(MAP, places + rest);
        if has_base {
            self.key(BASE);
            match known {
                Some(base) => self.section.pointer(base),
                None => {
                    new_base = Some(self.section.at());
                    self.section.control(MAP, [base.0, base.1].iter().flatten().count());
                }
            }
        }
        if known.is_none() {
            self.place(record);
        }
        if let Some((key, target)) = asn {
            self.section.pointer(key);
            self.section.pointer(target);
        }
        for (name, target) in [(FACTS, facts), (ORIGIN, origin)] {
            if let Some(target) = target {
                self.key(name);
                self.section.pointer(target);
            }
        }
        if let Some(number) = record.number {
            self.key(NUMBER);
            self.section.text(&self.records.numbers.values()[number as usize]);
        }
        let moved = self.section.keep_together(at);
        if let Some(at) = new_base {
            self.base = Some((base, at + moved));
        }
        at + moved
    }

    /// The offset of the latest base, if it is that of `base` and in the page that the next record will be in.
    fn known_base(&self, base: BaseOf) -> Option<usize> {
        let (_, at) = self.base.filter(|(of, _)| *of == base)?;
        self.section.shares_page(at, SHARING_BYTES_MAX).then_some(at)
    }

    /// The entries of place and area.
    fn place(&mut self, record: &CompiledRecord) {
        if let Some(place) = record.place {
            self.key(PLACE);
            self.section.text(&self.records.places.values()[place as usize]);
        }
        if let Some(area) = record.area {
            self.key(AREA);
            self.section.pointer(self.areas[area as usize]);
        }
    }

    /// Writes an area. Returns its offset.
    fn area(&mut self, area: &SharedArea) -> usize {
        let known = self.known_country(area);
        let at = self.section.at();
        let zone = (!area.zone.is_empty()).then_some(area.zone.as_str());
        let text = (!area.text.is_empty()).then_some(area.text.as_str());
        let entries = [text, zone].iter().flatten().count() + area.country.iter().count();
        self.section.control(MAP, entries);
        if let Some(text) = text {
            self.key(TEXT);
            self.section.text(text);
        }
        let mut new_country = None;
        if let Some(country) = area.country {
            self.key(COUNTRY);
            match known {
                Some(known) => self.section.pointer(known),
                None => {
                    new_country = Some((country, self.section.at()));
                    self.section.text(&self.records.country_texts.values()[country as usize]);
                }
            }
        }
        if let Some(zone) = zone {
            self.key(ZONE);
            self.section.text(zone);
        }
        let moved = self.section.keep_together(at);
        if let Some((country, at)) = new_country {
            self.country = Some((country, at + moved));
        }
        at + moved
    }

    /// The offset of the latest country's text, if it is that of an area and in the page that the area will be in.
    fn known_country(&self, area: &SharedArea) -> Option<usize> {
        let (_, at) = self.country.filter(|(country, _)| Some(*country) == area.country)?;
        self.section.shares_page(at, area.text.len() + area.zone.len() + AREA_BYTES_MAX).then_some(at)
    }
}

/// A compiled database, ready to be written.
pub struct CompiledDatabase {
    nodes: Vec<[Target; 2]>,
    offsets: Vec<u32>,
    data: Vec<u8>,
    metadata: Vec<u8>,
    record_bits: u16,
}

impl CompiledDatabase {
    pub(super) fn new(
        tree: &FinishedTree,
        records: &RecordSet,
        description: &DataDescription,
    ) -> Result<Self, BuildError> {
        let mut largest = 0;
        // The smaller record saves an eighth of the tree; pages depend on the size of a node, so each is laid out anew.
        for record_bits in [28_u16, 32] {
            let node_bytes = usize::from(record_bits) / 4;
            let laid = pages::lay_out(&tree.nodes, tree.root, node_bytes);
            let nodes = laid.len();
            let mut data = DataSection::new(records, nodes * node_bytes + SEPARATOR_BYTES);
            let offsets = data.records();
            let data = data.section.bytes;
            largest = (nodes + SEPARATOR_BYTES + data.len()) as u64;
            if largest < 1 << record_bits {
                let metadata = metadata(nodes, record_bits, records, description);
                return Ok(Self { nodes: laid, offsets, data, metadata, record_bits });
            }
        }
        Err(BuildError::TooLarge(largest))
    }

    /// The file in memory.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _never_fails = self.write(&mut bytes);
        bytes
    }

    /// Writes the file. The writer should be buffered: nodes are written one by one.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let node_count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let value = |half: Target| match half.kind() {
            TargetKind::Node(node) => node,
            TargetKind::Empty => node_count,
            TargetKind::Leaf(record) => node_count + 16 + self.offsets[record as usize],
        };
        for node in &self.nodes {
            let [left, right] = node.map(value);
            if self.record_bits == 32 {
                out.write_all(&left.to_be_bytes())?;
                out.write_all(&right.to_be_bytes())?;
                continue;
            }
            let ([l3, l2, l1, l0], [r3, r2, r1, r0]) = (left.to_be_bytes(), right.to_be_bytes());
            out.write_all(&[l2, l1, l0, l3 << 4 | r3, r2, r1, r0])?;
        }
        out.write_all(&[0; 16])?;
        out.write_all(&self.data)?;
        out.write_all(METADATA_MARKER)?;
        out.write_all(&self.metadata)
    }
}

fn metadata(nodes: usize, record_bits: u16, records: &RecordSet, description: &DataDescription) -> Vec<u8> {
    let mut section = SectionWriter::default();
    section.control(MAP, 9);
    let number = |section: &mut SectionWriter, name: &str, kind: u8, number: u64| {
        section.text(name);
        section.uint(kind, number);
    };
    number(&mut section, "binary_format_major_version", UINT16, 2);
    number(&mut section, "binary_format_minor_version", UINT16, 0);
    number(&mut section, "build_epoch", UINT64, description.build_epoch);
    section.text("database_type");
    section.text(DATABASE_TYPE);
    section.text(DESCRIPTION);
    let dates: Vec<String> =
        description.source_dates.iter().map(|(name, date)| format!("{date} {name}")).collect();
    let texts = [
        ("en", format!("{}, compiled by ipgeo", description.name)),
        (FORMAT, FORMAT_VERSION.to_owned()),
        (RECORDS, records.records.values().len().to_string()),
        (NAME, description.name.clone()),
        (DATE, description.date.clone()),
        (LICENCE, description.licence.clone()),
        (ATTRIBUTION, description.attribution.clone()),
        (ATTRIBUTION_LINK, description.attribution_link.clone()),
        (FLAGS, records.flags().join(",")),
        (USUAL_ORIGIN, records.origin_text(&records.usual_origin())),
        (SOURCE_DATES, dates.join("\n")),
    ];
    let texts = &texts[..texts.len() - usize::from(dates.is_empty())];
    section.control(MAP, texts.len());
    for (name, text) in texts {
        section.text(name);
        section.text(text);
    }
    number(&mut section, "ip_version", UINT16, 6);
    section.text("languages");
    section.control(ARRAY, 0);
    number(&mut section, "node_count", UINT32, nodes as u64);
    number(&mut section, "record_size", UINT16, u64::from(record_bits));
    section.bytes
}
