//! A document: its examples, and writing new outputs into it.

use std::fs;
use std::path::{Path, PathBuf};

/// A command of a document with the output that the document shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    /// The line of its command, counted from 0.
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    lines: Vec<String>,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect() }
    }

    /// The examples in their order; commands of programs other than `ipgeo` and `curl` are skipped.
    pub(crate) fn examples(&self) -> Vec<Example> {
        let (mut examples, mut is_fenced) = (Vec::new(), false);
        for (line, text) in self.lines.iter().enumerate() {
            if text.starts_with("```") {
                is_fenced = !is_fenced;
                continue;
            }
            let Some(command) = text.strip_prefix("$ ").filter(|_| is_fenced) else { continue };
            let command = command.replace("cargo run --release -- ", "ipgeo ");
            let ours = ["ipgeo ", "curl ", "IPGEO_"];
            if !ours.iter().any(|start| command.starts_with(start)) {
                continue;
            }
            let after = self.lines[line + 1..].iter();
            let output = after.take_while(|text| !text.starts_with("$ ") && !text.starts_with("```"));
            examples.push(Example { line, command, output: output.cloned().collect() });
        }
        examples
    }

    /// Replaces the outputs of some examples in the file.
    pub(crate) fn write(&mut self, outputs: Vec<(Example, Vec<String>)>) {
        if outputs.is_empty() {
            return;
        }
        // From the end, so that the lines of earlier examples stay where they are.
        for (example, output) in outputs.into_iter().rev() {
            let from = example.line + 1;
            self.lines.splice(from..from + example.output.len(), output);
        }
        fs::write(&self.path, self.lines.join("\n") + "\n").expect("the document is writable");
    }
}

/// A real output with the same number of lines before and after `…` as the document shows. Without a line `…`, or when there is
/// nothing to leave out, the complete output.
pub(crate) fn elided(real: &[String], documented: &[String]) -> Vec<String> {
    let marks = || documented.iter().enumerate().filter(|(_, line)| line.trim() == "…").map(|(at, _)| at);
    let (Some(first), Some(last)) = (marks().next(), marks().next_back()) else { return real.to_vec() };
    let tail = documented.len() - last - 1;
    if real.len() <= first + tail {
        return real.to_vec();
    }
    [&real[..first], &["…".to_owned()], &real[real.len() - tail..]].concat()
}

#[test]
fn an_output_is_cut_where_the_document_cuts_it() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (real, documented, expected) in [
        ("a b c d", "x … z", "a … d"),
        ("a b c d", "… z", "… d"),
        ("a b", "x y z", "a b"),
        ("a b", "x … z", "a b"),
    ] {
        assert_eq!(elided(&lines(real), &lines(documented)), lines(expected), "{real} {documented}");
    }
}
