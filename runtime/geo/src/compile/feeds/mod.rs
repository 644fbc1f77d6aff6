//! Reads the files of sources that are not databases: CSV, lists of networks, JSON, geofeeds and corrections.
//!
//! An error names its line or place, and nothing of the file is used. Networks without public addresses are skipped and
//! counted, because many publishers list a few; so are invalid lines of a geofeed, as RFC 8805 requires.

mod corrections;
mod csv;
mod json_path;
mod line;
mod network;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::error::BuildError;
use super::extract::SourceRecord;
use super::kind;
use super::ranges::{NumberedRange, RangeSet, Skipped};
use super::source::Parts;

pub use corrections::{Correction, read_corrections, write_corrections};
pub use json_path::JsonPath;

/// A larger file is not a list.
const BYTES_MAX: u64 = 1 << 30;

/// The form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeFormat {
    /// One range a row: first and last address, or a network, then columns in a known order or under a header.
    Csv,
    /// A network, address or range a line; `#` and `;` begin a comment.
    List,
    /// The texts at these paths are networks.
    Json(Vec<JsonPath>),
    /// RFC 8805: network, country, region code, city, postal code.
    Geofeed,
    /// The corrections of an operator: CSV with the columns of [`Correction`].
    Corrections,
}

/// What was read so far.
#[derive(Default)]
struct Found {
    ranges: Vec<NumberedRange>,
    records: Vec<SourceRecord>,
    skipped: Skipped,
}

impl Found {
    /// Adds a range unless it has no public address.
    fn add(&mut self, range: network::Range, record: u32) {
        if network::is_reserved(range) {
            self.skipped.reserved += 1;
        } else {
            self.ranges.push((range.0, range.1, record));
        }
    }
}

impl RangeSet {
    /// Reads a file; from a CSV file, only `parts`. `labelled`: the source says what its networks are, so a network that is
    /// far too large is refused.
    pub fn read(path: &Path, format: &RangeFormat, parts: Parts, labelled: bool) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > BYTES_MAX {
            let fault = "it is larger than 1 GiB".to_owned();
            return Err(BuildError::Feed { path: path.to_owned(), fault });
        }
        Self::from_bytes(path, &bytes, format, parts, labelled)
    }

    /// Parses the content of the file at `path`, as [`RangeSet::read`] does.
    pub fn from_bytes(
        path: &Path,
        bytes: &[u8],
        format: &RangeFormat,
        parts: Parts,
        labelled: bool,
    ) -> Result<Self, BuildError> {
        let feed = |fault: String| BuildError::Feed { path: path.to_owned(), fault };
        let found = parse(bytes, format, parts).map_err(feed)?;
        let giant = |range: &&(u128, u128, u32)| network::refuse_giant("", (range.0, range.1)).is_err();
        if let Some((first, last, _)) = found.ranges.iter().filter(|_| labelled).find(giant) {
            let range = (*first, *last);
            network::refuse_giant(&network::shown(range), range).map_err(feed)?;
        }
        let is_correction = matches!(format, RangeFormat::Geofeed | RangeFormat::Corrections);
        let set = Self::from_ranges(path.to_owned(), &found.ranges, found.records);
        Ok(set.passing_over(found.skipped).correcting(is_correction))
    }
}

fn parse(bytes: &[u8], format: &RangeFormat, parts: Parts) -> Result<Found, String> {
    let bytes = kind::text(bytes)?;
    let found = match format {
        RangeFormat::Csv => csv::parse(bytes, parts)?,
        RangeFormat::List => list(bytes)?,
        RangeFormat::Json(paths) => json(bytes, paths)?,
        RangeFormat::Geofeed => corrections::geofeed(bytes)?,
        // A file of corrections may be empty.
        RangeFormat::Corrections => return corrections::parse(bytes),
    };
    if found.ranges.is_empty() {
        let reserved = found.skipped.reserved > 0;
        let fault = if reserved { "it has no network with public addresses" } else { "it has no network" };
        return Err(fault.to_owned());
    }
    Ok(found)
}

/// The lines of a file with their numbers, without blank lines and those that a comment begins.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

fn list(bytes: &[u8]) -> Result<Found, String> {
    let mut found = Found { records: vec![SourceRecord::default()], ..Found::default() };
    for (line, text) in lines(bytes) {
        // Comments may have any encoding.
        let text = String::from_utf8_lossy(text);
        let text = text.split(['#', ';']).next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let range = network::range(text)
            .and_then(|range| network::refuse_giant(text, range).map(|()| range))
            .map_err(|fault| format!("line {line}: {fault}"))?;
        found.add(range, 0);
    }
    Ok(found)
}

fn json(bytes: &[u8], paths: &[JsonPath]) -> Result<Found, String> {
    let document = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut found = Found { records: vec![SourceRecord::default()], ..Found::default() };
    let mut visited = false;
    for path in paths {
        path.visit(&document, &mut |place, value| {
            visited = true;
            let text = value.as_str().ok_or_else(|| format!("{place}: expected a network as text"))?;
            let range = network::range(text.trim())
                .and_then(|range| network::refuse_giant(text, range).map(|()| range))
                .map_err(|fault| format!("{place}: {fault}"))?;
            found.add(range, 0);
            Ok::<(), String>(())
        })?;
    }
    if visited {
        return Ok(found);
    }
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    Err(format!("it has nothing at {}", paths.join(" or ")))
}

#[cfg(test)]
mod tests;
