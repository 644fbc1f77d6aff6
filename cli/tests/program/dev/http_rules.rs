//! HTTP's requirements of every server, checked against `ipgeo dev` over a connection.

use ureq::http::Response;

use crate::support::Dev;

fn send(request: ureq::http::request::Builder, body: &[u8]) -> Response<ureq::Body> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.run(request.body(body.to_vec()).expect("a request")).expect("an answer")
}

fn header<'a>(answer: &'a Response<ureq::Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn head_codings_marks_and_challenges_are_as_http_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let base = dev.nearest().trim_end_matches('/').to_owned();
    let request =
        |method: &str, path: &str| ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));

    for path in ["/8.8.8.8?fields=ip,emoji_flag", "/8.8.8.8/city", "/bleh", "/health", "/no/such/path"] {
        let mut get = send(request("GET", path), b"");
        let mut head = send(request("HEAD", path), b"");
        assert_eq!(get.status(), head.status(), "{path}");
        for name in ["content-type", "access-control-allow-origin", "x-database-date", "cache-control"] {
            assert_eq!(header(&get, name), header(&head, name), "{path}: {name}");
        }
        let length = header(&head, "content-length").map(str::to_owned);
        let body = get.body_mut().read_to_string().expect("text");
        assert!(length.is_none_or(|length| length == body.len().to_string()), "{path}");
        assert!(body.ends_with('\n'), "{path}");
        assert_eq!(head.body_mut().read_to_string().expect("text"), "", "{path}");
    }

    let refused = send(request("GET", "/8.8.8.8").header("x-api-key", "test"), b"");
    assert_eq!(refused.status(), 401);
    assert_eq!(header(&refused, "www-authenticate"), Some("Bearer realm=\"ipgeo\""));

    let coded = send(request("POST", "/bulk").header("content-encoding", "gzip"), b"\x1f\x8b\x08");
    assert_eq!((coded.status().as_u16(), header(&coded, "accept-encoding")), (415, Some("identity")));

    let mut marked = send(request("POST", "/bulk?fields=city"), b"\xef\xbb\xbf[\"8.8.8.8\", 7]");
    let expected =
        r#"[{"city":"Mountain View"},{"ip":"7","message":"An item should be an IP address, as a string."}]"#;
    assert_eq!(marked.body_mut().read_to_string().expect("text"), format!("{expected}\n"));
    assert_eq!(dev.stop(), Some(0));
}
