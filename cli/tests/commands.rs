//! The program as an operator runs it: a local service on free ports, and verbs that use it.

mod support;

use std::path::Path;
use std::process::Command;

use ipgeo_geo::compile::{DataDescription, NoProgress, Source, build};
use serde_json::Value;
use support::{CONFIG, Dev, done, get, ipgeo, run, stderr, stdout, wait_for, with_input};

fn an_api_key_gets_a_rate_and_loses_it(state: &Path, hint: &str) {
    done(state, &["keys", "update", "--dev", hint, "--rate", "10/s", "--burst", "20"]);
    let json: Value =
        serde_json::from_str(&done(state, &["keys", "show", "--dev", hint, "--json"])).expect("JSON");
    assert_eq!(
        (&json["rate"], &json["burst"], &json["rate_of"]),
        (&"10/s".into(), &20.into(), &"key".into())
    );
    assert!(done(state, &["keys", "list", "--dev"]).contains("2500000/month 10/s"));
    let exported = done(state, &["keys", "export", "--dev"]);
    assert!(exported.contains(",2500000/month,10/s,20,active,"), "{exported}");
    let explained = done(state, &["quota", "explain", "--dev", hint]);
    assert!(explained.contains("rate        10/s, burst 20, in each environment"), "{explained}");
    let changed = done(state, &["keys", "update", "--dev", hint, "--tier-rate"]);
    assert!(changed.contains("rate        none"), "{changed}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one day, in order")]
fn a_days_work_with_api_keys_in_a_running_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    assert_eq!((&dev.ready["ready"], dev.ready["regions"].as_array().map(Vec::len)), (&true.into(), Some(9)));
    let second = run(state, &["dev", "--port", "0"]);
    assert!(stderr(&second).contains(", as process"), "{}", stderr(&second));

    // Created, and known in every region at once.
    let created =
        run(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup", "--quota", "3/day"]);
    let key = stdout(&created).trim().to_owned();
    assert!(key.starts_with("ipg_") && stdout(&created).lines().count() == 1);
    assert!(
        !stderr(&created).contains(&key) && stderr(&created).contains("not shown again"),
        "{}",
        stderr(&created)
    );
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);
    for region in dev.ready["regions"].as_array().expect("regions").iter().take(3) {
        let url = format!("{}/1.1.1.1/city", region["url"].as_str().expect("a URL"));
        assert_eq!(get(&url, Some(&key)), (200, "\"Brisbane\"".to_owned()));
    }

    let rows: Value = serde_json::from_str(&done(state, &["keys", "list", "--dev", "--json"])).expect("JSON");
    assert_eq!(
        (&rows[0]["hint"], &rows[0]["limit"], &rows[0]["owner"]),
        (&hint.as_str().into(), &"3/day".into(), &"acme".into())
    );
    wait_for(|| {
        done(state, &["usage", "report", "--dev", "-o", "csv"])
            .contains(&format!(",key,{hint},acme,startup,,3,3,3/day"))
    });
    let summary = done(state, &["usage", "report", "--dev"]);
    for head in ["who ", "\n\nday ", "\n\nregion ", "\n\nverdict "] {
        assert!(summary.contains(head), "{summary}");
    }
    let parts = done(state, &["usage", "report", "--dev", "--by", "key,day,region,verdict", "--json"]);
    for part in ["day", "region", "verdict"] {
        assert!(parts.contains(&format!("\"by\": \"{part}\"")), "{parts}");
    }
    assert!(done(state, &["usage", "report", "--dev", "--by", "key,region"]).contains("us-east-1"));
    assert!(done(state, &["usage", "report", "--dev", "--by", "verdict"]).contains("allowed"));
    assert!(done(state, &["usage", "top", "--dev"]).contains(&hint));
    let shown = done(state, &["keys", "show", "--dev", &hint]);
    assert!(shown.contains("counted     3 in ") && shown.contains("by region   "), "{shown}");
    wait_for(|| get(&format!("{}/1.1.1.1", dev.nearest()), Some(&key)).0 == 429);

    done(state, &["keys", "update", "--dev", &hint, "--tier", "business", "--sites", "a.test,*.b.test"]);
    let json: Value =
        serde_json::from_str(&done(state, &["keys", "show", "--dev", &hint, "--json"])).expect("JSON");
    assert_eq!(
        (&json["tier"], &json["limit"], &json["sites"]),
        (&"business".into(), &"2500000/month".into(), &"a.test *.b.test".into())
    );
    done(state, &["keys", "update", "--dev", &hint, "--any-site", "--expires", "90d"]);
    an_api_key_gets_a_rate_and_loses_it(state, &hint);

    let rotated = done(state, &["keys", "rotate", "--dev", &hint, "--grace", "1h"]);
    assert!(rotated.starts_with("ipg_") && rotated != key);
    assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&rotated)).0, 200);
    let new_hint = format!("ipg_…{}", &rotated[rotated.len() - 4..]);
    // Rotating a rotated or disabled API key would create one that is refused.
    let again = run(state, &["keys", "rotate", "--dev", &hint]);
    assert!(
        stderr(&again).contains("was already rotated") && stdout(&again).is_empty(),
        "{}",
        stderr(&again)
    );
    let nobody = run(state, &["keys", "list", "--dev", "--owner", "amce"]);
    assert!(stderr(&nobody).contains("no API key has the owner `amce`; did you mean `acme`?"));
    assert_eq!(run(state, &["keys", "list", "--dev", "--tier", "statrup"]).status.code(), Some(2));
    assert!(done(state, &["keys", "disable", "--dev", &new_hint]).contains("status      disabled"));
    let off = run(state, &["keys", "rotate", "--dev", &new_hint]);
    assert!(
        stderr(&off).contains(&format!("`ipgeo keys enable {new_hint} --dev` first")),
        "{}",
        stderr(&off)
    );
    assert!(done(state, &["keys", "enable", "--dev", &new_hint]).contains("status      active"));
    let unsure = run(state, &["keys", "revoke", "--dev", &new_hint]);
    assert!(unsure.status.code() == Some(2) && stderr(&unsure).contains("pass --yes to confirm"));
    assert!(done(state, &["keys", "revoke", "--dev", &new_hint, "--yes"]).contains("status      revoked"));
    let again = run(state, &["keys", "enable", "--dev", &new_hint]);
    assert!(stderr(&again).contains("permanent"), "{}", stderr(&again));

    // The API key itself is accepted on standard input; as an argument it is refused and not repeated.
    let shown = with_input(state, &["keys", "show", "--dev", "-"], &format!("{key}\n"));
    assert!(stdout(&shown).contains(&hint));
    let leaked = run(state, &["keys", "show", "--dev", &key]);
    assert!(stderr(&leaked).contains("shell's history") && !stderr(&leaked).contains(&key));

    assert_eq!(dev.stop(), Some(0));
    let gone = run(state, &["keys", "list", "--dev"]);
    assert!(
        stderr(&gone).contains("`ipgeo dev` is not running in") && stderr(&gone).contains("help: start it")
    );
}

