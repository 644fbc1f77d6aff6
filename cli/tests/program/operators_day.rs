//! Usage and API keys in a running local service: lag, alerts, replays, a repaired ledger, imported API keys.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ipgeo::internals::aws::Home;
use ipgeo::internals::world::WorldFile;
use ipgeo_contract::{ApiKey, Identity, IdentityKind, Month};
use ipgeo_runtime::dynamo::{Effort, client};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Dev, done, get, ipgeo, run, stderr, stdout, wait_for, with_input};

fn json_of(state: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&done(state, &[args, &["--json"]].concat())).expect("JSON")
}

/// The ledger, from `usage export`.
fn exported(state: &Path) -> String {
    done(state, &["usage", "export", "--dev"])
}

/// Creates an API key, makes `calls` calls with it, and waits until they are counted.
fn used_key(state: &Path, dev: &Dev, quota: &str, calls: usize) -> String {
    let key =
        done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup", "--quota", quota]);
    for _ in 0..calls {
        assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0, 200);
    }
    let hash = key.parse::<ApiKey>().expect("an API key").hash();
    let row = format!("key#{hash},{},calls,,{calls}", Month::from_time(Timestamp::now()));
    wait_for(|| {
        let told = run(state, &["usage", "export", "--dev"]);
        stdout(&told).lines().any(|line| line == row)
    });
    key
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// Removes an identity's item from a ledger, as an accident would.
fn lose(state: &Path, identity: &Identity) {
    let world = WorldFile::find(state).expect("a world");
    let credentials = Credentials::new(&world.key.access, &world.key.secret, None, None, "tests");
    let client = client(world.home_dynamodb(), &world.home, credentials, Effort::Patient);
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let delete = client
        .delete_item()
        .table_name(&world.ledger_table)
        .key("id", text(identity.as_str()))
        .key("month", text(&Month::from_time(Timestamp::now()).to_string()));
    runtime().block_on(delete.send()).expect("deleted");
}

#[test]
fn a_replay_of_the_stream_counts_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let key = used_key(state, &dev, "100/month", 12);
    get(&format!("{}/8.8.8.8", dev.nearest()), None);
    wait_for(|| exported(state).contains("addr#"));
    let before = exported(state);

    // Into the ledger: a repeat adds nothing.
    for _ in 0..2 {
        let done = json_of(state, &["usage", "replay", "--dev", "--from", "1h"]);
        assert_eq!((&done[0]["added"], &done[0]["known"]), (&0.into(), &13.into()), "{done}");
        assert_eq!(exported(state), before);
    }

    // Into a shadow ledger, for the complete month; a repeat adds nothing there either.
    let month = Month::from_time(Timestamp::now());
    let from = month.first().to_string();
    let into = ["usage", "replay", "--dev", "--from", &from, "--into", "check"];
    assert_eq!(json_of(state, &into)[0]["added"], 13);
    assert_eq!(json_of(state, &into)[0]["added"], 0);
    assert_eq!(done(state, &["usage", "diff", "check", "--dev"]), "");

    // The ledger loses a count: it is reported, repaired, and not counted twice afterwards.
    let identity = Identity::key(&key.parse::<ApiKey>().expect("an API key").hash());
    lose(state, &identity);
    let told = json_of(state, &["usage", "diff", "check", "--dev"]);
    let calls = told.as_array().expect("rows").iter().find(|row| row["part"] == "calls").expect("a row");
    assert_eq!(
        (&calls["ledger"], &calls["generation"], &calls["ahead"], &calls["owner"]),
        (&0.into(), &12.into(), &"generation".into(), &"acme".into())
    );
    let unsure = run(state, &["usage", "adopt", "check", "--dev"]);
    assert!(stderr(&unsure).contains("pass --yes to confirm"), "{}", stderr(&unsure));
    let adopted = json_of(state, &["usage", "adopt", "check", "--dev", "--yes"]);
    assert_eq!(adopted, json!([{ "taken": 1, "same": 1, "ahead": 0, "partial": 0 }]));
    assert_eq!(exported(state), before);
    assert_eq!(json_of(state, &["usage", "replay", "--dev", "--from", "1h"])[0]["added"], 0);
    // The counter continues from there.
    assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0, 200);
    wait_for(|| exported(state).contains(&format!("{identity},{month},calls,,13\n")));

    // A shadow ledger lags behind the ledger until it is rebuilt.
    let late = json_of(state, &["usage", "diff", "check", "--dev"]);
    assert_eq!(late[0]["ahead"], "ledger");
    assert_eq!(json_of(state, &["usage", "rebuild", "--dev", "--into", "check"])[0]["added"], 1);
    assert_eq!(done(state, &["usage", "diff", "check", "--dev"]), "");
    assert_eq!(json_of(state, &["usage", "rebuild", "--dev"])[0]["added"], 0);

    // A shadow ledger of one hour has no complete day: nothing is compared or adopted.
    done(state, &["usage", "replay", "--dev", "--from", "1s", "--into", "young"]);
    lose(state, &identity);
    let told = json_of(state, &["usage", "adopt", "young", "--dev", "--yes"]);
    assert_eq!((&told[0]["taken"], &told[0]["partial"]), (&0.into(), &2.into()), "{told}");
    done(state, &["usage", "discard", "young", "--dev", "--yes"]);
    let gone = run(state, &["usage", "diff", "young", "--dev"]);
    assert!(stderr(&gone).contains("no shadow ledger `young`"), "{}", stderr(&gone));
    assert_eq!(dev.stop(), Some(0));

    // The stream and replays of it survive a restart.
    let dev = Dev::start(state);
    assert_eq!(json_of(state, &["usage", "replay", "--dev", "--from", "1h"])[0]["added"], 13);
    assert!(exported(state).contains(&format!("{identity},{month},calls,,13\n")));
    assert_eq!(dev.stop(), Some(0));
}

