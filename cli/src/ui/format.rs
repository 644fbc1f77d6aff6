//! Numbers, durations and times as people read them. Each kind has one printer, so that all texts look the same. Pure.

use jiff::Timestamp;

/// A number with thousands separators: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with thousands separators and decimals: `1,642.10`.
pub(crate) fn decimal(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    // What rounds to zero has no sign.
    let sign = if digits.contains(|c: char| ('1'..='9').contains(&c)) { sign } else { "" };
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{sign}{whole}{fraction}")
}

/// Limits and rates with thousands separators: `100,000/month 600/min`.
pub(crate) fn grouped_limit(text: &str) -> String {
    let part = |part: &str| match part.split_once('/').map(|(calls, window)| (calls.parse(), window)) {
        Some((Ok(calls), window)) => format!("{}/{window}", grouped(calls)),
        _ => part.to_owned(),
    };
    text.split_whitespace().map(part).collect::<Vec<_>>().join(" ")
}

/// A regular noun in the number of `count`: `call`, `calls`.
pub(crate) fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    if count.try_into().is_ok_and(|count| count == 1) { noun.to_owned() } else { format!("{noun}s") }
}

/// A count and its noun: `1 call`, `1,500 calls`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {}", grouped(count), plural(count, noun))
}

/// A number in short, as flags accept it: `950`, `1.5k`, `25M`, `1B`.
pub(crate) fn short(number: f64) -> String {
    let units = [(1e9, "B"), (1e6, "M"), (1e3, "k")];
    // What rounds up to a thousand of one unit is one of the next: 1M, not 1000k.
    let fits = |(size, _): &(f64, &str)| number >= size * 0.999_95;
    let (size, unit) = units.into_iter().find(fits).unwrap_or((1.0, ""));
    let text = format!("{:.1}", number / size);
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// A count as a float, for shares and rates; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A number as a count, rounded down; negative numbers become 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// A size in decimal units: `12 kB`, `1.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..1_000 => counted(bytes, "byte"),
        1_000..999_500 => format!("{:.0} kB", float(bytes) / 1e3),
        999_500..999_950_000 => format!("{:.1} MB", float(bytes) / 1e6),
        _ => format!("{:.1} GB", float(bytes) / 1e9),
    }
}

/// A duration in its two largest units: `5d 20h`, `3h 10m`, `9m 8s`, `59s`.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let Some(at) = units.iter().position(|(_, size)| seconds >= *size) else { return format!("{seconds}s") };
    let (large, size) = units[at];
    let (small, part) = units.get(at + 1).copied().unwrap_or(("s", 1));
    format!("{}{large} {}{small}", seconds / size, seconds % size / part)
}

/// A duration in milliseconds: below a minute with tenths of a second (`2.4 s`), otherwise like [`duration`].
pub(crate) fn duration_ms(ms: i64) -> String {
    let whole_ms = ms.unsigned_abs();
    let sign = if ms < 0 { "-" } else { "" };
    match whole_ms / 1_000 {
        seconds @ ..60 => format!("{sign}{seconds}.{} s", whole_ms % 1_000 / 100),
        seconds => format!("{sign}{}", duration(seconds)),
    }
}

/// A time to the second, UTC: `2026-11-24T12:00:00Z`.
pub(crate) fn instant(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// A time to the second for pages that state that times are UTC: `2026-11-24 12:00:00`.
pub(crate) fn date_and_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time to the minute: `2026-11-24 12:00 UTC`.
pub(crate) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let max = "18,446,744,073,709,551,615";
        let table = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (10_000, "10,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, max),
        ];
        for (number, text) in table {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn decimals_are_grouped_like_numbers() {
        let table = [
            (1_642.1, 2, "1,642.10"),
            (-27_257.764, 3, "-27,257.764"),
            (0.004, 2, "0.00"),
            (-0.004, 2, "0.00"),
            (-0.0, 0, "0"),
            (999.999, 2, "1,000.00"),
            (496.0, 0, "496"),
            (1e30, 0, "1000000000000000019884624838656"),
            (f64::NAN, 2, "NaN"),
        ];
        for (number, places, text) in table {
            assert_eq!(decimal(number, places), text);
        }
    }

    #[test]
    fn limits_are_grouped_like_numbers() {
        let table = [
            ("100000/month", "100,000/month"),
            ("1500/day 600/min ", "1,500/day 600/min"),
            ("", ""),
            ("a/b 1/2/3", "a/b 1/2/3"),
        ];
        for (text, expected) in table {
            assert_eq!(grouped_limit(text), expected);
        }
    }

    #[test]
    fn only_one_is_singular() {
        for (count, text) in [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (1_000, "1,000 calls")] {
            assert_eq!(counted(count, "call"), text);
        }
        assert_eq!((plural(1_usize, "call"), plural(-1, "day")), ("call".to_owned(), "days".to_owned()));
    }

    #[test]
    fn short_numbers_are_rounded_to_one_decimal() {
        let table = [
            (0.0, "0"),
            (0.5, "0.5"),
            (12.0, "12"),
            (950.0, "950"),
            (999.94, "999.9"),
            (999.96, "1k"),
            (1_500.0, "1.5k"),
            (800e3, "800k"),
            (999_949.0, "999.9k"),
            (999_960.0, "1M"),
            (25e6, "25M"),
            (999_990_000.0, "1B"),
            (1.5e9, "1.5B"),
            (1e13, "10000B"),
        ];
        for (number, text) in table {
            assert_eq!(short(number), text, "{number}");
        }
    }

    #[test]
    fn short_numbers_are_read_back_by_the_parser_of_flags() {
        for number in [12.0, 950.0, 1_500.0, 800e3, 25e6, 1.5e9, 1e13] {
            let read: ipgeo_contract::Number = short(number).parse().expect("a number");
            assert!((read.to_f64() - number).abs() < 1e-6, "{number}");
        }
    }

    #[test]
    fn sizes_have_decimal_units() {
        let table = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (2_500_000, "2.5 MB"),
            (999_949_999, "999.9 MB"),
            (999_950_000, "1.0 GB"),
            (4_000_000_000, "4.0 GB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (548, "9m 8s"),
            (3_599, "59m 59s"),
            (3_600, "1h 0m"),
            (11_400, "3h 10m"),
            (86_399, "23h 59m"),
            (504_000, "5d 20h"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text);
        }
        let table = [
            (-1_500, "-1.5 s"),
            (0, "0.0 s"),
            (2_449, "2.4 s"),
            (59_999, "59.9 s"),
            (60_000, "1m 0s"),
            (185_000, "3m 5s"),
            (15_120_000, "4h 12m"),
        ];
        for (ms, text) in table {
            assert_eq!(duration_ms(ms), text);
        }
    }

    #[test]
    fn times_are_cut_and_not_rounded() {
        let time: Timestamp = "2026-11-24T12:34:59.999+02:00".parse().expect("a timestamp");
        assert_eq!(instant(time), "2026-11-24T10:34:59Z");
        assert_eq!(date_and_time(time), "2026-11-24 10:34:59");
        assert_eq!(minute(time), "2026-11-24 10:34 UTC");
    }
}
