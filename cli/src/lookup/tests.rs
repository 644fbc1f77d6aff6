//! Lookups in the sample database and through a scripted API.

use std::io::{Cursor, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread::JoinHandle;

use ipgeo_geo::Database;
use ipgeo_geo::compile::sample;
use ipgeo_runtime::lookup::Offline;
use proptest::prelude::*;

use super::*;
use crate::ui::output::Format;

mod tables;

fn offline() -> Source {
    // Compiled once: property tests open it for every case.
    static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| sample().expect("it compiles"));
    let database = Database::from_bytes(SAMPLE.clone()).expect("it opens");
    let now = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    Source::Offline(Box::new(Offline::new(database, now)))
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// What a view prints for some addresses.
fn printed(source: &mut Source, view: &mut dyn View, list: &[&str]) -> String {
    let (texts, mut out) = (texts(list), Vec::new());
    let columns = view.columns().map(<[_]>::to_vec);
    let wanted = columns.as_deref().map_or(Wanted::Everything, Wanted::Columns);
    source
        .look_up(&texts, wanted, &StopFlag::default(), &mut |index, answer| {
            view.add(&mut out, &texts[index], answer)
        })
        .expect("answered");
    view.finish(&mut out).expect("printed");
    String::from_utf8(out).expect("UTF-8")
}

const SEVERAL: [&str; 5] = ["8.8.8.8", " 1.1.1.1 ", "2606:4700:4700::1111", "10.0.0.1", "8.8.8.8:53"];

#[test]
fn views_print_locations() {
    let mut source = offline();
    let two = || Some(columns(&["city", "asn.name"]).expect("fields"));
    let mut print = |title: &str, view: &mut dyn View, list: &[&str]| {
        format!("--- {title}\n{}", printed(&mut source, view, list))
    };
    let all = [
        print("one, for people", &mut TableView::new(None, true), &["8.8.8.8"]),
        print("one, two fields", &mut TableView::new(two(), true), &["8.8.8.8"]),
        print("one of which little is known", &mut TableView::new(None, true), &["1.2.3.4"]),
        print("several", &mut TableView::new(None, false), &SEVERAL),
        print("several, two fields", &mut TableView::new(two(), false), &SEVERAL),
        print("one field", &mut FieldView::new(two().expect("two").remove(0)), &SEVERAL),
        print("JSON, two fields", &mut JsonView::array(two()), &SEVERAL),
        print("JSON lines, two fields", &mut JsonView::lines(two()), &SEVERAL),
        print("JSON of nothing", &mut JsonView::array(None), &[]),
        print("CSV, two fields", &mut CsvView::new(two().expect("two")), &SEVERAL),
        print("CSV of nothing", &mut CsvView::new(two().expect("two")), &[]),
        print("summary", &mut SummaryView::new(Format::Table), &SEVERAL),
        print("summary of nothing", &mut SummaryView::new(Format::Table), &[]),
        print("summary as CSV", &mut SummaryView::new(Format::Csv), &SEVERAL),
    ];
    let all = all.concat();
    // Messages of the API are cut nowhere.
    let lines = all.lines().filter(|line| !line.contains(" does not appear to be "));
    let widest = lines.map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 80), "{widest:?}");
    insta::assert_snapshot!(all);
}

#[test]
fn the_address_is_printed_once_wherever_it_is_named() {
    let mut source = offline();
    for fields in [&["ip", "city"][..], &["city", "ip"], &["ip", "city", "ip"]] {
        let chosen = || Some(columns(fields).expect("fields"));
        let mut print = |view: &mut dyn View, list: &[&str]| printed(&mut source, view, list);
        let table = print(&mut TableView::new(chosen(), false), &["8.8.8.8", "1.1.1.1"]);
        assert_eq!(table, "ip       city\n8.8.8.8  Mountain View\n1.1.1.1  Brisbane\n", "{fields:?}");
        for is_one in [true, false] {
            let one = print(&mut TableView::new(chosen(), is_one), &["8.8.8.8"]);
            assert_eq!(one.matches("8.8.8.8").count(), 1, "{fields:?}: {one}");
        }
        let csv = print(&mut CsvView::new(chosen().expect("fields")), &["8.8.8.8"]);
        assert_eq!(csv, "ip,city,ip_error\n8.8.8.8,Mountain View,\n", "{fields:?}");
    }
    let table = printed(
        &mut source,
        &mut TableView::new(Some(columns(&["ip"]).expect("a field")), false),
        &["8.8.8.8"],
    );
    assert_eq!(table, "ip\n8.8.8.8\n");
}

