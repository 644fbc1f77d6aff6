//! API keys from and to CSV: how a company moves here, and from here. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};

use csv::{ReaderBuilder, StringRecord, Trim};
use ipgeo_contract::{
    ApiKey, ApiKeyError, Identity, KeyHash, KeyRecord, PROBE_TIER, SitePattern, Status, foreign_hint,
    foreign_key_hash, hash_hint, is_hint,
};
use jiff::Timestamp;
use serde::Serialize;

use super::owner::{check_owner, repaired_owner};
use super::secret::{parse_site, without_runs_of};
use super::spec::{parse_expiry, tier_of};
use crate::config::Config;
use crate::ui::format::counted;
use crate::ui::output::unescape_cell;

/// The columns that are read; the names of a record's row, and `api_key` in place of `hash`.
const COLUMNS: [&str; 11] = [
    "api_key", "hash", "hint", "owner", "tier", "limit", "status", "expires", "sites", "networks", "created",
];
/// Faults that are told one by one.
const FAULTS_TOLD_MAX: usize = 50;

/// A record as `export` writes and `import` reads it. Never an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TransferRow {
    /// SHA-256 of the API key, 64 hex digits.
    pub hash: String,
    /// What a person recognises it by.
    pub hint: String,
    /// Who it was made for.
    pub owner: String,
    /// The tier's name.
    pub tier: String,
    /// The effective limit.
    pub limit: String,
    /// `active`, `disabled` or `revoked`.
    pub status: String,
    /// From when on it is refused, RFC 3339; empty: never.
    pub expires: String,
    /// The sites it may be used from, a space between two; empty: any.
    pub sites: String,
    /// The networks it may be used from, a space between two; empty: any.
    pub networks: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// The rows of all API keys except the probes' own, sorted by owner. Owners that today's rules refuse are adjusted, so
/// that `import` accepts every row.
pub fn export_rows(mut keys: Vec<(Identity, KeyRecord)>) -> Vec<TransferRow> {
    keys.retain(|(_, record)| record.tier != PROBE_TIER);
    keys.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
    let row = |(identity, record): (Identity, KeyRecord)| TransferRow {
        hash: identity.name().to_owned(),
        hint: record.hint,
        owner: repaired_owner(&record.owner, identity.name().parse().ok().as_ref()).into_owned(),
        tier: record.tier,
        limit: record.limit.to_string(),
        status: record.status.to_string(),
        expires: record.expires.map(|time| time.to_string()).unwrap_or_default(),
        sites: joined(&record.sites),
        networks: joined(&record.networks),
        created: record.created.to_string(),
    };
    keys.into_iter().map(row).collect()
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A record to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The line that it stands on.
    pub line: u64,
    /// Whose.
    pub identity: Identity,
    /// The record.
    pub record: KeyRecord,
}

/// Everything that is wrong with a file of API keys; none of it repeats an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportFaults(Vec<(u64, String)>);

impl ImportFaults {
    fn add(&mut self, line: u64, what: impl Into<String>) {
        self.0.push((line, what.into()));
    }
}

impl std::error::Error for ImportFaults {}

impl ImportFaults {
    /// The faults with their places in a file: `customers.csv:3: …`.
    pub fn of(&self, file: &str) -> String {
        let mut told = String::new();
        for (line, what) in self.0.iter().take(FAULTS_TOLD_MAX) {
            let _ = writeln!(told, "{file}:{line}: {what}");
        }
        let count = self.0.len();
        let more = if count > FAULTS_TOLD_MAX { ", the first of them above" } else { "" };
        told + &format!("{} in {file}{more}; nothing was written", counted(count, "fault"))
    }
}

impl fmt::Display for ImportFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of("the file"))
    }
}

/// Reads a file of API keys; all faults are told together.
pub fn read_csv(bytes: &[u8], config: &Config, now: Timestamp) -> Result<Vec<Imported>, ImportFaults> {
    let mut faults = ImportFaults::default();
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(bytes);
    let heads = match reader.headers() {
        Ok(heads) => heads.clone(),
        Err(error) => {
            faults.add(1, format!("the head can't be read: {error}"));
            return Err(faults);
        }
    };
    check_heads(&heads, &mut faults);
    if !faults.0.is_empty() {
        // Every line would be blamed for its head.
        return Err(faults);
    }
    let mut found = Vec::new();
    let mut lines: HashMap<Identity, u64> = HashMap::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.add(line, "it is not UTF-8 text, or its quotes do not match");
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let cells = Cells { heads: &heads, row: &row, line, faults: &mut faults };
        let Some(imported) = cells.read(config, now) else { continue };
        if let Some(first) = lines.insert(imported.identity.clone(), line) {
            faults.add(line, format!("the same API key stands on line {first}"));
        }
        found.push(imported);
    }
    if found.is_empty() && faults.0.is_empty() {
        faults.add(1, "there is no API key in it");
    }
    if faults.0.is_empty() { Ok(found) } else { Err(faults) }
}

