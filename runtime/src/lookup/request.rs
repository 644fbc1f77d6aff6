//! What a request asks for: routes, fields, bulk bodies. Pure; every refusal is a [`Problem`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::address::{echo, looks_like_address};
use super::event::Event;
use super::fields::is_field;
use super::problem::Problem;

/// Addresses in one bulk request.
pub(super) const BULK_MAX: usize = 100;
// Else the lines of the largest bulk requests would not be believed.
const _: () = assert!(BULK_MAX as u64 <= ipgeo_contract::COST_MAX);
/// Bytes of a bulk body: a hundred of the longest addresses fit in a tenth of it.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Characters of the longest AS number, `AS4294967295`.
const AS_CHARS_MAX: usize = 12;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Something that is counted.
    Metered(Metered),
    /// Whether this edge is well.
    Health,
    /// The document that describes the API.
    Description,
    /// May a page of another origin ask?
    Preflight,
}

/// What is asked for and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Metered {
    /// The location of an address, or of the caller (`None`), whole or in part.
    Location {
        /// The text that is meant as an address.
        address: Option<String>,
        /// Which part.
        part: Part,
    },
    /// Locations of many addresses.
    Bulk {
        /// The texts that are meant as addresses, in order.
        addresses: Vec<String>,
        /// The fields of each.
        part: Part,
        /// Whether the answer is wrapped in `{"responses":…}`.
        wrap: bool,
    },
    /// What is known of a network number.
    Asn(u32),
}

/// Which part of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    All,
    /// Some of its fields, as an object.
    Fields(Vec<String>),
    /// One field's value.
    Field {
        /// Its name.
        name: String,
        /// Whether the value is wanted as plain text.
        plain: bool,
    },
}

/// Reads what an event asks for.
pub(super) fn route(event: &Event) -> Result<Route, Problem> {
    let path = percent_decode_str(event.path()).decode_utf8_lossy();
    let path = path.trim_matches('/');
    let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    match event.request_context.http.method.as_str() {
        "OPTIONS" => Ok(Route::Preflight),
        "GET" | "HEAD" => get(event, &segments),
        "POST" if segments == ["bulk"] => bulk(event),
        _ if segments == ["bulk"] => Err(Problem::method("POST, OPTIONS")),
        _ => Err(Problem::method("GET, HEAD, OPTIONS")),
    }
}

fn get(event: &Event, segments: &[&str]) -> Result<Route, Problem> {
    let part = |event| Ok(fields(event)?.map_or(Part::All, Part::Fields));
    let location = |address: Option<&str>, part| {
        Ok(Route::Metered(Metered::Location { address: address.map(str::to_owned), part }))
    };
    let field = |name: &str| Part::Field { name: name.to_owned(), plain: wants_plain(event) };
    match *segments {
        [] => location(None, part(event)?),
        ["health"] => Ok(Route::Health),
        ["openapi.json"] => Ok(Route::Description),
        ["bulk"] => Err(Problem::method("POST, OPTIONS")),
        [one] if is_field(one) => location(None, field(one)),
        [one] => match as_number(one) {
            Some(number) => Ok(Route::Metered(Metered::Asn(number))),
            None => location(Some(one), part(event)?),
        },
        [address, name] if is_field(name) => location(Some(address), field(name)),
        [address, name] if looks_like_address(address) => Err(Problem::unknown_field(&echo(name))),
        _ => Err(Problem::no_route()),
    }
}

/// `AS15169` in any case; a number that does not fit is no AS number.
fn as_number(text: &str) -> Option<u32> {
    let prefix = text.get(..2)?;
    let digits = &text[2..];
    let shaped = prefix.eq_ignore_ascii_case("as")
        && text.len() <= AS_CHARS_MAX
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    shaped.then(|| digits.parse().ok()).flatten()
}

fn wants_plain(event: &Event) -> bool {
    let accept = event.header("accept").unwrap_or_default();
    let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.next() == Some("text/plain")
}

