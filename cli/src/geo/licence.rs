//! What a licence of geo data asks for, and whether it is kept. Pure.

use jiff::civil::Date;
use serde::Serialize;

/// What a licence asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether a credit must be shown.
    pub credit: bool,
    /// Days that a copy may be kept beyond its own date; none: for ever. `GeoLite`'s licence counts from the
    /// release of a newer one, which follows within days: counting from the copy's own date is on the safe side.
    pub keep_days: Option<i64>,
    /// Whether the file may be given to others.
    pub pass_on: bool,
}

/// Days before a copy ends in which it is warned about.
const WARN_DAYS: i64 = 7;

impl Terms {
    /// The terms of a licence or a data set by its name; of one that is not known nothing is asked.
    pub fn of(licence: &str, name: &str) -> Self {
        let text = format!("{licence} {name}").to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["geolite"]) {
            return Self { credit: true, keep_days: Some(30), pass_on: false };
        }
        let credit = says(&["cc by", "cc-by", "creative commons attribution", "odbl", "open database"]);
        let closed = says(&["proprietary", "commercial", "end user", "eula"]);
        Self { credit, keep_days: None, pass_on: !closed }
    }

    /// The last day that a copy may be kept and served.
    pub fn last_day(self, date: Date) -> Option<Date> {
        self.keep_days.map(|days| date.saturating_add(jiff::Span::new().days(days)))
    }
}

/// A copy of geo data, as it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its licence.
    pub licence: &'a str,
    /// Its credit.
    pub attribution: &'a str,
    /// Its date, `2026-06-05`.
    pub date: &'a str,
}

/// How a copy stands to its licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// All is well.
    Kept,
    /// It has no licence.
    Unnamed,
    /// It must be gone soon.
    EndsSoon {
        /// The last day.
        last_day: String,
    },
    /// It must not be served any more.
    Ended {
        /// The last day that it could be.
        last_day: String,
    },
    /// It has no credit, and its licence asks for one.
    NoCredit,
    /// Its date can't be read, and its licence counts days.
    NoDate,
}

/// Why geo data must not be served or given to the regions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenceError {
    /// Its time is over.
    #[error(
        "{name} of {date} may be used until {last_day}, says its licence; get a newer one: ipgeo geo fetch && ipgeo geo build"
    )]
    Ended {
        /// The data.
        name: String,
        /// Its date.
        date: String,
        /// The last day.
        last_day: String,
    },
    /// It lacks a credit.
    #[error(
        "the licence of {name} asks for a credit: set `attribution` in [geo] of regions.toml, and build it again"
    )]
    NoCredit {
        /// The data.
        name: String,
    },
    /// It lacks a date.
    #[error("{name} has no date, and its licence counts days: fetch and build it again")]
    NoDate {
        /// The data.
        name: String,
    },
}

/// How a copy stands on a day.
pub fn standing(copy: Copy<'_>, today: Date) -> Standing {
    let terms = Terms::of(copy.licence, copy.name);
    if terms.credit && copy.attribution.trim().is_empty() {
        return Standing::NoCredit;
    }
    if terms.keep_days.is_some() {
        let Ok(date) = copy.date.parse::<Date>() else { return Standing::NoDate };
        let Some(last) = terms.last_day(date) else { return Standing::Kept };
        let last_day = last.to_string();
        if today > last {
            return Standing::Ended { last_day };
        }
        if today >= last.saturating_sub(jiff::Span::new().days(WARN_DAYS)) {
            return Standing::EndsSoon { last_day };
        }
    }
    if copy.licence.trim().is_empty() { Standing::Unnamed } else { Standing::Kept }
}

/// Whether a copy may be served on a day.
pub fn may_serve(copy: Copy<'_>, today: Date) -> Result<(), LicenceError> {
    let name = copy.name.to_owned();
    match standing(copy, today) {
        Standing::Ended { last_day } => {
            Err(LicenceError::Ended { name, date: copy.date.to_owned(), last_day })
        }
        Standing::NoCredit => Err(LicenceError::NoCredit { name }),
        Standing::NoDate => Err(LicenceError::NoDate { name }),
        Standing::Kept | Standing::Unnamed | Standing::EndsSoon { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_licences_ask_for() {
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
            let terms = Terms::of(licence, name);
            assert_eq!((terms.credit, terms.keep_days, terms.pass_on), expected, "{licence} {name}");
        }
    }

    #[test]
    fn how_a_copy_stands() {
        let copy = |licence, attribution, date| Copy { name: "GeoLite", licence, attribution, date };
        let lite = copy("GeoLite EULA", "MaxMind", "2026-11-01");
        let ends = |last: &str| Standing::EndsSoon { last_day: last.into() };
        let table = [
            (lite, "2026-11-20", Standing::Kept, true),
            (lite, "2026-11-24", ends("2026-12-01"), true),
            (lite, "2026-12-01", ends("2026-12-01"), true),
            (lite, "2026-12-02", Standing::Ended { last_day: "2026-12-01".into() }, false),
            (copy("GeoLite EULA", " ", "2026-11-01"), "2026-11-02", Standing::NoCredit, false),
            (copy("GeoLite EULA", "MaxMind", "?"), "2026-11-02", Standing::NoDate, false),
            (Copy { name: "x", ..copy("", "", "2020-01-01") }, "2026-11-02", Standing::Unnamed, true),
            (Copy { name: "x", ..copy("CC BY 4.0", "x", "2020-01-01") }, "2026-11-02", Standing::Kept, true),
        ];
        for (copy, today, expected, served) in table {
            let today = today.parse().expect("a date");
            assert_eq!(standing(copy, today), expected, "{copy:?} on {today}");
            assert_eq!(may_serve(copy, today).is_ok(), served, "{copy:?} on {today}");
        }
    }
}
