//! Tests of export and import together: every stored record survives both, a repeated import changes nothing, and no
//! column of an import leaks an API key.

use std::collections::HashMap;

use ipgeo_contract::{ApiKey, Identity, KeyHash, KeyRecord, Limit, PROBE_TIER, RateLimit, Status, Window};
use jiff::Timestamp;
use proptest::prelude::*;

use super::owner::repair_owner;
use super::transfer::{ImportPlan, ImportedKey, export_rows, plan_import, read_csv};
use crate::config::{Config, parse};
use crate::ui::output::{Format, format_rows};

fn config() -> Config {
    let compat = "[compat]\nforeign_api_keys = true\n";
    parse("regions.toml", &(include_str!("../../../regions.toml").to_owned() + compat)).expect("sound")
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().expect("a timestamp")
}

fn problems(csv: &str) -> String {
    read_csv(csv.as_bytes(), &config(), now()).expect_err("problems").report("k.csv")
}

fn read(csv: &str) -> Vec<ImportedKey> {
    read_csv(csv.as_bytes(), &config(), now()).expect("no problems")
}

/// Any record that may be stored; times are in milliseconds.
fn any_record() -> impl Strategy<Value = KeyRecord> {
    let owner =
        prop_oneof!["\\PC{0,12}", "[=+@\\-' ,\";\t\r\na-z]{0,12}", "[a-zä]{150,300}", Just(String::new())];
    let time = (0_i64..253_402_200_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).expect("in range"));
    let hint = prop_oneof!["ipg_…[a-zA-Z0-9]{4}", "…[!-~]{4}", Just("sha256 0a0a0a0a".to_owned())];
    let status = prop_oneof![Just(Status::Active), Just(Status::Disabled), Just(Status::Revoked)];
    let sites = prop::collection::vec("(\\*\\.)?[a-z]{1,8}\\.test", 0..3);
    let networks = prop::collection::vec(
        prop_oneof![Just("203.0.113.0/24"), Just("10.0.0.1/8"), Just("2001:db8::/32")],
        0..3,
    );
    let window = prop_oneof![Just(Window::Day), Just(Window::Month)];
    let limit = (1..=Limit::CALLS_MAX, window).prop_map(|(calls, window)| Limit { calls, window });
    let rate =
        (1_u32..=600_000, 1..=RateLimit::BURST_MAX).prop_map(|(calls, burst)| format!("{calls}/min:{burst}"));
    let limit = (limit, prop::option::of(rate));
    let tier = prop_oneof![Just("startup"), Just("enterprise")];
    let explain = any::<bool>();
    (owner, tier, limit, status, prop::option::of(time.clone()), sites, networks, explain, hint, time)
        .prop_map(|(owner, tier, (limit, rate), status, expires, sites, networks, explain, hint, created)| {
            KeyRecord {
                owner,
                tier: tier.to_owned(),
                limit,
                rate: rate.map(|rate| rate.parse().expect("a rate")),
                status,
                expires,
                sites: sites.iter().map(|site| site.parse().expect("a site")).collect(),
                networks: networks.iter().map(|network| network.parse().expect("a network")).collect(),
                explain,
                hint,
                created,
                published: None,
            }
        })
}

proptest! {
    #[test]
    fn the_export_of_anything_stored_can_be_imported_again(
        records in prop::collection::btree_map(any::<[u8; 32]>(), any_record(), 1..6),
    ) {
        let hash = |bytes: &[u8; 32]| hex::encode(bytes).parse::<KeyHash>().expect("a hash");
        let stored: HashMap<Identity, KeyRecord> =
            records.iter().map(|(bytes, record)| (Identity::key(&hash(bytes)), record.clone())).collect();
        let exported = export_rows(stored.clone().into_iter().collect());
        let csv = format_rows(Format::Csv, &[], &exported).expect("CSV");
        let imported = read_csv(csv.as_bytes(), &config(), now()).map_err(|problems| problems.report("k.csv"));
        let imported = imported.map_err(TestCaseError::fail)?;
        prop_assert_eq!(imported.len(), stored.len());
        for one in &imported {
            let before = &stored[&one.identity];
            let owner = repair_owner(&before.owner, None).into_owned();
            prop_assert_eq!(&one.record, &KeyRecord { owner, ..before.clone() });
        }
        // Importing into the same store changes nothing; into an empty one, it restores everything.
        prop_assert_eq!(plan_import(imported.clone(), &stored).map_err(|p| TestCaseError::fail(p.report("k.csv")))?.new.len(), 0);
        prop_assert_eq!(plan_import(imported, &HashMap::new()).expect("a plan").new.len(), stored.len());
    }
}

