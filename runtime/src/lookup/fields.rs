//! The fields of a location: the names that ipdata's clients know, and choosing among them.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Every field that an answer may have, in the order of the contract.
pub const FIELDS: [&str; 22] = [
    "ip",
    "is_eu",
    "city",
    "region",
    "region_code",
    "postal",
    "country_name",
    "country_code",
    "continent_name",
    "continent_code",
    "latitude",
    "longitude",
    "calling_code",
    "flag",
    "emoji_flag",
    "emoji_unicode",
    "asn",
    "languages",
    "currency",
    "time_zone",
    "threat",
    "count",
];

/// Fields that ipdata's clients may ask for and that no answer of ours has: absent, not unknown.
const NEVER_KNOWN: [&str; 4] = ["carrier", "company", "organisation", "status"];

/// Whether `name` is a field.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name) || NEVER_KNOWN.contains(&name)
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

fn members(location: &str) -> Vec<(&str, &str)> {
    let read: Result<Members<'_>, _> = serde_json::from_str(location);
    // The text was composed here; if a damaged database broke it, there is nothing to choose from.
    read.map(|read| read.0).unwrap_or_default().into_iter().map(|(name, value)| (name, value.get())).collect()
}

/// The value of one field, as JSON; `None` when the location does not have it.
pub(super) fn one(location: &str, field: &str) -> Option<String> {
    members(location).into_iter().find(|(name, _)| *name == field).map(|(_, value)| value.to_owned())
}

/// The location with these fields only.
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

    const LOCATION: &str =
        r#"{"ip":"8.8.8.8","latitude":37.50,"asn":{"asn":"AS15169","name":"a,\"b\""},"count":"3"}"#;

    #[test]
    fn fields_are_chosen_as_they_are_written() {
        assert_eq!(one(LOCATION, "latitude").as_deref(), Some("37.50"));
        assert_eq!(one(LOCATION, "asn").as_deref(), Some(r#"{"asn":"AS15169","name":"a,\"b\""}"#));
        assert_eq!(one(LOCATION, "city"), None);
        let chosen = some(LOCATION, &["count".to_owned(), "city".to_owned(), "latitude".to_owned()]);
        assert_eq!(chosen, r#"{"latitude":37.50,"count":"3"}"#);
        assert_eq!(some(LOCATION, &[]), "{}");
        assert_eq!(some("broken", &["ip".to_owned()]), "{}");
    }
}
