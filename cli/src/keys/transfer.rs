//! Exports API key records to rows and imports them from CSV: how a company moves to ipgeo, or away from it. An import
//! reports all problems with their lines, never repeats an API key, and never changes an existing record. Pure: storing
//! the planned records is in `storing`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};

use csv::{ReaderBuilder, StringRecord, Trim};
use ipgeo_contract::{
    ApiKey, ApiKeyError, Identity, KeyHash, KeyRecord, PROBE_TIER, RateLimit, SitePattern, Status,
    foreign_hint, foreign_key_hash, hash_hint, is_hint,
};
use jiff::Timestamp;
use serde::Serialize;

use super::owner::{check_owner, repair_owner};
use super::secret::{parse_site, redact};
use super::spec::{find_tier, own_rate, parse_expiry};
use crate::config::Config;
use crate::ui::format::counted;
use crate::ui::output::unescape_cell;

/// The columns of an import: the fields of [`TransferRow`], and `api_key` as an alternative to `hash`.
const COLUMNS: [&str; 14] = [
    "api_key", "hash", "hint", "owner", "tier", "limit", "rate", "burst", "status", "expires", "sites",
    "networks", "explain", "created",
];
const LISTED_MAX: usize = 50;

/// A record as `export` writes and `import` reads it. Never an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TransferRow {
    /// SHA-256 of the API key, 64 hex digits.
    pub hash: String,
    pub hint: String,
    pub owner: String,
    pub tier: String,
    /// The effective limit.
    pub limit: String,
    /// Its own short rate; empty: the tier's.
    pub rate: String,
    pub burst: String,
    /// `active`, `disabled` or `revoked`.
    pub status: String,
    /// RFC 3339; empty: never.
    pub expires: String,
    /// Allowed sites, separated by spaces; empty: any.
    pub sites: String,
    /// Allowed networks, separated by spaces; empty: any.
    pub networks: String,
    /// `true` or `false`; an import reads an empty cell as `false`.
    pub explain: bool,
    /// RFC 3339.
    pub created: String,
}

/// The rows of all API keys except the probes' own, sorted by owner. Owners that the current rules
/// refuse are adjusted, so that `import` accepts every row.
pub(crate) fn export_rows(mut keys: Vec<(Identity, KeyRecord)>) -> Vec<TransferRow> {
    keys.retain(|(_, record)| record.tier != PROBE_TIER);
    keys.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
    let row = |(identity, record): (Identity, KeyRecord)| TransferRow {
        hash: identity.name().to_owned(),
        hint: record.hint,
        owner: repair_owner(&record.owner, identity.name().parse().ok().as_ref()).into_owned(),
        tier: record.tier,
        limit: record.limit.to_string(),
        rate: record.rate.map(|rate| rate.rate().to_string()).unwrap_or_default(),
        burst: record.rate.map(|rate| rate.burst().to_string()).unwrap_or_default(),
        status: record.status.to_string(),
        expires: record.expires.map(|time| time.to_string()).unwrap_or_default(),
        sites: joined(&record.sites),
        networks: joined(&record.networks),
        explain: record.explain,
        created: record.created.to_string(),
    };
    keys.into_iter().map(row).collect()
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImportedKey {
    pub line: u64,
    pub identity: Identity,
    pub record: KeyRecord,
}

/// All problems of an import, each with its line. No message repeats an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImportProblems(Vec<(u64, String)>);

impl ImportProblems {
    fn add(&mut self, line: u64, message: impl Into<String>) {
        self.0.push((line, message.into()));
    }

    /// The problems with their places in a file: `customers.csv:3: …`.
    pub(crate) fn report(&self, file: &str) -> String {
        let mut text = String::new();
        for (line, message) in self.0.iter().take(LISTED_MAX) {
            let _ = writeln!(text, "{file}:{line}: {message}");
        }
        let count = self.0.len();
        let more =
            if count > LISTED_MAX { format!(" (the first {LISTED_MAX} are listed)") } else { String::new() };
        text + &format!("{} in {file}{more}; nothing was written", counted(count, "problem"))
    }
}

/// Parses a CSV file of API keys, or reports all its problems.
pub(crate) fn read_csv(
    bytes: &[u8],
    config: &Config,
    now: Timestamp,
) -> Result<Vec<ImportedKey>, ImportProblems> {
    let mut problems = ImportProblems::default();
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(bytes);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            problems.add(
                1,
                match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => "the file is not UTF-8 text".to_owned(),
                    _ => format!("cannot read the header row: {error}"),
                },
            );
            return Err(problems);
        }
    };
    check_header(&header, &mut problems);
    if !problems.0.is_empty() {
        // Every line would report the same problem again.
        return Err(problems);
    }
    let mut found = Vec::new();
    let mut lines: HashMap<Identity, u64> = HashMap::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, |position| line_at(bytes, position));
                problems.add(line, "not valid UTF-8, or unbalanced quotes");
                continue;
            }
        };
        let line = row.position().map_or(0, |position| line_at(bytes, position));
        let csv_row = CsvRow { header: &header, cells: &row, line, problems: &mut problems };
        let Some(imported) = csv_row.parse(config, now) else { continue };
        if let Some(first) = lines.insert(imported.identity.clone(), line) {
            problems.add(line, format!("duplicate of the API key on line {first}"));
        }
        found.push(imported);
    }
    if found.is_empty() && problems.0.is_empty() {
        problems.add(1, "the file has no API keys");
    }
    if problems.0.is_empty() { Ok(found) } else { Err(problems) }
}

