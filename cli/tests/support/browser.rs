//! A real Chromium, headless and offline, and what it finds on pages: `browse.mjs` drives it.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its part")]

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::npm;
use crate::python::run;

/// Names of Chromium's program.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// The driver of Chromium, and the checks of accessibility.
const PACKAGES: [&str; 2] = ["chrome-remote-interface@0.34.0", "axe-core@4.14.1"];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/browse.mjs");

/// The program. `None`: it is not installed; a message was printed, and the caller skips its test. With
/// `IPGEO_REQUIRE_CHROMIUM=1` the test fails instead.
pub(crate) fn chromium() -> Option<&'static str> {
    let runs = |name: &&&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let found = NAMES.iter().find(runs).copied();
    let required = std::env::var_os("IPGEO_REQUIRE_CHROMIUM").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "IPGEO_REQUIRE_CHROMIUM=1, and there is no Chromium");
    if found.is_none() {
        // Written directly to the terminal, because tests capture `eprintln!`.
        let note =
            "NOT TESTED: pages in a browser, for there is no Chromium (Debian: apt-get install chromium)\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
    }
    found
}

/// A page on one screen.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    pub(crate) page: String,
    pub(crate) screen: String,
    pub(crate) scheme: String,
    /// What is visible.
    pub(crate) text: String,
    too_wide: bool,
    findings: Vec<String>,
    /// What the page wrote to the console, and failed requests.
    pub(crate) messages: Vec<String>,
    foreign: Vec<String>,
    /// The IDs of its sections.
    pub(crate) sections: Vec<String>,
    /// The smallest text of a map, pixels; 0 without a map.
    pub(crate) map_text_px: f64,
}

/// A page on paper.
#[derive(Debug, Deserialize)]
pub(crate) struct Paper {
    pub(crate) page: String,
    pub(crate) size: String,
    pub(crate) pages: u32,
    /// The smallest text, and its size, points.
    pub(crate) smallest_pt: f64,
    pub(crate) smallest: String,
    /// Elements whose content is wider or higher than they are.
    pub(crate) cut: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) views: Vec<View>,
    pub(crate) papers: Vec<Paper>,
}

/// Opens pages (name, URL, an element that is shown when the page is complete) on a desktop and a phone, light and dark;
/// with `IPGEO_SCREENSHOTS=1` or `BLESS=1`, screenshots are saved in `folder` for people. No page may be wider than its screen,
/// load anything from elsewhere, or have a finding of axe-core. `None` if Chromium or npm is missing; a message was printed.
pub(crate) fn look(folder: &Path, pages: &[(&str, &str, &str)]) -> Option<Vec<View>> {
    Some(browse(folder, pages, "screens")?.views)
}

/// The same, and each page on A4 and Letter.
pub(crate) fn look_and_print(folder: &Path, pages: &[(&str, &str, &str)]) -> Option<Seen> {
    browse(folder, pages, "screens,paper")
}

fn browse(folder: &Path, pages: &[(&str, &str, &str)], what: &str) -> Option<Seen> {
    let chromium = chromium()?;
    let packages = npm::folder("browser", &PACKAGES)?;
    std::fs::create_dir_all(folder).expect("a folder");
    let mut command = Command::new("timeout");
    command.current_dir(packages).args(["300", "node", SCRIPT, chromium]).arg(folder).arg(what);
    command.args(pages.iter().map(|(name, url, ready)| format!("{name}={url}={ready}")));
    let printed = run(&mut command).unwrap_or_else(|error| panic!("{error}"));
    let seen: Seen = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(seen.views.len(), pages.len() * 4);
    for View { page, screen, scheme, too_wide, findings, foreign, .. } in &seen.views {
        assert!(!too_wide, "{page} on a {screen} must be scrolled sideways");
        assert_eq!(findings, &Vec::<String>::new(), "{page} on a {screen}, {scheme}");
        assert_eq!(foreign, &Vec::<String>::new(), "{page}");
    }
    Some(seen)
}
