//! An operator's first steps: `init`, completions, logs, probes, `doctor`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::browser;
use crate::support::{self, Dev, done, get, ipgeo, run, stderr, stdout, wait_for};

/// The program in a folder, without the shipped file.
fn there(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
    command.args(args).current_dir(folder).env_remove("AWS_PROFILE").env_remove("IPGEO_CONFIG");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", folder);
    command.output().expect("it runs")
}

/// The completions of the last of these words.
fn offered(command: &mut Command, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let output = command
        .arg("--")
        .args(words)
        .env("IPGEO_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_IFS", "\n")
        .output()
        .expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    stdout(&output).split(['\n', '\u{b}']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn init_writes_a_complete_file_and_never_replaces_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let init = |args: &[&str]| there(folder.path(), &[&["init", "--no-input"], args].concat());
    let wrong = init(&["--regions", "us-eats-1"]);
    assert!(wrong.status.code() == Some(2) && stderr(&wrong).contains("did you mean `us-east-1`?"));
    assert!(!folder.path().join("regions.toml").exists());
    let written = init(&["--name", "geo", "--regions", "eu-west-*,us-east-1", "--tier", "a=5k/day"]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let text = fs::read_to_string(folder.path().join("regions.toml")).expect("a file");
    for part in ["home = \"eu-west-1\"", "[regions.eu-west-3]", "[tiers.a]\nlimit = \"5k/day\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let again = init(&["--name", "other"]);
    assert!(again.status.code() == Some(1) && stderr(&again).contains("--force replaces it"));
    assert_eq!(fs::read_to_string(folder.path().join("regions.toml")).expect("a file"), text);
    assert_eq!(init(&["--name", "other", "--force"]).status.code(), Some(0));
    // Every verb accepts it.
    let listed = there(folder.path(), &["geo", "pin"]);
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
}

#[test]
fn manual_pages_and_completion_come_from_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = done(folder.path(), &["man"]);
    assert!(page.contains(".TH ipgeo 1") && page.contains("ipgeo\\-keys(1)"), "{page}");
    let out = folder.path().join("man1");
    done(folder.path(), &["man", "--out", out.to_str().expect("UTF-8")]);
    for verb in ["ipgeo.1", "ipgeo-dev.1", "ipgeo-keys-create.1", "ipgeo-geo-rollout.1"] {
        let page = fs::read_to_string(out.join(verb)).expect(verb);
        assert!(page.contains(".SH SYNOPSIS"), "{verb}: {page}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(done(folder.path(), &["completions", shell]).contains("IPGEO_COMPLETE"), "{shell}");
    }
    let offer = |words: &[&str]| offered(&mut ipgeo(folder.path()), words);
    assert!(offer(&["ipgeo", "pro"]).contains(&"probe".to_owned()));
    assert_eq!(offer(&["ipgeo", "--config", support::CONFIG, "probe", "--regions", "sa"]), ["sa-east-1"]);
    let second = offer(&["ipgeo", "--config", support::CONFIG, "probe", "--regions", "sa-east-1,eu-w"]);
    assert_eq!(second, ["sa-east-1,eu-west-1"]);
    assert_eq!(offer(&["ipgeo", "init", "--home", "il-"]), ["il-central-1"]);
    let tiers = offer(&["ipgeo", "--config", support::CONFIG, "keys", "create", "--tier", "bus"]);
    assert_eq!(tiers, ["business"]);
}

#[test]
fn a_running_world_is_measured_looked_through_and_listened_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let dev = Dev::start(state);
    let key = done(state, &["keys", "create", "--dev", "--owner", "acme", "--tier", "startup"]);
    for _ in 0..3 {
        assert_eq!(get(&format!("{}/1.1.1.1/city", dev.nearest()), Some(&key)).0, 200);
    }

    // Completion knows the API key by its hint.
    let hint = format!("ipg_…{}", &key[key.len() - 4..]);
    let words = ["ipgeo", "--state", state.to_str().expect("UTF-8"), "keys", "show", "--dev", "ipg_"];
    assert_eq!(offered(&mut ipgeo(state), &words), [hint]);

    // Logs: readable, in order, without secrets.
    wait_for(|| {
        done(state, &["logs", "--dev", "--filter", "allowed           1  key#"]).lines().count() == 3
    });
    let lines = done(state, &["logs", "--dev", "-o", "jsonl"]);
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let times: Vec<&str> = told.iter().map(|line| line["time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted() && told.iter().all(|line| line["verdict"] == "allowed"), "{lines}");
    assert!(!lines.contains(&key) && !lines.contains("1.1.1.1") && !lines.contains("81.2.69.142"), "{lines}");
    let none = run(state, &["logs", "--dev", "--regions", "sa-*"]);
    assert!(none.stdout.is_empty() && stderr(&none).contains("no lines"), "{}", stderr(&none));

    status_page_and_feed(state);

    // The doctor follows a call through each region into the ledger.
    let checks = done(state, &["doctor", "--dev", "--online", "--regions", "eu-*,us-east-1", "--json"]);
    let checks: Vec<Value> = serde_json::from_str(&checks).expect("JSON");
    let path: Vec<&Value> = checks.iter().filter(|check| check["check"] == "usage path").collect();
    assert_eq!(path.len(), 3, "{checks:?}");
    assert!(path.iter().all(|check| check["mark"] == "ok"), "{path:?}");
    assert!(checks.iter().all(|check| check["mark"] != "fail"), "{checks:?}");

    assert_eq!(dev.stop(), Some(0));
    let gone = run(state, &["doctor", "--dev"]);
    assert!(gone.status.code() == Some(1) && stderr(&gone).contains("`ipgeo dev` is not running in"));
}

/// Latency, and the status page with 90 days of history, incidents and its feed.
fn status_page_and_feed(state: &Path) {
    let at = |name: &str| state.join(name).to_str().expect("UTF-8").to_owned();
    let (page, feed, incidents) = (at("status.html"), at("status.atom"), at("my-incidents.toml"));
    let probe = |args: &[&str]| run(state, &[&["probe", "--dev", "-n", "2", "--json"], args].concat());
    let args = ["--html", &page, "--feed", &feed, "--incidents", &incidents];

    fs::write(&incidents, "[[incident]]\ntitle = \"Cable cut\"\nkind = \"outage\"\nstart = 2026-11-24\n")
        .expect("written");
    let refused = probe(&args);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(
        stderr(&refused).contains("my-incidents.toml:4:9: `start` must be a time"),
        "{}",
        stderr(&refused)
    );
    assert!(!Path::new(&page).exists() && !Path::new(&feed).exists());

    let text = "[[incident]]\ntitle = \"Cable <cut>\"\nkind = \"outage\"\nstart = 2026-11-24T10:00:00Z\nregions = [\"eu-west-1\"]\n\
                [[incident.update]]\nat = 2026-11-24T11:00:00Z\ntext = \"A ship is on its way.\"\n";
    fs::write(&incidents, text).expect("written");
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let day = |ago: i64| {
        let day = today.saturating_sub(jiff::Span::new().days(ago));
        let failed = if ago == 40 { 30 } else { 0 };
        format!(
            "{{\"day\":\"{day}\",\"regions\":{{\"eu-west-1\":{{\"samples\":2880,\"failed\":{failed}}}}}}}\n"
        )
    };
    fs::create_dir_all(state.join("probe")).expect("a folder");
    fs::write(state.join("probe/dev.jsonl"), (1..90).rev().map(day).collect::<String>()).expect("written");
    let rows = stdout(&probe(&args));
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("JSON");
    assert_eq!(rows.len(), 9);
    assert!(
        rows.iter().all(|row| row["state"] == "up" && row["samples"] == 2 && row["tls_p50_ms"].is_null())
    );
    let html = fs::read_to_string(&page).expect("a page");
    for text in [
        "All regions answer",
        "Frankfurt",
        "90 days",
        "99.98 % answered",
        "2 of 2 answered",
        "href=\"status.atom\"",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    let entry = fs::read_to_string(&feed).expect("a feed");
    assert!(
        entry.contains("<title>Cable &lt;cut&gt;</title>") && entry.contains("A ship is on its way."),
        "{entry}"
    );

    // A page that was measured long ago says so.
    let old = at("stale.html");
    let measured = html.find("datetime=\"").expect("a time") + "datetime=\"".len();
    fs::write(&old, html[..measured].to_owned() + "2020" + &html[measured + 4..]).expect("written");
    let urls = [("status", format!("file://{page}")), ("stale", format!("file://{old}"))];
    let pages: Vec<(&str, &str, &str)> =
        urls.iter().map(|(name, url)| (*name, url.as_str(), "footer")).collect();
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status-page");
    let Some(seen) = browser::look_and_print(&shots, &pages) else { return };
    for view in seen.views {
        assert_eq!(view.messages, Vec::<String>::new(), "{} {}", view.page, view.screen);
        assert_eq!(view.text.contains("Stale since"), view.page == "stale", "{}", view.text);
        assert!(view.text.contains("Cable <cut>"), "{}", view.text);
    }
    for paper in seen.papers {
        assert!(paper.pages <= 3 && paper.smallest_pt >= 8.0 && paper.cut.is_empty(), "{paper:?}");
    }
}

#[test]
fn a_doctor_without_credentials_says_so_as_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    there(folder.path(), &["init", "--no-input"]);
    let asked = there(folder.path(), &["doctor", "--json"]);
    let checks: Vec<Value> = serde_json::from_str(&stdout(&asked)).expect("JSON");
    assert_eq!((asked.status.code(), checks[0]["mark"].as_str()), (Some(1), Some("fail")));
    assert_eq!(checks[0]["check"], "credentials");
}

/// `validate` reports every problem with its place, in every format, and says what a valid file describes.
#[test]
fn a_file_is_validated_offline() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let valid = run(state, &["validate"]);
    assert_eq!((valid.status.code(), stdout(&valid)), (Some(0), String::new()));
    let said = stderr(&valid);
    for part in
        ["regions.toml is valid: service ipgeo-prod", "9 regions, home is eu-central-1", "anonymous, startup"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = state.join("bad.toml");
    let text = fs::read_to_string(support::CONFIG).expect("a file");
    let text =
        text.replace("home = \"eu-central-1\"", "home = \"eu-centarl-1\"") + "\n[usege]\nwindow_s = 1\n";
    fs::write(&file, &text).expect("written");
    let name = file.to_str().expect("UTF-8");
    let line = text.lines().position(|line| line.contains("eu-centarl-1")).expect("a line") + 1;
    // The file may be named by an argument or, as for all commands, by --config.
    for args in [&["validate", name][..], &["--config", name, "validate"]] {
        let wrong = there(state, args);
        assert_eq!(wrong.status.code(), Some(1), "{args:?}");
        let faults = stdout(&wrong);
        assert!(faults.starts_with(&format!("{name}:{line}:")) && faults.lines().count() == 2, "{faults}");
        assert!(faults.contains("did you mean `eu-central-1`?") && faults.contains("unknown field `usege`"));
        assert!(stderr(&wrong).contains("2 problems in"), "{}", stderr(&wrong));
    }
    let rows: Value =
        serde_json::from_str(&stdout(&there(state, &["validate", name, "--json"]))).expect("JSON");
    assert_eq!((&rows[0]["line"], &rows[0]["file"]), (&line.into(), &name.into()), "{rows}");
    assert!(
        stdout(&there(state, &["validate", name, "-o", "csv"])).starts_with("file,line,column,message\n")
    );
    let missing = there(state, &["validate", "nowhere.toml"]);
    assert!(missing.status.code() == Some(1) && stderr(&missing).contains("nowhere.toml"));
}

/// Arguments, variables, the beginning of the line, and what is in its place.
type SettingCase<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);

/// Each setting has the place that decides it: a flag wins over the environment, a line of the file over a default.
#[test]
fn every_setting_in_use_names_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.args(["config", "show", "--origin"]).args(args).envs(variables.iter().copied());
        for name in ["AWS_PROFILE", "NO_COLOR", "CLICOLOR_FORCE", "AWS_ACCESS_KEY_ID"] {
            if variables.iter().all(|(set, _)| *set != name) {
                command.env_remove(name);
            }
        }
        let output = command.env("HOME", folder.path()).output().expect("it runs");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let config = ("IPGEO_CONFIG", support::CONFIG);
    let table: &[SettingCase<'_>] = &[
        (&["config"], &[config], "config = ", "IPGEO_CONFIG"),
        (&["config", "--config", support::CONFIG], &[config], "config = ", "--config"),
        (&["state"], &[config, ("IPGEO_STATE", "s")], "state = \"s\"", "IPGEO_STATE"),
        (&["state", "--state", "t"], &[config, ("IPGEO_STATE", "s")], "state = \"t\"", "--state"),
        (&["output"], &[config], "output = \"table\"", "default"),
        // A variable that is set to nothing counts as not set.
        (&["state"], &[config, ("IPGEO_STATE", ""), ("IPGEO_PROGRESS", "")], "state = ", "default"),
        (&["color"], &[config, ("NO_COLOR", "1")], "color = \"never\"", "NO_COLOR"),
        (&["color", "--color", "always"], &[config, ("NO_COLOR", "1")], "color = \"always\"", "--color"),
        (&["progress"], &[config, ("IPGEO_PROGRESS", "none")], "progress = \"none\"", "IPGEO_PROGRESS"),
        (
            &["aws.profile"],
            &[config, ("HTTPS_PROXY", "http://p.test")],
            "aws.profile = \"default\"",
            "default",
        ),
        (
            &["aws.proxy"],
            &[config, ("HTTPS_PROXY", "http://u:pw@p.test")],
            "aws.proxy = \"http://p.test\"",
            "HTTPS_PROXY",
        ),
        (&["service.home"], &[config], "service.home = \"eu-central-1\"", "regions.toml:"),
        (&["deploy.bake_s"], &[config], "deploy.bake_s = 120", "default"),
    ];
    for (args, variables, value, origin) in table {
        let (status, text, said) = shown(args, variables);
        assert_eq!((status, text.lines().count()), (Some(0), 1), "{args:?}: {text}{said}");
        let (found, place) = text.split_once("  # ").unwrap_or_else(|| panic!("{args:?}: {text}"));
        assert!(found.starts_with(value) && place.contains(origin), "{args:?}: {text}");
    }
    let (status, text, said) = shown(&["servic"], &[config]);
    assert!(status == Some(2) && text.is_empty() && said.contains("there is no setting `servic`"), "{said}");
    let rows = done(folder.path(), &["config", "show", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("JSON");
    assert!(rows.len() > 100 && rows.iter().all(|row| row["origin"].is_string()));
}

/// Without a browser, or where standard output is no terminal, the URL is printed; a program gets nothing else.
#[test]
fn a_url_is_printed_where_no_browser_can_open_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let with_domain = state.join("regions.toml");
    let text = fs::read_to_string(support::CONFIG).expect("a file");
    let service = "[service]\ndomain = \"geo.example.com\"\nhosted_zone = \"example.com\"";
    fs::write(&with_domain, text.replacen("[service]", service, 1)).expect("written");
    for (args, url) in [
        (&["open"][..], "https://geo.example.com/\n"),
        (&["open", "--docs"], "https://geo.example.com/docs\n"),
    ] {
        let opened = there(state, args);
        assert_eq!(
            (opened.status.code(), stdout(&opened), stderr(&opened)),
            (Some(0), url.into(), String::new())
        );
    }
    for (region, fault) in [
        ("us-east-1", "DNS selects the region"),
        ("us-*", "matches 2 regions"),
        ("us-esat-1", "did you mean"),
    ] {
        let refused = there(state, &["open", region]);
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(fault), "{}", stderr(&refused));
    }
}

/// Flags that name a file to write do not write one that is called `-`.
#[test]
fn a_dash_names_standard_output_or_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        &["cost", "--html", "-"][..],
        &["probe", "--html", "-"],
        &["probe", "--html", "p.html", "--feed", "-"],
        &["plan", "--out", "-"],
        &["render", "--out", "-"],
        &["iam", "policy", "--dir", "-"],
        &["geo", "build", "--sample", "--out", "-"],
        &["man", "--out", "-"],
    ] {
        let refused = there(folder.path(), args);
        assert_eq!((refused.status.code(), stdout(&refused)), (Some(2), String::new()), "{args:?}");
        assert!(stderr(&refused).contains("cannot go to standard output"), "{args:?}: {}", stderr(&refused));
    }
    let database = folder.path().join("g.mmdb");
    let database = database.to_str().expect("UTF-8");
    done(folder.path(), &["geo", "build", "--sample", "--out", database]);
    fs::write(folder.path().join("list"), "8.8.8.8\n").expect("written");
    let list = there(folder.path(), &["bulk", "list", "--out", "-", "--database", database]);
    assert!(stdout(&list).contains("8.8.8.8") && !folder.path().join("-").exists(), "{}", stderr(&list));
}

