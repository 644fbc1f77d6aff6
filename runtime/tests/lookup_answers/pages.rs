//! What browsers get: the page, its documentation, and what browsers and crawlers ask for by themselves.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use ipgeo_runtime::lookup::{Answer, FIELDS};

use super::edge::{Edge, event};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const FILES: [(&str, &str); 5] = [
    ("/", "text/html; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8"),
    ("/openapi.json", "application/json"),
    ("/robots.txt", "text/plain; charset=utf-8"),
    ("/favicon.ico", "image/x-icon"),
];
/// The most bytes of a page that are sent to a browser.
const PAGE_BYTES_MAX: usize = 15_000;

fn browse(edge: &Edge, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    edge.send(&event(method, path, &[&[("accept", BROWSER)], headers].concat()))
}

fn bytes(answer: &Answer) -> Vec<u8> {
    if answer.is_base64_encoded {
        STANDARD.decode(&answer.body).expect("base64")
    } else {
        answer.body.clone().into_bytes()
    }
}

#[test]
fn pages_are_the_same_for_everybody_stored_and_not_counted() {
    let edge = Edge::new();
    for (path, kind) in FILES {
        let plain = browse(&edge, "GET", path, &[]);
        assert_eq!((plain.status_code, plain.headers["content-type"].as_str()), (200, kind), "{path}");
        assert_eq!(plain.headers["cache-control"], "public, max-age=3600", "{path}");
        let varies = if path == "/" { "Accept, Accept-Encoding" } else { "Accept-Encoding" };
        assert_eq!(plain.headers["vary"], varies, "{path}");
        assert_eq!(plain.headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!plain.headers.contains_key("ratelimit") && !plain.headers.contains_key("content-encoding"));

        let packed = browse(&edge, "GET", path, &[("accept-encoding", "gzip, br")]);
        assert_eq!((packed.headers["content-encoding"].as_str(), packed.is_base64_encoded), ("gzip", true));
        let mut unpacked = Vec::new();
        GzDecoder::new(bytes(&packed).as_slice()).read_to_end(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, bytes(&plain), "{path}");
        assert!(bytes(&packed).len() <= PAGE_BYTES_MAX, "{path}: {} bytes", bytes(&packed).len());

        assert_eq!(browse(&edge, "HEAD", path, &[]), plain, "{path}");
        let tag = plain.headers["etag"].as_str();
        for (known, expected) in [
            (tag, 304),
            (tag.trim_start_matches("W/"), 304),
            (&format!("\"other\", {tag}"), 304),
            ("*", 304),
            ("\"other\"", 200),
            ("", 200),
        ] {
            let answer = browse(&edge, "GET", path, &[("if-none-match", known)]);
            assert_eq!(answer.status_code, expected, "{path} {known}");
            if expected == 304 {
                assert_eq!((answer.body.as_str(), answer.headers.get("content-type")), ("", None));
                for name in ["etag", "cache-control", "vary"] {
                    assert_eq!(answer.headers[name], plain.headers[name], "{path} {name}");
                }
            }
        }
    }
    assert_eq!((edge.lines(), edge.reads()), (0, 0), "a page is counted");
}

#[test]
fn programs_get_json_at_the_pages_path_and_are_counted() {
    let edge = Edge::new();
    let answer = edge.get("/", &[("accept", "*/*")]);
    assert_eq!((answer.status_code, answer.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!(
        (answer.headers["vary"].as_str(), answer.headers["cache-control"].as_str()),
        ("Accept", "no-store")
    );
    assert_eq!(edge.lines(), 1);
}

#[test]
fn without_the_page_everybody_gets_json_and_nothing_more_is_counted() {
    let edge = Edge::with(|settings| settings.web_page = false);
    let root = browse(&edge, "GET", "/", &[]);
    assert_eq!((root.status_code, root.headers["content-type"].as_str()), (200, "application/json"));
    assert!(!root.headers.contains_key("vary"));
    assert_eq!(edge.lines(), 1);
    for path in ["/docs", "/robots.txt", "/favicon.ico"] {
        assert_eq!(browse(&edge, "GET", path, &[]).status_code, 404, "{path}");
    }
    assert_eq!(browse(&edge, "GET", "/openapi.json", &[]).status_code, 200);
    assert_eq!(edge.lines(), 1, "a path that is no route is counted");
}

#[test]
fn a_page_loads_nothing_from_elsewhere_and_runs_only_its_own_script() {
    let edge = Edge::new();
    for path in ["/", "/docs"] {
        let page = browse(&edge, "GET", path, &[]);
        let policy = &page.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers["referrer-policy"], "no-referrer", "a Referer would be charged as a site");
        let text = page.body;
        for forbidden in
            [" style=", " onclick", " onload", "innerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
        // Examples name the API itself; its own address replaces them.
        let foreign = text
            .match_indices("https://")
            .filter(|(at, _)| !text[*at..].starts_with("https://api.example.com"));
        assert_eq!(foreign.count(), 0, "{path} names another host");
        assert!(
            !["{style}", "{fields}", "{land}"].iter().any(|name| text.contains(name)),
            "{path} is not filled"
        );
    }
    let home = browse(&edge, "GET", "/", &[]).body;
    for field in FIELDS {
        assert!(home.contains(&format!("<li><code>{field}</code></li>")), "the page lacks {field}");
    }
}
