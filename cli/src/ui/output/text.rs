//! Texts as a terminal shows them: the columns that they take, shortening, wrapping, and characters that would control it.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

/// The columns that a text takes: East Asian characters and emoji take two, combining marks none.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// The text, cut and ended with `…` if it is wider.
pub(crate) fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if width_of(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(1) else { return Cow::Borrowed("") };
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    // The width of a start is not the sum of its characters: a selector after a symbol makes it wide.
    let fits = ends.take_while(|end| width_of(&text[..*end]) <= room).last().unwrap_or_default();
    Cow::Owned(format!("{}…", text[..fits].trim_end()))
}

/// The end of a path after `…` if it is wider: its name says more than its first folders.
pub(crate) fn shortened_path(path: &str, width: usize) -> Cow<'_, str> {
    if width_of(path) <= width {
        return Cow::Borrowed(path);
    }
    let Some(room) = width.checked_sub(1) else { return Cow::Borrowed("") };
    let starts = path.char_indices().map(|(start, _)| start);
    let fits = starts.into_iter().find(|start| width_of(&path[*start..]) <= room).unwrap_or(path.len());
    Cow::Owned(format!("…{}", &path[fits..]))
}

/// Words in lines that end at `width` and begin after `indent` columns, which are spaces in all lines but the first. A word that
/// is longer has its own line.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width_of(line) + 1 + width_of(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// A message whose lines are wrapped by words below their own indent. Commands are not broken, so that they can be copied: those
/// in backticks, and those that end a line (`continue with: ipgeo …`).
pub(super) fn wrapped_message(text: &str, width: usize) -> String {
    /// A space inside a command: a printable text has no such character.
    const COMMAND_SPACE: char = '\0';
    let line = |line: &str| {
        let (indent, text) = line.split_at(line.len() - line.trim_start_matches(' ').len());
        let last = [": ipgeo ", " curl "].iter().filter_map(|start| text.find(start)).min();
        let mut is_quoted = false;
        let joined = text.char_indices().map(|(at, c)| {
            is_quoted ^= c == '`';
            let is_in_command = is_quoted || last.is_some_and(|start| at > start + 1);
            if c == ' ' && is_in_command { COMMAND_SPACE } else { c }
        });
        let joined: String = joined.collect();
        format!("{indent}{}", wrapped(&joined, width, indent.len())).replace(COMMAND_SPACE, " ")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Blocks of lines beside each other; `None` if they are wider than `width`.
pub(super) fn beside(blocks: &[String], width: usize) -> Option<String> {
    const GAP: usize = 4;
    let shown = |line: &str| width_of(&anstream::adapter::strip_str(line).to_string());
    let widths: Vec<usize> =
        blocks.iter().map(|block| block.lines().map(shown).max().unwrap_or_default()).collect();
    if widths.iter().sum::<usize>() + GAP * blocks.len().saturating_sub(1) > width {
        return None;
    }
    let rows = blocks.iter().map(|block| block.lines().count()).max().unwrap_or_default();
    let row = |row: usize| {
        let mut text = String::new();
        for (block, width) in blocks.iter().zip(&widths) {
            let line = block.lines().nth(row).unwrap_or_default();
            text.push_str(line);
            text.extend(std::iter::repeat_n(' ', width + GAP - shown(line)));
        }
        text.trim_end().to_owned()
    };
    Some((0..rows).map(row).collect::<Vec<_>>().join("\n"))
}

/// Replaces characters other than line feeds that control a terminal or the direction of its text: text from others must not.
pub(crate) fn printable(text: &str) -> String {
    let directs =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if (c.is_control() && c != '\n') || directs(c) { '\u{fffd}' } else { c }).collect()
}

/// A printable text without line feeds.
pub(super) fn in_one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_shortened_to_their_display_width() {
        let table = [
            ("acme", 4, "acme"),
            ("acme GmbH", 6, "acme…"),
            ("acme GmbH", 7, "acme G…"),
            ("日本語株式会社", 7, "日本語…"),
            ("日本語株式会社", 6, "日本…"),
            ("e\u{301}te\u{301}s", 3, "e\u{301}t…"),
            ("🦀🦀🦀", 4, "🦀…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ];
        for (text, width, expected) in table {
            assert_eq!(shortened(text, width), expected, "{text} in {width}");
        }
    }

    #[test]
    fn paths_keep_their_ends() {
        let path = "/home/日本/geo.mmdb";
        let table = [
            (19, path),
            (18, "…ome/日本/geo.mmdb"),
            (13, "…本/geo.mmdb"),
            (11, "…/geo.mmdb"),
            (1, "…"),
            (0, ""),
        ];
        for (width, expected) in table {
            assert_eq!(shortened_path(path, width), expected, "{width}");
        }
    }

    #[test]
    fn words_are_wrapped_below_their_start() {
        let text = "one two three four";
        assert_eq!(wrapped(text, usize::MAX, 4), text);
        assert_eq!(wrapped(text, 9, 2), "one two\n  three\n  four");
        assert_eq!(wrapped("a verylongword b", 6, 1), "a\n verylongword\n b");
        assert_eq!(wrapped("", 6, 1), "");
    }

    #[test]
    fn messages_are_wrapped_by_words_and_commands_are_not_broken() {
        let table = [
            ("a note of some words", "a note of\nsome words"),
            ("help: run `ipgeo keys list --dev` now", "help: run\n`ipgeo keys list --dev`\nnow"),
            ("x\n  because one two", "x\n  because\n  one two"),
            ("see https://ipgeo.example/docs/a", "see\nhttps://ipgeo.example/docs/a"),
            ("continue with: ipgeo deploy --yes", "continue\nwith:\nipgeo deploy --yes"),
            ("try: curl -H 'a: b' url", "try:\ncurl -H 'a: b' url"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(wrapped_message(text, 11), expected);
            assert_eq!(wrapped_message(text, 80), text);
        }
    }

    #[test]
    fn blocks_are_beside_each_other_if_they_fit() {
        let blocks =
            ["day  calls\n日       12\nb        3", "\u{1b}[1mregion\u{1b}[0m\na", ""].map(str::to_owned);
        let expected = "day  calls     \u{1b}[1mregion\u{1b}[0m\n日       12    a\nb        3";
        assert_eq!(beside(&blocks, 25).as_deref(), Some(expected));
        assert_eq!(beside(&blocks, 24), None);
    }

    #[test]
    fn characters_that_control_the_terminal_are_replaced() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}b\nc\t"), "a\u{fffd}[31m\u{fffd}b\nc\u{fffd}");
        assert_eq!(in_one_line("a\nb\r"), "a b\u{fffd}");
    }

    proptest! {
        #[test]
        fn a_shortened_text_is_never_wider(text in "\\PC{0,20}|[👩‍👧日e\u{301}\u{fe0f}☺🇩🇪]{0,12}", width in 0_usize..20) {
            prop_assert!(width_of(&shortened(&text, width)) <= width);
            prop_assert!(width_of(&shortened_path(&text, width)) <= width);
        }
    }
}
