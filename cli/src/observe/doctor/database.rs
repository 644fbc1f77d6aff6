//! Judges the geo data: its age, licence and lock.

use jiff::civil::Date;

use super::check::Check;
use super::facts::{DatabaseFacts, DoctorFacts};
use crate::config::Config;
use crate::geo::licence::{LicenceStatus, LicensedData, licence_status};

/// The age of data that is reported, days; sources are published monthly.
const DATABASE_WARN_DAYS: i64 = 45;

/// Judges the geo database on this machine, its licence and lock, and the data that regions serve.
pub(super) fn database(
    facts: &DoctorFacts,
    config: &Config,
    today: Date,
    dev: bool,
    checks: &mut Vec<Check>,
) {
    let renew = if dev {
        "ipgeo geo fetch && ipgeo geo build, then restart `ipgeo dev`"
    } else {
        "ipgeo geo fetch && ipgeo geo build && ipgeo geo rollout"
    };
    let copy = match &facts.database {
        None => {
            // Without sources there is nothing to fetch.
            let remedy = if config.geo.sources.is_empty() {
                "add a source under [[geo.sources]] in regions.toml, or run ipgeo geo build --sample"
            } else {
                "ipgeo geo fetch && ipgeo geo build"
            };
            checks.push(Check::warn("database", "not built on this machine", remedy));
            return;
        }
        Some(Err(why)) => {
            checks.push(Check::fail("database", why.clone(), "ipgeo geo build"));
            return;
        }
        Some(Ok(copy)) => copy,
    };
    let age =
        copy.date.parse::<Date>().ok().and_then(|date| today.since(date).ok()).map(|span| span.get_days());
    checks.push(match age {
        Some(days) if i64::from(days) > DATABASE_WARN_DAYS => {
            Check::warn("database", format!("{} of {}: {days} days old", copy.name, copy.date), renew)
        }
        _ => Check::ok("database", format!("{} of {}", copy.name, copy.date)),
    });
    let mut served: Vec<&str> =
        facts.edges.iter().filter_map(|(_, edge)| edge.health.as_ref()?.as_ref().ok()?.as_deref()).collect();
    served.sort_unstable();
    served.dedup();
    if served.len() > 1 {
        let found = format!("regions serve data of {}", served.join(" and "));
        checks.push(Check::warn("served data", found, "ipgeo geo rollout"));
    }
    checks.push(licence(copy, today, renew));
    if let Err(why) = &copy.lock {
        checks.push(Check::fail("lock", why.clone(), "ipgeo geo build"));
    } else {
        checks.push(Check::ok("lock", "the database matches geo.lock"));
    }
}

fn licence(copy: &DatabaseFacts, today: Date, renew: &str) -> Check {
    let data = LicensedData {
        name: &copy.name,
        licence: &copy.licence,
        attribution: &copy.attribution,
        date: &copy.date,
    };
    match licence_status(data, today) {
        LicenceStatus::Met => Check::ok("licence", copy.licence.clone()),
        LicenceStatus::Unnamed => {
            Check::warn("licence", "the data has no licence", "set `licence` in [geo] of regions.toml")
        }
        LicenceStatus::EndsSoon { last_day } => {
            Check::warn("licence", format!("the data may be used until {last_day}"), renew)
        }
        LicenceStatus::Ended { last_day } => {
            Check::fail("licence", format!("the data expired: it could be used until {last_day}"), renew)
        }
        LicenceStatus::NotDerivable => {
            Check::fail("licence", "it forbids derived data", "use another source in regions.toml")
        }
        LicenceStatus::NoCredit => Check::fail(
            "licence",
            "it requires a credit, and `attribution` is empty",
            "set `attribution` in [geo] of regions.toml, then ipgeo geo build",
        ),
        LicenceStatus::NoDate => {
            Check::fail("licence", "it limits how long data may be used, and the data has no date", renew)
        }
    }
}