fn check_heads(heads: &StringRecord, faults: &mut ImportFaults) {
    let has = |name: &str| heads.iter().any(|head| head == name);
    let mut seen = BTreeMap::new();
    for head in heads {
        if !COLUMNS.contains(&head) {
            let told = format!("unknown column `{head}`; columns are {}", COLUMNS.join(", "));
            faults.add(1, without_runs_of(head, &told));
        }
        *seen.entry(head).or_insert(0) += 1;
    }
    for (head, _) in seen.iter().filter(|(head, count)| **count > 1 && COLUMNS.contains(head)) {
        faults.add(1, format!("column `{head}` stands there twice"));
    }
    if !has("api_key") && !has("hash") {
        faults.add(1, "there is neither a column `api_key` nor `hash`");
    }
    for name in ["owner", "tier"] {
        if !has(name) {
            faults.add(1, format!("unknown column `{name}`"));
        }
    }
}

/// The cells of one line.
struct Cells<'a> {
    heads: &'a StringRecord,
    row: &'a StringRecord,
    line: u64,
    faults: &'a mut ImportFaults,
}

impl Cells<'_> {
    /// A cell's text; an empty one is none.
    fn cell(&self, name: &str) -> Option<&str> {
        let at = self.heads.iter().position(|head| head == name)?;
        self.row.get(at).map(unescape_cell).filter(|text| !text.is_empty())
    }

    fn fault<T>(&mut self, what: impl Into<String>) -> Option<T> {
        self.faults.add(self.line, what);
        None
    }

    /// Records a fault that quotes a cell; the cell may be an API key in the wrong column.
    fn fault_of<T>(&mut self, cell: &str, what: &str) -> Result<T, ()> {
        self.faults.add(self.line, without_runs_of(cell, what));
        Err(())
    }

    fn parsed<T: std::str::FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, ()> {
        let Some(text) = self.cell(name).map(str::to_owned) else { return Ok(None) };
        text.parse().map(Some).or_else(|error: T::Err| self.fault_of(&text, &format!("`{name}`: {error}")))
    }

    /// A cell that lists things, with spaces, commas or semicolons between.
    fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ()> {
        let text = self.cell(name).unwrap_or_default().to_owned();
        let words = text.split([' ', ',', ';']).filter(|word| !word.is_empty());
        words
            .map(|word| {
                parse(word).or_else(|error| self.fault_of(word, &format!("`{name}`: `{word}`: {error}")))
            })
            .collect()
    }

    /// The record of this line. Every cell is looked at, so that all faults of a line are told.
    fn read(mut self, config: &Config, now: Timestamp) -> Option<Imported> {
        if self.row.len() != self.heads.len() {
            let (cells, heads) = (self.row.len(), self.heads.len());
            return self.fault(format!("it has {cells} cells, the head has {heads}"));
        }
        let key = self.key(config);
        let owner = self.cell("owner").unwrap_or_default().to_owned();
        if let Err(error) = check_owner(&owner, key.as_ref().map(|(hash, _)| hash)) {
            self.faults.add(self.line, format!("`owner`: {error}"));
        }
        let tier = match self.cell("tier").map(str::to_owned) {
            Some(name) => match tier_of(&name, &config.tiers) {
                Ok(tier) => Some(tier.clone()),
                Err(error) => self.fault_of(&name, &error.to_string()).ok(),
            },
            None => self.fault("`tier` is empty"),
        };
        let limit = self.parsed("limit");
        let status = self.parsed::<Status>("status");
        let expires = self.expires(now);
        let sites: Result<Vec<SitePattern>, ()> = self.list("sites", parse_site);
        let networks = self
            .list("networks", |word| word.parse().map_err(|error: ipnet::AddrParseError| error.to_string()));
        let created = self.parsed::<Timestamp>("created");
        let (hash, hint) = key?;
        let (tier, limit) = (tier?, limit.ok()?);
        Some(Imported {
            line: self.line,
            identity: Identity::key(&hash),
            record: KeyRecord {
                owner,
                limit: limit.unwrap_or(tier.limit),
                tier: tier.name,
                status: status.ok()?.unwrap_or(Status::Active),
                expires: expires.ok()?,
                sites: sites.ok()?,
                networks: networks.ok()?,
                hint,
                created: to_the_millisecond(created.ok()?.unwrap_or(now)),
                published: None,
            },
        })
    }

    /// An instant may be over: an expired API key moves too.
    fn expires(&mut self, now: Timestamp) -> Result<Option<Timestamp>, ()> {
        let Some(text) = self.cell("expires").map(str::to_owned) else { return Ok(None) };
        match text.parse().or_else(|_| parse_expiry(&text, now)) {
            Ok(time) => Ok(Some(to_the_millisecond(time))),
            Err(error) => self.fault_of(&text, &format!("`expires`: {error}")),
        }
    }

    /// The hash and hint of the row's API key. Hints are stored and shown in plain text, so only the formats that ipgeo
    /// derives itself are accepted.
    fn key(&mut self, config: &Config) -> Option<(KeyHash, String)> {
        let (key, hash) = (self.cell("api_key").map(str::to_owned), self.cell("hash").map(str::to_owned));
        let named = self.cell("hint").map(str::to_owned);
        let (hash, hint) = match (key, hash) {
            (Some(key), None) => self.of_key(&key, config)?,
            (None, Some(hash)) => match hash.to_ascii_lowercase().parse::<KeyHash>() {
                Ok(hash) if named.as_deref().is_some_and(is_hint) => (hash, named.clone()?),
                Ok(hash) => (hash, hash_hint(&hash)),
                Err(_) => return self.fault("`hash` must be the SHA-256 of an API key: 64 hex digits"),
            },
            (Some(_), Some(_)) => {
                return self.fault("the row has both `api_key` and `hash`; keep one of them");
            }
            (None, None) => return self.fault("the row has neither `api_key` nor `hash`"),
        };
        if named.is_some_and(|named| named != hint) {
            return self.fault(
                "`hint` is shown in plain text and can't be chosen: leave it empty to derive it from the \
                 API key (`ipg_…x3Kq`, `…x3Kq`) or its hash (`sha256 5e884898`)",
            );
        }
        Some((hash, hint))
    }

    fn of_key(&mut self, text: &str, config: &Config) -> Option<(KeyHash, String)> {
        let ours = text.starts_with(&format!("{}_", config.service.key_prefix));
        match text.parse::<ApiKey>() {
            Ok(key) => Some((key.hash(), key.hint())),
            Err(error @ ApiKeyError::Checksum) if ours => self.fault(format!("`api_key`: {error}")),
            Err(_) if config.compat.foreign_api_keys => match foreign_key_hash(text) {
                Some(hash) => Some((hash, foreign_hint(text))),
                None => self.fault("`api_key` must be 16 to 128 ASCII characters without spaces: a shorter one could be guessed"),
            },
            Err(_) => self.fault(
                "`api_key` is not of ipgeo's form; with `foreign_api_keys = true` under [compat] in regions.toml, \
                 deployed, API keys of any form are known",
            ),
        }
    }
}