#[test]
fn the_same_verbs_speak_to_any_dynamodb_as_every_aws_tool_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let world: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("world.json")).expect("a file"))
            .expect("JSON");
    let home =
        world["regions"].as_array().expect("regions").iter().find(|region| region["region"] == world["home"]);
    let endpoint = home.expect("home")["dynamodb"].as_str().expect("a URL");
    let aws = |args: &[&str]| {
        ipgeo(folder.path())
            .args(args)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_SHARED_CREDENTIALS_FILE", folder.path().join("stores/credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .expect("it runs")
    };
    let created = aws(&["keys", "create", "--owner", "cloud", "--tier", "startup"]);
    assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
    assert!(stdout(&aws(&["keys", "list"])).contains("cloud"));
    assert!(done(folder.path(), &["keys", "list", "--dev"]).contains("cloud"));
    assert_eq!(aws(&["usage", "report"]).status.code(), Some(0));
    assert_eq!(dev.stop(), Some(0));
}

/// Without credentials, wherever the test runs.
fn signed_out(command: &mut Command) {
    for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "none")
        .env("AWS_SHARED_CREDENTIALS_FILE", "none");
}

#[test]
fn the_state_folder_is_found_from_any_folder_below_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).expect("folders");
    let ipgeo = |here: &std::path::Path, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.env_remove("IPGEO_STATE").env_remove("IPGEO_CONFIG");
        command.current_dir(here).args(args).output().expect("it runs")
    };
    let made = ipgeo(folder.path(), &["init", "--no-input", "--data", "sample"]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let schema = std::fs::read_to_string(folder.path().join("docs/regions.schema.json")).expect("a schema");
    assert_eq!(schema.trim_end(), stdout(&ipgeo(&deep, &["schema"])).trim_end());
    let built = ipgeo(&deep, &["geo", "build", "--sample"]);
    assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
    assert!(folder.path().join(".ipgeo/geo/ipgeo.mmdb").is_file() && !deep.join(".ipgeo").exists());
    for here in [folder.path(), &deep] {
        let inspected = ipgeo(here, &["geo", "inspect"]);
        assert!(stdout(&inspected).contains("ipgeo sample"), "{}", stderr(&inspected));
    }
    // A flag's path is relative to the current folder.
    let other = ipgeo(&deep, &["geo", "build", "--sample", "--state", "own"]);
    assert!(other.status.success() && deep.join("own/geo/ipgeo.mmdb").is_file(), "{}", stderr(&other));
}

