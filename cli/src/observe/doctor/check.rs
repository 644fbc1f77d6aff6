//! Findings, and how they are printed.

use std::fmt::Write as _;

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::infra::cloud::Problem;
use crate::ui::output::{Screen, painted, printable, state_paint, wrapped};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mark {
    Ok,
    /// It works but needs attention.
    Warn,
    /// It does not work, or must not continue.
    Fail,
    /// It could not be checked.
    #[default]
    NotChecked,
}

impl Mark {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::NotChecked => "not checked",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was checked: `stream`, `certificate`, …
    pub check: &'static str,
    /// The region; `None` for the whole service.
    pub region: Option<RegionName>,
    pub mark: Mark,
    pub found: String,
    pub remedy: Option<String>,
}

impl Check {
    fn new(check: &'static str, mark: Mark, found: impl Into<String>) -> Self {
        Self { check, region: None, mark, found: found.into(), remedy: None }
    }

    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Mark::Ok, found)
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(check, Mark::Warn, found) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(check, Mark::Fail, found) }
    }

    pub(super) fn not_checked(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Mark::NotChecked, why)
    }

    /// A failed read is no finding about the resource itself.
    pub(super) fn unread(check: &'static str, error: &Problem) -> Self {
        Self { remedy: Some(error.remedy.clone()), ..Self::not_checked(check, error.what.clone()) }
    }

    pub(super) fn at(mut self, region: &RegionName) -> Self {
        self.region = Some(region.clone());
        self
    }
}

/// The same finding in one or several regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded<'a> {
    /// The first of them.
    pub check: &'a Check,
    /// The regions; empty for the whole service.
    pub regions: Vec<&'a str>,
}

/// Merges findings that differ only in their region, in the order of the first.
pub(crate) fn fold(checks: &[Check]) -> Vec<Folded<'_>> {
    let mut folded: Vec<Folded<'_>> = Vec::new();
    for check in checks {
        let same = |known: &&mut Folded<'_>| {
            let first = known.check;
            (first.check, first.mark, &first.found) == (check.check, check.mark, &check.found)
                && first.region.is_some() == check.region.is_some()
        };
        match folded.iter_mut().find(same) {
            Some(known) => known.regions.extend(check.region.as_deref()),
            None => folded.push(Folded { check, regions: check.region.as_deref().into_iter().collect() }),
        }
    }
    folded
}

/// Width of the column of marks, and the column where findings begin.
const MARK_WIDTH: usize = 13;
const FOUND_AT: usize = MARK_WIDTH + 15;

/// A mark, in the colour of its word if that is shown.
fn mark_cell(mark: Mark, colour: bool) -> String {
    let word = mark.as_str();
    let paint = state_paint(word).filter(|_| colour);
    let space = MARK_WIDTH - word.len();
    format!("{}{:space$}", paint.map_or_else(|| word.to_owned(), |paint| painted(paint, word)), "")
}

/// Findings for people, with colours and in lines of the width of standard output; `regions` is the number of all regions.
pub(crate) fn text(checks: &[Check], regions: usize) -> String {
    let screen = Screen::of_stdout();
    let wrapped = |text: &str, indent| wrapped(&printable(text), screen.width.unwrap_or(usize::MAX), indent);
    let mut out = String::new();
    let folded = fold(checks);
    let skipped = |one: &Folded<'_>| one.check.mark == Mark::NotChecked && one.check.remedy.is_none();
    let alike = |one: &Folded<'_>, other: &Folded<'_>| {
        skipped(one) && skipped(other) && one.check.found == other.check.found
    };
    for (index, one) in folded.iter().enumerate() {
        // Checks that were skipped for the same reason share a line.
        if folded[..index].iter().any(|before| alike(before, one)) {
            continue;
        }
        let names: Vec<&str> =
            folded[index..].iter().filter(|after| alike(after, one)).map(|after| after.check.check).collect();
        let mark = mark_cell(one.check.mark, screen.colour);
        if names.len() > 1 {
            let text = format!("{}: {}", names.join(", "), one.check.found);
            let _ = writeln!(out, "{mark}{}", wrapped(&text, MARK_WIDTH));
            continue;
        }
        let place = match one.regions.as_slice() {
            [] => String::new(),
            all if all.len() == regions && regions > 1 => format!(" (all {regions} regions)"),
            some if some.len() > 4 => format!(" ({} and {} more)", some[..3].join(", "), some.len() - 3),
            some => format!(" ({})", some.join(", ")),
        };
        let check = one.check;
        // Writing to a String can't fail.
        let found = wrapped(&format!("{}{place}", check.found), FOUND_AT);
        let _ = writeln!(out, "{mark}{:<13}  {found}", check.check);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "{:FOUND_AT$}→ {}", "", wrapped(remedy, FOUND_AT + 2));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_finding_of_several_regions_is_printed_once() {
        let mut checks = vec![Check::ok("credentials", "account 1")];
        for region in ["a", "b", "c"] {
            checks.push(Check::ok("edge", "it answers").at(&RegionName::new(region)));
        }
        checks.push(Check::fail("stream", "it is gone", "deploy").at(&RegionName::new("a")));
        assert_eq!(
            text(&checks, 3),
            "\
ok           credentials    account 1
ok           edge           it answers (all 3 regions)
fail         stream         it is gone (a)
                            → deploy"
        );
        let mut skipped = vec![Check::not_checked("clock", "no AWS credentials")];
        skipped.push(Check::not_checked("zone", "regions.toml names no domain"));
        skipped.extend(
            ["a", "b"]
                .map(|region| Check::not_checked("rate", "no AWS credentials").at(&RegionName::new(region))),
        );
        assert_eq!(
            text(&skipped, 2),
            "\
not checked  clock, rate: no AWS credentials
not checked  zone           regions.toml names no domain"
        );
        let many: Vec<Check> = ["a", "b", "c", "d", "e"]
            .map(|region| Check::ok("edge", "x").at(&RegionName::new(region)))
            .into();
        assert_eq!(text(&many, 9), "ok           edge           x (a, b, c and 2 more)");
    }

    #[test]
    fn findings_are_wrapped_beside_their_checks() {
        let found =
            "2 API keys have rates that are above the API's throttle_rate, so that they can never be reached";
        let checks = [
            Check::ok("credentials", "account 123456789012, arn:aws:iam::123456789012:user/somebody"),
            Check::warn(
                "rate",
                found,
                "raise throttle_rate in regions.toml, or lower the rates with `ipgeo keys update`",
            ),
            Check::not_checked("clock", "no AWS credentials"),
            Check::not_checked("zone", "no AWS credentials"),
        ];
        crate::ui::output::assert_screens("doctor", 72, || text(&checks, 9));
    }
}
