//! Sources at URLs, on loopback.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use ipgeo::internals::geo::sources::FetchOutcome::{Kept, Missing, New, Unchanged, Updated};
use ipgeo::internals::geo::sources::{FetchError, Lock, Places, Web, fetch};
use ipgeo_geo::compile::sample;

use super::{Place, TOR, config, gz, message, no_npm, now, of_day};

/// The requests to a server, in lower case.
type Requests = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with what `answer` gives for it, and then closes the connection, or holds it.
fn server(hold: bool, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Requests::default();
    let seen = requests.clone();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().take(100) {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let answer = answer(&request);
            seen.lock().expect("requests").push(request);
            // A client may close the connection early.
            let _ = stream.write_all(&answer);
            if hold {
                held.push(stream);
            }
        }
    });
    (url, requests)
}

/// An answer with headers, each with its line end, and a body.
fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The path of a request, with its query.
fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// Serves files: path → (status, body, content-length).
fn serve(answers: Vec<(&'static str, u16, Vec<u8>, usize)>) -> String {
    let serve = move |request: &str| {
        let found = answers.iter().find(|(known, ..)| *known == path(request));
        let (status, body, length) = found.map_or((404, &[][..], 0), |(_, s, b, l)| (*s, b.as_slice(), *l));
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    server(false, serve).0
}

#[test]
fn a_url_gives_this_months_or_last_months_file_packed_or_not() {
    let good = sample().expect("it compiles");
    let packed = gz(&good);
    let length = packed.len();
    let table = [
        ("/a-2026-11.mmdb", vec![("/a-2026-11.mmdb", 200, good.clone(), good.len())], "a-{YYYY}-{MM}.mmdb"),
        ("/a-2026-10.mmdb", vec![("/a-2026-10.mmdb", 200, good.clone(), good.len())], "a-{YYYY}-{MM}.mmdb"),
        ("/2026/a.mmdb.gz", vec![("/2026/a.mmdb.gz", 200, packed, length)], "{YYYY}/a.mmdb.gz"),
    ];
    for (path, answers, pattern) in table {
        let place = Place::new();
        let config = config(&format!("url = \"{}/{pattern}\"", serve(answers)));
        assert_eq!(place.fetch(&config, no_npm()).expect(path), [New], "{path}");
        assert_eq!(fs::read(place.source("src.mmdb")).expect("a file"), good);
    }
}

#[test]
fn a_failed_url_is_reported_for_this_month() {
    let good = sample().expect("it compiles");
    let packed = gz(&good);
    let table = [
        ("/x.mmdb", vec![], "404"),
        ("/x.mmdb", vec![("/x.mmdb", 500, vec![], 0)], "500"),
        ("/x.mmdb", vec![("/x.mmdb", 200, good[..1_000].to_vec(), good.len())], "truncated: 1000 of "),
        (
            "/x.mmdb.gz",
            vec![("/x.mmdb.gz", 200, packed[..1_000].to_vec(), packed.len())],
            "truncated: 1000 of ",
        ),
        (
            "/x.mmdb.gz",
            vec![("/x.mmdb.gz", 200, packed[..1_000].to_vec(), 1_000)],
            "its gzip data is truncated or damaged",
        ),
    ];
    for (path, answers, why) in table {
        let place = Place::new();
        let url = format!("{}{path}", serve(answers));
        let error = place.fetch(&config(&format!("url = \"{url}\"")), no_npm()).expect_err("refused");
        assert_eq!(error.to_string(), format!("cannot fetch {url}"));
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why), "{cause}");
        assert!(!place.source("src.mmdb").exists());
    }
    let closed = config("url = \"http://127.0.0.1:9/x.mmdb\"");
    assert!(matches!(Place::new().fetch(&closed, no_npm()), Err(FetchError::Download { .. })));
}

