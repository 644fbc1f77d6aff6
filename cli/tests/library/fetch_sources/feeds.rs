//! Sources that are not databases, optional sources, credits and corrections.

use std::fs;

use ipgeo::internals::config;
use ipgeo::internals::geo::sources::FetchOutcome::{Kept, Missing, New, Unchanged};
use ipgeo::internals::geo::sources::{FetchError, Lock, compile, fetched, verify};

use super::{Place, TEXT, TOR, flat_city, no_npm, now, of_day};

#[test]
fn an_optional_source_that_fails_keeps_its_previous_file_or_is_left_out() {
    let place = Place::new();
    let text = format!(
        "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"tor\"\nfile = \"tor.txt\"\noptional = true\n{TOR}"
    );
    let config = super::config(&text);
    fs::write(place.folder.path().join("city.mmdb"), of_day("2026-10-01")).expect("written");
    let tor = place.folder.path().join("tor.txt");
    let mut lock = Lock::default();
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [New, Missing]);
    assert_eq!(lock.sources.len(), 1);
    assert_eq!(verify(&config, &place.state(), &lock).expect("sound").len(), 1);
    assert_eq!(fetched(&config, &place.state()).expect("the others").len(), 1);
    fs::write(&tor, "1.1.1.1\n").expect("written");
    assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [Unchanged, New]);
    for bad in ["<html>", "not a list\n"] {
        fs::write(&tor, bad).expect("written");
        assert_eq!(place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched"), [Unchanged, Kept]);
        assert_eq!(lock.sources.len(), 2);
        assert_eq!(verify(&config, &place.state(), &lock).expect("sound").len(), 2);
    }
    // What is in the lock must be there.
    fs::remove_file(place.state().join("geo/sources/tor/tor.txt")).expect("removed");
    assert!(verify(&config, &place.state(), &lock).is_err());
    // Without `optional`, the fetch fails; the others are fetched and nothing is lost.
    let strict = super::config(&text.replace("optional = true\n", ""));
    assert!(matches!(place.fetch_locked(&strict, no_npm(), &mut lock), Err(FetchError::Rejected { .. })));
    assert_eq!(lock.sources.len(), 2);
}

#[test]
fn the_credits_of_all_sources_reach_the_database_and_each_licence_is_kept() {
    let place = Place::new();
    let out = place.folder.path().join("out.mmdb");
    fs::write(place.folder.path().join("city.mmdb"), flat_city("2026-10-01")).expect("written");
    fs::write(place.folder.path().join("asn.csv"), "8.8.8.0,8.8.8.255,15169,Google\n").expect("written");
    let with = |terms: &str| {
        let main = "[geo]\nname = \"City\"\nlicence = \"CC BY 4.0\"\nattribution = \"By DB-IP\"\nattribution_link = \"https://db-ip.com\"\n[[geo.sources]]";
        let text = TEXT.replace("[[geo.sources]]", main)
            + "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"asn\"\nfile = \"asn.csv\"\n"
            + terms;
        config::parse("regions.toml", &text).expect("a sound file")
    };
    let asn = "licence = \"CC BY 4.0\"\nattribution = \"AS by RouteViews\"\nattribution_link = \"https://routeviews.org\"\n";
    let config = with(asn);
    let mut lock = Lock::default();
    place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched");
    let credits: Vec<&str> = lock.sources.iter().map(|source| source.attribution.as_str()).collect();
    assert_eq!(credits, ["By DB-IP", "AS by RouteViews"]);
    let files = fetched(&config, &place.state()).expect("fetched");
    compile(&config, &files, None, &out, now(), &ipgeo_geo::compile::NoProgress).expect("compiled");
    let database = ipgeo_geo::Database::open(&out).expect("it opens");
    let info = database.info();
    assert_eq!(info.attribution, "AS by RouteViews <https://routeviews.org>; By DB-IP");
    assert_eq!((info.attribution_link.as_str(), info.licence.as_str()), ("https://db-ip.com", "CC BY 4.0"));
    for (terms, fault) in [
        ("licence = \"CC BY 4.0\"\n", "asn has no attribution: its licence requires it"),
        (
            "licence = \"CC BY-ND 4.0\"\nattribution = \"x\"\n",
            "asn can't be used: its licence, CC BY-ND 4.0, forbids derived data",
        ),
    ] {
        let error = place.fetch(&with(terms), no_npm()).expect_err("refused").to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn corrections_come_first_then_geofeeds_then_sources() {
    let place = Place::new();
    let (out, folder) = (place.folder.path().join("out.mmdb"), place.folder.path());
    fs::write(folder.join("city.mmdb"), flat_city("2026-10-01")).expect("written");
    fs::write(folder.join("feed.csv"), "8.8.8.0/25,FR,,Lyon,\n").expect("written");
    fs::write(folder.join("overrides.csv"), "network,country_code,city\n8.8.8.8,DE,Berlin\n")
        .expect("written");
    let config = super::config(
        "file = \"city.mmdb\"\n[[geo.sources]]\nname = \"feed\"\nfile = \"feed.csv\"\nformat = \"geofeed\"\n",
    );
    place.fetch(&config, no_npm()).expect("fetched");
    let files = fetched(&config, &place.state()).expect("fetched");
    let overrides = folder.join("overrides.csv");
    compile(&config, &files, Some(&overrides), &out, now(), &ipgeo_geo::compile::NoProgress)
        .expect("compiled");
    let database = ipgeo_geo::Database::open(&out).expect("it opens");
    for (address, city, country) in
        [("8.8.8.8", "Berlin", "DE"), ("8.8.8.9", "Lyon", "FR"), ("8.8.8.200", "Berkeley", "US")]
    {
        let mut text = String::new();
        database.lookup(address.parse().expect("an address")).expect(address).write_static(&mut text);
        assert!(
            text.contains(&format!("\"city\":\"{city}\""))
                && text.contains(&format!("\"country_code\":\"{country}\"")),
            "{text}"
        );
    }
}

#[test]
fn data_that_may_not_be_passed_on_is_built_with_a_note_and_no_other_is() {
    let place = Place::new();
    let [source, out] = ["city.mmdb", "out.mmdb"].map(|name| place.folder.path().join(name));
    fs::write(&source, flat_city("2026-11-20")).expect("written");
    let [source, out] = [source, out].map(|path| path.display().to_string());
    for (licence, noted) in [("CC BY 4.0", false), ("Proprietary", true)] {
        let table = format!("[geo]\nname = \"Data\"\nlicence = \"{licence}\"\nattribution = \"By A\"\n");
        let text = TEXT.replace("[[geo.sources]]", &(table + "[[geo.sources]]")) + "file = \"city.mmdb\"\n";
        fs::write(place.folder.path().join("regions.toml"), text).expect("written");
        let (code, message) = super::at_once::run(&place, &["geo", "build", &source, "--out", &out]);
        assert_eq!(code, Some(0), "{message}");
        assert_eq!(
            message.contains("the licence does not allow passing this file on"),
            noted,
            "{licence}: {message}"
        );
    }
}