#[test]
fn json_is_the_answer_itself() {
    let mut source = offline();
    let json = printed(&mut source, &mut JsonView::lines(None), &["8.8.8.8"]);
    let Source::Offline(mut offline) = source else { panic!("offline") };
    assert_eq!(json, format!("{}\n", offline.answer("8.8.8.8").expect("known")));
}

#[test]
fn the_threat_line_names_what_is_set() {
    for (flags, expected) in
        [(r#"{"is_bogon":false}"#, "none of 1 flag"), (r#"{"is_bogon":true}"#, "bogon"), ("{}", "")]
    {
        let location = format!(r#"{{"ip":"8.8.8.8","threat":{flags}}}"#);
        let lines = views::describe(&location);
        let found = lines.iter().find(|(name, _)| *name == "threat").map_or("", |(_, value)| value);
        assert_eq!(found, expected, "{flags}");
    }
}

#[test]
fn a_summary_has_shares_of_all_answers() {
    let mut view = SummaryView::new(Format::Json);
    let list = ["8.8.8.8", "8.8.4.4", "8.8.8.8", "1.1.1.1", "bleh"];
    let json: serde_json::Value =
        serde_json::from_str(&printed(&mut offline(), &mut view, &list)).expect("JSON");
    assert_eq!((&json["addresses"], &json["unique"], &json["failed"]), (&4.into(), &3.into(), &1.into()));
    let first = serde_json::json!({ "kind": "country", "code": "US", "name": "United States", "addresses": 3, "percent": 75.0 });
    assert_eq!(json["countries"][0], first);
    assert_eq!(json["networks"][0]["code"], "AS15169");
    assert_eq!(json["flags"], serde_json::json!([]));
}

fn bulk(
    text: &[u8],
    column: Option<&str>,
    no_header: bool,
    fields: &[&str],
) -> anyhow::Result<(Vec<u8>, BulkOutcome)> {
    let input = Input::new("a.csv".to_owned(), None, Box::new(Cursor::new(text.to_vec())))?;
    let options = BulkOptions { column: column.map(str::to_owned), no_header, columns: columns(fields)? };
    let mut out = Vec::new();
    let outcome = Bulk::new(input, &mut out, options)?.run(&mut offline(), &StopFlag::default(), &|_| ())?;
    Ok((out, outcome))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn columns_are_added_to_any_list() {
    const NOT: &str = "does not appear to be an IPv4 or IPv6 address";
    let table = [
        (
            "a list",
            "8.8.8.8\n1.1.1.1\n",
            None,
            "ip,city,ip_error\n8.8.8.8,Mountain View,\n1.1.1.1,Brisbane,\n".to_owned(),
        ),
        (
            "no line end, empty lines",
            "8.8.8.8\n\n\n1.1.1.1",
            None,
            "ip,city,ip_error\n8.8.8.8,Mountain View,\n1.1.1.1,Brisbane,\n".to_owned(),
        ),
        (
            "a header",
            "id,ip\n1,8.8.8.8\n",
            None,
            "id,ip,city,ip_error\n1,8.8.8.8,Mountain View,\n".to_owned(),
        ),
        (
            "by its values",
            "id,who\n1,8.8.8.8\n2,x\n3,1.1.1.1\n",
            None,
            format!("id,who,city,ip_error\n1,8.8.8.8,Mountain View,\n2,x,,x {NOT}\n3,1.1.1.1,Brisbane,\n"),
        ),
        (
            "a postal address beside it",
            "address,from\nMain Road 1,8.8.8.8\n",
            None,
            "address,from,city,ip_error\nMain Road 1,8.8.8.8,Mountain View,\n".to_owned(),
        ),
        (
            "two columns of addresses",
            "proxy,IP Address\n8.8.8.8,1.1.1.1\n",
            None,
            "proxy,IP Address,city,ip_error\n8.8.8.8,1.1.1.1,Brisbane,\n".to_owned(),
        ),
        (
            "the named one",
            "proxy,ip\n8.8.8.8,1.1.1.1\n",
            Some("proxy"),
            "proxy,ip,city,ip_error\n8.8.8.8,1.1.1.1,Mountain View,\n".to_owned(),
        ),
        (
            "the first",
            "proxy,ip\n8.8.8.8,1.1.1.1\n",
            Some("1"),
            "proxy,ip,city,ip_error\n8.8.8.8,1.1.1.1,Mountain View,\n".to_owned(),
        ),
        (
            "without a header",
            "a,8.8.8.8\nb,1.1.1.1\n",
            None,
            "column_1,ip,city,ip_error\na,8.8.8.8,Mountain View,\nb,1.1.1.1,Brisbane,\n".to_owned(),
        ),
        (
            "quotes",
            "ip,note\n8.8.8.8,\"a, \"\"b\"\"\nc\"\n",
            None,
            "ip,note,city,ip_error\n8.8.8.8,\"a, \"\"b\"\"\nc\",Mountain View,\n".to_owned(),
        ),
        (
            "semicolons, CRLF and a mark",
            "\u{feff}ip;x\r\n8.8.8.8;1,5\r\n",
            None,
            "\u{feff}ip;x;city;ip_error\r\n8.8.8.8;1,5;Mountain View;\r\n".to_owned(),
        ),
        (
            "tabs",
            "ip\tx\n8.8.8.8\t1\n",
            None,
            "ip\tx\tcity\tip_error\n8.8.8.8\t1\tMountain View\t\n".to_owned(),
        ),
        (
            "missing cells",
            "ip,a,b\n8.8.8.8\n,1\n",
            None,
            "ip,a,b,city,ip_error\n8.8.8.8,,,Mountain View,\n,1,,,no address\n".to_owned(),
        ),
        ("whitespace", "ip\n 8.8.8.8 \n", None, "ip,city,ip_error\n 8.8.8.8 ,Mountain View,\n".to_owned()),
        (
            "names that exist",
            "ip,city,ip_city\n8.8.8.8,x,y\n",
            None,
            "ip,city,ip_city,ip_ip_city,ip_error\n8.8.8.8,x,y,Mountain View,\n".to_owned(),
        ),
        (
            "a port",
            "8.8.8.8:53\n1.1.1.1\n",
            None,
            format!(
                "ip,city,ip_error\n8.8.8.8:53,,8.8.8.8:53 {NOT}; remove the port: 8.8.8.8\n1.1.1.1,Brisbane,\n"
            ),
        ),
        (
            "private",
            "ip\n10.0.0.1\n",
            None,
            "ip,city,ip_error\n10.0.0.1,,10.0.0.1 is a private IP address\n".to_owned(),
        ),
        (
            "formulas",
            "ip,note\n=1+1,=2\n",
            Some("ip"),
            format!("ip,note,city,ip_error\n=1+1,=2,,'=1+1 {NOT}\n"),
        ),
        ("only a header", "ip,x\n", None, "ip,x,city,ip_error\n".to_owned()),
        ("nothing", "", None, String::new()),
    ];
    for (what, input, column, expected) in table {
        let (out, _) = bulk(input.as_bytes(), column, false, &["city"])
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected, "{what}");
    }
}

#[test]
fn bytes_that_are_not_text_are_kept_and_rows_are_counted() {
    let (out, outcome) =
        bulk(b"ip,name\n8.8.8.8,Z\xfcrich\n10.0.0.1,\n", None, false, &["country_code"]).expect("written");
    assert!(out.starts_with(b"ip,name,country_code,ip_error\n8.8.8.8,Z\xfcrich,US,\n"));
    assert_eq!(outcome, BulkOutcome { rows: 2, failed: 1, renamed: 0 });
    let (out, outcome) = bulk(b"8.8.8.8,ip\n", None, true, &["city", "latitude"]).expect("written");
    assert_eq!((out.as_slice(), outcome.rows), (&b"8.8.8.8,ip,Mountain View,37.422,\n"[..], 1));
    let many = "8.8.8.8\n".repeat(1_234);
    let (out, outcome) = bulk(many.as_bytes(), None, false, &["city"]).expect("written");
    assert_eq!((out.split(|byte| *byte == b'\n').count(), outcome.rows), (1_236, 1_234));
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_its_place() {
    let long = format!("ip\n8.8.8.8\n\"{}", "x".repeat(3 << 20));
    let table = [
        (
            "a,b\n1,2\n",
            None,
            "a.csv has no column of addresses; its columns are a, b\nhelp: name it with `--column NAME`",
        ),
        (
            "ip,b\n8.8.8.8,2\n1.1.1.1,2,3\n",
            None,
            "a.csv:3: 3 cells, but the first row has 2\nhelp: cells with commas",
        ),
        ("ip,b\n8.8.8.8,2\n", Some("c"), "a.csv has no column `c`; its columns are ip, b"),
        (
            "8.8.8.8,2\n",
            Some("3"),
            "a.csv has no column `3`; its 2 columns have no names, only numbers from 1",
        ),
        ("8.8.8.8,2\n", Some("0"), "a.csv has no column `0`"),
        (long.as_str(), None, "cannot read a.csv: a line has more than 1 MiB"),
    ];
    for (text, column, expected) in table {
        let refused = bulk(text.as_bytes(), column, false, &["city"]).expect_err(expected);
        assert!(format!("{refused:#}").starts_with(expected), "{refused:#}");
    }
    let rows = "ip,b\n8.8.8.8,\"2\n\"\n\n8.8.8.8,2\n8.8.8.8,\"2\n3\",4\n8.8.8.8,2\n8.8.8.8,2\n";
    let last = "ip,b\n8.8.8.8,\"2\n\"\n8.8.8.8,2,3";
    for (text, line) in [(rows, 6), (last, 4)] {
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let refused = bulk(text.as_bytes(), None, false, &["city"]).expect_err("too many cells");
            assert!(
                format!("{refused:#}").starts_with(&format!("a.csv:{line}: 3 cells")),
                "{text:?}: {refused:#}"
            );
        }
    }
    let stop = StopFlag::default();
    stop.stop();
    let input =
        Input::new("a.csv".to_owned(), None, Box::new(Cursor::new(b"8.8.8.8".to_vec()))).expect("text");
    let mut out = Vec::new();
    let stopped =
        Bulk::new(input, &mut out, BulkOptions::default()).expect("text").run(&mut offline(), &stop, &|_| ());
    assert!(stopped.expect_err("stopped").is::<Interrupted>());
}

fn cells(csv: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv);
    let record = |record: csv::ByteRecord| record.iter().map(<[u8]>::to_vec).collect();
    reader.byte_records().map(|row| record(row.expect("a record"))).collect()
}

proptest! {
    #[test]
    fn every_input_cell_is_kept(
        rows in (1_usize..5).prop_flat_map(|width| {
            let cell = prop_oneof![
                "[ -~]{0,8}".prop_map(String::into_bytes),
                "[\"',;\t\r\n=@8.]{0,6}".prop_map(String::into_bytes),
                proptest::collection::vec(1_u8.., 0..6),
                any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).to_string().into_bytes()),
            ];
            proptest::collection::vec(proptest::collection::vec(cell, width), 0..250)
        })
    ) {
        let width = rows.first().map_or(1, Vec::len);
        let header: Vec<Vec<u8>> = (0..width).map(|index| format!("c{index}").into_bytes()).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&header).chain(&rows) {
            writer.write_record(row).expect("written");
        }
        let input = writer.into_inner().expect("written");
        let (out, outcome) = bulk(&input, Some("c0"), false, &["country_code", "city"]).expect("written");
        let out = cells(&out);
        prop_assert_eq!(out.len(), rows.len() + 1);
        prop_assert_eq!(outcome.rows, rows.len() as u64);
        for (row, out) in std::iter::once(&header).chain(&rows).zip(&out) {
            prop_assert_eq!(out.len(), width + 3);
            prop_assert_eq!(&out[..width], row.as_slice());
        }
    }

    #[test]
    fn no_input_panics(text in proptest::collection::vec(any::<u8>(), 0..200), column in proptest::option::of("[a-z0-9]{0,3}")) {
        let _result = bulk(&text, column.as_deref(), false, &["city"]);
    }
}

