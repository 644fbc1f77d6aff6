//! What the benches of many regions have in common.

use std::fmt::Write as _;

use ipgeo::config::PLACES;

/// A file of so many regions; home first.
pub(crate) fn regions_toml(count: usize) -> String {
    let mut text = String::from(
        "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\ndomain = \"api.example.com\"\n\
         hosted_zone = \"example.com\"\n[tiers.anonymous]\nlimit = \"1500/day\"\n[tiers.startup]\n\
         limit = \"100_000/month\"\n[regions.eu-central-1]\n",
    );
    for place in PLACES.iter().filter(|place| place.name != "eu-central-1").take(count - 1) {
        let _ = writeln!(text, "[regions.{}]", place.name);
    }
    text
}
