//! The first screen of `ipgeo dev`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use ipgeo_geo::DatabaseInfo;
use serde_json::json;

use crate::config::{Config, RuntimeSettings};
use crate::ui::format::counted;
use crate::world::WorldFile;

/// The line for scripts: `{"ready":true,…}`.
pub(crate) fn ready_json(world: &WorldFile) -> String {
    let regions: Vec<_> =
        world.regions.iter().map(|region| json!({ "region": region.region, "url": region.url })).collect();
    json!({ "ready": true, "nearest": world.nearest, "regions": regions }).to_string()
}

/// The screen for people. README.md shows it.
pub(crate) fn welcome(
    config: &Config,
    world: &WorldFile,
    info: &DatabaseInfo,
    is_sample: bool,
    caller: IpAddr,
    lags: (Duration, Duration),
    throttled: bool,
) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let regions = counted(world.regions.len(), "region");
    let _ = writeln!(out, "{} in {regions}, on this machine only\n", config.service.name);
    let _ = writeln!(out, "  {:<16}  {:<14}  url", "region", "near");
    for (region, there) in config.regions.iter().zip(&world.regions) {
        let home = if region.name == world.home { "  home" } else { "" };
        let _ = writeln!(out, "  {:<16}  {:<14}  {}{home}", region.name, region.city, there.url);
    }
    let _ = writeln!(out, "  {:<16}  {:<14}  {}\n", "(nearest)", "the caller", world.nearest);
    let licence = if info.licence.is_empty() { "unknown licence" } else { &info.licence };
    let _ = writeln!(out, "database  {}, {}, {licence}", info.name, info.date);
    if !info.attribution.is_empty() {
        let _ = writeln!(out, "          {} {}", info.attribution, info.attribution_link);
    }
    if is_sample {
        let _ = writeln!(out, "          a small sample; `ipgeo geo fetch` gets the real data");
    }
    let _ = writeln!(out, "caller    you are presented as {caller}");
    let _ = writeln!(
        out,
        "lags      {} ms from a request to the counter, {} ms from home to the other regions",
        lags.0.as_millis(),
        lags.1.as_millis()
    );
    let throttle = if throttled { throttle(config) } else { "none".to_owned() };
    let _ = writeln!(out, "throttle  {throttle}\n");
    let _ = writeln!(out, "try       curl {}/8.8.8.8", world.nearest);
    if config.web.page {
        let _ = writeln!(out, "          or open {}/ in a browser", world.nearest);
    }
    let _ = write!(out, "stop      Ctrl-C");
    out
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
    format!("{rate} requests/s in each region, {burst} at once, as on AWS; --no-throttle disables it")
}
