//! Walking a TOML table: fields are asked for by name, what is wrong is noted with its place, and what
//! nobody asked for is unknown.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Collector;
use super::rules;

/// Similarity from which a name is suggested for another (0 to 1).
const ALIKE: f64 = 0.7;

/// The known name that `unknown` is most like, if any is like it.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// `; did you mean …?`, or nothing.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(unknown, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// A value with its place.
pub(super) type Found<'a> = (&'a DeValue<'a>, Range<usize>);

/// A table that is being read.
pub(super) struct Table<'a> {
    table: &'a DeTable<'a>,
    /// `[runtime]`, as messages name it.
    pub(super) name: String,
    /// Where it stands.
    pub(super) span: Range<usize>,
    asked: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, name: impl Into<String>, span: Range<usize>) -> Self {
        Self { table, name: name.into(), span, asked: BTreeSet::new() }
    }

    /// A field's value.
    pub(super) fn find(&mut self, field: &'static str) -> Option<Found<'a>> {
        self.asked.insert(field);
        self.table.get(field).map(|value| (value.get_ref(), value.span()))
    }

    /// A field's value; its absence is a fault.
    pub(super) fn need(&mut self, field: &'static str, out: &mut Collector) -> Option<Found<'a>> {
        let found = self.find(field);
        if found.is_none() {
            out.add(&self.span, format!("{} has no `{field}`", self.name));
        }
        found
    }

    /// A field that is text.
    pub(super) fn text(
        &mut self,
        field: &'static str,
        out: &mut Collector,
    ) -> Option<(&'a str, Range<usize>)> {
        let (value, span) = self.find(field)?;
        let text = value.as_str();
        match text.map(rules::visible) {
            None => out.add(&span, wrong_type(field, "a quoted string", value)),
            Some(Err(fault)) => out.add(&span, format!("`{field}` {fault}")),
            Some(Ok(())) => {}
        }
        text.map(|text| (text, span))
    }

    /// A field that is a list of texts.
    pub(super) fn texts(&mut self, field: &'static str, out: &mut Collector) -> Vec<(&'a str, Range<usize>)> {
        let Some((value, span)) = self.find(field) else { return Vec::new() };
        let Some(list) = value.as_array() else {
            out.add(&span, wrong_type(field, "a list of strings", value));
            return Vec::new();
        };
        list.iter()
            .filter_map(|item| {
                let text = item.get_ref().as_str();
                match text.map(rules::visible) {
                    None => out.add(&item.span(), wrong_type(field, "a list of strings", item.get_ref())),
                    Some(Err(fault)) => out.add(&item.span(), format!("`{field}` {fault}")),
                    Some(Ok(())) => {}
                }
                text.map(|text| (text, item.span()))
            })
            .collect()
    }

    /// A field that is text of a form of its own.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        field: &'static str,
        out: &mut Collector,
    ) -> Option<T> {
        let (text, span) = self.text(field, out)?;
        text.parse().map_err(|error: T::Err| out.add(&span, format!("`{field}`: {error}"))).ok()
    }

    /// A field that is a whole number in a range.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        least: u32,
        most: u32,
        out: &mut Collector,
    ) -> Option<u32> {
        let (value, span) = self.find(field)?;
        let Some(integer) = value.as_integer() else {
            out.add(&span, wrong_type(field, "a whole number", value));
            return None;
        };
        let digits = integer.as_str().replace('_', "");
        let number = i64::from_str_radix(&digits, integer.radix()).ok();
        let sound = number.and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        if sound.is_none() {
            out.add(&span, format!("`{field}` is {least} to {most}, not {}", integer.as_str()));
        }
        sound
    }

    /// A field that is a list of whole numbers.
    pub(super) fn numbers(
        &mut self,
        field: &'static str,
        out: &mut Collector,
    ) -> Option<(Vec<i64>, Range<usize>)> {
        let (value, span) = self.find(field)?;
        let number = |item: &Spanned<DeValue<'_>>| {
            let integer = item.get_ref().as_integer()?;
            i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
        };
        let numbers: Option<Vec<i64>> = value.as_array().and_then(|list| list.iter().map(number).collect());
        if numbers.is_none() {
            out.add(&span, wrong_type(field, "a list of whole numbers", value));
        }
        numbers.map(|numbers| (numbers, span))
    }

    /// A field that is `true` or `false`.
    pub(super) fn flag(&mut self, field: &'static str, out: &mut Collector) -> Option<bool> {
        let (value, span) = self.find(field)?;
        let flag = value.as_bool();
        if flag.is_none() {
            out.add(&span, wrong_type(field, "true or false", value));
        }
        flag
    }

    /// A field that is one of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        field: &'static str,
        words: &[(&str, T)],
        out: &mut Collector,
    ) -> Option<T> {
        let (text, span) = self.text(field, out)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let hint = suggestion(text, words.iter().map(|(word, _)| *word));
            out.add(&span, format!("`{field}` is {}, not `{text}`{hint}", list.join(" or ")));
        }
        found
    }

    /// A field that is a table. An absent one reads as an empty one that stands where this one does.
    pub(super) fn table(&mut self, field: &'static str, out: &mut Collector) -> Option<Table<'a>> {
        let (value, span) = self.find(field)?;
        as_table(value, format!("[{field}]"), span, out)
    }

    /// All entries of this table as tables, in file order, with the places of their names.
    pub(super) fn entries(&self, out: &mut Collector) -> Vec<(&'a str, Range<usize>, Table<'a>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .filter_map(|(name, value)| {
                let title = format!("{}.{name}]", self.name.trim_end_matches(']'));
                let table = as_table(value.get_ref(), title, value.span(), out)?;
                Some((name.get_ref().as_ref(), name.span(), table))
            })
            .collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// Notes every field that nobody asked for.
    pub(super) fn finish(self, out: &mut Collector) {
        for (field, _) in self.table {
            let name = field.get_ref().as_ref();
            if !self.asked.contains(name) {
                let hint = suggestion(name, self.asked.iter().copied());
                out.add(&field.span(), format!("unknown field `{name}` in {}{hint}", self.name));
            }
        }
    }

    /// The fields asked for so far: what the schema must know, too.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &BTreeSet<&'static str> {
        &self.asked
    }
}

/// A value as a table, or a fault.
pub(super) fn as_table<'a>(
    value: &'a DeValue<'a>,
    name: String,
    span: Range<usize>,
    out: &mut Collector,
) -> Option<Table<'a>> {
    match value.as_table() {
        Some(table) => Some(Table::new(table, name, span)),
        None => {
            out.add(&span, format!("{name} is a table, not {}", type_of(value)));
            None
        }
    }
}

/// The tables of an array of tables (`[[geo.sources]]`).
pub(super) fn tables<'a>(found: Option<Found<'a>>, name: &str, out: &mut Collector) -> Vec<Table<'a>> {
    let Some((value, span)) = found else { return Vec::new() };
    let Some(list) = value.as_array() else {
        out.add(&span, format!("{name} are tables, not {}", type_of(value)));
        return Vec::new();
    };
    let each = |item: &'a Spanned<DeValue<'a>>, out: &mut Collector| {
        as_table(item.get_ref(), name.to_owned(), item.span(), out)
    };
    list.iter().filter_map(|item| each(item, out)).collect()
}

fn type_of(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

fn wrong_type(field: &str, wanted: &str, value: &DeValue<'_>) -> String {
    format!("`{field}` is {wanted}, not {}", type_of(value))
}
