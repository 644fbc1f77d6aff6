//! Lookups without a service give the edges' answers.

use ipgeo_geo::Database;
use ipgeo_geo::compile::sample;
use ipgeo_runtime::lookup::{Column, Offline, column_names};
use serde_json::Value;

use super::edge::{Edge, NOW, at};

#[test]
fn an_offline_answer_is_the_edges_answer_without_its_count() {
    let database = Database::from_bytes(sample().expect("it compiles")).expect("it opens");
    let mut offline = Offline::new(database, at(NOW));
    let table = [
        "8.8.8.8",
        "1.1.1.1",
        "81.2.69.142",
        "139.162.0.1",
        "1.2.3.4",
        "2606:4700:4700::1111",
        "::ffff:8.8.8.8",
        "2002:0808:0808::1",
        "[2606:4700:4700::1111]",
        "%208.8.8.8",
        "10.0.0.1",
        "127.0.0.1",
        "224.0.0.1",
        "::1",
        "2001:db8::1",
        "bleh",
        "8.8.8.8:443",
        "8.8.8.0%2F24",
        "203.0.113.9",
        "256.1.1.1",
        "%1b[31m",
    ];
    let (mut found, mut refused) = (0, 0);
    for path in table {
        let text = percent_encoding::percent_decode_str(path).decode_utf8().expect("UTF-8");
        // An edge answers an anonymous caller only a few times.
        let answer = Edge::new().get(&format!("/{path}"), &[]);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        match offline.answer(&text) {
            Ok(location) => {
                let (members, _) = answer.body.split_once(",\"count\":").expect("a count");
                assert_eq!(location, format!("{members}}}"), "{path}");
                found += 1;
            }
            Err(message) => {
                assert_eq!(body["message"], message, "{path}");
                refused += 1;
            }
        }
        // Single columns are the same in both forms.
        let complete = offline.answer(&text).map(str::to_owned);
        let known = offline.known(&text).map(str::to_owned);
        for column in column_names().filter_map(Column::named) {
            let cell =
                |json: &Result<String, String>| json.as_ref().map(|json| column.text(json).into_owned()).ok();
            assert_eq!(cell(&known), cell(&complete), "{path} {}", column.name());
        }
    }
    assert!(found >= 9 && refused >= 9, "{found} {refused}");
}
