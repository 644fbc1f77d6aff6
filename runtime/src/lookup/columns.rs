//! Columns of a location: a field, or a member of a field's object such as `asn.name`, found in the JSON text of an answer
//! without parsing it. `ipgeo bulk` reads them from millions of answers.
//!
//! A member is found by searching for its quoted name and a colon. String values can't contain that, because their quotes are
//! escaped; and before a field, no object has a member with the field's name: a test compares the names in the description.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use super::fields::{self, FIELDS};

/// The `OpenAPI` description; the Lambda serves it compressed and does not use this module.
const DESCRIPTION: &str = include_str!("openapi.json");

/// A field, or a member of one.
#[derive(Clone, Debug)]
pub struct Column {
    name: &'static str,
    field: Finder<'static>,
    member: Option<Finder<'static>>,
}

/// Each field with the members of its object, in the order of the description. Without `count`, which belongs to a request.
static FIELD_MEMBERS: LazyLock<Vec<(&str, Vec<String>)>> = LazyLock::new(|| {
    let schemas = object_at(DESCRIPTION, &["components", "schemas"]).unwrap_or_default();
    let location = object_at(schemas, &["Location", "properties"]).unwrap_or_default();
    let properties = |field: &str| {
        let property = object_at(location, &[field])?;
        // `$ref` itself, or one of the alternatives beside `null`.
        let (_, reference) = property.split_once("\"#/components/schemas/")?;
        let is_list = fields::member(property, "items").is_some();
        let properties = object_at(schemas, &[reference.split('"').next()?, "properties"])?;
        (!is_list).then(|| fields::names(properties))
    };
    let known = FIELDS.into_iter().filter(|field| *field != "count");
    known.map(|field| (field, properties(field).unwrap_or_default())).collect()
});

fn object_at<'a>(object: &'a str, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(object, |object, name| fields::member(object, name))
}

/// Every field, each followed by the names of its members.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = FIELD_MEMBERS.iter().flat_map(|(field, members)| {
        let members = members.iter().map(move |member| format!("{field}.{member}"));
        std::iter::once((*field).to_owned()).chain(members)
    });
    names.collect()
});

/// The names of all columns with a simple value: a field that is an object is represented by its members.
pub fn column_names() -> impl Iterator<Item = &'static str> {
    let is_object =
        |name: &str| FIELD_MEMBERS.iter().any(|(field, members)| *field == name && !members.is_empty());
    NAMES.iter().map(String::as_str).filter(move |name| !is_object(name))
}

impl Column {
    /// The column of a field or of a member; `None` if no answer has it.
    pub fn named(name: &str) -> Option<Self> {
        let name = NAMES.iter().find(|known| *known == name)?.as_str();
        let (field, member) = match name.split_once('.') {
            Some((field, member)) => (field, Some(member)),
            None => (name, None),
        };
        Some(Self { name, field: finder(field), member: member.map(finder) })
    }

    /// Its name: `city`, `asn.name`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The field that it is, or is a member of.
    pub fn field(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// The value in a location, as JSON; `None` if the location does not have it.
    pub fn json<'a>(&self, location: &'a str) -> Option<&'a str> {
        self.json_after(location, &mut 0)
    }

    /// [`Self::json`], where `at` is the position of another field, and becomes that of this one.
    fn json_after<'a>(&self, location: &'a str, at: &mut usize) -> Option<&'a str> {
        let (before, after) = location.as_bytes().split_at(*at);
        // Columns are mostly in the order of the fields, so one pass over the text finds all.
        *at = match self.field.find(after) {
            Some(found) => *at + found,
            None => self.field.find(before)?,
        };
        let value = value_at(location, *at + self.field.needle().len())?;
        match &self.member {
            Some(member) => value_of(member, value),
            None => Some(value),
        }
    }

    /// The value in a location as the text of a cell: strings without quotes, lists of strings joined by `; `, objects as JSON,
    /// an empty text if it is unknown.
    pub fn text<'a>(&self, location: &'a str) -> Cow<'a, str> {
        self.text_after(location, &mut 0)
    }

    /// [`Self::text`] of each column, in order.
    pub fn texts<'a>(columns: &[Self], location: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let mut at = 0;
        columns.iter().map(move |column| column.text_after(location, &mut at))
    }

    fn text_after<'a>(&self, location: &'a str, at: &mut usize) -> Cow<'a, str> {
        let json = match self.json_after(location, at) {
            None | Some("null") => return Cow::Borrowed(""),
            Some(json) => json,
        };
        match json.as_bytes().first() {
            Some(b'"') if !json.contains('\\') => Cow::Borrowed(&json[1..json.len() - 1]),
            Some(b'"') => Cow::Owned(serde_json::from_str(json).unwrap_or_default()),
            Some(b'[') => match serde_json::from_str::<Vec<String>>(json) {
                Ok(list) => Cow::Owned(list.join("; ")),
                Err(_) => Cow::Borrowed(json),
            },
            _ => Cow::Borrowed(json),
        }
    }
}

fn finder(name: &str) -> Finder<'static> {
    Finder::new(&format!("\"{name}\":")).into_owned()
}