/// A server that sends these responses in turn; joined, it returns the requests.
fn api(responses: Vec<(u16, &'static str, String)>) -> (Source, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let answer = |(status, header, body): (u16, &str, String)| {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut request = Vec::new();
            let mut chunk = [0; 4_096];
            // A request ends with its body, a list.
            while !request.ends_with(b"]") {
                let read = stream.read(&mut chunk).expect("a request");
                request.extend_from_slice(&chunk[..read]);
            }
            let head = format!(
                "HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).expect("written");
            String::from_utf8(request).expect("text")
        };
        responses.into_iter().map(answer).collect()
    });
    let options = ApiOptions { url, key: Some("ipg_secret".to_owned()) };
    (Source::Api(Api::new(options).expect("a URL")), server)
}

fn ask(source: &mut Source, list: &[&str]) -> Result<Vec<Result<String, String>>, String> {
    let (texts, mut found) = (texts(list), Vec::new());
    let wanted = columns(&["city", "asn.name", "asn.asn"]).expect("fields");
    let done =
        source.look_up(&texts, Wanted::Columns(&wanted), &StopFlag::default(), &mut |index, answer| {
            assert_eq!(index, found.len());
            found.push(answer.map(str::to_owned).map_err(str::to_owned));
            Ok(())
        });
    done.map(|()| found).map_err(|error| format!("{error:#}"))
}

