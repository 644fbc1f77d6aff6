//! Human-friendly numbers: `1500`, `100_000`, `50k`, `2.5M`, `1B`. Every limit, flag and prompt that takes a number is
//! parsed here, so that all accept the same syntax.

use std::str::FromStr;

/// Maximum digits: with a suffix, the number still fits 128 bits.
const DIGITS_MAX: usize = 28;

/// An exact, non-negative decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The digits without their point, times the suffix.
    units: u128,
    /// Number of digits after the point.
    places: u32,
}

/// Text that is not a number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number; write digits, such as `1_500`, or `50k`, `2.5M`, `1B`")]
pub struct NumberError(String);

impl Number {
    /// The number if it is whole.
    pub fn whole(self) -> Option<u64> {
        let scale = 10_u128.pow(self.places);
        self.units.is_multiple_of(scale).then(|| u64::try_from(self.units / scale).ok()).flatten()
    }

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        // Parsing rounds correctly; dividing two rounded floats would not.
        format!("{}e-{}", self.units, self.places).parse().unwrap_or(f64::MAX)
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let bad = || NumberError(text.to_owned());
        let trimmed = text.trim();
        let (digits, factor) = match trimmed.as_bytes().last() {
            Some(b'k' | b'K') => (&trimmed[..trimmed.len() - 1], 1_000),
            Some(b'M') => (&trimmed[..trimmed.len() - 1], 1_000_000),
            Some(b'B') => (&trimmed[..trimmed.len() - 1], 1_000_000_000),
            _ => (trimmed, 1),
        };
        let (whole, part) =
            digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
        let whole = grouped(whole).ok_or_else(bad)?;
        let part = part.map_or(Some(String::new()), grouped).ok_or_else(bad)?;
        let all = format!("{whole}{part}");
        let kept = all.trim_start_matches('0');
        if kept.len() > DIGITS_MAX || part.len() > DIGITS_MAX {
            return Err(bad());
        }
        let units = if kept.is_empty() { 0 } else { kept.parse::<u128>().map_err(|_| bad())? };
        let places = u32::try_from(part.len()).map_err(|_| bad())?;
        Ok(Self { units: units * factor, places })
    }
}

/// Removes single `_` between digits.
fn grouped(text: &str) -> Option<String> {
    let sound = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    text.split('_').all(sound).then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        // (text, whole, float)
        let table = [
            ("0", Some(0), 0.0),
            ("007", Some(7), 7.0),
            ("1500", Some(1_500), 1_500.0),
            ("1_000", Some(1_000), 1_000.0),
            ("2_500_000", Some(2_500_000), 2.5e6),
            ("50k", Some(50_000), 5e4),
            ("50K", Some(50_000), 5e4),
            ("2.5M", Some(2_500_000), 2.5e6),
            ("1B", Some(1_000_000_000), 1e9),
            ("1.5B", Some(1_500_000_000), 1.5e9),
            ("1_000.5k", Some(1_000_500), 1_000_500.0),
            ("2.50", None, 2.5),
            ("3.0", Some(3), 3.0),
            ("0.1", None, 0.1),
            ("0.0005k", None, 0.5),
            (" 25M ", Some(25_000_000), 2.5e7),
            ("18446744073709551615", Some(u64::MAX), 18_446_744_073_709_551_615.0),
            ("18446744073709551616", None, 18_446_744_073_709_551_616.0),
        ];
        for (text, whole, float) in table {
            let number: Number = text.parse().expect(text);
            assert_eq!(number.whole(), whole, "{text}");
            assert!((number.to_f64() - float).abs() <= f64::EPSILON * float, "{text}: {}", number.to_f64());
        }
    }

    #[test]
    fn a_number_may_have_28_digits() {
        for (text, float) in [(format!("{}k", "9".repeat(28)), 1e31), (format!("0.{}", "0".repeat(28)), 0.0)]
        {
            assert_eq!(text.parse().map(Number::to_f64), Ok(float), "{text}");
        }
    }

    #[test]
    fn junk_is_not_a_number() {
        let digits = "9".repeat(29);
        let places = format!("0.{}", "0".repeat(29));
        for text in [
            "", " ", "k", "M", "_", "1_", "_1", "1__0", "1_k", ".5", "5.", "1.2.3", "-5", "+5", "1e5", "NaN",
            "inf", "0x10", "5 k", "5kk", "2.5m", "2,5M", "five", "٣", "5µ", &digits, &places,
        ] {
            assert_eq!(text.parse::<Number>(), Err(NumberError(text.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text in "[0-9_.kMB]{0,60}|\\PC{0,20}") {
            if let Ok(number) = text.parse::<Number>() {
                prop_assert!(number.to_f64().is_finite() && number.to_f64() >= 0.0);
            }
        }

        #[test]
        fn an_integer_parses_as_itself(number: u64) {
            prop_assert_eq!(number.to_string().parse::<Number>().expect("a number").whole(), Some(number));
        }
    }
}
