//! Colours, which only repeat what a text says.

use std::io;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set; always if `CLICOLOR_FORCE` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Sets this for the whole program.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Sets what `--color` among the arguments says, where they are otherwise wrong and have not been parsed.
pub(crate) fn apply_color(arguments: impl Iterator<Item = String>) {
    color_of(arguments).unwrap_or_default().apply();
}

fn color_of(arguments: impl Iterator<Item = String>) -> Option<Color> {
    let mut arguments = arguments.skip_while(|argument| !argument.starts_with("--color"));
    let first = arguments.next()?;
    let value = first.strip_prefix("--color=").map(str::to_owned).or_else(|| arguments.next())?;
    clap::ValueEnum::from_str(&value, false).ok()
}

pub(super) fn stdout_has_colours() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

pub(super) fn stderr_has_colours() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Why a text is coloured. The text must be clear without its colour too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// An addition, or what is well.
    Add,
    /// A change, or what needs attention.
    Change,
    /// A removal, a failure, or something dangerous.
    Danger,
    Heading,
}

/// The text with the escape codes of its colour.
pub(crate) fn painted(paint: Paint, text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = match paint {
        Paint::Add => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Paint::Change => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Paint::Danger => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Paint::Heading => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// The colour of a state or verdict, by its word; `None` where there is nothing to judge.
pub(crate) fn state_paint(state: &str) -> Option<Paint> {
    match state {
        "" | "-" | "none" | "home" | "not checked" | "unchanged" | "pinned" => None,
        "ok" | "up" | "yes" | "active" | "ACTIVE" | "allowed" | "updated" | "new" | "A" | "AAAA"
        | "A AAAA" => Some(Paint::Add),
        "warn" | "shaky" | "older" | "expired" | "disabled" | "drained" | "MODIFIED" | "CREATING"
        | "UPDATING" | "bad_request" | "over_quota" | "over_rate" | "kept" => Some(Paint::Change),
        working if working.ends_with("_IN_PROGRESS") => Some(Paint::Change),
        _ => Some(Paint::Danger),
    }
}

/// A message with its first word in colour, if it is one of `error:`, `warning:` and `help:`, and standard error shows colours.
pub(super) fn painted_note(line: &str) -> String {
    if stderr_has_colours() { with_painted_words(line) } else { line.to_owned() }
}

fn with_painted_words(text: &str) -> String {
    let words = [("error:", Paint::Danger), ("warning:", Paint::Change), ("help:", Paint::Heading)];
    let line = |line: &str| {
        let found = words.iter().find(|(word, _)| line.starts_with(word));
        found.map_or_else(|| line.to_owned(), |(word, paint)| painted(*paint, word) + &line[word.len()..])
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{Status, Verdict};

    use super::*;
    use crate::observe::doctor::Mark;
    use crate::observe::probe::ProbeState;

    #[test]
    fn colours_are_chosen_even_if_other_arguments_are_wrong() {
        let table = [
            ("ipgeo --color=never nonsense", Some(Color::Never)),
            ("ipgeo nonsense --color always", Some(Color::Always)),
            ("ipgeo --color", None),
            ("ipgeo --color blue", None),
            ("ipgeo nonsense", None),
        ];
        for (line, expected) in table {
            assert_eq!(color_of(line.split(' ').map(str::to_owned)), expected, "{line}");
        }
    }

    #[test]
    fn every_state_has_its_colour() {
        let words = |paint: Option<Paint>, states: &[&str]| {
            for state in states {
                assert_eq!(state_paint(state), paint, "{state}");
            }
        };
        let verdicts: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
        let (admitted, refused) = verdicts.split_at(1);
        words(Some(Paint::Add), admitted);
        assert!(
            refused.iter().all(|verdict| matches!(state_paint(verdict), Some(Paint::Change | Paint::Danger)))
        );
        let marks = [Mark::Ok, Mark::Warn, Mark::Fail, Mark::NotChecked].map(Mark::as_str);
        let probes = [ProbeState::Up, ProbeState::Shaky, ProbeState::Down].map(ProbeState::as_str);
        let keys = [Status::Active, Status::Disabled, Status::Revoked].map(Status::as_str);
        for states in [&marks[..3], &probes, &keys] {
            words(Some(Paint::Add), &states[..1]);
            words(Some(Paint::Change), &states[1..2]);
            words(Some(Paint::Danger), &states[2..]);
        }
        words(None, &marks[3..]);
        words(Some(Paint::Change), &["UPDATE_IN_PROGRESS"]);
        words(
            Some(Paint::Danger),
            &["DELETED", "no edge", "edge UPDATE_ROLLBACK_FAILED", "missing", "no zone"],
        );
    }

    #[test]
    fn the_first_words_of_messages_are_painted_and_no_others() {
        let plain = "note: a\n  because error: b";
        assert_eq!(with_painted_words(plain), plain);
        let text = with_painted_words("error: a\nhelp: b");
        assert_eq!(text, "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a\n\u{1b}[1mhelp:\u{1b}[0m b");
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "error: a\nhelp: b");
    }
}
