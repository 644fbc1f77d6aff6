//! Licence and attribution of a database that is compiled from several sources. Pure.

use jiff::civil::Date;

use super::FetchError;
use crate::config::SourceTerms;
use crate::geo::licence::{LicenceError, LicensedData, Terms, may_serve};

/// The attribution is a header of every answer; API Gateway allows 10,240 bytes for all headers together.
const ATTRIBUTION_BYTES_MAX: usize = 1_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Credits {
    pub licence: String,
    pub attribution: String,
    pub attribution_link: String,
}

/// Fails if a source's terms do not allow its use on a day. `date` is that of its data.
pub(super) fn check(
    name: &str,
    terms: &SourceTerms,
    date: Option<Date>,
    today: Date,
) -> Result<(), LicenceError> {
    let date = date.map(|date| date.to_string()).unwrap_or_default();
    let data = LicensedData { name, licence: &terms.licence, attribution: &terms.attribution, date: &date };
    may_serve(data, today)
}

/// The terms of all sources together, each once. `main` are those of `[geo]`; their link is the attribution's link.
pub(super) fn join(main: SourceTerms, sources: &[SourceTerms]) -> Result<Credits, FetchError> {
    let mut licences: Vec<&str> = Vec::new();
    let mut credits: Vec<String> = Vec::new();
    // The main terms apply if a source has none of its own.
    let own = sources.iter().filter(|terms| **terms != main);
    let uses_main = sources.is_empty() || sources.contains(&main);
    for terms in std::iter::once(&main).filter(|_| uses_main).chain(own) {
        if !terms.licence.is_empty() && !licences.contains(&terms.licence.as_str()) {
            licences.push(&terms.licence);
        }
        let credit = match terms.attribution_link.as_str() {
            "" => terms.attribution.clone(),
            link => format!("{} <{link}>", terms.attribution),
        };
        if !terms.attribution.is_empty() && *terms != main && !credits.contains(&credit) {
            credits.push(credit);
        }
    }
    let licence = licences.join("; ");
    let last = if uses_main && !main.attribution.is_empty() {
        credits.push(main.attribution);
        main.attribution_link
    } else {
        String::new()
    };
    let attribution = credits.join("; ");
    if attribution.len() > ATTRIBUTION_BYTES_MAX {
        return Err(FetchError::Credits { bytes: attribution.len() });
    }
    Ok(Credits { licence, attribution, attribution_link: last })
}

/// Whether all licences allow redistributing the data.
pub(super) fn redistributable(terms: &[SourceTerms]) -> bool {
    terms.iter().all(|terms| Terms::new(&terms.licence, "").redistributable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(licence: &str, attribution: &str, attribution_link: &str) -> SourceTerms {
        SourceTerms {
            licence: licence.into(),
            attribution: attribution.into(),
            attribution_link: attribution_link.into(),
        }
    }

    #[test]
    fn every_credit_that_applies_is_named_once() {
        let main = || terms("CC BY 4.0", "By DB-IP", "https://db-ip.com");
        let asn = || terms("CC BY 4.0", "AS by RouteViews", "https://routeviews.org");
        let free = || terms("CC0 1.0", "", "");
        let table = [
            (vec![main()], ("CC BY 4.0", "By DB-IP", "https://db-ip.com")),
            (vec![], ("CC BY 4.0", "By DB-IP", "https://db-ip.com")),
            (
                vec![main(), asn(), free(), asn()],
                (
                    "CC BY 4.0; CC0 1.0",
                    "AS by RouteViews <https://routeviews.org>; By DB-IP",
                    "https://db-ip.com",
                ),
            ),
            (vec![asn()], ("CC BY 4.0", "AS by RouteViews <https://routeviews.org>", "")),
            (vec![free()], ("CC0 1.0", "", "")),
        ];
        for (sources, (licence, attribution, link)) in table {
            let credits = join(main(), &sources).expect("short");
            let found = (&credits.licence[..], &credits.attribution[..], &credits.attribution_link[..]);
            assert_eq!(found, (licence, attribution, link), "{sources:?}");
        }
        let many: Vec<SourceTerms> =
            (0..100).map(|number| terms("CC BY 4.0", &format!("Credit number {number}"), "")).collect();
        let error = join(main(), &many).expect_err("too long").to_string();
        assert!(error.contains("bytes, more than the 1,000"), "{error}");
    }

    #[test]
    fn a_source_is_checked_by_its_own_terms() {
        let today = "2026-11-28".parse().expect("a date");
        for (licence, attribution, fault) in [
            ("CC BY 4.0", "By X", ""),
            ("CC BY 4.0", "", "x has no attribution"),
            ("CC BY-ND 4.0", "By X", "forbids derived data"),
            ("Vendor EULA, no derivatives", "", "forbids derived data"),
            ("MIT", "", ""),
            ("", "", ""),
        ] {
            let found = check("x", &terms(licence, attribution, ""), None, today);
            let text = found.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(fault) && text.is_empty() == fault.is_empty(), "{licence}: {text}");
        }
    }
}