#[test]
fn data_is_built_locked_compared_and_pinned() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    assert_eq!(there(here, &["init", "--no-input", "--data", "sample"]).status.code(), Some(0));
    let ok = |args: &[&str]| {
        let output = there(here, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    ok(&["geo", "build", "--sample"]);
    let sample = here.join(".ipgeo/geo/ipgeo.mmdb");
    let told = ok(&[
        "geo",
        "diff",
        sample.to_str().expect("UTF-8"),
        sample.to_str().expect("UTF-8"),
        "-n",
        "2000",
        "--json",
    ]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["sampled"].as_array().map(Vec::len), Some(3));
    assert!(
        told["sampled"].as_array().expect("rows").iter().all(|row| row["country_percent"] == 0.0),
        "{told}"
    );
    let alone = there(here, &["geo", "diff"]);
    assert!(stderr(&alone).contains("no database was compiled before"), "{}", stderr(&alone));
    let pinned = there(here, &["geo", "pin", "none"]);
    assert!(stderr(&pinned).contains("regions.toml has no source `none`"), "{}", stderr(&pinned));
    let released = there(here, &["geo", "pin", "none", "--release"]);
    assert_eq!((pinned.status.code(), released.status.code()), (Some(2), Some(2)), "{}", stderr(&released));
}

#[test]
fn corrections_added_at_the_same_time_are_all_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(support::CONFIG, folder.path().join("regions.toml")).expect("copied");
    let add = |number: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.args(["geo", "override", "add", &format!("1.1.{number}.0/24"), "--country", "AU"]);
        command.current_dir(folder.path()).env_remove("IPGEO_CONFIG").env_remove("IPGEO_STATE");
        command.spawn().expect("it starts")
    };
    let mut running: Vec<_> = (0..8).map(add).collect();
    assert!(running.iter_mut().all(|one| one.wait().expect("it ends").success()));
    let text = fs::read_to_string(folder.path().join("overrides.csv")).expect("corrections");
    assert_eq!(text.lines().count(), 9, "{text}");
}
