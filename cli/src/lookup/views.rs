//! What `ipgeo lookup` prints: one location for people, a table, JSON, CSV, or one field.

use std::io::Write;

use ipgeo_runtime::lookup::{Column, column_names};
use serde_json::json;

use crate::ui::output::{self, Column as TableColumn, escape_cell};

/// Prints answers in a format.
pub(crate) trait View: Send {
    /// The columns that it reads; `None`: all of an answer.
    fn columns(&self) -> Option<&[Column]>;

    /// Takes the answer for a text: its location as JSON, or the reason that it has none.
    fn add(&mut self, out: &mut dyn Write, text: &str, answer: Result<&str, &str>) -> anyhow::Result<()>;

    /// Prints what comes after the last answer.
    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()>;

    /// Whether it prints why an address has no answer.
    fn shows_failures(&self) -> bool {
        false
    }
}

/// JSON: an object for one address, an array for several, or lines.
pub(crate) struct JsonView {
    /// Only these columns; `None`: the answer as the API serves it.
    columns: Option<Vec<Column>>,
    /// Printed before the first answer, between answers, and after the last.
    around: [&'static str; 3],
    count: u64,
}

impl JsonView {
    /// An array, with an item in each line.
    pub(crate) fn array(columns: Option<Vec<Column>>) -> Self {
        Self { columns, around: ["[\n", ",\n", "\n]\n"], count: 0 }
    }

    /// An object in each line.
    pub(crate) fn lines(columns: Option<Vec<Column>>) -> Self {
        Self { columns, around: ["", "\n", "\n"], count: 0 }
    }
}

/// A location with only some columns, in their order; unknown ones are left out unless the location has `null`.
fn chosen(columns: &[Column], location: &str) -> String {
    let members = columns
        .iter()
        .filter_map(|column| column.json(location).map(|value| format!("\"{}\":{value}", column.name())));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

impl View for JsonView {
    fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }

    fn add(&mut self, out: &mut dyn Write, text: &str, answer: Result<&str, &str>) -> anyhow::Result<()> {
        out.write_all(self.around[usize::from(self.count > 0)].as_bytes())?;
        self.count += 1;
        match (answer, &self.columns) {
            (Ok(location), None) => out.write_all(location.as_bytes())?,
            (Ok(location), Some(columns)) => out.write_all(chosen(columns, location).as_bytes())?,
            // As an item of the API's bulk answer.
            (Err(message), _) => write!(out, "{}", json!({ "ip": text, "message": message }))?,
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let [first, _, last] = self.around;
        if self.count > 0 {
            out.write_all(last.as_bytes())?;
        } else if !first.is_empty() {
            out.write_all(b"[]\n")?;
        }
        Ok(())
    }

    fn shows_failures(&self) -> bool {
        true
    }
}

/// CSV: the address as given, the columns, and why there is no answer.
pub(crate) struct CsvView {
    columns: Vec<Column>,
    is_started: bool,
}

impl CsvView {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns: columns.into_iter().filter(|column| column.name() != "ip").collect(),
            is_started: false,
        }
    }

    /// Without columns: every field.
    pub(crate) fn complete() -> Self {
        Self::new(column_names().filter_map(Column::named).collect())
    }

    fn start(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.is_started, true) {
            let names = self.columns.iter().map(|column| column.name());
            write_row(out, ["ip"].into_iter().chain(names).chain(["ip_error"]))?;
        }
        Ok(())
    }
}

fn write_row<T: AsRef<[u8]>>(out: &mut dyn Write, cells: impl Iterator<Item = T>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    out.write_all(&writer.into_inner().map_err(|error| error.into_error())?)?;
    Ok(())
}

impl View for CsvView {
    fn columns(&self) -> Option<&[Column]> {
        Some(&self.columns)
    }

    fn add(&mut self, out: &mut dyn Write, text: &str, answer: Result<&str, &str>) -> anyhow::Result<()> {
        self.start(out)?;
        let cell = |column: &Column| answer.map(|location| escape_cell(&column.text(location)).into_owned());
        let cells = self.columns.iter().map(|column| cell(column).unwrap_or_default());
        let error = escape_cell(answer.err().unwrap_or_default()).into_owned();
        write_row(out, std::iter::once(escape_cell(text).into_owned()).chain(cells).chain([error]))
    }

    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        self.start(out)
    }

    fn shows_failures(&self) -> bool {
        true
    }
}

/// One field's text in each line, an empty line if it is unknown.
pub(crate) struct FieldView([Column; 1]);

impl FieldView {
    pub(crate) fn new(column: Column) -> Self {
        Self([column])
    }
}

impl View for FieldView {
    fn columns(&self) -> Option<&[Column]> {
        Some(&self.0)
    }