/// A record's data with other ids of its lines: those of its own are recognised as repeats.
fn with_other_lines(data: &str) -> String {
    let packed = BASE64_STANDARD.decode(data).expect("base64");
    let mut envelope: Value = serde_json::from_reader(GzDecoder::new(packed.as_slice())).expect("JSON");
    for line in envelope["logEvents"].as_array_mut().expect("lines") {
        line["id"] = format!("other-{}", line["id"]).into();
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(envelope.to_string().as_bytes()).expect("packs");
    BASE64_STANDARD.encode(packer.finish().expect("packs"))
}

#[test]
fn failed_batches_are_recovered_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let key = used_key(state, &dev, "100/month", 5);
    let identity = Identity::key(&key.parse::<ApiKey>().expect("an API key").hash());
    let month = Month::from_time(Timestamp::now());
    let counted = |calls: u64| exported(state).contains(&format!("{identity},{month},calls,,{calls}\n"));
    assert_eq!(json_of(state, &["usage", "recover", "--dev"])[0]["objects"], 0);

    // The first retained record, as if one with as many other lines had been given up before it.
    let mut segments: Vec<_> = std::fs::read_dir(state.join("stores/stream"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    let kept = std::fs::read_to_string(&segments[0]).expect("a file");
    let mut line: Value = serde_json::from_str(kept.lines().next().expect("a line")).expect("JSON");
    let record = line["record"].take();
    let data = &with_other_lines(record["kinesis"]["data"].as_str().expect("a text"));
    let event = json!({ "Records": [{ "eventID": "shardId-000000000000:0", "kinesis": { "sequenceNumber": "0", "data": data } }] });
    let object = json!({ "version": "1.0", "payload": event.to_string() }).to_string();
    let place = state.join("stores/failures/aws/lambda/esm/shardId-000000000000/2026/11/24");
    std::fs::create_dir_all(&place).expect("folders");
    std::fs::write(place.join("batch"), object).expect("written");
    std::fs::write(place.join("junk"), "not JSON").expect("written");

    // A local service has no forwarders: such a batch is kept.
    let forwarded = json!({ "requestPayload": { "awslogs": { "data": data } } }).to_string();
    std::fs::write(place.join("forwarded"), forwarded).expect("written");

    // Something is unreadable, so the exit status is 4.
    let recovered = |flags: &[&str]| -> Value {
        let ran = run(state, &[&["usage", "recover", "--dev", "--json"], flags].concat());
        assert_eq!(ran.status.code(), Some(4), "{}", stderr(&ran));
        serde_json::from_slice(&ran.stdout).expect("JSON")
    };
    let preview = recovered(&["--dry-run"]);
    let calls = preview[0]["added"].as_u64().expect("a number");
    assert!((1..=5).contains(&calls) && counted(5), "{preview}");
    let added = recovered(&[]);
    assert_eq!((&added[0]["added"], &added[0]["unreadable"]), (&calls.into(), &1.into()), "{added}");
    assert!(counted(5 + calls));
    let again = run(state, &["usage", "recover", "--dev", "--delete"]);
    assert!(stderr(&again).contains("0 charges added"), "{}", stderr(&again));
    assert!(stderr(&again).contains("junk: not a failed batch written by Lambda"), "{}", stderr(&again));
    assert!(stderr(&again).contains("forwarded: a forwarder's batch"), "{}", stderr(&again));
    // Only what could not be recovered remains.
    assert_eq!(std::fs::read_dir(&place).expect("a folder").count(), 2);
    assert_eq!(json_of(state, &["usage", "replay", "--dev", "--from", "1h"])[0]["added"], 0);
    assert!(counted(5 + calls));
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn lag_and_alerts_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let lag = json_of(state, &["usage", "lag", "--dev"]);
    assert_eq!(lag.as_array().map(Vec::len), Some(9));
    assert!(lag.as_array().expect("rows").iter().all(|row| row["newest"].is_null()), "{lag}");
    let key = used_key(state, &dev, "10/day", 10);
    assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0, 429);
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);

    wait_for(|| {
        let lag = json_of(state, &["usage", "lag", "--dev"]);
        let counted: Vec<_> =
            lag.as_array().expect("rows").iter().filter(|row| !row["newest"].is_null()).collect();
        // The log pipe waits at least 50 ms.
        counted.len() == 1 && counted[0]["took_ms"].as_i64().is_some_and(|ms| ms >= 50)
    });
    assert!(done(state, &["usage", "lag", "--dev"]).contains("eu-west"), "the caller is near Ireland");

    let file = state.join("stores/alerts.jsonl");
    wait_for(|| std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 2));
    let lines = std::fs::read_to_string(&file).expect("a file");
    let alerts: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> =
        alerts.iter().map(|alert| (alert["percent"].clone(), alert["api_key"].clone())).collect();
    assert_eq!(told, [(80.into(), hint.as_str().into()), (100.into(), hint.as_str().into())]);
    assert!(!lines.contains(&key) && alerts[0]["owner"] == "acme");
    let listed = json_of(state, &["usage", "alerts", "--dev"]);
    assert!(listed.as_array().expect("rows").iter().all(|alert| alert["sent"].is_string()), "{listed}");
    assert!(done(state, &["usage", "alerts", "--dev"]).contains("100 %"));
    // Counting everything again sends no alert.
    done(state, &["usage", "replay", "--dev", "--from", "1h"]);
    assert_eq!(std::fs::read_to_string(&file).expect("a file").lines().count(), 2);

    let jsonl = done(state, &["usage", "export", "--dev", "-o", "jsonl", "--kind", "key"]);
    let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |part: &str| {
        rows.iter().filter(|row| row["part"] == part).map(|row| row["count"].as_u64()).sum::<Option<u64>>()
    };
    assert_eq!(
        (of("calls"), of("day"), of("region"), of("verdict")),
        (Some(10), Some(10), Some(10), Some(11))
    );

    let page = state.join("usage.html");
    done(state, &["usage", "report", "--dev", "--html", page.to_str().expect("UTF-8")]);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains(&hint) && html.contains("at its limit") && html.ends_with("</html>\n"), "{html}");
    assert!(["Who called", "Counting lag", "Cost so far"].iter().all(|text| html.contains(text)), "{html}");
    // A page for a customer: nothing of the service's inside.
    let file = page.to_str().expect("UTF-8");
    done(state, &["usage", "report", "--dev", "--html", file, "--owner", "acme"]);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains(&hint) && html.contains("<h1>Usage of <bdi>acme</bdi> in "), "{html}");
    for inside in ["Who called", "Counting lag", "Cost", "Calls by tier", "prod"] {
        assert!(!html.contains(inside), "{inside}: {html}");
    }
    done(state, &["usage", "report", "--dev", "--html", file, "--since", "7d"]);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("by whole months only") && !html.contains("Calls by region"), "{html}");
    let nobody = run(state, &["usage", "report", "--dev", "--html", file, "--owner", "amce"]);
    assert!(nobody.status.code() == Some(2) && stderr(&nobody).contains("did you mean `acme`?"));
    let nowhere = page.join("below-a-file.html");
    let failed = run(state, &["usage", "report", "--dev", "--html", nowhere.to_str().expect("UTF-8")]);
    assert!(failed.status.code() == Some(1) && stderr(&failed).contains("write "), "{}", stderr(&failed));
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn api_keys_move_in_and_out_and_are_known_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let moved =
        ApiKey::generate("ipg", |bytes| getrandom::fill(bytes).expect("random bytes")).expect("an API key");
    let csv = format!(
        "api_key,hash,owner,tier,limit\n{},,\"Müller, Söhne\",startup,\n,{},b,business,5/day\n",
        moved.expose(),
        "ab".repeat(32)
    );
    // With any error, nothing is written.
    let broken = format!("{csv},{},c,statrup,\n", "cd".repeat(32));
    let refused = with_input(state, &["keys", "import", "-", "--dev"], &broken);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("stdin:4: unknown tier `statrup`")
            && stderr(&refused).contains("nothing was written"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(json_of(state, &["keys", "list", "--dev"]), json!([]));
    let looked = with_input(state, &["keys", "import", "-", "--dev", "--check"], &csv);
    assert!(stderr(&looked).contains("no errors; new: 2, already stored: 0"), "{}", stderr(&looked));
    assert_eq!(json_of(state, &["keys", "list", "--dev"]), json!([]));
    for says in ["stored: 2, already stored: 0", "stored: 0, already stored: 2"] {
        let stored = with_input(state, &["keys", "import", "-", "--dev"], &csv);
        assert_eq!(stored.status.code(), Some(0), "{}", stderr(&stored));
        assert!(stderr(&stored).contains(says), "{}", stderr(&stored));
    }

    let sights =
        with_input(state, &["keys", "verify", "-", "--dev", "--all-regions", "--json"], moved.expose());
    let sights: Value = serde_json::from_str(&stdout(&sights)).expect("JSON");
    let sights = sights.as_array().expect("rows");
    assert_eq!(sights.len(), 9);
    assert!(sights.iter().all(|sight| sight["known"] == "yes" && sight["since"].is_string()), "{sights:?}");
    let took: Vec<u64> =
        sights.iter().map(|sight| sight["propagation_ms"].as_u64().expect("a time")).collect();
    // For other regions, at least the replication lag.
    assert!(took[1..].iter().all(|ms| *ms >= 20), "{took:?}");
    let hint = moved.hint();
    let home = json_of(state, &["keys", "verify", &hint, "--dev"]);
    assert_eq!((home.as_array().map(Vec::len), &home[0]["propagation_ms"]), (Some(1), &Value::Null));
    let quiet = json_of(state, &["keys", "verify", &hint, "--dev", "--all-regions", "--read-only"]);
    assert!(quiet.as_array().expect("rows").iter().all(|sight| sight["propagation_ms"].is_null()));
    let stranger = ApiKey::generate("ipg", |bytes| bytes.fill(3)).expect("an API key");
    let unknown = with_input(state, &["keys", "verify", "-", "--dev", "--all-regions"], stranger.expose());
    assert!(
        unknown.status.code() == Some(1) && stdout(&unknown).matches(" no").count() >= 9,
        "{}",
        stdout(&unknown)
    );
    assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(moved.expose())).0, 200);

    let out = done(state, &["keys", "export", "--dev"]);
    assert!(out.starts_with("hash,hint,owner,tier,limit") && !out.contains(moved.expose()), "{out}");
    let again = with_input(state, &["keys", "import", "-", "--dev"], &out);
    assert!(stderr(&again).contains("stored: 0, already stored: 2"), "{}", stderr(&again));
    assert_eq!(done(state, &["keys", "export", "--dev", "-o", "jsonl", "--owner", "b"]).lines().count(), 1);
    assert_eq!(dev.stop(), Some(0));
}

