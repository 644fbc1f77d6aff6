//! The fields of a location: the names that ipdata's clients know, and choosing among them.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Every field that an answer may have, in the order of the contract.
pub const FIELDS: [&str; 28] = [
    "ip",
    "is_eu",
    "city",
    "region",
    "region_code",
    "region_type",
    "postal",
    "country_name",
    "country_code",
    "continent_name",
    "continent_code",
    "latitude",
    "longitude",
    "accuracy_radius_km",
    "confidence",
    "calling_code",
    "flag",
    "emoji_flag",
    "emoji_unicode",
    "asn",
    "company",
    "carrier",
    "crawler",
    "languages",
    "currency",
    "time_zone",
    "threat",
    "count",
];

/// Fields that ipdata's clients may request and that our responses never have.
const NEVER_KNOWN: [&str; 2] = ["organisation", "status"];

/// The fields of a network number.
const NETWORK_FIELDS: [&str; 5] = ["asn", "name", "domain", "type", "routes"];

/// Fields that are `null` when unknown, in the order of a compiled database: ipdata's Ruby client fails on missing
/// members. Its Rust client fails on `null` for the others, which are omitted:
/// `is_eu`, `latitude`, `longitude`, `languages`.
const NULL_WHEN_UNKNOWN: [&str; 19] = [
    "city",
    "postal",
    "accuracy_radius_km",
    "confidence",
    "region",
    "region_code",
    "country_name",
    "country_code",
    "continent_name",
    "continent_code",
    "calling_code",
    "flag",
    "emoji_flag",
    "emoji_unicode",
    "currency",
    "asn",
    "company",
    "crawler",
    "time_zone",
];

/// Fields that are always `null`, because no compiled database has them.
const ALWAYS_NULL: [&str; 2] = ["region_type", "carrier"];

/// Appends the fields of [`NULL_WHEN_UNKNOWN`] that a location lacks, as `null`. The location must have no closing brace
/// yet, and a member before those of the database.
///
/// A member is found by searching for `,"name":`. String values can't contain it, because their quotes are escaped, and
/// nested objects have no members with these names.
pub(super) fn write_unknown(location: &mut String) {
    static MEMBERS: LazyLock<[(&str, Finder<'static>); NULL_WHEN_UNKNOWN.len()]> = LazyLock::new(|| {
        NULL_WHEN_UNKNOWN.map(|name| (name, Finder::new(&format!(",\"{name}\":")).into_owned()))
    });
    let known = location.len();
    let mut at = 0;
    for (name, member) in &*MEMBERS {
        let bytes = &location.as_bytes()[..known];
        // Usually each comes after the previous one, so one pass finds all.
        match member.find(&bytes[at..]).map(|found| at + found).or_else(|| member.find(&bytes[..at])) {
            Some(found) => at = found,
            None => push_null(location, name),
        }
    }
    for name in ALWAYS_NULL {
        push_null(location, name);
    }
}

fn push_null(location: &mut String, name: &str) {
    location.extend([",\"", name, "\":null"]);
}

/// Whether `name` is a field of a location.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name) || NEVER_KNOWN.contains(&name)
}

/// Whether `name` is a field of a network number.
pub(super) fn is_network_field(name: &str) -> bool {
    NETWORK_FIELDS.contains(&name)
}

/// The members of a location, in order, each value as it was written: `1.50` stays `1.50`.
struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a location")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(FIELDS.len());
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The members of an object, in order.
pub(super) fn members(location: &str) -> Vec<(&str, &str)> {
    let read: Result<Members<'_>, _> = serde_json::from_str(location);
    // The text was composed here; if a damaged database broke it, there is nothing to choose from.
    read.map(|read| read.0).unwrap_or_default().into_iter().map(|(name, value)| (name, value.get())).collect()
}

/// The value of an object's member as JSON.
pub(super) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object).into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The names of an object's members, in order.
pub(super) fn names(object: &str) -> Vec<String> {
    members(object).into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The value of one field as JSON; `None` if unknown.
pub(super) fn one(location: &str, field: &str) -> Option<String> {
    member(location, field).filter(|value| *value != "null").map(str::to_owned)
}

/// A location or network with only these fields.
pub(super) fn some(location: &str, fields: &[String]) -> String {
    let chosen: Vec<String> = members(location)
        .into_iter()
        .filter(|(name, _)| fields.iter().any(|field| field == name))
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", chosen.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOCATION: &str = r#"{"ip":"8.8.8.8","latitude":37.50,"postal":null,"asn":{"asn":"AS15169","name":"a,\"b\""},"count":"3"}"#;

    #[test]
    fn fields_are_chosen_as_they_are_written() {
        assert_eq!(one(LOCATION, "latitude").as_deref(), Some("37.50"));
        assert_eq!(one(LOCATION, "asn").as_deref(), Some(r#"{"asn":"AS15169","name":"a,\"b\""}"#));
        assert_eq!(one(LOCATION, "city"), None);
        assert_eq!(one(LOCATION, "postal"), None);
        let chosen = some(LOCATION, &["count", "city", "latitude", "postal"].map(str::to_owned));
        assert_eq!(chosen, r#"{"latitude":37.50,"postal":null,"count":"3"}"#);
        assert_eq!(some(LOCATION, &[]), "{}");
        assert_eq!(some("broken", &["ip".to_owned()]), "{}");
    }

    fn completed(location: &str) -> serde_json::Value {
        let mut location = location.strip_suffix('}').expect("an object").to_owned();
        write_unknown(&mut location);
        serde_json::from_str(&(location + "}")).expect("JSON")
    }

    #[test]
    fn unknown_fields_are_null_or_omitted() {
        let nothing = completed(r#"{"ip":"8.8.8.8"}"#);
        let members: Vec<&String> = nothing.as_object().expect("an object").keys().collect();
        assert_eq!(members.len(), 1 + NULL_WHEN_UNKNOWN.len() + ALWAYS_NULL.len(), "{members:?}");
        assert!(
            NULL_WHEN_UNKNOWN
                .iter()
                .chain(&ALWAYS_NULL)
                .all(|name| nothing[name].is_null() && is_field(name))
        );
        for name in ["is_eu", "latitude", "longitude", "languages"] {
            assert!(nothing.get(name).is_none(), "{name}");
        }
        // In whatever order the members come.
        let some = completed(
            r#"{"ip":"8.8.8.8","time_zone":1,"asn":{"asn":"AS1"},"company":2,"region_code":"CA","city":"a"}"#,
        );
        let expected = serde_json::json!({ "asn": "AS1" });
        assert_eq!((&some["asn"], &some["company"], &some["city"]), (&expected, &2.into(), &"a".into()));
        assert_eq!((&some["region"], &some["carrier"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }

    proptest! {
        #[test]
        fn no_text_is_mistaken_for_a_member(text in "(,?\"?(city|asn|region)\"?:?|[\\\\\",{}:]){0,8}") {
            let given = serde_json::json!({ "country_name": text, "currency": { "name": text } });
            let members = given.to_string();
            let found = completed(&format!("{{\"ip\":{},{}", serde_json::json!(text), &members[1..]));
            for name in NULL_WHEN_UNKNOWN {
                prop_assert_eq!(&found[name], &given[name], "{}", name);
            }
        }
    }
}