#[test]
fn wrong_usage_and_failures_have_their_own_status_and_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "[service]\nnmae = \"x\"\n").expect("written");
    let broken = broken.to_str().expect("UTF-8");
    // (arguments, status, part of standard error)
    let table: [(&[&str], i32, &str); 23] = [
        (&["keys", "create"], 2, "--owner <NAME>"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
        (&["keys", "create", "--owner", "a", "--tier", "statrup", "--dev"], 2, "did you mean `startup`?"),
        (&["keys", "create", "--owner", "a", "--tier", "anonymous", "--dev"], 2, "have no API key"),
        (&["keys", "create", "--owner", "a", "--tier", "startup", "--quota", "5"], 2, "has no window"),
        (&["usage", "report", "--by", "region", "--since", "7d"], 2, "by whole months"),
        (&["geo", "inspect", "none.mmdb"], 1, "no geo database at none.mmdb"),
        (&["geo", "build"], 1, "run `ipgeo geo fetch`"),
        (&["geo", "diff", "none.mmdb"], 1, "cannot open geo database none.mmdb"),
        (&["cost", "--calls", "lots"], 2, "`lots` is not a number; write digits"),
        (&["cost", "--regions", "11"], 2, "--regions: 11 is not from 1 to 9"),
        (&["quota", "explain"], 2, "or a tier with --tier"),
        (&["cost", "--max-monthly", "nan"], 2, "`nan` is not a number"),
        (&["plan"], 1, "\nhelp: set AWS_PROFILE, or run `aws login` or `aws sso login`\n"),
        (&["keys", "list"], 1, "`aws sso login`; pass `--dev` to use `ipgeo dev` on this machine"),
        (&["keys", "create", "--owner", " a", "--tier", "startup", "--dev"], 2, "surrounding spaces"),
        (&["keys", "update", "x", "--owner", "", "--dev"], 2, "an owner must be 1 to 200 bytes"),
        (
            &["keys", "create", "--owner", "a", "--tier", "startup", "--expires", "9999-12-31", "--dev"],
            2,
            "`9999-12-31` is too far in the future: the latest time is 9999-12-29",
        ),
        (&["cost", "--keyed", "120"], 2, "must be between 0 and 100 percent"),
        (&["usage", "report", "--month", "2026-13"], 2, "write it as `2026-11`"),
        (&["simulate", "--span", "1h", "--home-loss", "2h"], 2, "must end before the span does"),
        (&["quota", "explain", "--tier", "statrup"], 2, "did you mean `startup`?"),
        (&["keys", "list", "--config", broken], 1, "unknown field `nmae` in [service]; did you mean `name`?"),
    ];
    for (args, status, says) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        if !args.contains(&"--config") {
            command.args(["--config", CONFIG]);
        }
        signed_out(&mut command);
        let output = command.args(["--state"]).arg(folder.path()).args(args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    let none = Command::new(env!("CARGO_BIN_EXE_ipgeo"))
        .args(["keys", "list"])
        .current_dir("/")
        .output()
        .expect("it runs");
    assert!(stderr(&none).contains("no regions.toml in this folder or above"), "{}", stderr(&none));
}

#[test]
fn a_monthly_bill_is_estimated_and_compared_with_a_budget() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.args(["--config", CONFIG]).args(args).output().expect("it runs")
    };
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&stdout(&run(&[args, &["--json"]].concat()))).expect("JSON")
    };
    let usd = |bill: &Value, name: &str| bill[name].as_f64().expect("a number");
    let bill = json(&["cost"]);
    let (total, at_base) = (usd(&bill, "total"), usd(&bill, "total_at_base_prices"));
    assert!(at_base <= 50.0 && total > at_base && total < usd(&bill, "total_2018"), "{bill:#}");
    assert!(usd(&json(&["cost", "--no-allowances"]), "total") > total);
    // (the most that a month may cost, status)
    for (most, status) in [(total + 0.01, 0), (total - 0.02, 6), (1.0, 6)] {
        let output = run(&["cost", "--max-monthly", &format!("{most:.2}")]);
        assert_eq!(output.status.code(), Some(status), "{most}: {}", stderr(&output));
        assert_eq!(stderr(&output).contains("over budget"), status == 6);
        assert!(stdout(&output).contains("total"));
    }
    let csv = stdout(&run(&["cost", "--by", "line,region", "-o", "csv"]));
    assert!(csv.starts_with("line,region,amount,unit,usd,usd_2018,estimate\n"), "{csv}");
    assert!(csv.lines().count() > 100 && csv.lines().last().is_some_and(|line| line.starts_with("total,")));
    let told = json(&["quota", "explain", "--tier", "startup", "--rate", "10"]);
    let last = told["beyond"].as_array().and_then(|list| list.last()).expect("a rate");
    assert_eq!(last["calls"], 4960.0);
    let played = json(&["simulate", "--span", "2h", "--calls", "1M", "--keys", "20"]);
    assert_eq!(
        (&played["bound_holds"], &played["counted_exactly"]),
        (&Value::from(true), &Value::from(true))
    );
}

