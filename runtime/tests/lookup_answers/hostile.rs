//! Arbitrary and hostile requests.

use proptest::prelude::*;

use super::edge::{Edge, event, json};

/// Text that callers may send: anything, and what looks valid.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        any::<String>(),
        Just("8.8.8.8".to_owned()),
        Just("/8.8.8.8/city".to_owned()),
        Just("/bulk".to_owned()),
        "(/[a-z0-9.:%]{0,12}){0,3}",
        "(fields|api-key|wrap)=[a-z0-9,%&=_]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_request_is_answered_within_the_contract(
        method in prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), any_text()],
        path in any_text(), query in any_text(), body in prop::option::of(any_text()), source in any_text(),
        is_base64: bool, headers in prop::collection::hash_map(
            prop_oneof![Just("x-api-key".to_owned()), Just("referer".to_owned()), Just("accept".to_owned()), any_text()],
            any_text(), 0..4,
        ),
    ) {
        let edge = Edge::new();
        let mut event = event(&method, "", &[]);
        (event.raw_path, event.raw_query_string, event.headers) = (path, query, headers);
        (event.body, event.is_base64_encoded) = (body, is_base64);
        if edge.lines() == 0 && source.len() % 3 == 0 {
            event.request_context.http.source_ip = source;
        }
        let answer = edge.send(&event);
        prop_assert!([200, 204, 400, 401, 403, 404, 405, 413, 415, 429].contains(&answer.status_code), "{:?}", answer);
        prop_assert!(edge.lines() <= 1);
        if answer.status_code >= 400 {
            prop_assert_eq!(&json(&answer)["status"], answer.status_code);
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>) {
        let edge = Edge::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let answer = runtime.block_on(edge.lookup.handle_json(&bytes, edge.now));
        prop_assert!([400, 405].contains(&answer.status_code));
    }
}

#[test]
fn no_answer_repeats_an_api_key() {
    let edge = Edge::new();
    let key = edge.key(|_| ());
    let text = key.expose();
    for path in [
        format!("/{text}"),
        format!("/8.8.8.8/{text}"),
        format!("/8.8.8.8?fields=city,{text}"),
        format!("/{text}/24"),
        format!("/asn/{text}"),
    ] {
        let answer = edge.get(&path, &[]);
        assert!((400..500).contains(&answer.status_code), "{path}");
        assert!(!answer.body.contains(text), "{}", answer.body);
    }
    let bulk = format!("[\"8.8.8.8\",\"{text}\",{{\"key\":\"{text}\"}}]");
    let mut event = event("POST", "/bulk", &[]);
    event.body = Some(bulk);
    let answer = edge.send(&event);
    assert!(answer.status_code == 200 && !answer.body.contains(text), "{}", answer.body);
}
