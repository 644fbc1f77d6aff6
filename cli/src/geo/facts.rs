//! What is known of a country besides its addresses: names, continent, currency, languages, flag.

use isolang::Language;
use keshvar::{Alpha2, Continent};
use serde::Serialize;

/// Where pictures of flags are: the two-letter code in lower case goes between the halves.
const FLAG_URL: (&str, &str) = ("https://flagcdn.com/w80/", ".png");

/// Facts of one country, as an answer names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CountryFacts {
    pub(super) name: String,
    pub(super) is_eu: bool,
    pub(super) continent_name: &'static str,
    pub(super) continent_code: &'static str,
    pub(super) calling_code: String,
    pub(super) flag: String,
    pub(super) emoji_flag: String,
    pub(super) emoji_unicode: String,
    pub(super) languages: Vec<LanguageFacts>,
    pub(super) currency: Option<CurrencyFacts>,
}

/// A language that is official in a country.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LanguageFacts {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) native: Option<&'static str>,
    pub(super) code: &'static str,
}

/// A country's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CurrencyFacts {
    pub(super) name: String,
    pub(super) code: String,
    pub(super) symbol: String,
    pub(super) native: String,
}

/// Facts of a country by its ISO 3166 code; `None` for a code that nobody knows.
pub(super) fn country(code: &str) -> Option<CountryFacts> {
    let country = Alpha2::try_from(code).ok()?.to_country();
    let (continent_name, continent_code) = continent(country.continent());
    let english = country.translations().get("en").copied();
    let currency = iso_currency::Currency::from_code(&country.currency_code().to_string());
    let languages = country.maybe_official_language_list().unwrap_or_default();
    let (emoji_flag, emoji_unicode) = emoji(code);
    Some(CountryFacts {
        name: english.unwrap_or_else(|| country.iso_short_name()).to_owned(),
        is_eu: country.eu_member(),
        continent_name,
        continent_code,
        calling_code: country
            .maybe_nanp_prefix()
            .map_or_else(|| country.country_code().to_string(), str::to_owned),
        flag: format!("{}{}{}", FLAG_URL.0, code.to_ascii_lowercase(), FLAG_URL.1),
        emoji_flag,
        emoji_unicode,
        languages: languages.iter().filter_map(|code| language(code)).collect(),
        currency: currency.map(|currency| CurrencyFacts {
            name: currency.name().to_owned(),
            code: currency.code().to_owned(),
            symbol: currency.symbol().to_string(),
            native: currency.symbol().to_string(),
        }),
    })
}

fn language(code: &'static str) -> Option<LanguageFacts> {
    let language = Language::from_639_1(code)?;
    Some(LanguageFacts { name: language.to_name(), native: language.to_autonym(), code })
}

fn continent(continent: Continent) -> (&'static str, &'static str) {
    match continent {
        Continent::Africa => ("Africa", "AF"),
        Continent::Antarctica => ("Antarctica", "AN"),
        Continent::Asia => ("Asia", "AS"),
        Continent::Australia => ("Oceania", "OC"),
        Continent::Europe => ("Europe", "EU"),
        Continent::NorthAmerica => ("North America", "NA"),
        Continent::SouthAmerica => ("South America", "SA"),
    }
}

/// The name of a continent by its code.
pub(super) fn continent_name(code: &str) -> Option<&'static str> {
    [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Australia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::SouthAmerica,
    ]
    .into_iter()
    .map(self::continent)
    .find(|(_, known)| *known == code)
    .map(|(name, _)| name)
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
    fn facts_of_some_countries() {
        // (code, name, EU, continent, calling code, currency, languages)
        let table = [
            ("US", "United States", false, "NA", "1", "USD", &["en"][..]),
            ("DE", "Germany", true, "EU", "49", "EUR", &["de"]),
            ("CH", "Switzerland", false, "EU", "41", "CHF", &["de", "fr", "it", "rm"]),
            ("KR", "South Korea", false, "AS", "82", "KRW", &["ko"]),
            ("AU", "Australia", false, "OC", "61", "AUD", &["en"]),
            ("BR", "Brazil", false, "SA", "55", "BRL", &["pt"]),
            (
                "ZA",
                "South Africa",
                false,
                "AF",
                "27",
                "ZAR",
                &["af", "en", "nr", "ss", "st", "tn", "ts", "ve", "xh", "zu"],
            ),
            ("AG", "Antigua and Barbuda", false, "NA", "1268", "XCD", &["en"]),
        ];
        for (code, name, eu, continent, calling, currency, languages) in table {
            let facts = country(code).expect(code);
            let found: Vec<_> = facts.languages.iter().map(|language| language.code).collect();
            assert_eq!(
                (facts.name.as_str(), facts.is_eu, facts.continent_code, facts.calling_code.as_str()),
                (name, eu, continent, calling)
            );
            assert_eq!(facts.currency.map(|currency| currency.code).as_deref(), Some(currency));
            assert_eq!(found, languages, "{code}");
        }
        assert_eq!(country("ZZ"), None);
        assert_eq!(country(""), None);
    }

    #[test]
    fn flags() {
        let facts = country("US").expect("a country");
        assert_eq!(facts.emoji_flag, "🇺🇸");
        assert_eq!(facts.emoji_unicode, "U+1F1FA U+1F1F8");
        assert_eq!(facts.flag, "https://flagcdn.com/w80/us.png");
    }

    #[test]
    fn every_country_of_the_crate_can_be_told() {
        let mut count = 0;
        for known in keshvar::CountryIterator::new() {
            let facts = country(&known.alpha2().to_string()).expect("a country");
            assert!(!facts.name.is_empty() && facts.emoji_flag.chars().count() == 2, "{facts:?}");
            assert_eq!(continent_name(facts.continent_code), Some(facts.continent_name));
            count += 1;
        }
        assert!(count >= 245, "{count}");
    }
}
