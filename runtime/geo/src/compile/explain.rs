//! Explains an answer: for each field of one address the source that decided it, and the other sources' values. It reads the
//! sources, not the compiled database, and decides between them by the compiler's own rules.

use std::net::IpAddr;

use serde::Serialize;

use super::build::{BuildSource, inputs};
use super::combine::{Combined, Statement};
use super::countries::CountryTable;
use super::error::BuildError;
use super::extract::{PLACE_FIELDS, SourcePlace};
use super::facts::{FLAGS, Flags};
use super::merge::{MergeInput, statement};
use super::regions::RegionTable;
use super::threat;

/// One source's value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceValue {
    /// As text.
    pub value: String,
    /// The source's index in the list of sources.
    #[serde(skip)]
    pub index: usize,
    /// The source's name.
    pub source: String,
    /// The network that the value is about, in CIDR form.
    pub range: String,
}

/// A field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedField {
    /// Its name; members of objects have a dot: `threat.is_tor`.
    pub field: String,
    /// The value, and the source that decided it.
    pub decided: SourceValue,
    /// Different values of other sources, the most trusted first.
    pub overridden: Vec<SourceValue>,
    /// Other sources with the same value.
    pub agreeing: Vec<SourceValue>,
}

/// Explains the answer about an address; fields that no source knows are left out.
pub fn explain(sources: &[BuildSource], address: IpAddr) -> Result<Vec<ExplainedField>, BuildError> {
    let countries = CountryTable::new();
    let inputs = inputs(sources)?;
    let bits = match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let mut statements = Vec::new();
    for (number, input) in (0_u16..).zip(&inputs) {
        statements.extend(statement(number, input, bits, &countries)?);
    }
    let all = Combined::of(&statements).with_region_code(&RegionTable::new());
    Ok(Explainer { inputs: &inputs, statements: &statements }.fields(&all))
}

struct Explainer<'a> {
    inputs: &'a [MergeInput<'a>],
    statements: &'a [Statement],
}

impl Explainer<'_> {
    fn fields(&self, all: &Combined) -> Vec<ExplainedField> {
        let mut fields = Vec::new();
        let mut add = |field: Option<ExplainedField>| fields.extend(field);
        if let Some(place) = &all.place {
            for (field, origin) in PLACE_FIELDS.iter().zip(all.origin.place) {
                add(self.place_field(field.name, place, origin, field.value));
                if field.name == "latitude" {
                    add(self.place_field("longitude", place, origin, |place| &place.longitude));
                }
            }
        }
        let text = |known: bool, text: String| if known { text } else { String::new() };
        if let Some((network, _)) = &all.network {
            let value = format!("AS{} {}", network.number, network.name);
            add(self.field("asn", value.trim_end(), all.origin.network, |statement| {
                let network = statement.record.network.as_ref()?;
                Some(format!("AS{} {}", network.number, network.name).trim_end().to_owned())
            }));
        }
        if let Some((usage, _)) = &all.usage {
            let used = all.origin.usage;
            for (field, value) in [
                ("company.name", &usage.name),
                ("company.domain", &usage.domain),
                ("company.type", &usage.kind),
            ] {
                add(self.field(field, value, used, |statement| {
                    let usage = statement.record.usage.as_ref()?;
                    Some(match field {
                        "company.name" => usage.name.clone(),
                        "company.domain" => usage.domain.clone(),
                        _ => usage.kind.clone(),
                    })
                }));
            }
        }
        if let Some(crawler) = &all.crawler {
            add(self.field("crawler", &crawler.name, all.origin.crawler, |statement| {
                statement.record.crawler.as_ref().map(|crawler| crawler.name.clone())
            }));
        }
        for name in FLAGS {
            let flag = Flags::named(name).unwrap_or_default();
            let sets = |statement: &Statement| {
                let set = threat::with_derived(statement.record.flags).has(flag);
                Some(text(set, "true".to_owned()))
            };
            let first = self.statements.iter().find(|statement| sets(statement) == Some("true".to_owned()));
            add(self.field(&format!("threat.{name}"), "true", first.map(|statement| statement.source), sets));
        }
        for statement in self.statements {
            let input = self.inputs.get(usize::from(statement.source));
            if let Some(list) = input.and_then(|input| input.gives.blocklist.as_ref()) {
                fields.push(ExplainedField {
                    field: "threat.blocklists".to_owned(),
                    decided: self.value(statement, list.name.clone()),
                    overridden: Vec::new(),
                    agreeing: Vec::new(),
                });
            }
        }
        fields
    }

    fn place_field(
        &self,
        name: &str,
        place: &SourcePlace,
        origin: Option<u16>,
        value: fn(&SourcePlace) -> &str,
    ) -> Option<ExplainedField> {
        self.field(name, value(place), origin, |statement| {
            statement.record.place.as_ref().map(|place| value(place).to_owned())
        })
    }

    /// A field with its value, unless that is unknown. `of` is what a source says of it.
    fn field(
        &self,
        field: &str,
        value: &str,
        origin: Option<u16>,
        of: impl Fn(&Statement) -> Option<String>,
    ) -> Option<ExplainedField> {
        let origin = origin.filter(|_| !value.is_empty())?;
        let decided = self.statements.iter().find(|statement| statement.source == origin)?;
        let others = self.statements.iter().filter(|statement| statement.source != origin);
        let others = others.filter_map(|statement| {
            of(statement).filter(|value| !value.is_empty()).map(|value| self.value(statement, value))
        });
        let (agreeing, overridden) = others.partition(|other| other.value == value);
        Some(ExplainedField {
            field: field.to_owned(),
            decided: self.value(decided, value.to_owned()),
            overridden,
            agreeing,
        })
    }

    fn value(&self, statement: &Statement, value: String) -> SourceValue {
        let index = usize::from(statement.source);
        let source = self.inputs.get(index).map_or("", |input| input.name).to_owned();
        SourceValue { value, index, source, range: statement.prefix.to_string() }
    }
}
