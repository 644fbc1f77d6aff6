//! Documents for machines: JSON, JSON lines and CSV. All machine-readable output is written here, so that rounding, CSV
//! cells and empty results are the same everywhere.

use std::fmt;
use std::io::{self, Write};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::Format;
use super::cells::escape_cell;

/// Numbers are rounded to six decimals: a millionth of a dollar, a nanosecond in milliseconds. Avoids output such as `11.374999999999998`.
const UNITS: f64 = 1e6;

fn rounded(number: f64) -> f64 {
    let scaled = (number * UNITS).round() / UNITS;
    if scaled.is_finite() { scaled } else { number }
}

/// A JSON formatter that rounds numbers.
struct Rounding<F>(F);

impl<F: Formatter> Formatter for Rounding<F> {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        self.0.write_f64(writer, rounded(value))
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

fn written<T: Serialize + ?Sized, F: Formatter>(value: &T, formatter: F) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Rounding(formatter)))?;
    Ok(String::from_utf8(bytes)?)
}

pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    written(value, PrettyFormatter::new())
}

pub(crate) fn to_json_line<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    written(value, CompactFormatter)
}

/// One value: a JSON object, one JSON line, or CSV with a header and one row; `text` makes the table format.
pub(crate) fn format_value<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(text()),
        Format::Json => to_json(value),
        Format::Jsonl => to_json_line(value),
        Format::Csv => csv(std::slice::from_ref(value), None),
    }
}

pub(super) fn json_lines<T: Serialize>(rows: &[T]) -> anyhow::Result<String> {
    let lines: anyhow::Result<Vec<String>> = rows.iter().map(to_json_line).collect();
    Ok(lines?.join("\n"))
}

/// CSV: a header row and a row for each value; without rows, the header's names come from `empty`.
pub(super) fn csv<T: Serialize>(rows: &[T], empty: Option<&T>) -> anyhow::Result<String> {
    let read = |row: &T| -> anyhow::Result<Members> { Ok(serde_json::from_str(&to_json_line(row)?)?) };
    let read_rows: Vec<Members> = rows.iter().map(read).collect::<anyhow::Result<_>>()?;
    let empty = empty.map(read).transpose()?;
    // A member that some row omits is still a column.
    let mut header: Vec<&str> = Vec::new();
    for (name, _) in read_rows.iter().chain(&empty).flat_map(|row| &row.0) {
        if !header.contains(&name.as_str()) {
            header.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in &read_rows {
        let value = |name: &&str| row.0.iter().find(|(member, _)| member == name).map(|(_, value)| value);
        let cells = header.iter().map(|name| value(name).map(cell).unwrap_or_default());
        writer.write_record(cells.map(|text| escape_cell(&text).into_owned()))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    let mut text = String::from_utf8(bytes)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// A value as cell text: strings unchanged, null empty, lists of strings joined with `; `, objects as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(cell).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// The members of an object in declaration order, which a JSON map would lose.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Column, format_rows};
    use super::*;

    #[derive(Default, Serialize)]
    struct Row {
        zone: String,
        usd: f64,
        calls: Option<u64>,
        list: Vec<&'static str>,
        by_day: BTreeMap<&'static str, u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u8>,
    }

    fn printed(format: Format, values: &[Row]) -> String {
        format_rows(format, &[(Column::text("zone"), |row: &Row| row.zone.clone())], values).expect("printed")
    }

    #[test]
    fn fractions_are_rounded_in_every_format() {
        for (number, text) in [
            (11.374_999_999_999_998, "11.375"),
            (0.1 + 0.2, "0.3"),
            (496.0, "496.0"),
            (-0.000_000_1, "-0.0"),
            (1e300, "1e+300"),
            (0.000_004_6, "5e-6"),
        ] {
            let row = [Row { usd: number, ..Row::default() }];
            let expected = format!("\"usd\":{text},");
            assert!(printed(Format::Jsonl, &row).contains(&expected), "{}", printed(Format::Jsonl, &row));
            assert!(printed(Format::Json, &row).contains(&format!("\"usd\": {text},")));
            let csv = printed(Format::Csv, &row);
            let read: f64 =
                csv.split(['\n', ',']).nth(6).and_then(|cell| cell.parse().ok()).expect("a number");
            assert!((read - rounded(number)).abs() <= f64::EPSILON * number.abs(), "{csv}");
        }
        assert_eq!(to_json_line(&f64::NAN).expect("printed"), "null");
    }

    #[test]
    fn every_kind_of_value_has_a_cell() {
        let full = Row {
            zone: "a, \"b\"".to_owned(),
            usd: 1.5,
            calls: Some(7),
            list: vec!["x", "y"],
            by_day: BTreeMap::from([("1", 2)]),
            until: Some(3),
        };
        let csv = printed(Format::Csv, &[Row::default(), full]);
        assert_eq!(
            csv,
            "zone,usd,calls,list,by_day,until\n,0.0,,,{},\n\"a, \"\"b\"\"\",1.5,7,x; y,\"{\"\"1\"\":2}\",3"
        );
    }

    #[test]
    fn no_rows_are_an_empty_document_in_every_format() {
        assert_eq!(printed(Format::Json, &[]), "[]");
        assert_eq!(printed(Format::Jsonl, &[]), "");
        assert_eq!(printed(Format::Csv, &[]), "zone,usd,calls,list,by_day");
        assert_eq!(printed(Format::Table, &[]), "zone");
    }

    #[test]
    fn one_value_is_one_document() {
        let row = Row { zone: "z".to_owned(), ..Row::default() };
        let document = |format| format_value(format, &row, || "text".to_owned()).expect("printed");
        assert_eq!(document(Format::Table), "text");
        assert!(document(Format::Json).starts_with("{\n  \"zone\": \"z\""));
        assert_eq!(document(Format::Jsonl).lines().count(), 1);
        assert_eq!(document(Format::Csv).lines().count(), 2);
    }
}
