//! Parses requests: routes, fields, bulk bodies. Pure; every invalid request is a [`Problem`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::accept::Accept;
use super::address::{echo, looks_like_address, network_address};
use super::culture::is_culture;
use super::event::Event;
use super::fields::{is_field, is_network_field};
use super::problem::Problem;
use super::web;

/// Maximum items of a bulk request.
pub const BULK_MAX: usize = 100;
// Otherwise the lines of the largest bulk requests would be rejected.
const _: () = assert!(BULK_MAX as u64 <= ipgeo_contract::COST_MAX);
/// Maximum bytes of a bulk body: ten times what a hundred of the longest addresses need.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// The byte order mark that some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Maximum characters of an AS number, `AS4294967295`.
const AS_CHARS_MAX: usize = 12;

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A metered request.
    Metered(Metered),
    /// The health check.
    Health,
    /// The `OpenAPI` description.
    Description,
    /// A CORS preflight request.
    Preflight,
}

/// A metered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Metered {
    /// The location of an address, or of the caller (`None`), or parts of it.
    Location {
        /// The text sent as an address.
        address: Option<String>,
        /// Which part.
        part: Part,
        /// Whether the sources of its fields are wanted; never of a single field.
        explain: bool,
    },
    /// A bulk request for addresses and network numbers.
    Bulk {
        /// The items as sent, in order.
        items: Vec<Item>,
        /// The requested fields of each item.
        part: Part,
        /// Whether the answer is wrapped in `{"responses":…}`.
        wrap: bool,
    },
    /// A network number.
    Asn {
        /// The number.
        number: u32,
        /// Which part.
        part: Part,
    },
}

/// An item of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A string, to be parsed as an address.
    Address(String),
    /// A network number.
    Asn(u32),
    /// Any other JSON value.
    Other(String),
}

/// The requested part of a location.
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
        /// The format of its value.
        form: Form,
    },
}

/// The format of a single field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As JSON.
    Json,
    /// As plain text.
    Plain,
    /// Strings as plain text, everything else as JSON.
    PlainTexts,
}

/// The path, decoded, without the stage's name.
pub(super) fn path(event: &Event) -> Cow<'_, str> {
    percent_decode_str(event.path()).decode_utf8_lossy()
}

/// Whether the request is for `/`.
pub(super) fn is_root(event: &Event) -> bool {
    path(event).trim_matches('/').is_empty()
}

/// Parses an event's request.
pub(super) fn route(event: &Event) -> Result<Route, Problem> {
    let path = path(event);
    let path = path.trim_matches('/');
    let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    match event.request_context.http.method.as_str() {
        "OPTIONS" => Ok(Route::Preflight),
        "GET" | "HEAD" => explained(event, get(event, &segments)?),
        "POST" if segments == ["bulk"] => explained(event, bulk(event)?),
        _ if segments == ["bulk"] => Err(Problem::method("POST, OPTIONS")),
        _ => Err(Problem::method("GET, HEAD, OPTIONS")),
    }
}

fn get(event: &Event, segments: &[&str]) -> Result<Route, Problem> {
    let part = || Ok(fields(event, is_field)?.map_or(Part::All, Part::Fields));
    let location = |address: Option<&str>, part| {
        let address = address.map(str::to_owned);
        Ok(Route::Metered(Metered::Location { address, part, explain: false }))
    };
    let field = |name: &str| Part::Field { name: name.to_owned(), form: form(event) };
    match *segments {
        [] => location(None, part()?),
        ["health"] => Ok(Route::Health),
        ["openapi.json"] => Ok(Route::Description),
        // These are not addresses even if the page is switched off.
        [one] if web::PATHS.contains(&one) => Err(Problem::no_route()),
        ["bulk"] => Err(Problem::method("POST, OPTIONS")),
        [one] if is_field(one) => location(None, field(one)),
        [one] => match as_number(one) {
            Some(number) => {
                let part = fields(event, is_network_field)?.map_or(Part::All, Part::Fields);
                Ok(Route::Metered(Metered::Asn { number, part }))
            }
            None if is_culture(one) => location(None, part()?),
            None => location(Some(one), part()?),
        },
        ["asn", address] => location(Some(address), field("asn")),
        [address, name] if is_field(name) => location(Some(address), field(name)),
        [address, culture] if is_culture(culture) => location(Some(address), part()?),
        [address, length, ..] if network_address(&format!("{address}/{length}")).is_some() => {
            location(Some(&format!("{address}/{length}")), Part::All)
        }
        [address, name] if looks_like_address(address) => Err(Problem::unknown_field(&echo(name))),
        _ => Err(Problem::no_route()),
    }
}

