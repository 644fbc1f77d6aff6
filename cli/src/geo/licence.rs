//! The terms of a geo data licence, and whether data meets them. Pure.

use ipgeo_geo::DatabaseInfo;
use jiff::civil::Date;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Whether attribution is required.
    pub credit: bool,
    /// Days that data may be used after its own date; `None`: no limit. `GeoLite`'s licence counts from the release of newer
    /// data, days later: counting from the data's own date is on the safe side.
    pub retention_days: Option<i64>,
    /// Whether the file may be passed on to others.
    pub redistributable: bool,
    /// Whether the licence allows derived data, such as a compiled database.
    pub derivable: bool,
}

/// A warning is given this many days before data expires.
const WARN_DAYS: i64 = 7;

impl Terms {
    /// The terms of a licence or data set, recognised by its name. An unknown one has no terms.
    pub(crate) fn new(licence: &str, name: &str) -> Self {
        let text = format!("{licence} {name}").to_lowercase();
        let contains = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if contains(&["geolite"]) {
            return Self { credit: true, retention_days: Some(30), redistributable: false, derivable: true };
        }
        let credit = contains(&["cc by", "cc-by", "creative commons attribution", "odbl", "open database"]);
        let proprietary = contains(&["proprietary", "commercial", "end user", "eula"]);
        let derivable = !contains(&["-nd", " nd ", "noderiv", "no deriv", "no-deriv"]);
        Self { credit, retention_days: None, redistributable: !proprietary, derivable }
    }

    /// Whether data must be deleted: its retention period has ended, or its date is unknown.
    pub(crate) fn has_ended(self, date: Option<Date>, today: Date) -> bool {
        let last_day = date.and_then(|date| self.last_day(date));
        self.retention_days.is_some() && last_day.is_none_or(|last_day| today > last_day)
    }

    /// The last day that data may be stored and served.
    pub(crate) fn last_day(self, date: Date) -> Option<Date> {
        self.retention_days.map(|days| date.saturating_add(jiff::Span::new().days(days)))
    }
}

/// Geo data as described by its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LicensedData<'a> {
    pub name: &'a str,
    pub licence: &'a str,
    pub attribution: &'a str,
    /// `2026-06-05`.
    pub date: &'a str,
}

impl<'a> From<&'a DatabaseInfo> for LicensedData<'a> {
    fn from(info: &'a DatabaseInfo) -> Self {
        let DatabaseInfo { name, licence, attribution, date, .. } = info;
        Self { name, licence, attribution, date }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LicenceStatus {
    Met,
    /// The data names no licence.
    Unnamed,
    EndsSoon {
        last_day: String,
    },
    /// The data must no longer be served.
    Ended {
        last_day: String,
    },
    /// The licence forbids derived data.
    NotDerivable,
    /// The licence requires attribution, and the data has none.
    NoCredit,
    /// The licence limits the days of use, and the data has no valid date.
    NoDate,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenceError {
    #[error(
        "{name} of {date} has expired: its licence allowed use until {last_day}\n\
         help: get newer data: ipgeo geo fetch && ipgeo geo build"
    )]
    Ended { name: String, date: String, last_day: String },
    #[error(
        "{name} has no attribution: its licence requires it\n\
         help: set `attribution` in [geo] or in the source in regions.toml, then run `ipgeo geo build`"
    )]
    NoCredit { name: String },
    #[error(
        "{name} can't be used: its licence, {licence}, forbids derived data\nhelp: remove the source from regions.toml"
    )]
    NotDerivable { name: String, licence: String },
    #[error(
        "{name} has no date: its licence limits the days of use\n\
         help: run `ipgeo geo fetch && ipgeo geo build`"
    )]
    NoDate { name: String },
}

