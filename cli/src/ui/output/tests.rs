use super::*;

/// Records each write.
#[derive(Default)]
struct Writes(Vec<String>);

impl io::Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_text_and_its_line_feed_are_one_write() {
    let mut out = Writes::default();
    print_line(&mut out, "a\nb").expect("written");
    // As on standard output, which is buffered by lines.
    let mut buffered = io::LineWriter::new(&mut out);
    print_line(&mut buffered, &"long ".repeat(2_000)).expect("written");
    drop(buffered);
    let lengths: Vec<usize> = out.0.iter().map(String::len).collect();
    assert_eq!((out.0[0].as_str(), lengths), ("a\nb\n", vec![4, 10_001]));
}

#[test]
fn facts_are_wrapped_beside_their_names() {
    let facts = [
        ("owner", "acme\nGmbH".to_owned()),
        ("networks", "192.0.2.0/24 198.51.100.0/24".to_owned()),
        ("rate", String::new()),
    ];
    assert_eq!(format_facts(&facts), "owner     acme GmbH\nnetworks  192.0.2.0/24 198.51.100.0/24\nrate");
}