#[test]
fn the_schema_and_the_sample_come_from_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let committed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/regions.schema.json"));
    assert_eq!(done(folder.path(), &["schema"]), committed.expect("a file").trim_end());
    let told = done(folder.path(), &["geo", "build", "--sample"]);
    assert!(told.contains("name      ipgeo sample"), "{told}");
    let json: Value =
        serde_json::from_str(&done(folder.path(), &["geo", "inspect", "--json"])).expect("JSON");
    assert_eq!(json["date"], "2026-11-24");
}

/// A source of two networks, as `geo fetch` would write it.
fn source(path: &Path) {
    use mmdb_writer::{IpVersion, Value, Writer};
    let mut writer = Writer::builder("city").ip_version(IpVersion::V4).build();
    for (network, code) in [("5.0.0.0/8", "DE"), ("6.0.0.0/8", "US")] {
        let record = [("country_code".to_owned(), Value::String(code.to_owned()))];
        let network: ipnet::IpNet = network.parse().expect("a network");
        writer.insert_value(network, Value::Map(record.into_iter().collect())).expect("inserted");
    }
    std::fs::write(path, writer.to_bytes().expect("bytes")).expect("written");
}

#[test]
fn a_geo_build_never_writes_over_what_it_reads_or_what_is_not_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    source(&at("x.mmdb"));
    source(&at("old.mmdb.previous"));
    std::fs::hard_link(at("x.mmdb"), at("hard.mmdb")).expect("a link");
    std::os::unix::fs::symlink(at("x.mmdb"), at("soft.mmdb")).expect("a link");
    std::fs::write(at("letter.txt"), "dear all").expect("written");
    let names = ["x.mmdb", "old.mmdb.previous", "hard.mmdb", "soft.mmdb", "letter.txt"];
    let read = || names.map(|name| std::fs::read(at(name)).expect("a file"));
    let before = read();
    let state = at("state");
    let build = |source: &str, out: &str| {
        let (source, out) = (at(source).display().to_string(), at(out).display().to_string());
        let output = run(&state, &["geo", "build", &source, "--out", &out]);
        (output.status.code(), stderr(&output))
    };
    for out in ["x.mmdb", "./x.mmdb", "hard.mmdb", "soft.mmdb"] {
        let (status, told) = build("x.mmdb", out);
        assert!(status == Some(1) && told.contains(", a source of this build"), "{out}: {told}");
    }
    let (status, told) = build("x.mmdb", "letter.txt");
    assert!(status == Some(1) && told.contains("is not a compiled geo database"), "{told}");
    let (status, told) = build("old.mmdb.previous", "old.mmdb");
    assert!(status == Some(1) && told.contains(", a source of this build"), "{told}");
    let sample = run(&state, &["geo", "build", "--sample", "--out", &at("letter.txt").display().to_string()]);
    assert!(stderr(&sample).contains("is not a compiled geo database"), "{}", stderr(&sample));
    assert_eq!(read(), before);
    // Its own output may be replaced: by another source, and by the same again.
    for round in 0..2 {
        let (status, told) = build("x.mmdb", "out.mmdb");
        assert_eq!(status, Some(0), "{round}: {told}");
    }
    let _ = std::fs::remove_file(at("self.mmdb"));
    std::fs::hard_link(at("out.mmdb"), at("self.mmdb")).expect("a link");
    let (status, told) = build("self.mmdb", "out.mmdb");
    assert!(status == Some(1) && told.contains(", a source of this build"), "{told}");
}

