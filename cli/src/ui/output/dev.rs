//! Commands in messages of a verb that was run with `--dev`: they name the local service, too.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

/// Verbs with the flag `--dev`, by their first word.
pub(crate) const DEV_VERBS: [&str; 9] =
    ["bulk", "doctor", "keys", "logs", "lookup", "open", "probe", "quota", "usage"];

static SUGGESTS_DEV: AtomicBool = AtomicBool::new(false);

/// From now on, commands in messages have `--dev`.
pub(crate) fn suggest_dev() {
    SUGGESTS_DEV.store(true, Ordering::Relaxed);
}

/// A message whose commands have `--dev`, if the verb was run with it.
pub(crate) fn with_dev(text: &str) -> Cow<'_, str> {
    if SUGGESTS_DEV.load(Ordering::Relaxed) { Cow::Owned(add_dev(text)) } else { Cow::Borrowed(text) }
}

/// Adds `--dev` to each command in backticks that has the flag.
fn add_dev(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        // Every second part is between backticks.
        let command = part.strip_prefix("ipgeo ").filter(|_| index % 2 == 1);
        command
            .and_then(command_with_dev)
            .map_or_else(|| part.to_owned(), |command| format!("ipgeo {command}"))
    });
    parts.collect::<Vec<_>>().join("`")
}

fn command_with_dev(command: &str) -> Option<String> {
    let mut words: Vec<&str> = command.split(' ').collect();
    let is_group = matches!(words[0], "keys" | "quota" | "usage");
    let has_it = words.iter().any(|word| ["--dev", "--help"].contains(word));
    if !DEV_VERBS.contains(&words[0]) || has_it || (is_group && words.len() < 2) {
        return None;
    }
    // Before a flag whose value the reader adds.
    let place = words.len() - usize::from(words.last().is_some_and(|word| word.starts_with("--")));
    words.insert(place, "--dev");
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_keep_the_flag() {
        let table = [
            ("run `ipgeo keys enable ipg_…1` first", "run `ipgeo keys enable ipg_…1 --dev` first"),
            (
                "create it with `ipgeo usage replay --into`",
                "create it with `ipgeo usage replay --dev --into`",
            ),
            ("`ipgeo logs --dev`, or restart `ipgeo dev`", "`ipgeo logs --dev`, or restart `ipgeo dev`"),
            ("see `ipgeo keys update --help`", "see `ipgeo keys update --help`"),
            ("`ipgeo keys` and ipgeo keys list", "`ipgeo keys` and ipgeo keys list"),
            ("`ipgeo deploy`, `ipgeo doctor`: `x", "`ipgeo deploy`, `ipgeo doctor --dev`: `x"),
        ];
        for (text, expected) in table {
            assert_eq!(add_dev(text), expected);
        }
    }
}