/// The value of the first member with a finder's name.
fn value_of<'a>(finder: &Finder<'_>, object: &'a str) -> Option<&'a str> {
    value_at(object, finder.find(object.as_bytes())? + finder.needle().len())
}

/// The value that starts at a position.
fn value_at(text: &str, start: usize) -> Option<&str> {
    text.get(start..start + value_length(&text.as_bytes()[start..])?)
}

/// The length of the JSON value at the start of a text; `None` if it is cut off.
fn value_length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_length(text),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0);
            loop {
                match text.get(at)? {
                    b'"' => at += string_length(&text[at..])? - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b']')),
    }
}

/// The length of the string at the start of a text, with its quotes.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use ipgeo_geo::Database;
    use ipgeo_geo::compile::sample;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::Offline;
    use super::*;

    fn text(name: &str, location: &str) -> String {
        Column::named(name).expect(name).text(location).into_owned()
    }

    #[test]
    fn values_become_cells() {
        let location = r#"{"ip":"8.8.8.8","city":"a \"b\", c","postal":null,"latitude":-37.50,"asn":{"asn":"AS1","name":"x}\\"},"languages":[{"name":"English"}],"threat":{"is_bogon":false}}"#;
        let table = [
            ("ip", "8.8.8.8"),
            ("city", "a \"b\", c"),
            ("postal", ""),
            ("region", ""),
            ("latitude", "-37.50"),
            ("asn", r#"{"asn":"AS1","name":"x}\\"}"#),
            ("asn.asn", "AS1"),
            ("asn.name", "x}\\"),
            ("asn.route", ""),
            ("currency.code", ""),
            ("languages", r#"[{"name":"English"}]"#),
            ("threat.is_bogon", "false"),
        ];
        for (name, expected) in table {
            assert_eq!(text(name, location), expected, "{name}");
        }
        assert_eq!(text("languages", r#"{"languages":["a","b"]}"#), "a; b");
    }

    #[test]
    fn a_damaged_text_has_no_values() {
        let table = ["", "{", r#"{"city":"#, r#"{"city":""#, r#"{"city":"a\"#, r#"{"city":1"#];
        for location in table {
            assert_eq!(text("city", location), "", "{location}");
        }
        assert_eq!(text("asn.name", r#"{"asn":{"name":"x","#), "");
    }

    #[test]
    fn columns_are_the_fields_and_members_of_the_description() {
        let names: Vec<&str> = column_names().collect();
        for name in ["ip", "city", "asn.asn", "asn.route", "time_zone.offset", "threat.is_bogon", "languages"]
        {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(!names.contains(&"asn") && !names.contains(&"count"));
        for name in ["asn", "time_zone"].into_iter().chain(names) {
            let column = Column::named(name).expect(name);
            assert!(column.name() == name && name.starts_with(column.field()));
        }
        for name in ["", "count", "planet", "asn.planet", "city.name", "languages.name", "asn.", ".asn"] {
            assert!(Column::named(name).is_none(), "{name}");
        }
    }

    /// Otherwise a field could be found inside an object before it.
    #[test]
    fn no_member_of_an_object_has_the_name_of_a_field() {
        let language = object_at(DESCRIPTION, &["components", "schemas", "Language", "properties"]);
        let languages = ("languages", fields::names(language.expect("a schema")));
        for (field, members) in FIELD_MEMBERS.iter().chain([&languages]) {
            // `asn.asn` is inside the field itself.
            let is_field = |member: &str| FIELDS.contains(&member) && (*field, member) != ("asn", "asn");
            assert_eq!(members.iter().find(|member| is_field(member)), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn columns_are_what_a_parser_finds(address: u32, seed: u32, city in "\\PC{0,12}|[\\\\\",{}:a]{0,8}") {
            static OFFLINE: LazyLock<Mutex<Offline>> = LazyLock::new(|| {
                let database = Database::from_bytes(sample().expect("it compiles")).expect("it opens");
                Mutex::new(Offline::new(database, "2026-11-24T12:00:00Z".parse().expect("a timestamp")))
            });
            let address = Ipv4Addr::from_bits(address).to_string();
            let mut offline = OFFLINE.lock().expect("unpoisoned");
            let mut locations: Vec<String> = offline.answer(&address).map(str::to_owned).into_iter().collect();
            locations.push(serde_json::json!({ "city": city, "ip": "1.1.1.1", "postal": "1" }).to_string());
            for location in &locations {
                let parsed: Value = serde_json::from_str(location).expect("JSON");
                for name in column_names() {
                    let column = Column::named(name).expect("a column");
                    let value = name.split('.').fold(&parsed, |value, part| &value[part]);
                    let found = column.json(location).map_or(Value::Null, |json| serde_json::from_str(json).expect("JSON"));
                    prop_assert_eq!(&found, value, "{}", name);
                    if let Value::String(text) = value {
                        prop_assert_eq!(column.text(location), text.as_str());
                    }
                }
                // In any order.
                let mut columns: Vec<Column> = column_names().filter_map(Column::named).collect();
                fastrand::Rng::with_seed(u64::from(seed)).shuffle(&mut columns);
                let texts: Vec<_> = Column::texts(&columns, location).collect();
                let single: Vec<_> = columns.iter().map(|column| column.text(location)).collect();
                prop_assert_eq!(texts, single);
            }
        }
    }
}