#[test]
fn what_a_database_says_of_itself_does_not_move_the_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, file) = (folder.path().join("x.mmdb"), folder.path().join("y.mmdb"));
    source(&from);
    let description =
        DataDescription { name: "\u{1b}[2J\u{9b}31mX".into(), date: "\u{7}".into(), ..Default::default() };
    let opened = [Source::open(&from).expect("it opens").into()];
    let compiled = build(&opened, &description, &NoProgress).expect("it compiles");
    std::fs::write(&file, compiled.to_bytes()).expect("written");
    let file = file.display().to_string();
    for args in [&["geo", "inspect", &file][..], &["geo", "diff", &file, &file]] {
        let output = run(folder.path(), args);
        let all = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{all}");
        assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{all:?}");
    }
}

#[test]
fn an_api_key_in_the_wrong_place_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = ipgeo_contract::ApiKey::generate("ipg", |bytes| bytes.fill(3)).expect("an API key");
    let (text, site) = (key.expose(), format!("{}.com", key.expose()));
    for args in [
        &["keys", "create", "--dev", "--owner", text, "--tier", "startup"][..],
        &["keys", "create", "--dev", "--owner", "acme", "--tier", text],
        &["keys", "update", "--dev", "KEY", "--sites", &site],
        &["keys", "list", "--dev", "--output", text],
        &["quota", "explain", "--tier", text],
        &["geo", "override", "add", "8.8.8.8", "--country", "DE", "--note", text],
        &[text],
    ] {
        let output = run(folder.path(), args);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            !stderr(&output).contains(text) && stdout(&output).is_empty(),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn corrections_are_added_replaced_listed_removed_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    let text = std::fs::read_to_string(support::CONFIG).expect("the shipped file");
    let (before, rest) = text.split_once("sources = [").expect("sources");
    let after = rest.split_once("\n]\n").expect("their end").1;
    std::fs::write(&config, format!("{before}{after}")).expect("written");
    let with = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.arg("--config").arg(&config).arg("--state").arg(folder.path().join(".ipgeo"));
        let output = command.args(args).output().expect("it runs");
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    let file = folder.path().join("overrides.csv");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    for (args, status, said) in [
        (&["add", "8.8.8.0/24", "--city", "Berlin"][..], 2, "the country of this network is not known"),
        (&["add", "8.8.8.0/24"], 2, "it corrects nothing"),
        (&["add", "10.0.0.1", "--country", "DE"], 2, "`10.0.0.1` has no public address"),
        (&["add", "8.8.8.0/24", "--country", "XX"], 2, "`XX` is not a country code"),
        (
            &["add", "9.9.9.9/8", "--country", "US"],
            2,
            "write `9.0.0.0/8` for the network or `9.9.9.9` for the address",
        ),
        (&["add", "8.8.8.8", "--country", "US", "--region-code", "BY"], 2, "`BY` is not a region code of US"),
        (&["add", "8.8.8.8", "--country", "US", "--note", "a\nb"], 2, "`note` has a line break"),
        (&["list"], 0, "has no corrections"),
        (&["remove", "8.8.8.8"], 1, "has no correction of 8.8.8.8"),
    ] {
        let (code, output) = with(&[&["geo", "override"], args].concat());
        assert!(code == Some(status) && output.contains(said), "{args:?}: {output}");
        assert!(!file.exists(), "{args:?}");
    }
    with(&["geo", "build", "--sample"]);
    for (args, said) in [
        // The country is the one in the compiled database.
        (
            &["add", "8.8.8.0/24", "--city", "Reno", "--note", "a, \"b\""][..],
            "added the correction of 8.8.8.0/24",
        ),
        (
            &["add", "8.8.8.0-8.8.8.255", "--country", "de", "--latitude", "-5", "--longitude", "7"],
            "replaced",
        ),
        (&["add", "2001:4860::/32", "--country", "US"], "added"),
        (&["list"], "2001:4860::/32     US"),
        (&["remove", "2001:4860:0::/32"], "removed the correction of 2001:4860:0::/32"),
    ] {
        let (code, output) = with(&[&["geo", "override"], args].concat());
        assert!(code == Some(0) && output.contains(said), "{args:?}: {output}");
        let reno = args.contains(&"Reno");
        assert_eq!(text().contains("8.8.8.0/24,Reno,,,US,,,,,\"a, \"\"b\"\"\","), reno, "{}", text());
    }
    assert_eq!(text().lines().count(), 2, "{}", text());
    let source = folder.path().join("x.mmdb");
    self::source(&source);
    with(&["geo", "build", &source.display().to_string()]);
    let (code, output) = with(&["geo", "diff", "-n", "1000"]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("corrections: 1, of 256 IPv4 addresses; 1 changed a location"), "{output}");
    // An invalid file is named with its line and is not changed by a build.
    std::fs::write(&file, "network,city\n8.8.8.8,x\n").expect("written");
    let (code, output) = with(&["geo", "build", &source.display().to_string()]);
    assert!(
        code == Some(1) && output.contains("overrides.csv: line 2: a city, region or postal code needs"),
        "{output}"
    );
}