/// The route with the value of `explain`.
fn explained(event: &Event, mut route: Route) -> Result<Route, Problem> {
    let Route::Metered(metered) = &mut route else { return Ok(route) };
    match (query(event, "explain").as_deref(), metered) {
        (None | Some("" | "0"), _) => {}
        (Some("1"), Metered::Location { part: Part::All | Part::Fields(_), explain, .. }) => *explain = true,
        (Some("1"), _) => return Err(Problem::nothing_to_explain()),
        (Some(other), _) => return Err(Problem::unknown_explain(&echo(other))),
    }
    Ok(route)
}

/// Parses `AS15169`, in any case; `None` if the number does not fit 32 bits.
fn as_number(text: &str) -> Option<u32> {
    let prefix = text.get(..2)?;
    let digits = &text[2..];
    let shaped = prefix.eq_ignore_ascii_case("as")
        && text.len() <= AS_CHARS_MAX
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    shaped.then(|| digits.parse().ok()).flatten()
}

/// The caller's `User-Agent`.
pub(super) fn agent(event: &Event) -> &str {
    event.header("user-agent").unwrap_or(&event.request_context.http.user_agent)
}

fn accept(event: &Event) -> Accept {
    Accept::read(event.header("accept").unwrap_or_default())
}

fn form(event: &Event) -> Form {
    // ipdata's Java client requests JSON but returns a string as received, with its quotes.
    if agent(event).starts_with("io.ipdata.client.java") {
        Form::PlainTexts
    } else if accept(event).prefers_plain() {
        Form::Plain
    } else {
        Form::Json
    }
}

/// User agents of ipdata's PHP client, which sets none of its own and fails on any response that is not
/// `application/json`.
pub(super) const PHP_AGENTS: [&str; 3] = ["GuzzleHttp/", "Symfony HttpClient", "PHP/"];

/// Whether the caller only reads problems sent as `application/json`.
pub(super) fn reads_json_only(event: &Event) -> bool {
    PHP_AGENTS.iter().any(|program| agent(event).starts_with(program)) || accept(event).takes_json_only()
}

/// The value of a query parameter, by name; the first wins.
fn query(event: &Event, name: &str) -> Option<String> {
    queries(event, name).next()
}

/// The values of a query parameter, by name.
pub(super) fn queries(event: &Event, name: &str) -> impl Iterator<Item = String> {
    form_urlencoded::parse(event.raw_query_string.as_bytes())
        .filter(move |(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// The requested fields, of those that are `known`; empty (all) if the parameter is missing or empty.
fn fields(event: &Event, known: impl Fn(&str) -> bool) -> Result<Option<Vec<String>>, Problem> {
    let Some(list) = query(event, "fields") else { return Ok(None) };
    let names: Vec<String> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(Problem::unknown_field(&echo(unknown)));
    }
    Ok((!names.is_empty()).then_some(names))
}

fn bulk(event: &Event) -> Result<Route, Problem> {
    let coding = event.header("content-encoding").unwrap_or_default().trim();
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        return Err(Problem::unknown_coding(&echo(coding)));
    }
    let items = bulk_items(event)?;
    let networks = items.iter().any(|item| matches!(item, Item::Asn(_)));
    let known = |name: &str| is_field(name) || (networks && is_network_field(name));
    let part = fields(event, known)?.map_or(Part::All, Part::Fields);
    let wrap = agent(event).starts_with("ipdata-rust/") || query(event, "wrap").as_deref() == Some("1");
    Ok(Route::Metered(Metered::Bulk { items, part, wrap }))
}

fn bulk_items(event: &Event) -> Result<Vec<Item>, Problem> {
    let body = event.body.as_deref().unwrap_or_default();
    // Base64 is a third longer than its content.
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
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| Problem::bad_body())?;
    if items.len() > BULK_MAX {
        return Err(Problem::too_many(BULK_MAX));
    }
    Ok(items.into_iter().map(|item| bulk_item(item.get())).collect())
}

