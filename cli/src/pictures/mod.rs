//! The pictures of the documents. Plots are drawn from measured figures (`docs/pictures/measured`) and from the program
//! itself, by the code that draws the pages' charts; `docs/pictures/make` writes them and the others.

mod draw;
mod measured;
mod plots;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use plots::plots;

const README: &str = include_str!("../../../README.md");
const DOCUMENTS: [&str; 3] =
    [README, include_str!("../../../docs/BENCHMARKS.md"), include_str!("../../../docs/COST.md")];
/// Bytes of all pictures in the README.
const README_MAX: u64 = 300_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures")
}

fn is_picture(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "svg" || extension == "webp")
}

/// Text after each `start`, up to the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

/// Names of the pictures in a document.
fn named(document: &str) -> BTreeSet<String> {
    let names = between(document, "pictures/", "\n").into_iter();
    let end = |c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c));
    let names = names.map(|rest| rest.split(end).next().unwrap_or_default().to_owned());
    names.filter(|name| is_picture(name)).collect()
}

#[test]
fn plots_show_what_was_measured() {
    let bless = std::env::var_os("BLESS").is_some();
    for plot in plots() {
        let (file, drawn) = (folder().join(format!("{}.svg", plot.name)), draw::svg(&plot));
        if bless {
            fs::write(&file, &drawn).expect("written");
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == drawn, "{} is stale: `docs/pictures/make plots` draws it", file.display());
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}

#[test]
fn measured_figures_are_those_of_the_documents() {
    for entry in fs::read_dir(folder().join("measured")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a table");
        let cells = text.lines().skip(1).flat_map(|line| line.split('\t').skip(1));
        for median in cells.filter_map(|cell| cell.split(' ').next()) {
            // Simulated figures are in no table.
            let known = path.ends_with("overshoot.tsv") || DOCUMENTS[1].contains(median);
            assert!(known, "{median} of {} is not in docs/BENCHMARKS.md", path.display());
        }
    }
}

#[test]
fn every_picture_is_in_a_document_and_has_a_description() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| is_picture(name))
        .collect();
    let shown: BTreeSet<String> = DOCUMENTS.iter().flat_map(|document| named(document)).collect();
    assert_eq!(shown, files);
    for document in DOCUMENTS {
        let images = between(document, "<img ", ">").into_iter();
        let alts = images.map(|image| between(image, "alt=\"", "\"").first().copied().unwrap_or_default());
        let alts = alts.chain(between(document, "![", "]"));
        for alt in alts {
            assert!(alt.len() > 20, "a description says what is seen: {alt:?}");
        }
    }
    let bytes = |name: &String| fs::metadata(folder().join(name)).expect("a file").len();
    let sum: u64 = named(README).iter().map(bytes).sum();
    assert!(sum <= README_MAX, "{sum} bytes of pictures in the README");
}

/// API keys are `ipg_` and 36 characters.
#[test]
fn no_picture_shows_an_api_key() {
    for name in DOCUMENTS.iter().flat_map(|document| named(document)) {
        let bytes = fs::read(folder().join(&name)).expect("a picture");
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(ipgeo_contract::without_api_keys(&text), text, "{name}");
    }
}
