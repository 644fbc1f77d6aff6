//! Rules across the fields of `[[geo.sources]]`.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::geo::SourceFormat;
use super::parse::{table, text};
use super::problems::Collector;
use super::sources;

pub(super) fn check_sources(document: &DeTable<'_>, out: &mut Collector) {
    let sources = table(document, "geo").and_then(|geo| geo.get("sources")?.get_ref().as_array());
    let mut names = Vec::new();
    for (index, source) in sources.into_iter().flat_map(|sources| sources.iter()).enumerate() {
        let DeValue::Table(fields) = source.get_ref() else { continue };
        let path = format!("geo.sources[{index}]");
        if let Some((name, at)) = text(fields, "name") {
            if names.contains(&name) {
                out.add(&at, format!("{path}.name: duplicate source name `{name}`"));
            }
            names.push(name);
        }
        let origins = ["file", "url", "npm", "pypi"];
        if origins.into_iter().filter(|origin| fields.contains_key(*origin)).count() != 1 {
            let fault = "expected exactly one of `file`, `url`, `npm` and `pypi`";
            out.add(&source.span(), format!("{path}: {fault}"));
            continue;
        }
        let files = check_files(fields, &path, out);
        check_format(fields, &files, &path, &source.span(), out);
    }
}

/// Checks the files of a package; returns the names of all files of the source.
fn check_files<'a>(fields: &'a DeTable<'a>, path: &str, out: &mut Collector) -> Vec<&'a str> {
    let one = text(fields, "file").or_else(|| text(fields, "url"));
    let package = ["npm", "pypi"].into_iter().find_map(|name| Some((name, text(fields, name)?.1)));
    let Some((registry, at)) = package else { return one.into_iter().map(|(name, _)| name).collect() };
    let list = fields.get("files").and_then(|files| files.get_ref().as_array());
    let files = list.into_iter().flat_map(|files| files.iter());
    let files: Vec<&str> = files.filter_map(|file| file.get_ref().as_str()).collect();
    if files.is_empty() {
        out.add(&at, format!("{path}.{registry}: needs `files`, the files in the package"));
    }
    if let Err(fault) = sources::names_of_files(&files) {
        out.add(&at, format!("{path}.files: {fault}"));
    }
    files
}

/// Checks that the fields fit the format, and that a source of bare networks says something about them.
fn check_format(fields: &DeTable<'_>, files: &[&str], path: &str, at: &Range<usize>, out: &mut Collector) {
    let named = text(fields, "format").map(|(name, _)| name.to_owned());
    let format = |file: &&str| match named.as_deref() {
        Some("csv") => SourceFormat::Csv,
        Some("list") => SourceFormat::List,
        Some("json") => SourceFormat::Json,
        Some("geofeed") => SourceFormat::Geofeed,
        Some(_) => SourceFormat::Mmdb,
        None => SourceFormat::by_name(file).unwrap_or(SourceFormat::Mmdb),
    };
    let formats: Vec<SourceFormat> = files.iter().map(format).collect();
    let has_json = formats.contains(&SourceFormat::Json);
    if has_json != fields.contains_key("path") {
        let fault = if has_json {
            "needs `path`, where the networks are in the JSON, such as `prefixes[].ip_prefix`"
        } else {
            "`path` is only for JSON"
        };
        out.add(at, format!("{path}: {fault}"));
    }
    let bare = |format: &SourceFormat| matches!(format, SourceFormat::List | SourceFormat::Json);
    let takes = fields.get("gives").and_then(|gives| gives.get_ref().as_array());
    if let Some(takes) = takes.filter(|takes| !takes.is_empty() && formats.iter().any(bare)) {
        let at = takes[0].span();
        out.add(&at, format!("{path}.gives: a list or JSON has only networks; leave it out"));
    }
    let has_flags = fields
        .get("flags")
        .and_then(|flags| flags.get_ref().as_array())
        .is_some_and(|flags| !flags.is_empty());
    if fields.contains_key("blocklist") && !has_flags {
        out.add(
            at,
            format!("{path}: `blocklist` needs `flags`, what its addresses are, such as `is_known_abuser`"),
        );
    }
    let only_networks = formats.iter().any(bare) || takes.is_some_and(|takes| takes.is_empty());
    let says = ["flags", "network", "crawler"].into_iter().any(|name| fields.contains_key(name));
    if only_networks && !says {
        let fault = "says nothing about its networks; add `flags`, `network` or `crawler`";
        out.add(at, format!("{path}: {fault}"));
    }
}
