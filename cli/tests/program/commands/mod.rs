//! The program as an operator runs it: a local service on free ports, and verbs that use it.

mod geo;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{CONFIG, Dev, done, get, ipgeo, run, stderr, stdout, wait_for, with_input};

fn an_api_key_gets_a_rate_and_loses_it(state: &Path, hint: &str) {
    done(state, &["keys", "update", "--dev", hint, "--rate", "10/s", "--burst", "20"]);
    let json: Value =
        serde_json::from_str(&done(state, &["keys", "show", "--dev", hint, "--json"])).expect("JSON");
    assert_eq!(
        (&json["rate"], &json["burst"], &json["rate_of"]),
        (&"10/s".into(), &20.into(), &"key".into())
    );
    assert!(done(state, &["keys", "list", "--dev"]).contains("2,500,000/month 10/s"));
    let exported = done(state, &["keys", "export", "--dev"]);
    assert!(exported.contains(",2500000/month,10/s,20,active,"), "{exported}");
    let explained = done(state, &["quota", "explain", "--dev", hint]);
    assert!(explained.contains("rate       10/s, burst 20, in each environment"), "{explained}");
    let changed = done(state, &["keys", "update", "--dev", hint, "--tier-rate"]);
    assert!(changed.contains("rate       none"), "{changed}");
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
        assert_eq!(get(&url, Some(&key)), (200, "\"Brisbane\"\n".to_owned()));
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
    for head in ["kind ", "\n\nday ", "\n\nregion ", "\n\nverdict "] {
        assert!(summary.contains(head), "{summary}");
    }
    let parts = done(state, &["usage", "report", "--dev", "--by", "key,day,region,verdict", "--json"]);
    for part in ["day", "region", "verdict"] {
        assert!(parts.contains(&format!("\"by\": \"{part}\"")), "{parts}");
    }
    assert!(done(state, &["usage", "report", "--dev", "--by", "key,region"]).contains("us-east-1"));
    assert!(done(state, &["usage", "report", "--dev", "--by", "verdict"]).contains("allowed"));
    let top = run(state, &["usage", "top", "--dev"]);
    assert!(stdout(&top).contains(&hint) && stderr(&top).contains("calls from 20"), "{}", stderr(&top));
    let shown = done(state, &["keys", "show", "--dev", &hint]);
    assert!(shown.contains("\n3 calls in ") && shown.contains("\n\nregion "), "{shown}");
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
    let disabled = run(state, &["keys", "disable", "--dev", &new_hint]);
    assert!(stdout(&disabled).contains("status     disabled"), "{}", stdout(&disabled));
    let undo = format!("`ipgeo keys enable {new_hint} --dev` reverses this");
    assert!(stderr(&disabled).contains(&undo), "{}", stderr(&disabled));
    let off = run(state, &["keys", "rotate", "--dev", &new_hint]);
    assert!(
        stderr(&off).contains(&format!("`ipgeo keys enable {new_hint} --dev` first")),
        "{}",
        stderr(&off)
    );
    assert!(done(state, &["keys", "enable", "--dev", &new_hint]).contains("status     active"));
    let unsure = run(state, &["keys", "revoke", "--dev", &new_hint]);
    assert!(unsure.status.code() == Some(2) && stderr(&unsure).contains("pass --yes to confirm"));
    assert!(done(state, &["keys", "revoke", "--dev", &new_hint, "--yes"]).contains("status     revoked"));
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
    let table: [(&[&str], i32, &str); 28] = [
        (&["keys", "create"], 2, "--owner <NAME>"),
        (&["keys", "import", "nofile.csv"], 1, "/nofile.csv does not exist"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
        (&["keys", "create", "--owner", "a", "--tier", "statrup", "--dev"], 2, "did you mean `startup`?"),
        (&["keys", "create", "--owner", "a", "--tier", "anonymous", "--dev"], 2, "have no API key"),
        (&["keys", "create", "--owner", "a", "--tier", "startup", "--quota", "5"], 2, "has no window"),
        (&["usage", "report", "--by", "region", "--since", "7d"], 2, "by whole months"),
        (&["geo", "inspect", "none.mmdb"], 1, "none.mmdb\nhelp: run `ipgeo geo fetch && ipgeo geo build`"),
        (&["geo", "build"], 1, "run `ipgeo geo fetch`"),
        (&["geo", "diff", "none.mmdb"], 1, "cannot open geo database none.mmdb"),
        (&["cost", "--calls", "lots"], 2, "`lots` is not a number; write digits"),
        (&["cost", "--regions", "11"], 2, "--regions: 11 is not from 1 to 9"),
        (&["quota", "explain"], 2, "or a tier with --tier"),
        (&["cost", "--max-monthly", "nan"], 2, "`nan` is not a number"),
        (&["quota", "explain", "--tier", "startup", "--rate", "-1"], 2, "`-1` is not a number; write digits"),
        (
            &["keys", "create", "--owner", "a", "--tier", "startup", "--rate", "-1/s", "--dev"],
            2,
            "`-1` is not a number of calls; write digits, such as `10` or `1k`",
        ),
        (
            &["keys", "update", "x", "--rate", "--dev"],
            2,
            "`--dev` has no unit; write calls/unit, such as `10/s`",
        ),
        (
            &["probe", "--dev", "--html", "x.html", "--incidents", "none.toml"],
            1,
            "there is no file none.toml\nhelp: create it as docs/COMMANDS.md describes",
        ),
        (
            &["plan"],
            1,
            "\nhelp: set AWS_PROFILE, or run `aws login` or `aws sso login`; without AWS, `ipgeo render`",
        ),
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
}

#[test]
fn without_a_configuration_the_error_names_init() {
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
