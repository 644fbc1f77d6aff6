//! The first screen of `ipgeo dev`.

use std::net::IpAddr;
use std::time::Duration;

use ipgeo_geo::DatabaseInfo;
use serde_json::json;

use crate::config::{Config, Region, RuntimeSettings};
use crate::ui::format::counted;
use crate::world::{WorldFile, WorldRegion};

/// The line for scripts: `{"ready":true,…}`.
pub(crate) fn ready_json(world: &WorldFile) -> String {
    let regions: Vec<_> =
        world.regions.iter().map(|region| json!({ "region": region.region, "url": region.url })).collect();
    json!({ "ready": true, "nearest": world.nearest, "regions": regions }).to_string()
}

/// Lines of the screen: with the command above and the cursor below, it fits a terminal of 24 lines.
const LINES_MAX: usize = 22;
const COLUMNS_MAX: usize = 80;

/// What the screen says besides the regions.
pub(crate) struct Welcome<'a> {
    pub(crate) config: &'a Config,
    pub(crate) world: &'a WorldFile,
    pub(crate) info: &'a DatabaseInfo,
    pub(crate) is_sample: bool,
    pub(crate) caller: IpAddr,
    /// From a request to the counter, and from home to the other regions.
    pub(crate) lags: (Duration, Duration),
    pub(crate) throttled: bool,
}

impl Welcome<'_> {
    /// The screen for people. README.md shows it. Any number of regions fits a terminal of 80 columns and 24 lines.
    pub(crate) fn text(&self) -> String {
        let mut below = self.below();
        let mut regions = self.regions();
        // The title and the row of the nearest region, each with an empty line, and the table's header.
        let room = LINES_MAX.saturating_sub(below.len() + 5);
        let mut lines = vec![
            format!(
                "{} in {}, on this machine only",
                self.config.service.name,
                counted(regions.len(), "region")
            ),
            String::new(),
            format!("  {:<16}  {:<14}  url", "region", "near"),
        ];
        if regions.len() <= room {
            lines.extend(regions);
        } else {
            let left = regions.len() + 1 - room;
            regions.sort_by_key(|row| !row.ends_with("  home"));
            lines.extend(regions.into_iter().take(room - 1));
            lines.push(format!("  and {left} more: ipgeo probe --dev -n 1"));
        }
        lines.push(format!("  {:<16}  {:<14}  {}", "(nearest)", "the caller", self.world.nearest));
        lines.push(String::new());
        if lines.len() + below.len() < LINES_MAX {
            below.insert(below.len() - self.to_do().len(), String::new());
        }
        lines.extend(below);
        lines.iter().map(|line| cut(line)).collect::<Vec<_>>().join("\n")
    }

    fn regions(&self) -> Vec<String> {
        let row = |(region, there): (&Region, &WorldRegion)| {
            let home = if region.name == self.world.home { "  home" } else { "" };
            format!("  {:<16}  {:<14}  {}{home}", region.name, region.city, there.url)
        };
        self.config.regions.iter().zip(&self.world.regions).map(row).collect()
    }

    /// What stands below the regions.
    fn below(&self) -> Vec<String> {
        let info = self.info;
        let licence = if info.licence.is_empty() { "unknown licence" } else { &info.licence };
        let mut lines = vec![format!("database  {}, {}, {licence}", info.name, info.date)];
        if !info.attribution.is_empty() {
            lines.push(format!("          {} {}", info.attribution, info.attribution_link));
        }
        if self.is_sample {
            lines.push(
                "          a sample; real data: `ipgeo geo fetch && ipgeo geo build`, restart".to_owned(),
            );
        }
        lines.push(format!("caller    you are presented as {}", self.caller));
        let (count, copy) = (self.lags.0.as_millis(), self.lags.1.as_millis());
        lines.push(format!("lags      {count} ms to the counter, {copy} ms from home to the other regions"));
        let throttle = if self.throttled { throttle(self.config) } else { "none".to_owned() };
        lines.push(format!("throttle  {throttle}"));
        lines.extend(self.to_do());
        lines
    }

    fn to_do(&self) -> Vec<String> {
        let nearest = &self.world.nearest;
        let mut lines = vec![format!("try       curl {nearest}/8.8.8.8")];
        if self.config.web.page {
            lines.push(format!("          or open {nearest}/ in a browser"));
        }
        lines.push("stop      Ctrl-C".to_owned());
        lines
    }
}

