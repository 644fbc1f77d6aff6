use proptest::prelude::*;

use super::super::grouped;
use super::*;

fn at(width: usize) -> Screen {
    Screen { width: Some(width), colour: false }
}

fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
}

#[test]
fn numbers_are_right_aligned_and_texts_left() {
    let columns = [Column::text("owner"), Column::number("used")];
    let rows =
        [("acme", 1_234_567), ("b\u{1b}[31m", 7)].map(|(owner, used)| vec![owner.to_owned(), grouped(used)]);
    assert_eq!(
        render(&columns, &rows, Screen::default()),
        "owner        used\nacme    1,234,567\nb\u{fffd}[31m          7"
    );
}

#[test]
fn columns_are_aligned_by_what_a_terminal_shows() {
    let columns = [Column::free_text("owner"), Column::number("used"), Column::text("tier")];
    let table = rows(&[["日本語", "7", "a"], ["e\u{301}te\u{301}", "1,000", "b"], ["🦀", "12", ""]]);
    let text = render(&columns, &table, Screen::default());
    assert_eq!(text, "owner    used  tier\n日本語      7  a\ne\u{301}te\u{301}     1,000  b\n🦀         12");
}

#[test]
fn texts_are_shortened_before_columns_are_hidden() {
    let columns = [
        Column::text("API key"),
        Column::free_text("owner"),
        Column::text("tier").rank(2),
        Column::number("used"),
        Column::text("expires").rank(1),
    ];
    let table = rows(&[["ipg_…x3Kq", "Vereinigte Stadtwerke", "startup", "1,234", "2027-01-01"]]);
    let table = |width| render(&columns, &table, at(width));
    assert_eq!(
        table(80),
        "API key    owner                  tier      used  expires\nipg_…x3Kq  Vereinigte Stadtwerke  startup  1,234  2027-01-01"
    );
    assert_eq!(
        table(52),
        "API key    owner          tier      used  expires\nipg_…x3Kq  Vereinigte S…  startup  1,234  2027-01-01"
    );
    assert_eq!(
        table(47),
        "API key    owner               used  expires\nipg_…x3Kq  Vereinigte Stadt…  1,234  2027-01-01\n(hidden: tier; widen the terminal or use -o\njson)"
    );
    assert_eq!(
        table(8),
        "API key\nipg_…x3…\n(hidden:\nowner,\ntier,\nused,\nexpires;\nwiden\nthe\nterminal\nor use\n-o json)"
    );
}

#[test]
fn extra_columns_are_shown_where_there_is_room_and_otherwise_named() {
    let columns = [Column::free_text("owner"), Column::text("created").extra(), Column::number("used")];
    let table = rows(&[["a long name", "2026-11-01", "7"]]);
    let table = |screen| render(&columns, &table, screen);
    let all = "owner        created     used\na long name  2026-11-01     7";
    assert_eq!(table(at(29)), all);
    assert_eq!(
        table(at(28)),
        "owner        used\na long name     7\n(hidden: created; widen the\nterminal or use -o json)"
    );
    assert_eq!(table(Screen::default()), all);
    let none = rows(&[["a long name", "", "7"]]);
    for screen in [at(25), Screen::default()] {
        assert_eq!(render(&columns, &none, screen), "owner        used\na long name     7");
    }
}

#[test]
fn a_kept_column_is_hidden_last() {
    let columns = [Column::text("API key"), Column::text("status"), Column::text("created").extra().kept()];
    let table = rows(&[["ipg_…x3Kq", "active", "2026-11-01"]]);
    let first_line = |width| render(&columns, &table, at(width)).lines().next().map(str::to_owned);
    assert_eq!(first_line(29).as_deref(), Some("API key    status  created"));
    assert_eq!(first_line(28).as_deref(), Some("API key    created"));
    assert_eq!(first_line(20).as_deref(), Some("API key"));
}

#[test]
fn empty_columns_are_hidden_first_and_not_missed() {
    let columns = [Column::text("region"), Column::text("note"), Column::text("city").rank(3)];
    let table = rows(&[["eu-west-1", "", "Dublin"]]);
    assert_eq!(render(&columns, &table, at(17)), "region     city\neu-west-1  Dublin");
}

#[test]
fn states_are_painted_and_their_words_stay() {
    let columns = [Column::text("region"), Column::state("state"), Column::number("p50")];
    let table = rows(&[["a", "up", "1"], ["b", "down", "2"], ["c", "-", "3"]]);
    let plain = render(&columns, &table, Screen::default());
    let painted = render(&columns, &table, Screen { colour: true, ..Screen::default() });
    assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    for part in
        ["\u{1b}[1mregion\u{1b}[0m", "\u{1b}[32mup\u{1b}[0m     ", "\u{1b}[31mdown\u{1b}[0m", "c       -"]
    {
        assert!(painted.contains(part), "{painted:?}");
    }
}

fn column() -> impl Strategy<Value = Column> {
    let kinds = [
        Column::text("city"),
        Column::free_text("owner"),
        Column::path("file"),
        Column::number("使用"),
        Column::state("state"),
    ];
    (prop::sample::select(kinds.to_vec()), 0_u8..4, prop::bool::weighted(0.2))
        .prop_map(|(column, rank, is_extra)| if is_extra { column.extra() } else { column.rank(rank) })
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        columns in prop::collection::vec(column(), 1..12),
        cells in prop::collection::vec("\\PC{0,30}|[a-z]{2}-[a-z]{4,9}-[1-9]|[0-9,]{1,15}|[👩‍👧日e\u{301}\u{fe0f}☺🇩🇪\n]{0,12}", 0..60),
        width in 40_usize..220,
    ) {
        let rows: Vec<Vec<String>> = cells.chunks(columns.len()).map(<[String]>::to_vec).collect();
        let text = render(&columns, &rows, at(width));
        for line in text.lines() {
            prop_assert!(width_of(line) <= width, "{} in {width}: {line:?}", width_of(line));
        }
        // A header and the rows, one line each, and the note.
        let note = text.split('\n').skip(1 + rows.len()).collect::<Vec<_>>().join(" ");
        prop_assert!(text.split('\n').count() > rows.len() && (note.is_empty() || note.starts_with("(hidden: ")), "{text}");
    }
}
