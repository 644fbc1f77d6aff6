//! What is known of a country besides its addresses: names, continent, currency, languages, flag.
//!
//! The tables in `facts/` are generated from Unicode CLDR and libphonenumber and committed; what those have wrong is in
//! `facts/corrections.tsv`, each with its source. `generate.py` there writes them, `tests/geo_facts.rs` holds them against
//! other packages.

use std::collections::HashMap;

use serde::Serialize;

const COUNTRIES: &str = include_str!("facts/countries.tsv");
const LANGUAGES: &str = include_str!("facts/languages.tsv");
const CURRENCIES: &str = include_str!("facts/currencies.tsv");

/// Where pictures of flags are: the two-letter code in lower case goes between the halves.
const FLAG_URL: (&str, &str) = ("https://flagcdn.com/w80/", ".png");

const CONTINENTS: [(&str, &str); 7] = [
    ("AF", "Africa"),
    ("AN", "Antarctica"),
    ("AS", "Asia"),
    ("EU", "Europe"),
    ("NA", "North America"),
    ("OC", "Oceania"),
    ("SA", "South America"),
];

/// Codes that stand for a country under another code: withdrawn ones that have one successor (CLDR's aliases), and those that
/// the United Kingdom and the European Union use for themselves and for Greece.
const OTHER_CODES: [(&str, &str); 8] = [
    ("BU", "MM"),
    ("DD", "DE"),
    ("EL", "GR"),
    ("FX", "FR"),
    ("TP", "TL"),
    ("UK", "GB"),
    ("YD", "YE"),
    ("ZR", "CD"),
];

/// Facts of one country, as an answer names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountryFacts {
    /// In English.
    pub name: &'static str,
    /// Whether it is a member of the European Union.
    pub is_eu: bool,
    /// In English.
    pub continent_name: &'static str,
    /// Two letters.
    pub continent_code: &'static str,
    /// Digits without `+`.
    pub calling_code: &'static str,
    /// Where a picture of its flag is.
    pub flag: String,
    /// Two regional-indicator letters.
    pub emoji_flag: String,
    /// Their code points.
    pub emoji_unicode: String,
    /// Those that are official, the most spoken first.
    pub languages: Vec<LanguageFacts>,
    /// None for Antarctica.
    pub currency: Option<CurrencyFacts>,
}

/// A language that is official in a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LanguageFacts {
    /// In English.
    pub name: &'static str,
    /// In itself.
    pub native: &'static str,
    /// ISO 639: of two letters, of three where there are no two.
    pub code: &'static str,
}

/// A country's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CurrencyFacts {
    /// In English.
    pub name: &'static str,
    /// ISO 4217.
    pub code: &'static str,
    /// As in English text; the code where there is none of its own.
    pub symbol: &'static str,
    /// As it is written in the country.
    pub native: &'static str,
    /// Its plural in English.
    pub plural: &'static str,
}

/// The tables, read.
#[derive(Debug)]
pub struct Facts(HashMap<&'static str, CountryFacts>);

impl Default for Facts {
    fn default() -> Self {
        Self::new()
    }
}

/// Rows of a table; a line that has not as many columns is left out, which a test would find.
fn rows<const COLUMNS: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split('\t').collect::<Vec<_>>().try_into().ok())
}