fn bulk_item(json: &str) -> Item {
    let Ok(text) = serde_json::from_str::<String>(json) else { return Item::Other(json.to_owned()) };
    as_number(text.trim()).map_or(Item::Address(text), Item::Asn)
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
        let address = address.map(str::to_owned);
        Ok(Route::Metered(Metered::Location { address, part, explain: false }))
    }

    fn field(name: &str) -> Part {
        Part::Field { name: name.into(), form: Form::Json }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside statuses in a table")]
    fn network(number: u32, part: Part) -> Result<Route, u16> {
        Ok(Route::Metered(Metered::Asn { number, part }))
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
            ("GET", "/8.8.8.8", "fields=city%2C+asn,", location(Some("8.8.8.8"), two.clone())),
            ("GET", "/8.8.8.8", "fields=", location(Some("8.8.8.8"), Part::All)),
            ("GET", "/8.8.8.8", "fields=city,planet", Err(400)),
            ("GET", "/8.8.8.8/city", "", location(Some("8.8.8.8"), field("city"))),
            ("GET", "/8.8.8.8/planet", "", Err(400)),
            ("GET", "/city", "", location(None, field("city"))),
            ("GET", "/bleh", "", location(Some("bleh"), Part::All)),
            ("GET", "/%ff%fe", "", location(Some("\u{fffd}\u{fffd}"), Part::All)),
            ("GET", &long, "", location(Some(&long[1..]), Part::All)),
            ("GET", "/8.8.8.8/region_type", "", location(Some("8.8.8.8"), field("region_type"))),
            ("GET", "/8.8.8.8/fr-FR", "fields=city,asn", location(Some("8.8.8.8"), two.clone())),
            ("GET", "/8.8.8.8/fr", "", location(Some("8.8.8.8"), Part::All)),
            ("GET", "/8.8.8.8/xx", "", Err(400)),
            ("GET", "/zh-Hans-CN", "", location(None, Part::All)),
            ("GET", "/asn/8.8.8.8", "", location(Some("8.8.8.8"), field("asn"))),
            ("GET", "/asn/city", "", location(Some("city"), field("asn"))),
            ("GET", "/8.8.8.0/24", "", location(Some("8.8.8.0/24"), Part::All)),
            ("GET", "/8.8.8.0%2F24/city", "", location(Some("8.8.8.0/24"), Part::All)),
            ("GET", "/2001:db8::/32", "", location(Some("2001:db8::/32"), Part::All)),
            ("GET", "/8.8.8.0/33", "", Err(400)),
            ("GET", "/AS15169", "", network(15_169, Part::All)),
            ("GET", "/as15169", "fields=", network(15_169, Part::All)),
            (
                "GET",
                "/AS15169",
                "fields=name,asn",
                network(15_169, Part::Fields(vec!["name".into(), "asn".into()])),
            ),
            ("GET", "/AS15169", "fields=city", Err(400)),
            ("GET", "/AS4294967296", "", location(Some("AS4294967296"), Part::All)),
            ("GET", "/AS", "", location(Some("AS"), Part::All)),
            ("GET", "/äS1", "", location(Some("äS1"), Part::All)),
            ("GET", "/health", "", Ok(Route::Health)),
            ("GET", "/openapi.json", "", Ok(Route::Description)),
            ("GET", "/docs", "", Err(404)),
            ("GET", "/robots.txt", "", Err(404)),
            ("GET", "/favicon.ico", "", Err(404)),
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
            (r#"[1, null, {"a": [2]}, true, "8.8.8.8", 1e999, "\ud800"]"#.to_owned(), false, Ok(7)),
            ("\u{feff}[\"8.8.8.8\"]".to_owned(), false, Ok(1)),
            (STANDARD.encode("\u{feff}[\"8.8.8.8\"]"), true, Ok(1)),
            ("\u{feff}\u{feff}[]".to_owned(), false, Err(400)),
            ("null".to_owned(), false, Err(400)),
            ("[\"8.8.8.8\",]".to_owned(), false, Err(400)),
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
                Route::Metered(Metered::Bulk { items, wrap: false, .. }) => items.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(found, expected, "{}", &body[..body.len().min(80)]);
        }
    }

    #[test]
    fn bulk_wrapping_and_plain_text_follow_the_client() {
        let mut asked = event("POST", "/bulk", "wrap=1");
        asked.body = Some("[]".into());
        let mut rust = event("POST", "/bulk", "");
        rust.body = Some("[]".into());
        rust.headers.insert("user-agent".into(), "ipdata-rust/0.2".into());
        for event in [asked, rust] {
            assert!(matches!(route(&event), Ok(Route::Metered(Metered::Bulk { wrap: true, .. }))));
        }
        for (accept, agent, expected) in [
            ("text/plain", "", Form::Plain),
            ("*/*", "curl/8", Form::Json),
            ("application/json", "io.ipdata.client.java.0.2.0", Form::PlainTexts),
        ] {
            let mut event = event("GET", "/city", "");
            event.headers.insert("accept".into(), accept.into());
            event.request_context.http.user_agent = agent.into();
            let part = Part::Field { name: "city".into(), form: expected };
            assert_eq!(route(&event).map_err(|p| p.status), location(None, part));
        }
    }

    #[test]
    fn bulk_items_are_classified() {
        let table = [
            (r#""8.8.8.8""#, Item::Address("8.8.8.8".into())),
            (r#""AS15169""#, Item::Asn(15_169)),
            (r#"" as15169 ""#, Item::Asn(15_169)),
            (r#""AS4294967296""#, Item::Address("AS4294967296".into())),
            ("15169", Item::Other("15169".into())),
            ("null", Item::Other("null".into())),
            (r#"["8.8.8.8"]"#, Item::Other(r#"["8.8.8.8"]"#.into())),
        ];
        for (json, expected) in table {
            assert_eq!(bulk_item(json), expected, "{json}");
        }
    }

    #[test]
    fn fields_of_networks_are_allowed_in_bulk_requests_for_networks() {
        for (body, fields, expected) in [
            (r#"["8.8.8.8"]"#, "city,name", Some(400)),
            (r#"["8.8.8.8","AS1"]"#, "city,name", None),
            (r#"["AS1"]"#, "planet", Some(400)),
        ] {
            let mut event = event("POST", "/bulk", &format!("fields={fields}"));
            event.body = Some(body.into());
            assert_eq!(route(&event).err().map(|problem| problem.status), expected, "{body} {fields}");
        }
    }

    #[test]
    fn an_unsupported_content_coding_gets_415() {
        for (coding, expected) in
            [("", None), ("identity", None), ("Identity", None), ("gzip", Some(415)), ("br, gzip", Some(415))]
        {
            let mut event = event("POST", "/bulk", "");
            event.body = Some("[]".into());
            event.headers.insert("content-encoding".into(), coding.into());
            assert_eq!(route(&event).err().map(|problem| problem.status), expected, "{coding}");
        }
    }

    #[test]
    fn problems_are_plain_json_for_clients_that_read_nothing_else() {
        let table = [
            ("", "", false),
            ("curl/8.9", "*/*", false),
            ("okhttp", "application/json", true),
            ("axios/1", "application/json, text/plain, */*", false),
            ("GuzzleHttp/7", "", true),
            ("Symfony HttpClient/Curl", "*/*", true),
            ("PHP/8.3", "*/*", true),
        ];
        for (agent, accept, expected) in table {
            let mut event = event("GET", "/bleh", "");
            event.headers.insert("user-agent".into(), agent.into());
            event.headers.insert("accept".into(), accept.into());
            assert_eq!(reads_json_only(&event), expected, "{agent} {accept}");
        }
    }
}