#[test]
fn a_stalled_server_times_out_and_a_slow_one_does_not() {
    let good = sample().expect("it compiles");
    let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", good.len());
    let mut place = Place::new();
    let moment = std::time::Duration::from_millis(300);
    place.web = Web { connect: moment, answer: moment, idle: moment, ..place.web };
    for (answer, why) in [
        (Vec::new(), "timed out"),
        (head.as_bytes()[..20].to_vec(), "timed out"),
        (head.clone().into_bytes(), "timed out: the server sent no more data"),
        ([head.as_bytes(), &good[..1_000]].concat(), "timed out: the server sent no more data"),
    ] {
        let (url, _) = server(true, move |_| answer.clone());
        let error = place.fetch(&config(&format!("url = \"{url}/x.mmdb\"")), no_npm()).expect_err("refused");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(why) || cause.contains("timed out"), "{cause}");
    }
    // Longer in total than each single timeout.
    place.web = Web { idle: std::time::Duration::from_secs(20), ..Web::default() };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let bytes = good.clone();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 2_048];
        let _ = std::io::Read::read(&mut stream, &mut request);
        let _ = stream.write_all(head.as_bytes());
        for part in bytes.chunks(bytes.len() / 8 + 1) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let _ = stream.write_all(part);
        }
    });
    assert_eq!(place.fetch(&config(&format!("url = \"{url}/x.mmdb\"")), no_npm()).expect("fetched"), [New]);
}

#[test]
fn urls_and_redirects_must_be_https() {
    let good = sample().expect("it compiles");
    let place = Place::new();
    let state = place.state();
    let url = serve(vec![("/x.mmdb", 200, good.clone(), good.len())]);
    // With the settings of an operator.
    let places = Places {
        base: place.folder.path(),
        state: &state,
        npm: no_npm(),
        pip: no_npm(),
        web: Web::default(),
    };
    let config_of = |url: &str| config(&format!("url = \"{url}\""));
    let error = fetch(&config_of(&format!("{url}/x.mmdb?key=hush")), places, &mut Lock::default(), now())
        .expect_err("refused");
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(error.contains("is not https") && !error.contains("hush"), "{error}");

    let redirect = |to: &str| {
        let head =
            format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        server(false, move |_| head.clone().into_bytes()).0
    };
    let followed = redirect(&format!("{url}/x.mmdb"));
    assert_eq!(place.fetch(&config_of(&format!("{followed}/a")), no_npm()).expect("fetched"), [New]);
    for (to, why) in [
        (
            "http://user:hush@example.invalid/x.mmdb?key=hush#hush",
            "http://example.invalid/x.mmdb is not https",
        ),
        ("file:///etc/passwd", "is not https"),
        ("ftp://127.0.0.1/x", "is not https"),
        ("/again", "more than 5 redirects"),
    ] {
        let error =
            place.fetch(&config_of(&format!("{}/a?key=hush", redirect(to))), no_npm()).expect_err("refused");
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains(why) && !error.contains("hush"), "{error}");
    }
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    let place = Place::new();
    let bytes = of_day("2026-10-01");
    let length = bytes.len();
    let url = serve(vec![("/city.mmdb?license_key=hush", 200, bytes, length)]);
    let secret = config(&format!("url = \"{url}/city.mmdb?license_key=hush\""));
    let mut lock = Lock::default();
    place.fetch_locked(&secret, no_npm(), &mut lock).expect("fetched");
    assert!(lock.sources[0].from.ends_with("/city.mmdb"), "{:?}", lock.sources);
    for closed in [
        "http://127.0.0.1:9/city.mmdb?license_key=hush",
        "http://127.0.0.1:9/city.mmdb#key=hush",
        "https://user:hush@127.0.0.1:9/city.mmdb",
    ] {
        let closed = config(&format!("url = \"{closed}\""));
        let error =
            format!("{:#}", anyhow::Error::from(place.fetch(&closed, no_npm()).expect_err("refused")));
        assert!(error.contains("127.0.0.1:9/city.mmdb") && !error.contains("hush"), "{error}");
    }
}

/// The validators of [`revalidated`].
const VALIDATORS: &str = "etag: \"v1\"\r\nlast-modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n";