/// The line of a row. The reader's position is before the line feed of the previous `\r\n` and before empty lines.
fn line_at(bytes: &[u8], position: &csv::Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let skipped = bytes.get(start..).unwrap_or_default().iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + skipped.map(|byte| u64::from(*byte == b'\n')).sum::<u64>()
}

fn check_header(header: &StringRecord, problems: &mut ImportProblems) {
    let has = |name: &str| header.iter().any(|column| column == name);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, column) in header.iter().enumerate() {
        if !COLUMNS.contains(&column) {
            let message = format!("unknown column `{column}`; columns are {}", COLUMNS.join(", "));
            problems.add(1, redact(column, &message));
        }
        match seen.get(column).filter(|_| COLUMNS.contains(&column)) {
            Some(first) => problems.add(1, format!("columns {first} and {} are both `{column}`", index + 1)),
            None => drop(seen.insert(column, index + 1)),
        }
    }
    if !has("api_key") && !has("hash") {
        problems.add(1, "missing column: `api_key` or `hash`");
    }
    for name in ["owner", "tier"] {
        if !has(name) {
            problems.add(1, format!("missing column `{name}`"));
        }
    }
}

struct CsvRow<'a> {
    header: &'a StringRecord,
    cells: &'a StringRecord,
    line: u64,
    problems: &'a mut ImportProblems,
}

