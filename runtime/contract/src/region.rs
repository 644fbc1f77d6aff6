//! The name of an AWS region.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of a region's name; AWS's longest has 14 bytes.
const BYTES_MAX: usize = 32;

/// The name of an AWS region, such as `eu-central-1`. A clone is cheap; order, hash and written forms are those of the text,
/// so maps by region can also be searched by `&str`. The default is empty: no region.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionName(Arc<str>);

/// Text that is not a well-formed region name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a region", .0.escape_debug())]
pub struct RegionNameError(String);

impl RegionName {
    /// A name from AWS, from a stored row or from our own list of regions, without validation. Parse any other text instead.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a well-formed region name. There is no list of valid names, because AWS opens new regions.
fn is_well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    (5..=BYTES_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(u8::is_ascii_digit)
        && text.contains('-')
        && !text.contains("--")
}

impl FromStr for RegionName {
    type Err = RegionNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_well_formed(text) { Ok(Self::new(text)) } else { Err(RegionNameError(text.to_owned())) }
    }
}

impl Deref for RegionName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for RegionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RegionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, out)
    }
}

impl fmt::Debug for RegionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl From<&RegionName> for String {
    fn from(name: &RegionName) -> Self {
        name.as_str().to_owned()
    }
}

impl PartialEq<str> for RegionName {
    fn eq(&self, text: &str) -> bool {
        *self.0 == *text
    }
}

impl PartialEq<&str> for RegionName {
    fn eq(&self, text: &&str) -> bool {
        *self.0 == **text
    }
}

impl PartialEq<RegionName> for str {
    fn eq(&self, name: &RegionName) -> bool {
        *self == *name.0
    }
}

impl PartialEq<RegionName> for &str {
    fn eq(&self, name: &RegionName) -> bool {
        **self == *name.0
    }
}

impl Serialize for RegionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// Without validation: names in stored documents were checked when written.
impl<'de> Deserialize<'de> for RegionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    const WELL_FORMED: [&str; 5] =
        ["eu-central-1", "us-east-1", "ap-southeast-12", "us-gov-west-1", "mx-central-1"];

    #[test]
    fn well_formed_names_are_parsed_and_no_others() {
        for name in WELL_FORMED {
            assert_eq!(name.parse::<RegionName>().as_deref(), Ok(name), "{name}");
        }
        let long = format!("eu-{}-1", "x".repeat(BYTES_MAX));
        for name in [
            "",
            "eu-1 ",
            "eu-",
            "EU-1",
            "eucentral1",
            "eu--central-1",
            "1-eu-1",
            "-eu-1",
            "r#eu-1",
            "é-eu-1",
            &long,
        ] {
            let refused = RegionNameError(name.to_owned());
            assert_eq!(name.parse::<RegionName>(), Err(refused.clone()), "{name}");
            assert_eq!(refused.to_string(), format!("`{}` is not a region", name.escape_debug()));
        }
    }

    #[test]
    fn it_is_compared_ordered_hashed_and_written_as_its_text() {
        let by_hash: HashMap<RegionName, usize> =
            WELL_FORMED.iter().enumerate().map(|(at, name)| (RegionName::new(*name), at)).collect();
        let by_order: BTreeMap<RegionName, usize> = by_hash.clone().into_iter().collect();
        for (at, text) in WELL_FORMED.into_iter().enumerate() {
            let name = RegionName::new(text);
            assert!(name == *text);
            assert!(name == text);
            assert!(*text == name);
            assert!(text == name);
            let other = format!("{text}1");
            assert!(name != *other && name != other.as_str());
            assert!(*other != name && other.as_str() != name);
            assert_eq!((by_hash.get(text), by_order.get(text)), (Some(&at), Some(&at)));
            assert_eq!(name.cmp(&RegionName::new("eu-west-1")), text.cmp("eu-west-1"));
            assert_eq!((format!("{name}"), format!("{name:>16}")), (text.to_owned(), format!("{text:>16}")));
            assert_eq!(format!("{name:?}"), format!("{text:?}"));
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::to_string(&name).ok(), Some(json.clone()));
            assert_eq!(serde_json::from_str::<RegionName>(&json).ok(), Some(name.clone()));
            assert_eq!((name.as_str(), name.as_ref(), String::from(&name)), (text, text, text.to_owned()));
        }
        let json = serde_json::to_string(&by_order).expect("text keys");
        assert_eq!(serde_json::from_str::<BTreeMap<RegionName, usize>>(&json).ok(), Some(by_order));
    }
}