#[test]
fn an_answer_is_explained_by_the_sources_that_it_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("regions.toml");
    std::fs::copy(support::CONFIG, &config).expect("copied");
    let at = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
        folder.path().join(name).display().to_string()
    };
    let city = at("city.csv", "8.8.8.0,8.8.8.255,US,California,,Mountain View,94043,37.4,-122.1,\n");
    let asn = at("asn.csv", "8.8.0.0,8.8.255.255,15169,Google LLC\n");
    at("overrides.csv", "network,country_code,city\n8.8.8.8,US,Reno\n");
    let with = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.arg("--config").arg(&config).arg("--state").arg(folder.path().join(".ipgeo"));
        let output = command.args(["geo", "explain"]).args(args).output().expect("it runs");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, text, said) = with(&["8.8.8.8", &city, &asn, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let rows: serde_json::Value = serde_json::from_str(&text).expect(&text);
    let row = |field: &str| {
        let rows = rows.as_array().expect("an array");
        rows.iter().find(|row| row["field"] == field).unwrap_or_else(|| panic!("{field}: {text}")).clone()
    };
    let reno = row("city");
    assert_eq!(
        (&reno["value"], &reno["source"], &reno["range"]),
        (&"Reno".into(), &"overrides".into(), &"8.8.8.8/32".into())
    );
    assert_eq!(
        (&reno["overridden"][0]["value"], &reno["overridden"][0]["range"]),
        (&"Mountain View".into(), &"8.8.8.0/24".into())
    );
    assert_eq!(row("country_code")["agreeing"][0]["source"], city);
    assert_eq!(
        (&row("asn")["value"], &row("asn")["range"]),
        (&"AS15169 Google LLC".into(), &"8.8.0.0/16".into())
    );
    // A correction has its own date: the smallest that holds the address decides, of equal ones the last. Nothing dates a CSV file.
    assert_eq!((&reno["date"], &row("asn")["date"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    at(
        "overrides.csv",
        "network,country_code,city,date\n8.8.8.8,US,Reno,2026-11-01\n8.8.8.0/24,US,Elko,2026-11-03\n8.8.8.8/32,US,Reno,2026-11-02\n",
    );
    for (address, date) in [("8.8.8.8", "2026-11-02"), ("8.8.8.7", "2026-11-03")] {
        let (_, text, said) = with(&[address, &city, &asn]);
        let line =
            |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(line("city").contains(date), "{address}: {text}{said}");
        assert!(line("asn").contains("unknown"), "{text}");
    }
    at("overrides.csv", "network,country_code,city\n8.8.8.8,US,Reno\n");
    // Another address: the region's code follows from its name.
    let (_, text, _) = with(&["8.8.8.9", &city]);
    assert!(
        text.contains("region_code") && text.contains("Mountain View") && !text.contains("Reno"),
        "{text}"
    );
    let (code, text, said) = with(&["9.9.9.9", &city]);
    assert!(
        code == Some(0) && !text.contains("9.9.9.9") && said.contains("no source knows 9.9.9.9"),
        "{text}{said}"
    );
    let (code, _, said) = with(&["8.8.8.8"]);
    assert!(code == Some(1) && said.contains("run `ipgeo geo fetch`"), "{said}");
}