#[test]
fn the_api_answers_in_order_and_a_throttled_request_is_repeated() {
    let problem = |message: &str| format!(r#"{{"title":"x","message":"{message}"}}"#);
    let items = r#"[{"ip":"8.8.8.8","city":"a"},{"ip":"bleh","message":"bleh is wrong"}]"#;
    let (mut source, server) = api(vec![
        (429, "retry-after: 0\r\n", problem("Slow down.")),
        (503, "retry-after: 0\r\n", problem("Not now.")),
        (200, "", items.to_owned()),
    ]);
    let found = ask(&mut source, &["8.8.8.8", "AS15169", "bleh"]).expect("answered");
    let expected = [
        Ok(r#"{"ip":"8.8.8.8","city":"a"}"#.to_owned()),
        Err("AS15169 does not appear to be an IPv4 or IPv6 address".to_owned()),
        Err("bleh is wrong".to_owned()),
    ];
    assert_eq!(found, expected);
    let requests = server.join().expect("it ends");
    assert!(
        requests.iter().all(|request| {
            request.starts_with("POST /v1/bulk?fields=ip,city,asn HTTP/1.1\r\n")
                && request.contains("x-api-key: ipg_secret\r\n")
                && request.ends_with("\r\n[\"8.8.8.8\",\"bleh\"]")
        }),
        "{requests:?}"
    );
}

#[test]
fn what_the_api_refuses_is_explained() {
    let problem = |message: &str| format!(r#"{{"message":"{message}"}}"#);
    let table = [
        (
            (429, "retry-after: 3600\r\n", problem("You have reached your limit of 10 requests a day.")),
            "the API refused: You have reached your limit of 10 requests a day\nhelp: wait 1h 0m, or use an API key with a larger limit",
        ),
        (
            (401, "", problem("You have not provided a valid API Key.")),
            "the API refused: You have not provided a valid API Key\nhelp: check the API key in IPGEO_API_KEY or the file",
        ),
        (
            (404, "", "<html>".to_owned()),
            "the API refused: http://URL/v1 answered with status 404\nhelp: check the URL",
        ),
        (
            (301, "location: http://127.0.0.1:1/\r\n", String::new()),
            "the API refused: http://URL/v1 answered with status 301\nhelp: check the URL",
        ),
        (
            (200, "", "<html>".to_owned()),
            "http://URL/v1 does not answer like ipgeo's API\nhelp: check the URL",
        ),
        ((200, "", "[]".to_owned()), "http://URL/v1 does not answer like ipgeo's API\nhelp: check the URL"),
    ];
    for (response, expected) in table {
        let (mut source, server) = api(vec![response]);
        let refused = ask(&mut source, &["8.8.8.8"]).expect_err(expected);
        let host = refused
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default()
            .to_owned();
        assert_eq!(refused.replace(&format!("127.0.0.1:{host}"), "URL"), expected);
        server.join().expect("it ends");
    }
}

#[test]
fn an_api_key_is_only_sent_over_https_or_to_this_machine() {
    for (url, is_good) in [
        ("https://api.example.com", true),
        ("https://api.example.com:8443/v1/", true),
        ("http://127.0.0.1:4170", true),
        ("http://localhost:4170/", true),
        ("http://[::1]:4170", true),
        ("http://api.example.com", false),
        ("http://127.0.0.1.example.com", false),
        ("http://localhost@example.com", false),
        ("https://me:secret@example.com", false),
        ("https://example.com/?api-key=x", false),
        ("https://", false),
        ("ftp://example.com", false),
        ("api.example.com", false),
    ] {
        let options = ApiOptions { url: url.to_owned(), key: None };
        assert_eq!(Api::new(options).is_ok(), is_good, "{url}");
    }
    assert_eq!(api_key(" ipg_x\n", "FILE").expect("a key").as_deref(), Some("ipg_x"));
    assert_eq!(api_key("\n", "FILE").expect("none"), None);
    assert!(api_key("two words", "FILE").is_err_and(|error| error.0 == "FILE does not contain an API key"));
}