fn is_conditional(request: &str) -> bool {
    request.contains("if-none-match: \"v1\"\r\n")
        && request.contains("if-modified-since: sun, 01 nov 2026 10:00:00 gmt\r\n")
}

/// A server that answers with a body and validators, and with 304 to a request that has them.
fn revalidated(body: &'static str) -> (String, Requests) {
    server(false, move |request| {
        if is_conditional(request) {
            answer(304, VALIDATORS, b"")
        } else {
            answer(200, VALIDATORS, body.as_bytes())
        }
    })
}

#[test]
fn an_unchanged_url_is_not_downloaded_again() {
    let place = Place::new();
    let (url, requests) = revalidated("1.1.1.1\n");
    let conditional = || -> Vec<bool> {
        requests.lock().expect("requests").iter().map(|request| is_conditional(request)).collect()
    };
    let config = super::config(&format!("url = \"{url}/exits.txt\"\n{TOR}"));
    let mut lock = Lock::default();
    let mut fetch = || place.fetch_locked(&config, no_npm(), &mut lock).expect("fetched");
    assert_eq!((fetch(), fetch()), (vec![New], vec![Unchanged]));
    assert_eq!(conditional(), [false, true]);
    // A damaged file is downloaded in full, and so are a missing one and another URL.
    fs::write(place.source("src.txt"), "1.1.1.2\n").expect("written");
    assert_eq!(fetch(), [Updated]);
    fs::remove_file(place.source("src.txt")).expect("removed");
    assert_eq!(fetch(), [New]);
    assert_eq!(lock.sources[0].date, Some("2026-11-01".parse().expect("a date")));
    let other = super::config(&format!("url = \"{url}/exits.txt?x\"\n{TOR}"));
    assert_eq!(place.fetch_locked(&other, no_npm(), &mut lock).expect("fetched"), [Unchanged]);
    assert_eq!(conditional(), [false, true, false, false, false]);
    // A server that claims that a file is unchanged which nobody has.
    let (url, _) = server(false, |_| answer(304, VALIDATORS, b""));
    let config = super::config(&format!("url = \"{url}/exits.txt\"\n{TOR}"));
    let error = message(Place::new().fetch(&config, no_npm()).expect_err("refused"));
    assert!(error.ends_with("the server answered with status 304"), "{error}");
}

#[test]
fn validators_of_last_month_do_not_hold_for_this_month() {
    let place = Place::new();
    let july = server(false, |request| match (path(request), is_conditional(request)) {
        ("/x-2026-10.txt", true) => answer(304, VALIDATORS, b""),
        ("/x-2026-10.txt", false) => answer(200, VALIDATORS, b"1.1.1.1\n"),
        _ => answer(404, "", b"<h1>Not found</h1>"),
    });
    let config = config(&format!("url = \"{}/x-{{YYYY}}-{{MM}}.txt\"\n{TOR}", july.0));
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [New]);
    assert_eq!(place.fetch(&config, no_npm()).expect("fetched"), [Unchanged]);
    let requests = july.1.lock().expect("requests").clone();
    let seen: Vec<_> = requests.iter().map(|request| (path(request), is_conditional(request))).collect();
    let [this, last] = ["/x-2026-11.txt", "/x-2026-10.txt"];
    assert_eq!(seen, [(this, false), (last, false), (this, false), (last, true)]);
}

/// Each test run of Cargo has this variable.
const VARIABLE: (&str, &str) = ("CARGO_PKG_NAME", "ipgeo");