impl CsvRow<'_> {
    /// A cell's text; `None` if it is empty.
    fn cell(&self, name: &str) -> Option<&str> {
        let at = self.header.iter().position(|column| column == name)?;
        self.cells.get(at).map(unescape_cell).filter(|text| !text.is_empty())
    }

    fn problem<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.problems.add(self.line, message);
        None
    }

    /// Reports a problem that quotes a cell; the cell may be an API key in the wrong column.
    fn invalid_cell<T>(&mut self, cell: &str, message: &str) -> Result<T, ()> {
        self.problems.add(self.line, redact(cell, message));
        Err(())
    }

    fn parsed<T: std::str::FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, ()> {
        let Some(text) = self.cell(name).map(str::to_owned) else { return Ok(None) };
        text.parse()
            .map(Some)
            .or_else(|error: T::Err| self.invalid_cell(&text, &format!("`{name}`: {error}")))
    }

    /// A cell that holds a list, separated by spaces, commas or semicolons.
    fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ()> {
        let text = self.cell(name).unwrap_or_default().to_owned();
        let words = text.split([' ', ',', ';']).filter(|word| !word.is_empty());
        words
            .map(|word| {
                parse(word).or_else(|error| self.invalid_cell(word, &format!("`{name}`: `{word}`: {error}")))
            })
            .collect()
    }

    /// Parses every cell even after a problem, so that all problems of a line are reported.
    fn parse(mut self, config: &Config, now: Timestamp) -> Option<ImportedKey> {
        if self.cells.len() != self.header.len() {
            let (cells, columns) = (self.cells.len(), self.header.len());
            return self.problem(format!("{cells} cells, but the header row has {columns} columns"));
        }
        let key = self.key(config);
        let owner = self.cell("owner").unwrap_or_default().to_owned();
        if let Err(error) = check_owner(&owner, key.as_ref().map(|(hash, _)| hash)) {
            self.problems.add(self.line, format!("`owner`: {error}"));
        }
        let tier = match self.cell("tier").map(str::to_owned) {
            Some(name) => match find_tier(&name, &config.tiers) {
                Ok(tier) => Some(tier.clone()),
                Err(error) => self.invalid_cell(&name, &error.to_string()).ok(),
            },
            None => self.problem("`tier` is empty"),
        };
        let limit = self.parsed("limit");
        let rate = self.rate();
        let status = self.parsed::<Status>("status");
        let expires = self.expires(now);
        let sites: Result<Vec<SitePattern>, ()> = self.list("sites", parse_site);
        let networks = self
            .list("networks", |word| word.parse().map_err(|error: ipnet::AddrParseError| error.to_string()));
        let explain = self.parsed::<bool>("explain");
        let created = self.parsed::<Timestamp>("created");
        let (hash, hint) = key?;
        let (tier, limit) = (tier?, limit.ok()?);
        Some(ImportedKey {
            line: self.line,
            identity: Identity::key(&hash),
            record: KeyRecord {
                owner,
                limit: limit.unwrap_or(tier.limit),
                rate: rate.ok()?,
                tier: tier.name,
                status: status.ok()?.unwrap_or(Status::Active),
                expires: expires.ok()?,
                sites: sites.ok()?,
                networks: networks.ok()?,
                explain: explain.ok()?.unwrap_or(false),
                hint,
                created: to_millisecond(created.ok()?.unwrap_or(now)),
                published: None,
            },
        })
    }

    fn rate(&mut self) -> Result<Option<RateLimit>, ()> {
        let rate = self.parsed("rate");
        let text = self.cell("burst").unwrap_or_default().to_owned();
        let limit = match Some(&text).filter(|text| !text.is_empty()).map(|text| RateLimit::parse_burst(text))
        {
            Some(Err(error)) => Err(error.to_string()),
            burst => own_rate(rate?, burst.and_then(Result::ok)),
        };
        limit.or_else(|error| self.invalid_cell(&text, &format!("`burst`: {error}")))
    }

    /// An instant may be in the past: expired API keys are imported too.
    fn expires(&mut self, now: Timestamp) -> Result<Option<Timestamp>, ()> {
        let Some(text) = self.cell("expires").map(str::to_owned) else { return Ok(None) };
        match text.parse().or_else(|_| parse_expiry(&text, now)) {
            Ok(time) => Ok(Some(to_millisecond(time))),
            Err(error) => self.invalid_cell(&text, &format!("`expires`: {error}")),
        }
    }

    /// The hash and hint of the row's API key. Hints are stored and shown in plain text, so only the formats that ipgeo
    /// derives itself are accepted.
    fn key(&mut self, config: &Config) -> Option<(KeyHash, String)> {
        let (key, hash) = (self.cell("api_key").map(str::to_owned), self.cell("hash").map(str::to_owned));
        let named = self.cell("hint").map(str::to_owned);
        let (hash, hint) = match (key, hash) {
            (Some(key), None) => self.hash_and_hint(&key, config)?,
            (None, Some(hash)) => match hash.to_ascii_lowercase().parse::<KeyHash>() {
                Ok(hash) if named.as_deref().is_some_and(is_hint) => (hash, named.clone()?),
                Ok(hash) => (hash, hash_hint(&hash)),
                Err(_) => return self.problem("`hash` must be the SHA-256 of an API key: 64 hex digits"),
            },
            (Some(_), Some(_)) => {
                return self.problem("the row has both `api_key` and `hash`; keep one of them");
            }
            (None, None) => return self.problem("the row has neither `api_key` nor `hash`"),
        };
        if named.is_some_and(|named| named != hint) {
            return self.problem(
                "`hint` is shown in plain text and can't be chosen: leave it empty to derive it from the \
                 API key (`ipg_…x3Kq`, `…x3Kq`) or its hash (`sha256 5e884898`)",
            );
        }
        Some((hash, hint))
    }

    fn hash_and_hint(&mut self, text: &str, config: &Config) -> Option<(KeyHash, String)> {
        let ours = text.starts_with(&format!("{}_", config.service.key_prefix));
        match text.parse::<ApiKey>() {
            Ok(key) => Some((key.hash(), key.hint())),
            Err(error @ ApiKeyError::Checksum) if ours => self.problem(format!("`api_key`: {error}")),
            Err(_) if config.compat.foreign_api_keys => match foreign_key_hash(text) {
                Some(hash) => Some((hash, foreign_hint(text))),
                None => self.problem("`api_key` must be 16 to 128 ASCII characters without spaces: a shorter one could be guessed"),
            },
            Err(_) => self.problem(
                "`api_key` is not in ipgeo's format; to accept other formats, deploy with \
                 `foreign_api_keys = true` under [compat] in regions.toml",
            ),
        }
    }
}