    fn add(&mut self, out: &mut dyn Write, _text: &str, answer: Result<&str, &str>) -> anyhow::Result<()> {
        let value = answer.map(|location| output::printable(&self.0[0].text(location))).unwrap_or_default();
        // A line stays a line.
        Ok(writeln!(out, "{}", value.replace('\n', " "))?)
    }

    fn finish(&mut self, _out: &mut dyn Write) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The columns of a table of several addresses.
const TABLE: [&str; 4] = ["country_code", "city", "asn.asn", "asn.name"];

/// Aligned columns for people; for one address, a line for each of its main facts.
pub(crate) struct TableView {
    columns: Option<Vec<Column>>,
    shown: Vec<Column>,
    is_one: bool,
    rows: Vec<Vec<String>>,
}

impl TableView {
    /// `columns` instead of the main ones; `is_one` if there is one address.
    pub(crate) fn new(columns: Option<Vec<Column>>, is_one: bool) -> Self {
        let main = || TABLE.into_iter().filter_map(Column::named).collect();
        let shown = columns.clone().unwrap_or_else(main);
        let columns = columns.or_else(|| (!is_one).then(|| shown.clone()));
        // A row begins with the address as it was given.
        let shown = shown.into_iter().filter(|column| column.name() != "ip").collect();
        Self { columns, shown, is_one, rows: Vec::new() }
    }
}

impl View for TableView {
    fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }

    fn add(&mut self, out: &mut dyn Write, text: &str, answer: Result<&str, &str>) -> anyhow::Result<()> {
        let (true, Ok(location)) = (self.is_one, answer) else {
            let cell = |column: &Column| answer.map(|location| column.text(location).into_owned());
            let cells = self.shown.iter().map(|column| cell(column).unwrap_or_else(|_| "-".to_owned()));
            self.rows.push(std::iter::once(text.trim().to_owned()).chain(cells).collect());
            return Ok(());
        };
        let lines = match &self.columns {
            Some(columns) => {
                columns.iter().map(|column| (column.name(), column.text(location).into_owned())).collect()
            }
            None => describe(location),
        };
        Ok(writeln!(out, "{}", output::format_facts(&lines))?)
    }

    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.is_one {
            return Ok(());
        }
        let names = self.shown.iter().map(Column::name);
        let columns = std::iter::once(TableColumn::text("ip")).chain(names.map(TableColumn::free_text));
        let text = output::format_table(&columns.collect::<Vec<_>>(), &self.rows, Clone::clone);
        Ok(writeln!(out, "{text}")?)
    }
}

/// The main facts of a location, as people write them; unknown ones are left out.
pub(crate) fn describe(location: &str) -> Vec<(&'static str, String)> {
    let text =
        |name: &str| Column::named(name).map(|column| column.text(location).into_owned()).unwrap_or_default();
    let with_code = |name: &str, code: &str| match text(code) {
        code if code.is_empty() => text(name),
        code => format!("{} ({code})", text(name)).trim_start().to_owned(),
    };
    let joined = |separator: &str, names: &[&str]| {
        let texts = names.iter().map(|name| text(name)).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join(separator)
    };
    let mut lines = vec![
        ("ip", text("ip")),
        ("city", joined(" ", &["postal", "city"])),
        ("region", with_code("region", "region_code")),
        ("country", with_code("country_name", "country_code")),
        ("continent", with_code("continent_name", "continent_code")),
        ("location", joined(", ", &["latitude", "longitude"])),
        ("time zone", joined(" ", &["time_zone.name", "time_zone.abbr", "time_zone.offset"])),
        ("network", joined(" ", &["asn.asn", "asn.name"])),
        ("route", joined(", ", &["asn.route", "asn.type"])),
    ];
    // Who uses the address: objects whose members describe themselves.
    for name in column_names() {
        let (field, _) = name.split_once('.').unwrap_or((name, ""));
        let is_listed = ["asn", "currency", "time_zone", "threat"].contains(&field);
        if field != name && !is_listed && lines.iter().all(|(known, _)| *known != field) {
            let members: Vec<&str> =
                column_names().filter(|known| known.split('.').next() == Some(field)).collect();
            lines.push((field, joined(", ", &members)));
        }
    }
    lines.push(("threat", threat(location)));
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// The flags that are set; if none is, the number of known flags.
fn threat(location: &str) -> String {
    let flags = column_names().filter(|name| name.starts_with("threat.is_")).filter_map(Column::named);
    let (mut set, mut known) = (Vec::new(), 0);
    for flag in flags {
        let value = flag.json(location);
        known += u64::from(matches!(value, Some("true" | "false")));
        if value == Some("true") {
            set.push(flag.name().trim_start_matches("threat.is_").replace('_', " "));
        }
    }
    match known {
        0 => String::new(),
        1 if set.is_empty() => "none of 1 flag".to_owned(),
        _ if set.is_empty() => format!("none of {known} flags"),
        _ => set.join(", "),
    }
}
