#!/usr/bin/env python3
"""Writes countries.tsv, languages.tsv and currencies.tsv, which `countries.rs` reads.

Run where these are installed, and commit what changes:

    npm install --ignore-scripts --prefix DIR cldr-core@48 cldr-localenames-full@48 cldr-numbers-full@48
    pip install pycountry phonenumbers
    python3 runtime/geo/src/compile/countries/generate.py DIR/node_modules

From Unicode CLDR (Unicode-3.0): names, continents, the EU's members, languages and currencies; from libphonenumber
(Apache-2.0) calling codes; from pycountry (LGPL-2.1, the list alone) which countries ISO 3166 has. corrections.tsv stands above
them all. `runtime/geo/tests/facts.rs` compares the tables with other packages.
"""

import json
import pathlib
import re
import sys
import unicodedata

import phonenumbers
import pycountry

CLDR = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
# UN M49's regions as an answer names them. The Caribbean and Central America are North America.
CONTINENTS = {"002": "AF", "150": "EU", "142": "AS", "009": "OC", "003": "NA", "005": "SA"}


def read(*path):
    return json.loads(CLDR.joinpath(*path).read_text(encoding="utf-8"))


def supplemental(name):
    return read("cldr-core", "supplemental", f"{name}.json")["supplemental"]


def main_of(package, locale, name):
    path = CLDR.joinpath(package, "main", locale, f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))["main"][locale] if path.exists() else None


def corrections():
    found = {}
    for line in (HERE / "corrections.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            field, code, value, _source = line.split("\t")
            found[field, code] = value
    return found


CORRECTED = corrections()
CONTAINMENT = supplemental("territoryContainment")["territoryContainment"]
TERRITORIES = supplemental("territoryInfo")["territoryInfo"]
TENDER = supplemental("currencyData")["currencyData"]["region"]
NAMES = main_of("cldr-localenames-full", "en", "territories")["localeDisplayNames"]["territories"]
LANGUAGE_NAMES = main_of("cldr-localenames-full", "en", "languages")["localeDisplayNames"]["languages"]
CURRENCIES = main_of("cldr-numbers-full", "en", "currencies")["numbers"]["currencies"]


def countries_in(region):
    found = set()
    for part in CONTAINMENT.get(region, {}).get("_contains", []):
        found |= {part} if re.fullmatch("[A-Z]{2}", part) else countries_in(part)
    return found


CONTINENT_OF = {country: code for region, code in CONTINENTS.items() for country in countries_in(region)}
EU = set(CONTAINMENT["EU"]["_contains"])


def calling_code(code):
    number = str(phonenumbers.country_code_for_region(code))
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(code, None)
    area = metadata.leading_digits if metadata else None
    return number + area if number == "1" and re.fullmatch("[0-9]{3}", area or "") else number


def languages(code):
    spoken = TERRITORIES.get(code, {}).get("languagePopulation", {})
    official = [
        (-float(facts["_populationPercent"]), language.split("_")[0])
        for language, facts in spoken.items()
        if facts.get("_officialStatus") in ("official", "de_facto_official")
    ]
    # The most spoken first; once, whatever it is written in.
    return " ".join(dict.fromkeys(language for _, language in sorted(official)))


def currency(code):
    now = [
        name
        for entry in TENDER.get(code, [])
        for name, facts in entry.items()
        if "_to" not in facts and facts.get("_tender") != "false"
    ]
    return now[0] if now else ""


def symbol(code):
    """As in English text; the narrow symbol where English has none and no other currency has that symbol."""
    facts = CURRENCIES[code]
    if facts.get("symbol", code) != code:
        return facts["symbol"]
    narrow = facts.get("symbol-alt-narrow")
    alike = [other for other, known in CURRENCIES.items() if narrow in (known.get("symbol"), known.get("symbol-alt-narrow"))]
    return narrow if narrow and alike == [code] else code


def native_symbol(country, speech, code):
    """As it is written in the country: by its first language that has a word for it."""
    for language in speech.split():
        for locale in (f"{language}-{country}", language):
            facts = main_of("cldr-numbers-full", locale, "currencies")
            if facts:
                found = facts["numbers"]["currencies"].get(code, {}).get("symbol", code)
                # Some locales have a space without width for a symbol that stands where the decimal sign would.
                if found != code and any(unicodedata.category(letter)[0] in "LSPN" for letter in found):
                    return found
                break
    return symbol(code)


def language_name(code):
    return CORRECTED.get(("name", code)) or LANGUAGE_NAMES[code]


def native_name(code):
    facts = main_of("cldr-localenames-full", code, "languages")
    found = facts["localeDisplayNames"]["languages"].get(code, code) if facts else code
    found = CORRECTED.get(("native", code), found)
    if found == code:
        sys.exit(f"CLDR does not have {code}'s name in itself: add it to corrections.tsv")
    return found


def write(name, head, rows):
    lines = ["# Written by generate.py, see there; mistakes are mended in corrections.tsv.", "# " + head.replace(" ", "\t")]
    lines += ["\t".join(row) for row in rows]
    (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    countries = []
    for code in sorted({country.alpha_2 for country in pycountry.countries} | {"XK"}):
        def corrected(field, value):
            return CORRECTED.get((field, code), value)

        speech = corrected("languages", languages(code))
        money = corrected("currency", currency(code))
        countries.append([
            code,
            NAMES[code],
            corrected("continent", CONTINENT_OF.get(code, "")),
            "eu" if code in EU else "",
            corrected("calling_code", calling_code(code)),
            speech,
            money,
            native_symbol(code, speech, money) if money else "",
        ])
    write("countries.tsv", "code name continent eu calling_code languages currency currency_native", countries)
    spoken = sorted({language for row in countries for language in row[5].split()})
    write("languages.tsv", "code name native", [[code, language_name(code), native_name(code)] for code in spoken])
    money = sorted({row[6] for row in countries if row[6]})
    write(
        "currencies.tsv",
        "code name symbol plural",
        [[code, CURRENCIES[code]["displayName"], symbol(code), CURRENCIES[code]["displayName-count-other"]] for code in money],
    )


main()