/// Stored times have milliseconds: without this, a repeated import would find a difference.
pub(crate) fn to_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImportPlan {
    pub new: Vec<ImportedKey>,
    /// Number of records that exist already with the same settings.
    pub known: u64,
}

/// Compares the imported records with the stored ones. A stored record with other settings is a problem: an import never
/// changes one.
pub(crate) fn plan_import(
    imported: Vec<ImportedKey>,
    known: &HashMap<Identity, KeyRecord>,
) -> Result<ImportPlan, ImportProblems> {
    let (mut plan, mut problems) = (ImportPlan::default(), ImportProblems::default());
    for key in imported {
        match known.get(&key.identity).map(|stored| difference(&key.identity, stored, &key.record)) {
            None => plan.new.push(key),
            Some(None) => plan.known += 1,
            Some(Some(setting)) => problems.add(
                key.line,
                format!(
                    "{} already exists with a different {setting}; change it with `ipgeo keys update`",
                    key.record.hint
                ),
            ),
        }
    }
    if problems.0.is_empty() { Ok(plan) } else { Err(problems) }
}

/// The first setting that differs.
fn difference(identity: &Identity, stored: &KeyRecord, imported: &KeyRecord) -> Option<String> {
    let owner = repair_owner(&stored.owner, identity.name().parse().ok().as_ref());
    let settings = [
        ("owner", owner != imported.owner),
        ("tier", stored.tier != imported.tier),
        ("limit", stored.limit != imported.limit),
        ("rate", stored.rate != imported.rate),
        ("status", stored.status != imported.status),
        ("expiry", stored.expires != imported.expires),
        ("list of sites", stored.sites != imported.sites),
        ("list of networks", stored.networks != imported.networks),
        ("`explain`", stored.explain != imported.explain),
    ];
    settings.into_iter().find(|(_, differs)| *differs).map(|(setting, _)| setting.to_owned())
}

#[cfg(test)]
mod tests;