/// The read API of Kinesis, with pages of one record; it saves the requests.
#[derive(Default)]
struct Kinesis {
    records: Vec<(f64, String, String)>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Kinesis {
    fn answer(&self, call: &str, body: &Value) -> Value {
        self.asked.lock().expect("unpoisoned").push((call.to_owned(), body.clone()));
        match call {
            "ListShards" if body["NextToken"].is_null() => {
                json!({ "Shards": [shard("shardId-000000000001")], "NextToken": "more" })
            }
            "ListShards" => json!({ "Shards": [shard("shardId-000000000000")] }),
            "GetShardIterator" if body["ShardId"] == "shardId-000000000000" => {
                json!({ "ShardIterator": "0" })
            }
            "GetShardIterator" => json!({ "ShardIterator": "closed" }),
            "GetRecords" if body["ShardIterator"] == "closed" => {
                json!({ "Records": [], "MillisBehindLatest": 0 })
            }
            "GetRecords" => {
                let at: usize =
                    body["ShardIterator"].as_str().and_then(|at| at.parse().ok()).expect("a place");
                let records: Vec<Value> = self.records[at..]
                    .iter()
                    .take(1)
                    .map(|(arrived, sequence, data)| {
                        json!({ "ApproximateArrivalTimestamp": arrived, "SequenceNumber": sequence, "Data": data, "PartitionKey": "p" })
                    })
                    .collect();
                let behind = self.records.len() - at - records.len();
                json!({ "Records": records, "NextShardIterator": (at + records.len()).to_string(), "MillisBehindLatest": behind })
            }
            other => panic!("not a read: {other}"),
        }
    }
}

fn shard(id: &str) -> Value {
    json!({
        "ShardId": id,
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "9" },
        "SequenceNumberRange": { "StartingSequenceNumber": "0" },
    })
}