/// A line that fits the terminal.
fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMNS_MAX {
        return line.to_owned();
    }
    line.chars().take(COLUMNS_MAX - 1).chain(['…']).collect()
}

/// The throttle of the regions; a range where they differ.
fn throttle(config: &Config) -> String {
    let range = |number: fn(&RuntimeSettings) -> u32| {
        let numbers = || config.regions.iter().map(|region| number(&region.runtime));
        match (numbers().min(), numbers().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (least, _) => least.unwrap_or_default().to_string(),
        }
    };
    let (rate, burst) = (range(|runtime| runtime.throttle_rate), range(|runtime| runtime.throttle_burst));
    format!("{rate} requests/s a region, {burst} at once, as on AWS (off: --no-throttle)")
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::RegionName;

    use super::*;
    use crate::config::{PLACES, parse};
    use crate::world::WorldKey;

    /// The screen of a service with this many regions and this database.
    fn screen(count: usize, attribution: &str, is_sample: bool) -> String {
        let names: Vec<&str> = PLACES.iter().map(|place| place.name).take(count).collect();
        let regions = names.join(" = {}\n") + " = {}\n";
        let text = format!(
            "[service]\nname = \"ipgeo\"\nenvironment = \"prod\"\nhome = \"{}\"\n\
             [tiers.anonymous]\nlimit = \"1500/day\"\n[tiers.startup]\nlimit = \"1k/day\"\n[regions]\n{regions}",
            names[0]
        );
        let config = parse("regions.toml", &text).expect("a configuration");
        let url = |port: usize| format!("http://127.0.0.1:{port}");
        let regions = config.regions.iter().zip(40_001..).map(|(region, port)| WorldRegion {
            region: region.name.clone(),
            url: url(port),
            dynamodb: String::new(),
        });
        let world = WorldFile {
            schema: crate::world::SCHEMA,
            pid: 1,
            nonce: String::new(),
            nearest: url(40_000),
            home: RegionName::new(names[0]),
            access_table: String::new(),
            ledger_table: String::new(),
            stream: std::path::PathBuf::new(),
            key: WorldKey::new([0; crate::world::RANDOM_BYTES]),
            regions: regions.collect(),
        };
        let info = DatabaseInfo {
            name: "a database with quite a long name, and another one".to_owned(),
            date: "2026-11-24".to_owned(),
            licence: "CC-BY-4.0".to_owned(),
            attribution: attribution.to_owned(),
            ..DatabaseInfo::default()
        };
        let lags = (Duration::from_hours(24), Duration::from_hours(24));
        let caller = "2001:db8:1111:2222:3333:4444:5555:6666".parse().expect("an address");
        Welcome { config: &config, world: &world, info: &info, is_sample, caller, lags, throttled: true }
            .text()
    }

    #[test]
    fn the_first_screen_fits_a_terminal_of_80_columns_and_24_lines() {
        let long = "IP geolocation by somebody with a very long name and a very long sentence about it";
        for count in [1, 2, 9, 10, 11, 27, PLACES.len()] {
            for (attribution, is_sample) in [("", true), (long, false), ("by us", true)] {
                let text = screen(count, attribution, is_sample);
                assert!(text.lines().count() + 2 <= 24, "{count}\n{text}");
                assert!(text.lines().all(|line| line.chars().count() <= 80), "{count}\n{text}");
                assert_eq!(
                    text.contains("`ipgeo geo fetch && ipgeo geo build`, restart"),
                    is_sample,
                    "{text}"
                );
                assert!(text.contains("40000/8.8.8.8") && text.contains("stop      Ctrl-C"), "{text}");
            }
        }
        assert!(!screen(9, "", true).contains("more:"));
        let many = screen(27, "", true);
        let is_row = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
        // Besides the regions: the header, the nearest one, and the number of the others.
        let shown = many.lines().filter(is_row).count() - 3;
        assert!(many.contains(&format!("  and {} more: ipgeo probe --dev -n 1", 27 - shown)), "{many}");
    }
}
