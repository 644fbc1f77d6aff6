//! Recognises files that are not what their source says: error pages, archives, texts in other encodings.

/// How such files begin, what they are, and what to do about it.
const OTHER_KINDS: [(&[u8], &str); 9] = [
    (b"<", "it is HTML or XML, not data"),
    (b"\x1f\x8b", "it is compressed with gzip; unpack it first"),
    (b"PK\x03\x04", "it is a zip archive; unpack it first"),
    (b"BZh", "it is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\0", "it is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"),
    (b"\xff\xfe", "it is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16; save it as UTF-8"),
    (b"%PDF", "it is a PDF, not data"),
];

/// Why a file is not data, if its first bytes show that. A database may begin with any bytes, so check it only if it is
/// invalid.
pub fn other_kind(bytes: &[u8]) -> Option<String> {
    let start = without_mark(bytes).trim_ascii_start();
    OTHER_KINDS.iter().find(|(first, _)| start.starts_with(first)).map(|(_, kind)| (*kind).to_owned())
}

/// The text without the byte order mark of UTF-8.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The text of a file without its byte order mark, unless it is of another kind.
pub(super) fn text(bytes: &[u8]) -> Result<&[u8], String> {
    if let Some(kind) = other_kind(bytes) {
        return Err(kind);
    }
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => Err(format!("line {}: it is not text: it has a NUL byte", line_at(bytes, at))),
        None => Ok(without_mark(bytes)),
    }
}

/// Refuses text with names that are not UTF-8: they would be served with `\u{fffd}` in place of letters.
pub(super) fn refuse_other_encoding(bytes: &[u8]) -> Result<(), String> {
    let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
    let line = line_at(bytes, error.valid_up_to());
    Err(format!(
        "line {line}: it is not UTF-8; convert the file, for example with `iconv -f LATIN1 -t UTF-8`"
    ))
}

/// The number of the line with a byte, from 1.
fn line_at(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|byte| *byte == b'\n').count()
}
