//! Texts for messages and pictures.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ipgeo_contract::RegionName;

/// The names of regions, for messages.
pub(crate) fn list(regions: &BTreeSet<RegionName>) -> String {
    regions.iter().map(RegionName::as_str).collect::<Vec<_>>().join(", ")
}

/// Enough of a digest to tell two texts apart.
pub(crate) fn hash_of(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    // Enough to tell two apart.
    u32::try_from(hasher.finish() >> 32).unwrap_or_default()
}
