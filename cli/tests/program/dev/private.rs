//! What a running `ipgeo dev` protects: its stores from web pages and other programs, its files from other users, and every
//! API key in every region from a kill.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ipgeo::internals::aws::Home;
use ipgeo::internals::world::WorldFile;

use crate::support::{CONFIG, Dev, done, run, stderr, wait_for, with_input};

/// The complete answer to a request with these headers.
fn asked(address: &str, method: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut request =
        format!("{method} / HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.to_lowercase()
}

#[test]
fn a_store_answers_neither_web_pages_nor_strangers() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
    let world = WorldFile::find(state).expect("a world");
    let home = world.home_dynamodb().expect("home").trim_start_matches("http://").to_owned();
    let credential = |access: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={access}/20260101/eu-central-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
            "0".repeat(64)
        )
    };
    let (mine, other) = (credential(&world.key.access), credential("AKIAIOSFODNN7EXAMPLE"));
    let port = home.rsplit(':').next().expect("a port");
    let foreign = format!("evil.example:{port}");
    let strangers: [(&str, Vec<(&str, &str)>); 5] = [
        ("accessdenied", vec![("host", &home), ("origin", "https://evil.example"), ("authorization", &mine)]),
        ("accessdenied", vec![("host", &foreign), ("authorization", &mine)]),
        ("missingauthenticationtoken", vec![("host", &home)]),
        ("unrecognizedclient", vec![("host", &home), ("authorization", &other)]),
        ("invalidsignature", vec![("host", &home), ("authorization", &mine)]),
    ];
    let secret = r#"{"id":{"S":"secret"}}"#;
    let calls = [
        ("GetItem", format!(r#"{{"TableName":"{}","Key":{secret}}}"#, world.access_table)),
        ("Scan", format!(r#"{{"TableName":"{}"}}"#, world.access_table)),
        ("DeleteTable", format!(r#"{{"TableName":"{}"}}"#, world.ledger_table)),
        ("DeleteTable", format!(r#"{{"TableName":"{}"}}"#, world.access_table)),
    ];
    for (code, who) in &strangers {
        for (operation, body) in &calls {
            let target = format!("DynamoDB_20120810.{operation}");
            let mut headers = who.clone();
            headers.extend([
                ("content-type", "application/x-amz-json-1.0"),
                ("x-amz-date", "20260101T000000Z"),
                ("x-amz-target", &target),
            ]);
            let answer = asked(&home, "POST", &headers, body);
            assert!(answer.starts_with("http/1.1 403"), "{operation} {who:?}: {answer}");
            assert!(answer.contains(&format!("#{code}exception")), "{operation} {who:?}: {answer}");
            assert!(!answer.contains("access-control"), "{operation} {who:?}: {answer}");
        }
        let mut headers = who.clone();
        headers.push(("access-control-request-method", "POST"));
        let answer = asked(&home, "OPTIONS", &headers, "");
        assert!(answer.starts_with("http/1.1 403") && !answer.contains("access-control"), "{answer}");
    }
    assert!(done(state, &["keys", "list", "--dev"]).contains("acme"), "nothing was deleted");
    assert!(!done(state, &["doctor", "--dev"]).is_empty());
    assert_eq!(dev.stop(), Some(0));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Every file and folder below a folder.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let deeper: Vec<_> = paths.iter().filter(|path| path.is_dir()).flat_map(|path| below(path)).collect();
    paths.into_iter().chain(deeper).collect()
}

/// The program under a umask.
fn under(umask: &str, state: &Path) -> Command {
    let mut command = Command::new("sh");
    let program = ["-c", r#"umask "$1"; shift; exec "$@""#, "sh", umask, env!("CARGO_BIN_EXE_ipgeo")];
    command.args(program).args(["--config", CONFIG, "--state"]).arg(state);
    command
}

#[test]
fn state_is_private_and_requested_files_follow_the_umask() {
    for (umask, file_mode) in [("022", 0o644), ("027", 0o640)] {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join(".ipgeo");
        // A folder of an earlier version, readable by all.
        std::fs::create_dir_all(state.join("stores")).expect("a folder");
        let old = state.join("stores/eu-central-1.log");
        std::fs::write(&old, "").expect("a file");
        for (path, wide) in [(&state, 0o755), (&state.join("stores"), 0o755), (&old, 0o644)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(wide)).expect("widened");
        }
        let mut dev = under(umask, &state)
            .args(["dev", "--json", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut ready = [0];
        dev.stdout.take().expect("piped").read_exact(&mut ready).expect("it is ready");
        done(&state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
        assert_eq!(mode(&state), 0o700, "{umask}");
        assert_eq!(mode(&state.join("world.json")), 0o600, "{umask}");
        assert_eq!(mode(&state.join("stores")), 0o700, "{umask}");
        let kept = below(&state.join("stores"));
        assert!(kept.iter().any(|path| path.ends_with("credentials")), "{kept:?}");
        assert!(kept.iter().any(|path| path.to_string_lossy().ends_with(".sqlite-wal")), "{kept:?}");
        for path in kept {
            assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{umask}: {}", path.display());
        }
        // Nothing is pending; other tests cover how it ends.
        dev.kill().and_then(|()| dev.wait()).expect("ended");

        let out = folder.path().join("out");
        std::fs::create_dir(&out).expect("a folder");
        let database = out.join("sample.mmdb");
        let args: [&[&str]; 2] = [
            &["render", "--regions", "eu-central-1", "--out", out.to_str().expect("UTF-8")],
            &["geo", "build", "--sample", "--out", database.to_str().expect("UTF-8")],
        ];
        for args in args {
            let ran = under(umask, &state).args(args).output().expect("it runs");
            assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        }
        let written: Vec<_> = below(&out).into_iter().filter(|path| path.is_file()).collect();
        assert!(written.len() >= 3, "{written:?}");
        for path in written {
            assert_eq!(mode(&path), file_mode, "{umask}: {}", path.display());
        }
    }
}

#[test]
fn thousands_of_api_keys_are_in_every_region_soon_and_after_a_kill() {
    const COUNT: usize = 3_000;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let csv = |keys: std::ops::Range<usize>| {
        keys.fold("hash,owner,tier\n".to_owned(), |csv, key| {
            csv + &format!("{key:064x},owner {key},startup\n")
        })
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all = || {
        let world = WorldFile::find(state).expect("a world");
        let mut tables = Home::replicas_of_world(&world);
        tables.push((world.home.clone(), Home::of_world(&world).expect("home").access));
        let of = |(region, table): (ipgeo_contract::RegionName, ipgeo_runtime::dynamo::AccessTable)| {
            let mut keys = runtime.block_on(table.list_keys()).expect("API keys");
            keys.sort_by(|(a, _), (b, _)| a.cmp(b));
            (region, keys)
        };
        tables.into_iter().map(of).collect::<Vec<_>>()
    };
    let are_everywhere = |count: usize| {
        let tables = all();
        assert_eq!(tables.len(), 9);
        let (_, home) = tables.last().expect("home");
        assert_eq!(home.len(), count);
        tables.iter().all(|(_, keys)| keys == home)
    };
    let import = |keys| {
        let done = with_input(state, &["keys", "import", "-", "--dev", "--progress", "lines"], &csv(keys));
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    };

    let dev = Dev::start(state);
    import(0..COUNT / 2);
    wait_for(|| are_everywhere(COUNT / 2));
    import(0..COUNT);
    // Dropping kills it; the next start copies pending changes before it is ready.
    drop(dev);
    let dev = Dev::start(state);
    assert!(are_everywhere(COUNT), "a region lacks API keys, or has others");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_damaged_store_is_never_replaced_by_an_empty_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
    let world = WorldFile::find(state).expect("a world");
    let copy =
        world.regions.iter().find(|region| region.region != world.home).expect("a copy").region.clone();
    assert_eq!(dev.stop(), Some(0));
    let store = |region: &str| state.join("stores").join(format!("{region}.sqlite"));
    let refused = |advice: &str| {
        let output = run(state, &["dev", "--port", "0"]);
        assert!(output.status.code() == Some(1) && stderr(&output).contains(advice), "{}", stderr(&output));
    };
    let kept = std::fs::read(store(&copy)).expect("a store");
    std::fs::write(store(&copy), "not a database, but some text that is longer than a header")
        .expect("written");
    refused("it is only a copy of home's: remove the file and start again");
    std::fs::remove_file(store(&copy)).expect("removed");
    assert!(!kept.is_empty());

    let home = std::fs::read(store(&world.home)).expect("a store");
    std::fs::write(store(&world.home), "").expect("emptied");
    refused("is missing or empty: it held the API keys and the ledger");
    std::fs::remove_file(store(&world.home)).expect("removed");
    refused("is missing or empty: it held the API keys and the ledger");
    std::fs::write(store(&world.home), home).expect("restored");
    let dev = Dev::start(state);
    assert!(done(state, &["keys", "list", "--dev"]).contains("acme"));
    assert_eq!(dev.stop(), Some(0));
}

/// Closed, standard output becomes `/dev/null`: writing to it succeeds, and shows nothing.
#[test]
fn an_api_key_that_could_not_be_shown_is_not_created() {
    let folder = tempfile::tempdir().expect("a folder");
    for verb in ["keys create --dev --owner acme --tier startup", "keys rotate --dev ipg_…x3Kq"] {
        for redirection in [">&-", ">/dev/null"] {
            let mut shell = std::process::Command::new("sh");
            let script = format!("exec \"$0\" --config \"$1\" {verb} {redirection}");
            shell.args(["-c", &script, env!("CARGO_BIN_EXE_ipgeo"), crate::support::CONFIG]);
            let output = shell.current_dir(folder.path()).output().expect("it runs");
            assert_eq!(output.status.code(), Some(2), "{verb} {redirection}: {}", stderr(&output));
            assert!(stderr(&output).contains("would be lost; nothing was created"), "{}", stderr(&output));
        }
    }
}

#[test]
fn an_api_key_that_could_not_be_printed_is_revoked_and_replaces_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let key = done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);
    let unseen = |args: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that is full");
        let output = crate::support::ipgeo(state)
            .args(args)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        for part in ["could not be shown, so it was revoked", "cannot write standard output: No space left"] {
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    };
    unseen(&["keys", "create", "--dev", "--owner", "zoo", "--tier", "startup"]);
    unseen(&["keys", "rotate", "--dev", &hint, "--grace", "0"]);
    // A pipe that nobody reads.
    let create = ["keys", "create", "--dev", "--owner", "zoo", "--tier", "startup"];
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = crate::support::ipgeo(state)
        .args(create)
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("it runs");
    assert!(output.status.code() == Some(1) && stderr(&output).contains("so it was revoked"), "{output:?}");
    let rows: serde_json::Value =
        serde_json::from_str(&done(state, &["keys", "list", "--dev", "--json"])).expect("JSON");
    let status = |owner: &str| -> Vec<String> {
        let rows = rows.as_array().expect("rows").iter().filter(|row| row["owner"] == owner);
        rows.map(|row| row["status"].as_str().expect("a status").to_owned()).collect()
    };
    assert_eq!((status("zoo"), status("acme").len()), (vec!["revoked".to_owned(); 2], 2));
    assert_eq!(
        crate::support::get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0,
        200,
        "the old one still works"
    );
    // Once it can be printed, it replaces the old one.
    assert!(done(state, &["keys", "rotate", "--dev", &hint, "--grace", "0"]).starts_with("ipg_"));
    assert_eq!(dev.stop(), Some(0));
}