/// The value of a query parameter, by name; the first wins.
pub(super) fn query(event: &Event, name: &str) -> Option<String> {
    form_urlencoded::parse(event.raw_query_string.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// The fields asked for; none when the parameter is missing or empty, which means all.
fn fields(event: &Event) -> Result<Option<Vec<String>>, Problem> {
    let Some(list) = query(event, "fields") else { return Ok(None) };
    let names: Vec<String> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !is_field(name)) {
        return Err(Problem::unknown_field(&echo(unknown)));
    }
    Ok((!names.is_empty()).then_some(names))
}

fn bulk(event: &Event) -> Result<Route, Problem> {
    let part = fields(event)?.map_or(Part::All, Part::Fields);
    let body = event.body.as_deref().unwrap_or_default();
    // Base64 is a third longer than what it carries.
    if body.len() > BODY_BYTES_MAX * 4 / 3 + 4 {
        return Err(Problem::body_too_large(BODY_BYTES_MAX));
    }
    let decoded;
    let body = if event.is_base64_encoded {
        decoded = STANDARD.decode(body).map_err(|_| Problem::bad_body())?;
        decoded.as_slice()
    } else {
        body.as_bytes()
    };
    if body.len() > BODY_BYTES_MAX {
        return Err(Problem::body_too_large(BODY_BYTES_MAX));
    }
    let addresses: Vec<String> = serde_json::from_slice(body).map_err(|_| Problem::bad_body())?;
    if addresses.len() > BULK_MAX {
        return Err(Problem::too_many(BULK_MAX));
    }
    let agent = event.header("user-agent").unwrap_or(&event.request_context.http.user_agent);
    let wrap = agent.starts_with("ipdata-rust/") || query(event, "wrap").as_deref() == Some("1");
    Ok(Route::Metered(Metered::Bulk { addresses, part, wrap }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(method: &str, path: &str, query: &str) -> Event {
        let mut event = Event { raw_path: path.into(), raw_query_string: query.into(), ..Event::default() };
        event.request_context.http.method = method.into();
        event
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside statuses in a table")]
    fn location(address: Option<&str>, part: Part) -> Result<Route, u16> {
        Ok(Route::Metered(Metered::Location { address: address.map(str::to_owned), part }))
    }

    fn field(name: &str) -> Part {
        Part::Field { name: name.into(), plain: false }
    }

    #[test]
    fn paths_lead_to_routes() {
        let long = format!("/{}", "9".repeat(20_000));
        let two = Part::Fields(vec!["city".into(), "asn".into()]);
        let table = [
            ("GET", "/", "", location(None, Part::All)),
            ("GET", "", "", location(None, Part::All)),
            ("GET", "/8.8.8.8", "", location(Some("8.8.8.8"), Part::All)),
            ("GET", "//8.8.8.8/", "", location(Some("8.8.8.8"), Part::All)),
            ("HEAD", "/8.8.8.8", "", location(Some("8.8.8.8"), Part::All)),
            ("GET", "/2001%3A4860%3A%3A1", "", location(Some("2001:4860::1"), Part::All)),
            ("GET", "/8.8.8.8", "fields=city,asn", location(Some("8.8.8.8"), two.clone())),
            ("GET", "/8.8.8.8", "fields=city%2C+asn,", location(Some("8.8.8.8"), two)),
            ("GET", "/8.8.8.8", "fields=", location(Some("8.8.8.8"), Part::All)),
            ("GET", "/8.8.8.8", "fields=city,planet", Err(400)),
            ("GET", "/8.8.8.8/city", "", location(Some("8.8.8.8"), field("city"))),
            ("GET", "/8.8.8.8/planet", "", Err(400)),
            ("GET", "/city", "", location(None, field("city"))),
            ("GET", "/bleh", "", location(Some("bleh"), Part::All)),
            ("GET", "/%ff%fe", "", location(Some("\u{fffd}\u{fffd}"), Part::All)),
            ("GET", &long, "", location(Some(&long[1..]), Part::All)),
            ("GET", "/AS15169", "", Ok(Route::Metered(Metered::Asn(15_169)))),
            ("GET", "/as15169", "", Ok(Route::Metered(Metered::Asn(15_169)))),
            ("GET", "/AS4294967296", "", location(Some("AS4294967296"), Part::All)),
            ("GET", "/AS", "", location(Some("AS"), Part::All)),
            ("GET", "/äS1", "", location(Some("äS1"), Part::All)),
            ("GET", "/health", "", Ok(Route::Health)),
            ("GET", "/openapi.json", "", Ok(Route::Description)),
            ("OPTIONS", "/anything/at/all", "", Ok(Route::Preflight)),
            ("GET", "/bulk", "", Err(405)),
            ("PUT", "/bulk", "", Err(405)),
            ("DELETE", "/8.8.8.8", "", Err(405)),
            ("", "/8.8.8.8", "", Err(405)),
            ("GET", "/a/b", "", Err(404)),
            ("GET", "/8.8.8.8/asn/name", "", Err(404)),
        ];
        for (method, path, query, expected) in table {
            let found = route(&event(method, path, query)).map_err(|problem| problem.status);
            assert_eq!(found, expected, "{method} {path}?{query}");
        }
    }

    #[test]
    fn bulk_bodies() {
        let many = |count: usize| serde_json::to_string(&vec!["8.8.8.8"; count]).expect("json");
        let table = [
            (r#"["8.8.8.8","bleh"]"#.to_owned(), false, Ok(2)),
            ("[]".to_owned(), false, Ok(0)),
            (STANDARD.encode(r#"["8.8.8.8"]"#), true, Ok(1)),
            (many(100), false, Ok(100)),
            (many(101), false, Err(400)),
            (String::new(), false, Err(400)),
            ("{}".to_owned(), false, Err(400)),
            ("[1]".to_owned(), false, Err(400)),
            ("[[[".to_owned(), false, Err(400)),
            ("***".to_owned(), true, Err(400)),
            ("x".repeat(BODY_BYTES_MAX + 1), false, Err(413)),
            (STANDARD.encode(vec![b'x'; BODY_BYTES_MAX + 1]), true, Err(413)),
        ];
        for (body, base64, expected) in table {
            let mut event = event("POST", "/bulk", "");
            event.body = Some(body.clone());
            event.is_base64_encoded = base64;
            let found = route(&event).map_err(|problem| problem.status).map(|route| match route {
                Route::Metered(Metered::Bulk { addresses, wrap: false, .. }) => addresses.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(found, expected, "{}", &body[..body.len().min(80)]);
        }
    }

    #[test]
    fn who_gets_a_wrapped_bulk_and_who_plain_text() {
        let mut asked = event("POST", "/bulk", "wrap=1");
        asked.body = Some("[]".into());
        let mut rust = event("POST", "/bulk", "");
        rust.body = Some("[]".into());
        rust.headers.insert("user-agent".into(), "ipdata-rust/0.2".into());
        for event in [asked, rust] {
            assert!(matches!(route(&event), Ok(Route::Metered(Metered::Bulk { wrap: true, .. }))));
        }
        for (accept, expected) in [
            ("text/plain", true),
            ("text/plain;q=0.9", true),
            ("*/*", false),
            ("application/json, text/plain", false),
        ] {
            let mut event = event("GET", "/city", "");
            event.headers.insert("accept".into(), accept.into());
            let part = Part::Field { name: "city".into(), plain: expected };
            assert_eq!(route(&event).map_err(|p| p.status), location(None, part));
        }
    }
}