/// Whether data meets its licence on a day.
pub(crate) fn licence_status(data: LicensedData<'_>, today: Date) -> LicenceStatus {
    let terms = Terms::new(data.licence, data.name);
    if !terms.derivable {
        return LicenceStatus::NotDerivable;
    }
    if terms.credit && data.attribution.trim().is_empty() {
        return LicenceStatus::NoCredit;
    }
    if terms.retention_days.is_some() {
        let Ok(date) = data.date.parse::<Date>() else { return LicenceStatus::NoDate };
        let Some(last) = terms.last_day(date) else { return LicenceStatus::Met };
        let last_day = last.to_string();
        if today > last {
            return LicenceStatus::Ended { last_day };
        }
        if today >= last.saturating_sub(jiff::Span::new().days(WARN_DAYS)) {
            return LicenceStatus::EndsSoon { last_day };
        }
    }
    if data.licence.trim().is_empty() { LicenceStatus::Unnamed } else { LicenceStatus::Met }
}

/// Fails if the licence forbids serving the data on a day.
pub(crate) fn may_serve(data: LicensedData<'_>, today: Date) -> Result<(), LicenceError> {
    let name = data.name.to_owned();
    match licence_status(data, today) {
        LicenceStatus::Ended { last_day } => {
            Err(LicenceError::Ended { name, date: data.date.to_owned(), last_day })
        }
        LicenceStatus::NotDerivable => {
            Err(LicenceError::NotDerivable { name, licence: data.licence.to_owned() })
        }
        LicenceStatus::NoCredit => Err(LicenceError::NoCredit { name }),
        LicenceStatus::NoDate => Err(LicenceError::NoDate { name }),
        LicenceStatus::Met | LicenceStatus::Unnamed | LicenceStatus::EndsSoon { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_by_licence_and_name() {
        let table = [
            ("CC BY 4.0", "DB-IP City Lite", (true, None, true)),
            ("GeoLite End User License Agreement", "GeoLite City", (true, Some(30), false)),
            ("", "GeoLite2-City", (true, Some(30), false)),
            ("CC BY-SA 4.0", "IPinfo Lite", (true, None, true)),
            ("PDDL 1.0", "whois", (false, None, true)),
            ("MIT OR Apache-2.0", "ipgeo sample", (false, None, true)),
            ("Vendor EULA", "City", (false, None, false)),
        ];
        for (licence, name, expected) in table {
            let terms = Terms::new(licence, name);
            assert_eq!(
                (terms.credit, terms.retention_days, terms.redistributable),
                expected,
                "{licence} {name}"
            );
        }
    }

    #[test]
    fn status_by_licence_and_day() {
        let copy = |licence, attribution, date| LicensedData { name: "GeoLite", licence, attribution, date };
        let lite = copy("GeoLite EULA", "MaxMind", "2026-11-01");
        let ends = |last: &str| LicenceStatus::EndsSoon { last_day: last.into() };
        let table = [
            (lite, "2026-11-20", LicenceStatus::Met, true),
            (lite, "2026-11-24", ends("2026-12-01"), true),
            (lite, "2026-12-01", ends("2026-12-01"), true),
            (lite, "2026-12-02", LicenceStatus::Ended { last_day: "2026-12-01".into() }, false),
            (copy("GeoLite EULA", " ", "2026-11-01"), "2026-11-02", LicenceStatus::NoCredit, false),
            (copy("GeoLite EULA", "MaxMind", "?"), "2026-11-02", LicenceStatus::NoDate, false),
            (
                LicensedData { name: "x", ..copy("", "", "2020-01-01") },
                "2026-11-02",
                LicenceStatus::Unnamed,
                true,
            ),
            (
                LicensedData { name: "x", ..copy("CC BY 4.0", "x", "2020-01-01") },
                "2026-11-02",
                LicenceStatus::Met,
                true,
            ),
        ];
        for (data, today, expected, served) in table {
            let today = today.parse().expect("a date");
            assert_eq!(licence_status(data, today), expected, "{data:?} on {today}");
            assert_eq!(may_serve(data, today).is_ok(), served, "{data:?} on {today}");
        }
    }
}