#[test]
fn a_key_comes_from_the_environment_and_is_only_sent() {
    let (name, value) = VARIABLE;
    let (url, requests) = server(false, |request| match path(request) {
        "/ipgeo/x.txt?key=ipgeo" => answer(200, "", b"1.1.1.1\n"),
        _ => answer(403, "", b""),
    });
    let place = Place::new();
    let mut lock = Lock::default();
    let of = |rest: &str| config(&format!("url = \"{url}/{rest}\"\n{TOR}"));
    let sound = of(&format!("${{{name}}}/x.txt?key=${{{name}}}"));
    assert_eq!(place.fetch_locked(&sound, no_npm(), &mut lock).expect("fetched"), [New]);
    assert_eq!(lock.sources[0].from, format!("url {url}/${{{name}}}/x.txt"));
    assert!(requests.lock().expect("requests")[0].starts_with(&format!("get /{value}/x.txt?key={value} ")));
    for (rest, why) in [
        ("${CARGO_PKG_NAME}/y.txt", "the server answered with status 403"),
        ("${IPGEO_NO_SUCH_KEY}/x.txt", "the environment variable IPGEO_NO_SUCH_KEY is not set"),
    ] {
        let error = message(place.fetch(&of(rest), no_npm()).expect_err("refused"));
        assert!(error.ends_with(why) && !error.contains(&format!("/{value}/")), "{error}");
    }
    // The same URL for this month and last month is requested once, and one without its key never.
    assert_eq!(requests.lock().expect("requests").len(), 2);
}

/// Whatever a server sends, an optional source keeps its file and says why, and another one fails.
#[test]
fn an_optional_url_that_fails_keeps_its_copy_and_warns() {
    let good = b"1.1.1.1\n2.2.2.0/24\n";
    let cut = |body: &[u8], length: usize| {
        let head = format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let packed = gz(&good.repeat(50));
    let half = packed[..packed.len() / 2].to_vec();
    for (bad, why) in [
        (answer(500, "", b""), "the server answered with status 500"),
        (answer(404, "", b"<h1>Not found</h1>"), "the server answered with status 404"),
        (answer(200, "", b"<!doctype html><p>Log in"), "it is HTML or XML, not data"),
        (answer(200, "", b"{\"error\":\"quota\"}"), "line 1: `{"),
        (answer(200, "", b""), "it has no network"),
        (answer(200, "", b"1.1.1.1\n"), "it has 8 bytes, the one in use 19 bytes"),
        (answer(302, "location: https://127.0.0.1:9/x\r\n", b""), "refused"),
        (cut(good, 100), "truncated: 19 of 100 bytes received"),
        (cut(&half, packed.len()), "truncated: "),
        (cut(&half, half.len()), "its gzip data is truncated or damaged"),
        (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n8\r\n1.1.1.1\n\r\n".to_vec(), ""),
        (b"not HTTP".to_vec(), ""),
        (Vec::new(), ""),
    ] {
        let place = Place::new();
        let now_bad = Arc::new(Mutex::new(false));
        let switch = now_bad.clone();
        let (url, _) = server(false, move |_| {
            if *switch.lock().expect("a switch") { bad.clone() } else { answer(200, "", good) }
        });
        let source = format!("url = \"{url}/x.txt\"\n{TOR}");
        let (strict, optional) = (config(&source), config(&format!("{source}optional = true\n")));
        let mut lock = Lock::default();
        *now_bad.lock().expect("a switch") = true;
        // `it has 8 bytes` is only a fault beside the file in use.
        if !why.contains("in use") {
            let missing = place.fetch_warned(&optional, no_npm(), &mut lock).expect("goes on");
            assert!(missing[0].0 == Missing && missing[0].1.contains(why), "{missing:?} {why}");
            assert_eq!(place.entries(), [""; 0], "{why}");
        }
        *now_bad.lock().expect("a switch") = false;
        assert_eq!(place.fetch_locked(&optional, no_npm(), &mut lock).expect("fetched"), [New]);
        let before = (place.entries(), lock.sources.clone());
        *now_bad.lock().expect("a switch") = true;
        let kept = place.fetch_warned(&optional, no_npm(), &mut lock).expect("goes on");
        assert!(kept[0].0 == Kept && kept[0].1.contains(why), "{kept:?} {why}");
        let error = message(place.fetch_locked(&strict, no_npm(), &mut lock).expect_err("refused"));
        assert!(error.contains(why), "{error} {why}");
        assert_eq!((place.entries(), lock.sources.clone()), before);
        assert_eq!(fs::read(place.source("src.txt")).expect("a file"), good, "{why}");
    }
}
