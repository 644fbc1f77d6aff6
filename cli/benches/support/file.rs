//! Configurations with many regions, for several benches.

use ipgeo::internals::config::PLACES;

/// The tables of this many regions; home, which is `eu-central-1`, first.
fn regions(count: usize) -> String {
    let others = PLACES.iter().map(|place| place.name).filter(|name| *name != "eu-central-1");
    let names = ["eu-central-1"].into_iter().chain(others).take(count);
    names.map(|name| ["[regions.", name, "]\n"].concat()).collect()
}

/// A file of this many regions, with an unlimited tier, and `more` tables.
pub(crate) fn generous_toml(count: usize, more: &str) -> String {
    let head = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n[tiers.anonymous]\nlimit = \"1500/day\"\n\
        [tiers.large]\nlimit = \"1000M/month\"\n";
    [head, more, &regions(count)].concat()
}

/// A file of this many regions.
pub(crate) fn regions_toml(count: usize) -> String {
    let head = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\ndomain = \"api.example.com\"\n\
        hosted_zone = \"example.com\"\n[tiers.anonymous]\nlimit = \"1500/day\"\n[tiers.startup]\n\
        limit = \"100_000/month\"\n";
    head.to_owned() + &regions(count)
}
