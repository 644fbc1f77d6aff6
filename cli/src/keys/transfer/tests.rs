use super::*;
use crate::config::parse;

const NOW: &str = "2026-11-24T12:00:00Z";

fn config(foreign: bool) -> Config {
    let compat = format!("[compat]\nforeign_api_keys = {foreign}\n");
    parse("regions.toml", &(include_str!("../../../../regions.toml").to_owned() + &compat)).expect("sound")
}

fn key(seed: u8) -> ApiKey {
    ApiKey::generate("ipg", |bytes| bytes.fill(seed)).expect("an API key")
}

fn read(text: &str, foreign: bool) -> Result<Vec<ImportedKey>, String> {
    let now = NOW.parse().expect("a timestamp");
    read_csv(text.as_bytes(), &config(foreign), now).map_err(|problems| problems.report("k.csv"))
}

#[test]
fn api_keys_hashes_and_foreign_api_keys_are_read() {
    let ours = key(1);
    let text = format!(
        "api_key,hash,owner,tier,limit,sites,expires\n\
         {},,acme,startup,50k/day,a.test *.b.test,2027-01-31\n\
         ,{},\"Müller, Söhne\",business,,,2020-01-01T00:00:00Z\n\
         0123456789abcdef0123456789abcdef,,old,startup,,,\n",
        ours.expose(),
        "AB".repeat(32),
    );
    let rows = read(&text, true).expect("sound");
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let record = &row.record;
            let expires = record.expires.map(|time| time.to_string()).unwrap_or_default();
            format!("{} {} {} {} {expires}", row.line, record.hint, record.owner, record.limit)
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("2 {} acme 50000/day 2027-02-01T00:00:00Z", ours.hint()),
            "3 sha256 abababab Müller, Söhne 2500000/month 2020-01-01T00:00:00Z".to_owned(),
            "4 …cdef old 100000/month ".to_owned(),
        ]
    );
    assert_eq!(rows[0].identity, Identity::key(&ours.hash()));
    assert_eq!(rows[0].record.sites.len(), 2);
}

#[test]
fn all_problems_are_reported_together_and_none_repeats_an_api_key() {
    let good = key(1);
    let twice = key(2).expose().to_owned();
    let mut wrong = good.expose().to_owned();
    let last = if wrong.ends_with('a') { "b" } else { "a" };
    wrong.replace_range(wrong.len() - 1.., last);
    let text = format!(
        "api_key,hash,owner,tier,limit,status,networks\n\
         {twice},,acme,startup,,,\n\
         {twice},,acme,startup,,,\n\
         {wrong},,acme,startup,,,\n\
         sk_live_51aBcDeFgHiJ,,acme,startup,,,\n\
         ,zz,acme,statrup,5/week,gone,10.0.0.0/33\n\
         ,,,,,,\n\
         {twice},{},acme,anonymous,,,\n\
         short,row\n",
        "0".repeat(64),
    );
    let report = read(&text, false).expect_err("problems");
    insta::assert_snapshot!(report, @r"
    k.csv:3: duplicate of the API key on line 2
    k.csv:4: `api_key`: its checksum does not match: a character is wrong, missing or swapped
    k.csv:5: `api_key` is not in ipgeo's format; to accept other formats, deploy with `foreign_api_keys = true` under [compat] in regions.toml
    k.csv:6: `hash` must be the SHA-256 of an API key: 64 hex digits
    k.csv:6: unknown tier `statrup`; regions.toml has `startup`, `business`, `enterprise`; did you mean `startup`?
    k.csv:6: `limit`: `week` is not a window; the windows are `day` and `month`
    k.csv:6: `status`: `gone` is not a status; it is `active`, `disabled` or `revoked`
    k.csv:6: `networks`: `10.0.0.0/33`: invalid IP address syntax
    k.csv:7: the row has neither `api_key` nor `hash`
    k.csv:7: `owner`: an owner must be 1 to 200 bytes, without control characters or surrounding spaces
    k.csv:7: `tier` is empty
    k.csv:8: the row has both `api_key` and `hash`; keep one of them
    k.csv:8: callers of the tier `anonymous` have no API key; choose another tier
    k.csv:9: 2 cells, but the header row has 7 columns
    14 problems in k.csv; nothing was written
    ");
    assert!(
        !report.contains(&good.expose()[4..30])
            && !report.contains(&twice[4..])
            && !report.contains("sk_live"),
        "{report}"
    );
}

#[test]
fn problems_name_their_line_with_every_kind_of_line_end() {
    let good = |number: u8| hex::encode([number; 32]);
    let text = format!(
        "hash,owner,tier,sites\n{},a,startup,\n\nx,a,startup,\"a.test\nb.test\n\"\n{},b,startup,c.test\nx,a,startup,\n",
        good(1),
        good(2)
    );
    for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().replace('\n', "\r\n")] {
        let report = read(&text, false).expect_err("problems");
        let mut lines: Vec<&str> =
            report.lines().filter_map(|line| line.strip_prefix("k.csv:")?.split(':').next()).collect();
        lines.dedup();
        assert_eq!(lines, ["4", "8"], "{text:?}: {report}");
    }
}

#[test]
fn rates_are_read_and_their_problems_have_a_line() {
    let row = |number: u8, cells: &str| format!("{},a,startup,{cells}\n", hex::encode([number; 32]));
    let file = |rows: &[&str]| {
        let rows = rows.iter().zip(1..).map(|(cells, number)| row(number, cells));
        "hash,owner,tier,rate,burst\n".to_owned() + &rows.collect::<String>()
    };
    let rates: Vec<_> =
        (read(&file(&["10/s,", "600/min,20", "5k/s,1_000", ","]), false).expect("sound").iter())
            .map(|row| row.record.rate.map(|rate| rate.to_string()))
            .collect();
    assert_eq!(
        rates,
        [Some("10/s:10".to_owned()), Some("600/min:20".to_owned()), Some("5000/s:1000".to_owned()), None]
    );
    let report = read(&file(&["10/h,", "10/s,0", ",20", "10/s,-1"]), false).expect_err("problems");
    insta::assert_snapshot!(report, @r"
    k.csv:2: `rate`: `h` is not a unit of a rate; the units are `s` and `min`, and a limit counts by `day` or `month`
    k.csv:3: `burst`: a burst of `0` calls is out of range; it must be a whole number from 1 to 10000
    k.csv:4: `burst`: a burst needs a rate, such as `10/s`
    k.csv:5: `burst`: a burst of `-1` calls is out of range; it must be a whole number from 1 to 10000
    4 problems in k.csv; nothing was written
    ");
}

#[test]
fn an_invalid_header_row_is_the_only_problem_reported() {
    for (text, expected) in [
        ("", "missing column: `api_key` or `hash`"),
        ("api_key,owner,teir\n", "unknown column `teir`; columns are api_key, hash"),
        ("hash,owner,tier,owner\n", "columns 2 and 4 are both `owner`"),
        ("hash,tier\n", "missing column `owner`"),
        ("hash,owner,tier\n", "the file has no API keys"),
    ] {
        let report = read(text, false).expect_err("problems");
        assert!(report.contains(expected), "{text:?}: {report}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(api_key|hash),owner,tier\n(\\PC{0,30}(,|\n)){0,20}") {
        let _result = read(&text, true);
    }
}
