//! The `Accept` header (RFC 9110 12.4.2 and 12.5.1): which of two formats a caller prefers.
//!
//! Written here because the crates that parse this header depend on a web framework's types.

/// Whether `Accept-Encoding` allows gzip (RFC 9110 12.5.3). Without the header it does not.
pub(super) fn accepts_gzip(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    let weight = |coding: &str| {
        let mut found = header.split(',').filter_map(|part| {
            let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1_000), thousandths);
            (name.trim() == coding).then_some(weight?)
        });
        found.next()
    };
    weight("gzip").or_else(|| weight("x-gzip")).or_else(|| weight("*")).is_some_and(|weight| weight > 0)
}

/// A media range in lower case, with its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    kind: String,
    subtype: String,
    /// Parameters before the weight, such as `charset=utf-8`.
    parameters: Vec<String>,
    /// The weight in thousandths.
    weight: u16,
}

/// Parses a header. Malformed ranges are skipped; a header without any valid one accepts everything.
#[derive(Debug)]
pub(super) struct Accept(Vec<Range>);

impl Accept {
    pub(super) fn read(header: &str) -> Self {
        Self(split_outside_quotes(header, ',').filter_map(Range::read).collect())
    }

    /// Whether the caller prefers plain text to JSON; JSON wins a tie.
    pub(super) fn prefers_plain(&self) -> bool {
        self.weight("text", "plain") > self.weight("application", "json")
    }

    /// Whether the caller prefers HTML to JSON; JSON wins a tie.
    pub(super) fn prefers_html(&self) -> bool {
        self.weight("text", "html") > self.weight("application", "json")
    }

    /// Whether `application/json` is named, and neither `application/problem+json` nor `*/*`.
    pub(super) fn takes_json_only(&self) -> bool {
        let named = |kind: &str, subtype: &str| {
            self.0.iter().any(|range| range.kind == kind && range.subtype == subtype && range.weight > 0)
        };
        named("application", "json") && !named("application", "problem+json") && !named("*", "*")
    }

    /// The weight of one of our formats in thousandths, from the most specific matching range.
    fn weight(&self, kind: &str, subtype: &str) -> u16 {
        if self.0.is_empty() {
            return 1_000;
        }
        let matching =
            self.0.iter().filter_map(|range| Some((range.precision(kind, subtype)?, range.weight)));
        // Of equally specific ranges, the highest weight.
        matching.max().map_or(0, |(_, weight)| weight)
    }
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let mut parts = split_outside_quotes(text, ';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next()?;
        let (kind, subtype) = name.split_once('/')?;
        let is_token = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace());
        if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut range = Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            parameters: Vec::new(),
            weight: 1_000,
        };
        for part in parts.filter(|part| !part.is_empty()) {
            match part.strip_prefix("q=") {
                // Parameters after the weight do not select the format.
                Some(weight) => {
                    range.weight = thousandths(weight)?;
                    break;
                }
                None => range.parameters.push(part.replace('"', "")),
            }
        }
        Some(range)
    }

    /// Specificity of the range for one of our formats: 0 for `*/*`; `None` if it does not match. Our text is UTF-8 and has no
    /// other parameters.
    fn precision(&self, kind: &str, subtype: &str) -> Option<u8> {
        let parameters = self.parameters.iter().all(|parameter| parameter == "charset=utf-8");
        match (self.kind.as_str(), self.subtype.as_str()) {
            _ if !parameters => None,
            ("*", "*") => Some(0),
            (found, "*") if found == kind => Some(1),
            (found, sub) if found == kind && sub == subtype => {
                Some(2 + u8::from(!self.parameters.is_empty()))
            }
            _ => None,
        }
    }
}

/// Parses an RFC 9110 weight: 0 to 1 with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1_000),
        _ => None,
    }
}

/// Splits at separators outside quoted strings.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let was_escaped = escaped;
        escaped = quoted && !was_escaped && c == '\\';
        if c == '"' && !was_escaped {
            quoted = !quoted;
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_sent_to_callers_that_prefer_it() {
        let table = [
            ("", false),
            ("*/*", false),
            ("text/plain", true),
            ("TEXT/Plain", true),
            ("text/*", true),
            ("text/plain;q=0.9", true),
            ("text/plain; q=0.001", true),
            ("text/plain;q=0", false),
            ("text/plain;charset=utf-8", true),
            ("text/plain; charset=\"UTF-8\"", true),
            ("text/plain;charset=latin1", false),
            ("text/plain, application/json", false),
            ("application/json, text/plain", false),
            ("application/json;q=0.5, text/plain", true),
            ("application/json;q=0.5, text/plain;q=0.4", false),
            ("text/plain;q=0.5, */*;q=0.1", true),
            ("text/plain, */*;q=0.8", true),
            ("text/plain, */*", false),
            ("text/plain;q=0.3, */*;q=0.7", false),
            ("application/*, text/plain;q=0.5", false),
            ("application/json;q=0, */*", true),
            ("application/json;q=0", false),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", false),
            ("text/html", false),
            ("image/png", false),
            ("*/plain", false),
            ("text/plain;q=2", false),
            ("text/plain;q=high, application/json;q=0.1", false),
            ("text/plain;q=0.1234", false),
            ("text/plain;note=\"a,b;q=0\", application/json;q=0.1", false),
            ("application/json;note=\"text/plain, \\\"x\", text/plain;q=0.2", true),
            (" , ,text/plain,,", true),
            ("plain", false),
            ("text/ plain", false),
            ("text/plain;q=0.5;level=1, application/json;q=0.4", true),
            ("text/plain;q=1.000, application/json;q=0.999", true),
            ("text/plain;Q=0.1, application/json;Q=0.2", false),
            ("text/plain;q=1.5, application/json;q=0.1", false),
            // The more specific range counts.
            ("text/plain;charset=utf-8;q=0.2, text/plain;q=0.9, application/json;q=0.5", false),
        ];
        for (header, expected) in table {
            assert_eq!(Accept::read(header).prefers_plain(), expected, "{header}");
        }
    }

    #[test]
    fn gzip_is_sent_to_callers_that_accept_it() {
        let table = [
            ("", false),
            ("gzip", true),
            ("GZIP", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("x-gzip", true),
            ("identity", false),
            ("br", false),
            ("gzip;q=high", false),
            (",, ;", false),
        ];
        for (header, expected) in table {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }

    #[test]
    fn accept_headers_that_allow_only_plain_json() {
        let table = [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json, text/plain;q=0.5", true),
            ("application/json, text/plain, */*", false),
            ("application/json, */*;q=0", true),
            ("application/json, application/problem+json", false),
            ("application/json, application/problem+json;q=0", true),
            ("application/problem+json", false),
            ("application/json;q=0", false),
            ("text/plain", false),
            ("application/*", false),
        ];
        for (header, expected) in table {
            assert_eq!(Accept::read(header).takes_json_only(), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(header: String, list in "([a-z*]{1,4}/[a-z*]{1,5}(;q=[0-9.]{0,5})?,?){0,5}") {
            let _ = (Accept::read(&header).prefers_plain(), Accept::read(&list).takes_json_only());
            let _ = (accepts_gzip(&header), Accept::read(&list).prefers_html());
        }
    }
}