#[test]
fn a_hint_is_derived_and_never_copied_from_the_file() {
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(3)).expect("an API key");
    let (text, hash) = (key.expose(), key.hash());
    let foreign = "sk_live_51aBcDeFgHiJ";
    let refused = [
        format!("api_key,hint,owner,tier\n{text},{text},acme,startup\n"),
        format!("hash,hint,owner,tier\n{hash},{text},acme,startup\n"),
        format!("api_key,hint,owner,tier\n{foreign},{foreign},acme,startup\n"),
        format!("api_key,hint,owner,tier\n{foreign},production,acme,startup\n"),
        format!("hash,hint,owner,tier\n{hash},{},acme,startup\n", "x".repeat(5_000)),
    ];
    for csv in &refused {
        let report = problems(csv);
        assert!(report.starts_with("k.csv:2: `hint` is shown in plain text"), "{report}");
        assert!(!report.contains(text) && !report.contains(foreign), "{report}");
    }
    let taken = [
        (format!("api_key,hint,owner,tier\n{text},{},acme,startup\n", key.hint()), key.hint()),
        (format!("api_key,hint,owner,tier\n{foreign},,acme,startup\n"), "…gHiJ".to_owned()),
        (format!("hash,hint,owner,tier\n{hash},ipg_…x3Kq,acme,startup\n"), "ipg_…x3Kq".to_owned()),
        (format!("hash,owner,tier\n{hash},acme,startup\n"), format!("sha256 {}", &hash.to_string()[..8])),
    ];
    for (csv, hint) in taken {
        let read = read(&csv);
        assert_eq!(read[0].record.hint, hint, "{csv}");
    }
}

#[test]
fn an_api_key_in_the_wrong_column_is_neither_stored_nor_printed() {
    let key = ApiKey::generate("ipg", |bytes| bytes.fill(3)).expect("an API key");
    let hash = "0a".repeat(32);
    for secret in [key.expose(), "sk_live_51aBcDeFgHiJ"] {
        let files = [
            // Without a header row, the first row is read as one.
            format!("{secret},acme,startup\n{secret},acme,startup\n"),
            format!("hash,owner,tier\n{secret},acme,startup\n"),
            format!("hash,owner,tier\n{hash},acme,{secret}\n"),
            format!("hash,owner,tier,limit\n{hash},acme,startup,{secret}\n"),
            format!("hash,owner,tier,limit\n{hash},acme,startup,{secret}/day\n"),
            format!("hash,owner,tier,status\n{hash},acme,startup,{secret}\n"),
            format!("hash,owner,tier,expires\n{hash},acme,startup,{secret}\n"),
            format!("hash,owner,tier,explain\n{hash},acme,startup,{secret}\n"),
            format!("hash,owner,tier,created\n{hash},acme,startup,{secret}\n"),
            format!("hash,owner,tier,networks\n{hash},acme,startup,{secret}\n"),
        ];
        for csv in files {
            let report = problems(&csv);
            assert!(!report.contains(secret), "{csv}\n{report}");
        }
    }
    let (text, foreign) = (key.expose(), "sk_live_51aBcDeFgHiJ");
    for csv in [
        format!("hash,owner,tier\n{hash},{text},startup\n"),
        format!("hash,owner,tier,sites\n{hash},acme,startup,{text}\n"),
        format!("api_key,owner,tier\n{foreign},{foreign},startup\n"),
        format!("api_key,owner,tier\n{foreign},acme {foreign},startup\n"),
    ] {
        let report = problems(&csv);
        assert!(report.contains("must not contain an API key") && !report.contains(text), "{csv}\n{report}");
    }
}

#[test]
fn an_import_of_an_export_changes_nothing() {
    let text = format!(
        "hash,owner,tier,limit,status,expires,sites,networks,created\n\
         {},acme,startup,50k/day,disabled,2027-01-31T00:00:00Z,*.acme.test,203.0.113.0/24,2026-01-01T00:00:00Z\n\
         {},b,business,,,,,,\n",
        "0a".repeat(32),
        "0b".repeat(32),
    );
    let first = read(&text);
    let keys: Vec<(Identity, KeyRecord)> =
        first.iter().map(|one| (one.identity.clone(), one.record.clone())).collect();
    let rows_exported = export_rows(keys.clone());
    let exported = format_rows(Format::Csv, &[], &rows_exported).expect("CSV");
    let again = read(&exported);
    let records = |rows: &[ImportedKey]| rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>();
    assert_eq!(records(&again), records(&first));

    let known: HashMap<_, _> = keys.into_iter().collect();
    assert_eq!(plan_import(again.clone(), &HashMap::new()).expect("a plan").new.len(), 2);
    assert_eq!(plan_import(again.clone(), &known), Ok(ImportPlan { new: vec![], known: 2 }));
    let other = exported.replace("business", "startup").replace("2500000/month", "100000/month");
    let report = plan_import(read(&other), &known).expect_err("a problem").report("k.csv");
    assert_eq!(
        report,
        "k.csv:3: sha256 0b0b0b0b already exists with a different tier; change it with `ipgeo keys update`\n\
         1 problem in k.csv; nothing was written"
    );
}

#[test]
fn the_probes_api_key_is_not_exported() {
    let mut rows = read(&format!("hash,owner,tier\n{},a,startup\n", "0a".repeat(32)));
    rows[0].record.tier = PROBE_TIER.to_owned();
    assert!(export_rows(vec![(rows[0].identity.clone(), rows[0].record.clone())]).is_empty());
}