async fn serve(kinesis: Arc<Kinesis>) -> String {
    let router =
        axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| async move {
            let target = headers["x-amz-target"].to_str().expect("text").to_owned();
            let call = target.rsplit('.').next().unwrap_or_default();
            kinesis.answer(call, &serde_json::from_str(&body).expect("JSON")).to_string()
        });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

#[test]
fn the_same_verbs_read_kinesis() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    used_key(state, &dev, "100/month", 5);
    // The records in the stream's copy, as Kinesis would return them.
    let kept =
        std::fs::read_to_string(state.join("stores/stream/shardId-000000000000.00000000000000000000.jsonl"))
            .expect("a file");
    let records = kept.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let payload = &line["record"]["kinesis"];
        let text = |name: &str| payload[name].as_str().expect("text").to_owned();
        #[expect(clippy::cast_precision_loss, reason = "seconds, as Kinesis gives them")]
        let arrived = line["arrived"].as_i64().expect("a time") as f64 / 1_000.0;
        (arrived, text("sequenceNumber"), text("data"))
    });
    let kinesis = Arc::new(Kinesis { records: records.collect(), asked: Mutex::default() });
    let runtime = runtime();
    let endpoint = runtime.block_on(serve(Arc::clone(&kinesis)));
    let world = WorldFile::find(state).expect("a world");
    let aws = |args: &[&str]| -> Value {
        let output = ipgeo(state)
            .args(args)
            .arg("--json")
            .env("AWS_ENDPOINT_URL_KINESIS", &endpoint)
            .env("AWS_ENDPOINT_URL_DYNAMODB", world.home_dynamodb().expect("home"))
            .env("AWS_ACCESS_KEY_ID", &world.key.access)
            .env("AWS_SECRET_ACCESS_KEY", &world.key.secret)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let into = aws(&["usage", "replay", "--from", "2h", "--into", "cloud"]);
    assert_eq!((&into[0]["shards"], &into[0]["added"]), (&2.into(), &5.into()), "{into}");
    assert_eq!(aws(&["usage", "replay", "--from", "2h", "--into", "cloud"])[0]["added"], 0);
    assert_eq!(aws(&["usage", "replay", "--from", "2h"])[0]["added"], 0);

    let home = Home::of_world(&world).expect("home");
    let month = Month::from_time(Timestamp::now());
    let cloud = home.ledger.beside(format!("{}-cloud", home.ledger.name()));
    let counts = |items: Vec<ipgeo_runtime::dynamo::LedgerItem>| -> BTreeMap<Identity, u64> {
        items.into_iter().map(|item| (item.identity, item.charged)).collect()
    };
    let both = runtime.block_on(async {
        let ours = home.ledger.month(month, Some(IdentityKind::Key)).await.expect("a read");
        let theirs = cloud.month(month, Some(IdentityKind::Key)).await.expect("a read");
        (counts(ours), counts(theirs))
    });
    assert_eq!(both.0, both.1);
    let asked = kinesis.asked.lock().expect("unpoisoned");
    let first = asked.iter().find(|(call, _)| call == "GetShardIterator").expect("a place was asked for");
    assert_eq!(
        (&first.1["ShardIteratorType"], &first.1["StreamName"]),
        (&"AT_TIMESTAMP".into(), &"ipgeo-prod-usage".into())
    );
    drop(asked);
    assert_eq!(dev.stop(), Some(0));
}