impl Facts {
    /// Reads the tables.
    pub fn new() -> Self {
        let languages: HashMap<&str, LanguageFacts> = rows(LANGUAGES)
            .map(|[code, name, native]| (code, LanguageFacts { name, native, code }))
            .collect();
        let currencies: HashMap<&str, [&'static str; 4]> =
            rows(CURRENCIES).map(|row: [&'static str; 4]| (row[0], row)).collect();
        let countries = rows(COUNTRIES).map(|row: [&'static str; 8]| {
            let [code, name, continent_code, eu, calling_code, speech, money, native] = row;
            let (emoji_flag, emoji_unicode) = emoji(code);
            let facts = CountryFacts {
                name,
                is_eu: eu == "eu",
                continent_name: continent_name(continent_code).unwrap_or_default(),
                continent_code,
                calling_code,
                flag: format!("{}{}{}", FLAG_URL.0, code.to_ascii_lowercase(), FLAG_URL.1),
                emoji_flag,
                emoji_unicode,
                languages: speech.split(' ').filter_map(|code| languages.get(code).copied()).collect(),
                currency: currencies.get(money).map(|[code, name, symbol, plural]| CurrencyFacts {
                    name,
                    code,
                    symbol,
                    native,
                    plural,
                }),
            };
            (code, facts)
        });
        Self(countries.collect())
    }

    /// Facts of a country by its ISO 3166 code in upper case, or Kosovo's XK.
    pub fn country(&self, code: &str) -> Option<&CountryFacts> {
        self.0.get(code)
    }

    /// The code of a country as ISO 3166 has it, whatever a source writes; `None` for what is no country: `ZZ`, `-`, `EU`.
    pub(super) fn code_of(&self, code: &str) -> Option<&'static str> {
        let upper = code.trim().to_ascii_uppercase();
        let code =
            OTHER_CODES.iter().find(|(other, _)| *other == upper).map_or(upper.as_str(), |(_, code)| code);
        self.0.get_key_value(code).map(|(code, _)| *code)
    }

    /// Every country's code.
    pub fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// The name of a continent by its code.
pub(super) fn continent_name(code: &str) -> Option<&'static str> {
    CONTINENTS.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// The code of a continent, in whatever case a source writes it.
pub(super) fn continent_code(code: &str) -> Option<&'static str> {
    CONTINENTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(known, _)| *known)
}

/// The flag as a pair of regional-indicator letters, and those letters' code points.
fn emoji(code: &str) -> (String, String) {
    let letters: Vec<char> = code
        .bytes()
        .filter(u8::is_ascii_uppercase)
        .filter_map(|letter| char::from_u32(0x1_F1E6 + u32::from(letter - b'A')))
        .collect();
    let points: Vec<String> = letters.iter().map(|letter| format!("U+{:X}", u32::from(*letter))).collect();
    (letters.into_iter().collect(), points.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_countries_that_sources_often_have_wrong() {
        let facts = Facts::new();
        // (code, name, EU, continent, calling code, currency, languages)
        let table = [
            ("US", "United States", false, "NA", "1", "USD", "en"),
            ("DE", "Germany", true, "EU", "49", "EUR", "de"),
            ("CH", "Switzerland", false, "EU", "41", "CHF", "de fr it rm"),
            ("KR", "South Korea", false, "AS", "82", "KRW", "ko"),
            ("AU", "Australia", false, "OC", "61", "AUD", "en"),
            ("BR", "Brazil", false, "SA", "55", "BRL", "pt"),
            ("ZA", "South Africa", false, "AF", "27", "ZAR", "en zu xh af nso tn st ts ss ve nr"),
            ("AG", "Antigua & Barbuda", false, "NA", "1268", "XCD", "en"),
            ("TR", "Türkiye", false, "AS", "90", "TRY", "tr"),
            ("XK", "Kosovo", false, "EU", "383", "EUR", "sq sr"),
            ("TL", "Timor-Leste", false, "AS", "670", "USD", "pt tet"),
            ("UM", "U.S. Outlying Islands", false, "OC", "1", "USD", "en"),
            ("AF", "Afghanistan", false, "AS", "93", "AFN", "fa ps"),
            ("SG", "Singapore", false, "AS", "65", "SGD", "en zh ms ta"),
            ("NZ", "New Zealand", false, "OC", "64", "NZD", "en mi"),
            ("AZ", "Azerbaijan", false, "AS", "994", "AZN", "az"),
            ("EH", "Western Sahara", false, "AF", "212", "MAD", "ar"),
            ("PS", "Palestinian Territories", false, "AS", "970", "ILS", "ar"),
            ("GQ", "Equatorial Guinea", false, "AF", "240", "XAF", "es fr pt"),
            ("CD", "Congo - Kinshasa", false, "AF", "243", "CDF", "fr"),
            ("BG", "Bulgaria", true, "EU", "359", "EUR", "bg"),
            ("LS", "Lesotho", false, "AF", "266", "LSL", "st en"),
            ("VA", "Vatican City", false, "EU", "39", "EUR", "it"),
            ("MO", "Macao SAR China", false, "AS", "853", "MOP", "zh pt"),
        ];
        for (code, name, eu, continent, calling, currency, languages) in table {
            let facts = facts.country(code).expect(code);
            let found: Vec<_> = facts.languages.iter().map(|language| language.code).collect();
            assert_eq!(
                (facts.name, facts.is_eu, facts.continent_code, facts.calling_code),
                (name, eu, continent, calling)
            );
            assert_eq!(facts.currency.map(|currency| currency.code), Some(currency));
            assert_eq!(found.join(" "), languages, "{code}");
        }
        assert_eq!(facts.country("ZZ"), None);
        assert_eq!(facts.country(""), None);
        assert_eq!(facts.country("AQ").expect("a country").currency, None);
    }

    #[test]
    fn currencies_have_a_symbol_and_a_plural() {
        let facts = Facts::new();
        // (country, name, symbol, native, plural)
        let table = [
            ("US", "US Dollar", "$", "$", "US dollars"),
            ("CA", "Canadian Dollar", "CA$", "$", "Canadian dollars"),
            ("PL", "Polish Zloty", "zł", "zł", "Polish zlotys"),
            ("CW", "Caribbean guilder", "Cg.", "Cg.", "Caribbean guilders"),
            ("MD", "Moldovan Leu", "MDL", "L", "Moldovan lei"),
            ("SD", "Sudanese Pound", "SDG", "ج.س.", "Sudanese pounds"),
            ("SS", "South Sudanese Pound", "SSP", "£", "South Sudanese pounds"),
            ("TJ", "Tajikistani Somoni", "TJS", "сом.", "Tajikistani somonis"),
            ("TM", "Turkmenistani Manat", "TMT", "TMT", "Turkmenistani manat"),
            ("UZ", "Uzbekistani Som", "UZS", "soʻm", "Uzbekistani som"),
            ("CV", "Cape Verdean Escudo", "CVE", "CVE", "Cape Verdean escudos"),
        ];
        for (country, name, symbol, native, plural) in table {
            let money = facts.country(country).expect(country).currency.expect("a currency");
            assert_eq!(
                (money.name, money.symbol, money.native, money.plural),
                (name, symbol, native, plural)
            );
        }
        for (country, native) in [("HT", "Kreyòl Ayisyen"), ("MW", "Chichewa"), ("MV", "ދިވެހިބަސް")]
        {
            let spoken = &facts.country(country).expect(country).languages;
            assert!(spoken.iter().any(|language| language.native == native), "{spoken:?}");
        }
    }

    #[test]
    fn codes_are_known_whatever_a_source_writes() {
        let facts = Facts::new();
        for (written, code) in [
            ("de", Some("DE")),
            (" Fr ", Some("FR")),
            ("UK", Some("GB")),
            ("uk", Some("GB")),
            ("EL", Some("GR")),
            ("ZR", Some("CD")),
            ("XK", Some("XK")),
            ("ZZ", None),
            ("XX", None),
            ("EU", None),
            ("AP", None),
            ("A1", None),
            ("-", None),
            ("", None),
            ("DEU", None),
            ("\u{df}", None),
        ] {
            assert_eq!(facts.code_of(written), code, "{written}");
        }
        for (other, code) in OTHER_CODES {
            assert!(facts.country(other).is_none() && facts.country(code).is_some(), "{other}");
        }
        assert_eq!((continent_code("eu"), continent_code("XX")), (Some("EU"), None));
    }

    #[test]
    fn flags() {
        let facts = Facts::new();
        let us = facts.country("US").expect("a country");
        assert_eq!(us.emoji_flag, "🇺🇸");
        assert_eq!(us.emoji_unicode, "U+1F1FA U+1F1F8");
        assert_eq!(us.flag, "https://flagcdn.com/w80/us.png");
    }

    #[test]
    fn every_row_is_whole() {
        let facts = Facts::new();
        let lines = |table: &str| table.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((facts.codes().count(), lines(COUNTRIES)), (250, 250));
        assert_eq!(rows::<3>(LANGUAGES).count(), lines(LANGUAGES));
        assert_eq!(rows::<4>(CURRENCIES).count(), lines(CURRENCIES));
        for [code, _, _, _, calling, speech, money, native] in rows::<8>(COUNTRIES) {
            let facts = facts.country(code).expect("a country");
            assert!(!facts.name.is_empty() && !facts.name.contains(", "), "{facts:?}");
            assert!(facts.emoji_flag.chars().count() == 2 && !facts.continent_name.is_empty(), "{facts:?}");
            assert!(!calling.is_empty() && calling.bytes().all(|digit| digit.is_ascii_digit()), "{facts:?}");
            assert_eq!(facts.languages.len(), speech.split(' ').filter(|code| !code.is_empty()).count());
            assert_eq!(facts.currency.is_some(), !money.is_empty());
            assert_eq!(native.is_empty(), money.is_empty());
            for text in facts.languages.iter().flat_map(|one| [one.name, one.native]) {
                assert!(!text.is_empty() && !text.contains([',', ';', '(']), "{facts:?}");
            }
        }
    }
}