/// Normalised as stored, so that a repeated import finds no difference.
fn to_the_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// What an import would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportPlan {
    /// Records to store.
    pub new: Vec<Imported>,
    /// Records that are there already, the same.
    pub known: u64,
}

/// Compares what was read with what is there. A record that is there with other settings is a fault: an import
/// never changes one.
pub fn plan_import(
    imported: Vec<Imported>,
    known: &HashMap<Identity, KeyRecord>,
) -> Result<ImportPlan, ImportFaults> {
    let (mut plan, mut faults) = (ImportPlan::default(), ImportFaults::default());
    for one in imported {
        match known.get(&one.identity).map(|there| difference(&one.identity, there, &one.record)) {
            None => plan.new.push(one),
            Some(None) => plan.known += 1,
            Some(Some(what)) => faults.add(
                one.line,
                format!(
                    "{} is there already with another {what}; `ipgeo keys update` changes it",
                    one.record.hint
                ),
            ),
        }
    }
    if faults.0.is_empty() { Ok(plan) } else { Err(faults) }
}

/// The first setting that differs.
fn difference(identity: &Identity, there: &KeyRecord, wanted: &KeyRecord) -> Option<String> {
    let owner = repaired_owner(&there.owner, identity.name().parse().ok().as_ref());
    let differs = [
        ("owner", owner != wanted.owner),
        ("tier", there.tier != wanted.tier),
        ("limit", there.limit != wanted.limit),
        ("status", there.status != wanted.status),
        ("expiry", there.expires != wanted.expires),
        ("list of sites", there.sites != wanted.sites),
        ("list of networks", there.networks != wanted.networks),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn config(foreign: bool) -> Config {
        let compat = format!("[compat]\nforeign_api_keys = {foreign}\n");
        parse("regions.toml", &(include_str!("../../../regions.toml").to_owned() + &compat)).expect("sound")
    }

    fn key(seed: u8) -> ApiKey {
        ApiKey::generate("ipg", |bytes| bytes.fill(seed)).expect("an API key")
    }

    fn read(text: &str, foreign: bool) -> Result<Vec<Imported>, String> {
        let now = NOW.parse().expect("a timestamp");
        read_csv(text.as_bytes(), &config(foreign), now).map_err(|faults| faults.of("k.csv"))
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
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                let record = &row.record;
                let expires = record.expires.map(|time| time.to_string()).unwrap_or_default();
                format!("{} {} {} {} {expires}", row.line, record.hint, record.owner, record.limit)
            })
            .collect();
        assert_eq!(
            told,
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
    fn all_faults_are_told_together_and_none_repeats_an_api_key() {
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
        let told = read(&text, false).expect_err("faults");
        insta::assert_snapshot!(told, @r"
        k.csv:3: the same API key stands on line 2
        k.csv:4: `api_key`: its checksum does not match: a character was changed, lost or swapped
        k.csv:5: `api_key` is not of ipgeo's form; with `foreign_api_keys = true` under [compat] in regions.toml, deployed, API keys of any form are known
        k.csv:6: `hash` must be the SHA-256 of an API key: 64 hex digits
        k.csv:6: there is no tier `statrup` in regions.toml; there are `startup`, `business`, `enterprise`; did you mean `startup`?
        k.csv:6: `limit`: `week` is not a window; the windows are `day` and `month`
        k.csv:6: `status`: `gone` is not a status; it is `active`, `disabled` or `revoked`
        k.csv:6: `networks`: `10.0.0.0/33`: invalid IP address syntax
        k.csv:7: the row has neither `api_key` nor `hash`
        k.csv:7: `owner`: an owner must be 1 to 200 bytes, without control characters or surrounding spaces
        k.csv:7: `tier` is empty
        k.csv:8: the row has both `api_key` and `hash`; keep one of them
        k.csv:8: callers of the tier `anonymous` have no API key; name another tier
        k.csv:9: it has 2 cells, the head has 7
        14 faults in k.csv; nothing was written
        ");
        assert!(
            !told.contains(&good.expose()[4..30]) && !told.contains(&twice[4..]) && !told.contains("sk_live"),
            "{told}"
        );
    }

    #[test]
    fn a_head_that_is_none_is_told_alone() {
        for (text, says) in [
            ("", "there is neither a column `api_key` nor `hash`"),
            ("api_key,owner,teir\n", "unknown column `teir`; columns are api_key, hash"),
            ("hash,owner,tier,owner\n", "column `owner` stands there twice"),
            ("hash,owner,tier\n", "there is no API key in it"),
        ] {
            let told = read(text, false).expect_err("faults");
            assert!(told.contains(says), "{text:?}: {told}");
        }
    }

    #[test]
    fn what_is_exported_is_imported_again_and_nothing_is_done_twice() {
        let text = format!(
            "hash,owner,tier,limit,status,expires,sites,networks,created\n\
             {},acme,startup,50k/day,disabled,2027-01-31T00:00:00Z,*.acme.test,203.0.113.0/24,2026-01-01T00:00:00Z\n\
             {},b,business,,,,,,\n",
            "0a".repeat(32),
            "0b".repeat(32),
        );
        let first = read(&text, false).expect("sound");
        let keys: Vec<(Identity, KeyRecord)> =
            first.iter().map(|one| (one.identity.clone(), one.record.clone())).collect();
        let rows = export_rows(keys.clone());
        let exported = crate::ui::output::format_rows(crate::ui::output::Format::Csv, &[], &rows, |_| vec![])
            .expect("CSV");
        let again = read(&exported, false).expect("sound");
        let records = |rows: &[Imported]| rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>();
        assert_eq!(records(&again), records(&first));

        let known: HashMap<_, _> = keys.into_iter().collect();
        assert_eq!(plan_import(again.clone(), &HashMap::new()).expect("a plan").new.len(), 2);
        assert_eq!(plan_import(again.clone(), &known), Ok(ImportPlan { new: vec![], known: 2 }));
        let other = exported.replace("business", "startup").replace("2500000/month", "100000/month");
        let told = plan_import(read(&other, false).expect("sound"), &known).expect_err("a fault").of("k.csv");
        assert_eq!(
            told,
            "k.csv:3: sha256 0b0b0b0b is there already with another tier; `ipgeo keys update` changes it\n\
             1 fault in k.csv; nothing was written"
        );
    }

    #[test]
    fn the_probes_api_key_stays() {
        let mut rows =
            read(&format!("hash,owner,tier\n{},a,startup\n", "0a".repeat(32)), false).expect("sound");
        rows[0].record.tier = PROBE_TIER.to_owned();
        assert!(export_rows(vec![(rows[0].identity.clone(), rows[0].record.clone())]).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text in "(api_key|hash),owner,tier\n(\\PC{0,30}(,|\n)){0,20}") {
            let _told = read(&text, true);
        }
    }
}
