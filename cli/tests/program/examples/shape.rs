//! The shape of an output: its words and columns, without what differs from run to run.

/// Units that may follow a number with a space: `12 ms` has the shape of `12ms` and of `3m 2s`.
const UNITS: [&str; 12] = ["%", "B", "GB", "KiB", "MB", "MiB", "d", "h", "kB", "m", "ms", "s"];

/// The shape of every line. Neighbours of the same shape count once, so that a table may have any number of similar rows.
pub(crate) fn shape(lines: &[String]) -> Vec<String> {
    let mut shapes: Vec<String> = lines.iter().map(|line| shape_of_line(line)).collect();
    while shapes.last().is_some_and(String::is_empty) {
        shapes.pop();
    }
    shapes.dedup();
    shapes
}

fn shape_of_line(line: &str) -> String {
    let mut shapes: Vec<String> = Vec::new();
    let mut was_duration = false;
    for word in line.split_whitespace() {
        let shape = shape_of_word(word);
        let follows_number = shapes.last().is_some_and(|last| last == "N");
        let name = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
        let punctuation = &word[name.len()..];
        // `18h 5m` is one duration; `18 5` are two cells of a table.
        let is_duration = shape.trim_end_matches(punctuation) == "N" && name.ends_with(char::is_alphabetic);
        let is_more_of_it = (was_duration && is_duration) || UNITS.contains(&name);
        was_duration = is_duration;
        if follows_number && is_more_of_it {
            shapes.last_mut().expect("a number").push_str(punctuation);
            continue;
        }
        let is_time_again = shape == "TIME" && shapes.last().is_some_and(|last| *last == shape);
        if is_time_again {
            continue;
        }
        // How many there are differs from run to run: `1 call` has the shape of `2 calls`.
        let is_counted = follows_number && name.len() > 2 && name.chars().all(|c| c.is_ascii_lowercase());
        let singular = name.strip_suffix('s').filter(|_| is_counted);
        shapes.push(singular.map_or(shape, |noun| format!("{noun}{punctuation}")));
    }
    shapes.join(" ")
}

/// A text between spaces: JSON, a CSV row, or a word with its punctuation.
fn shape_of_word(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("http://") || rest.starts_with("https://") {
            rest.find(['"', '\'', ')']).unwrap_or(rest.len())
        } else {
            atom_length(rest)
        };
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out += &shape_of_atom(&rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}

/// The bytes that belong together: a name, a number with its separators, a time, an id.
fn atom_length(text: &str) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        let after = text[at + c.len_utf8()..].chars().next();
        let is_inner = at > 0 && after.is_some_and(char::is_alphanumeric);
        let is_part = match c {
            '_' | '#' | '…' | '%' | '*' => true,
            '.' | ':' => is_inner,
            '-' | '+' | '$' => after.is_some_and(char::is_alphanumeric),
            ',' => at > 0 && is_thousands(&text[..at], &text[at + 1..]),
            c => c.is_alphanumeric(),
        };
        if !is_part {
            break;
        }
        length = at + c.len_utf8();
    }
    length
}

/// Whether a comma between these separates thousands.
fn is_thousands(before: &str, after: &str) -> bool {
    let digits = after.chars().take_while(char::is_ascii_digit).count();
    before.chars().all(|c| c.is_ascii_digit() || c == ',') && digits == 3
}

fn shape_of_atom(atom: &str) -> String {
    let starts_with_number =
        |count: usize| atom.chars().take(count).filter(char::is_ascii_digit).count() == count;
    let is_hex = |text: &str| {
        let digits = text.trim_end_matches('…');
        digits.len() >= 8 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    };
    if atom.starts_with("http://") || atom.starts_with("https://") {
        return "URL".to_owned();
    }
    if atom.starts_with("ipg_") {
        return if atom.contains('…') {
            "HINT"
        } else if atom.len() > 30 {
            "KEY"
        } else {
            atom
        }
        .to_owned();
    }
    if let Some((kind, id)) = atom.split_once('#').filter(|(_, id)| is_hex(id)) {
        return format!("{kind}#{}", if id.is_empty() { "" } else { "ID" });
    }
    let is_clock = starts_with_number(2) && atom.get(2..3) == Some(":");
    if (starts_with_number(4) && atom.get(4..5) == Some("-")) || is_clock {
        return "TIME".to_owned();
    }
    if is_hex(atom) {
        return "ID".to_owned();
    }
    let number = atom.trim_start_matches(['-', '+', '$']);
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '_' | ':'));
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    if is_number && (unit.is_empty() || unit == "k" || unit == "M" || UNITS.contains(&unit)) {
        return "N".to_owned();
    }
    if is_region(atom) { "REGION".to_owned() } else { atom.to_owned() }
}

/// Whether a word has the form of an AWS region: `eu-central-1`.
fn is_region(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let lowercase = |part: &str| part.len() > 1 && part.chars().all(|c| c.is_ascii_lowercase());
    matches!(parts[..], [area, place, number]
        if lowercase(area) && lowercase(place) && number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()))
}

#[test]
fn a_shape_keeps_words_and_drops_what_differs_from_run_to_run() {
    for (line, expected) in [
        ("known in 10 of 10 regions;  within 532 ms", "known in N of N region; within N"),
        ("resets 2026-11-26T00:00:00Z, in 18h 5m; then", "resets TIME, in N; then"),
        ("2026-11-25 08:22:42.036Z  eu-west-1  allowed", "TIME REGION allowed"),
        ("ipg_…xzPS acme 1,234 2.5 %", "HINT acme N N"),
        ("addr#430fec3ebb8e site#* key#f6ce788bae84…,2026-11,day,,45", "addr#ID site#* key#ID,TIME,day,,N"),
        (r#"{"time":"2026-11-25T08:22:42.036Z","cost":1}"#, r#"{"time":"TIME","cost":N}"#),
        ("50/day at http://127.0.0.1:4170/8.8.8.8", "N/day at URL"),
        ("never  -  0.4  19f1c32e", "never - N ID"),
        ("0.0024 calls/s  1 call, then 2 calls,", "N calls/s N call, then N call,"),
    ] {
        assert_eq!(shape(&[line.to_owned()]), [expected], "{line}");
    }
    let rows = ["a 1", "a 2", "b 3"].map(str::to_owned);
    assert_eq!(shape(&rows), ["a N", "b N"]);
}
