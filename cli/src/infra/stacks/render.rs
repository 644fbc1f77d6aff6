//! Renders stacks from templates.
//!
//! A filter writes every value as JSON, a subset of YAML: no text of a file is inserted raw. The result depends only on the
//! configuration and the artifacts; account-specific values (its number, a zone's ID) are left to CloudFormation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ipgeo_contract::{RECORD_AGE_S, RegionName, access_attr, env, ledger_attr};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tera::{Context, Kwargs, State, Tera};

use super::names::{FunctionKind, LIVE, Names, StackKind};
use super::template::{Template, TemplateError};
use crate::config::{Architecture, Config, Emulator, Region, Tiers};
use crate::geo::licence::Terms;

mod pipe;

pub(crate) use pipe::{
    FORWARD_ALIAS, FORWARD_FAILURES, FORWARD_FUNCTION, LOGS_SERVICE, PipeParts, USAGE_DESTINATION,
    regional_logs_service,
};

/// The path of the layer's geo database in a function.
pub(crate) const FUNCTION_DATABASE: &str = "/opt/ipgeo.mmdb";
/// Placeholder for a version's hash while it is computed; it follows the logical name's prefix.
const NO_VERSION: &str = "Unhashed";
/// Characters of an artifact's digest in a version's description.
const SHORT_DIGEST_CHARS: usize = 8;
/// Placeholder for the digest while it is computed.
const NO_DIGEST: &str = "0000000000000000";
/// Characters of the digest, enough to distinguish templates.
const DIGEST_CHARS: usize = 16;

const STREAM_RETENTION_H: u32 = 24;
/// Shards: one takes 1,000 batches of lines a second.
pub(crate) const STREAM_SHARDS: u32 = 1;
/// Maximum records per batch (Lambda's limit).
const BATCH_RECORDS: u32 = 10_000;
/// Retries of a batch: unlimited, until its records are [`RECORD_AGE_S`] old. A number would limit the time too: for a
/// small batch, a hundred retries take minutes.
const RETRIES: i32 = -1;
const USAGE_MEMORY_MB: u32 = 512;
const USAGE_TIMEOUT_S: u32 = 300;

/// Days until S3 deletes an expired object: it checks once a day, first the object, then its old version.
const EXPIRY_TAKES_DAYS: i64 = 2;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// SHA-256 of the zip, 64 hex digits.
    pub digest: String,
    /// Its key in every bucket: `code/<digest>.zip`, `geo/<digest>.zip`.
    pub key: String,
}

impl ArtifactRef {
    /// The artifact of a kind with a digest.
    pub fn new(kind: &str, digest: &str) -> Self {
        Self { digest: digest.to_owned(), key: format!("{kind}/{digest}.zip") }
    }

    /// The keys of artifacts that a template names.
    pub fn keys_in(template: &str) -> BTreeSet<String> {
        let words = template.split(|c: char| !c.is_ascii_alphanumeric() && !"/.".contains(c));
        let is_key = |word: &&str| {
            let digest = ["code/", "geo/"].iter().find_map(|kind| word.strip_prefix(kind));
            let digest = digest.and_then(|rest| rest.strip_suffix(".zip"));
            digest.is_some_and(|digest| digest.len() == 64)
        };
        words.filter(is_key).map(str::to_owned).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactSet {
    /// The function's code, by architecture.
    pub code: BTreeMap<&'static str, ArtifactRef>,
    pub geo: ArtifactRef,
    pub geo_description: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    pub region: RegionName,
    /// Whether it is protected from deletion; before a deletion, protection is removed.
    pub protected: bool,
}

/// What happens to home's data when its stack is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPolicy {
    Keep,
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub kind: StackKind,
    pub region: RegionName,
    pub name: String,
    /// Its template, YAML.
    pub text: String,
    pub template: Template,
}

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("cannot render the {kind} template")]
    Fill { kind: StackKind, source: tera::Error },
    #[error("the {kind} stack of {region} is not a valid template")]
    Unsound { kind: StackKind, region: RegionName, source: TemplateError },
    #[error("no code for {0}")]
    NoCode(&'static str),
}

#[derive(Serialize)]
struct Variable {
    name: &'static str,
    value: String,
}

#[derive(Debug)]
pub struct Renderer<'a> {
    config: &'a Config,
    artifacts: &'a ArtifactSet,
    names: Names,
    account: Option<String>,
    tera: &'static Tera,
}

/// The templates of all stacks, parsed once.
fn templates() -> tera::TeraResult<&'static Tera> {
    static TEMPLATES: OnceLock<Tera> = OnceLock::new();
    if let Some(tera) = TEMPLATES.get() {
        return Ok(tera);
    }
    let mut tera = Tera::new();
    tera.register_filter("json", |value: &tera::Value, _: Kwargs, _: &State| -> tera::TeraResult<_> {
        let text = serde_json::to_string(value)
            .map_err(|error| tera::Error::message(format!("a value has no JSON: {error}")))?;
        Ok(tera::Value::safe_string(&text))
    });
    tera.add_raw_templates([
        (StackKind::Artifacts.as_str(), include_str!("../../../../templates/artifacts.yaml.tera")),
        (StackKind::Home.as_str(), include_str!("../../../../templates/home.yaml.tera")),
        (StackKind::Edge.as_str(), include_str!("../../../../templates/edge.yaml.tera")),
    ])?;
    Ok(TEMPLATES.get_or_init(|| tera))
}

impl<'a> Renderer<'a> {
    /// A renderer for a configuration and its artifacts. Its templates are for reading and pricing: the deployed ones also
    /// depend on the account, which `plan` knows.
    pub fn new(config: &'a Config, artifacts: &'a ArtifactSet) -> Result<Self, RenderError> {
        let tera = templates().map_err(|source| RenderError::Fill { kind: StackKind::Home, source })?;
        Ok(Self { config, artifacts, names: Names::new(config), account: None, tera })
    }

    /// The same renderer for the account with this number.
    #[must_use]
    pub fn for_account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn artifact_set(&self) -> &ArtifactSet {
        self.artifacts
    }

    /// Every stack, in the order of deploying: artifacts, home, edges.
    pub fn all(&self) -> Result<Vec<Stack>, RenderError> {
        let regions = &self.config.regions;
        let replicas: Vec<Replica> =
            regions.iter().map(|region| Replica { region: region.name.clone(), protected: true }).collect();
        let mut stacks = Vec::with_capacity(2 * regions.len() + 1);
        for region in regions {
            stacks.push(self.artifacts(&region.name)?);
        }
        stacks.push(self.home(&replicas, DataPolicy::Keep)?);
        for region in regions {
            stacks.push(self.edge(region)?);
        }
        Ok(stacks)
    }

    pub fn artifacts(&self, region: &RegionName) -> Result<Stack, RenderError> {
        let mut context = self.context("artifacts");
        let terms = Terms::new(&self.config.geo.licence, &self.config.geo.name);
        let geo_days = terms.retention_days.map(|days| (days - EXPIRY_TAKES_DAYS).max(1));
        context.insert("geo_days", &geo_days);
        self.fill(StackKind::Artifacts, region, &context)
    }

    /// What exists once, with the access table in these regions (home first, the others by name).
    pub fn home(&self, replicas: &[Replica], data: DataPolicy) -> Result<Stack, RenderError> {
        let home = &self.config.service.home;
        let mut replicas = replicas.to_vec();
        replicas.sort_by_key(|replica| (replica.region != *home, replica.region.clone()));
        let architecture = self.config.home().map_or(Architecture::Arm64, |home| home.runtime.architecture);
        let code = self.code(architecture)?;
        let mut context = self.context("tables, stream and counter");
        let kept = data == DataPolicy::Keep;
        if !kept {
            for replica in &mut replicas {
                replica.protected = false;
            }
        }
        context.insert("data_policy", if kept { "Retain" } else { "Delete" });
        context.insert("data_protected", &kept);
        context.insert("replicas", &replicas);
        context.insert("log_services", &self.log_services(&replicas));
        context.insert("access_key", access_attr::ID);
        context.insert("ledger_key", ledger_attr::ID);
        context.insert("ledger_sort", ledger_attr::MONTH);
        context.insert("ledger_ttl", ledger_attr::TTL);
        context.insert("failure_bucket", &self.failure_bucket());
        context.insert("usage_log_group", &format!("/aws/lambda/{}", self.names.usage_function));
        context.insert("stream_retention_h", &STREAM_RETENTION_H);
        context.insert("stream_shards", &STREAM_SHARDS);
        context.insert("architecture", architecture.as_str());
        context.insert("code_key", &code.key);
        context.insert("code_digest", &code.digest);
        context.insert("version_description", &describe(code, None, None));
        context.insert("usage_memory_mb", &USAGE_MEMORY_MB);
        context.insert("usage_timeout_s", &USAGE_TIMEOUT_S);
        context.insert("usage_environment", &self.usage_environment());
        self.insert_alerts(&mut context);
        context.insert("batch_records", &BATCH_RECORDS);
        context.insert("batch_window_s", &batch_window_s(self.config));
        context.insert("record_age_s", &RECORD_AGE_S);
        context.insert("retries", &RETRIES);
        context.insert("silence_h", &self.config.alarms.silence_h);
        context.insert("tiers", &tier_limits(&self.config.tiers));
        self.fill(StackKind::Home, home, &context)
    }

    /// A region's API, function and log pipe.
    pub fn edge(&self, region: &Region) -> Result<Stack, RenderError> {
        self.edge_with(region, PipeParts::default())
    }

    /// The same with these log pipes beside the configured one.
    pub(crate) fn edge_with(&self, region: &Region, pipes: PipeParts) -> Result<Stack, RenderError> {
        let (names, runtime) = (&self.names, &region.runtime);
        let code = self.code(runtime.architecture)?;
        let mut context = self.context("API, function and log pipe");
        context.insert("domain", &self.config.service.domain);
        context.insert("has_domain", &self.config.service.domain.is_some());
        context.insert("lookup_log_group", &format!("/aws/lambda/{}", names.lookup_function));
        context.insert("lookup_role", &names.lookup_role(&region.name));
        let table = format!(
            "arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{}",
            names.access_table
        );
        context.insert("access_table_arn", &table);
        let counter = format!(
            "arn:${{AWS::Partition}}:lambda:{}:${{AWS::AccountId}}:function:{}:{LIVE}",
            self.config.service.home, names.usage_function
        );
        context.insert("home_function_arn", &counter);
        context.insert("architecture", runtime.architecture.as_str());
        context.insert("code_key", &code.key);
        context.insert("code_digest", &code.digest);
        context.insert("geo_key", &self.artifacts.geo.key);
        context.insert("geo_digest", &self.artifacts.geo.digest);
        context.insert("geo_description", &self.artifacts.geo_description);
        let geo = &self.artifacts.geo;
        context.insert("version_description", &describe(code, Some(geo), self.last_day_of_database()));
        context.insert("lookup_environment", &self.lookup_environment(region));
        context.insert("memory_mb", &runtime.memory_mb);
        context.insert("reserved_concurrency", &runtime.reserved_concurrency);
        context.insert("timeout_s", &runtime.timeout_s);
        context.insert("throttle_burst", &runtime.throttle_burst);
        context.insert("throttle_rate", &runtime.throttle_rate);
        context.insert("edge_alarms", &self.config.alarms.edges);
        self.insert_log_pipe(&mut context, pipes);
        self.insert_forwarder(&mut context, region, code);
        self.fill(StackKind::Edge, &region.name, &context)
    }

    /// The last day on which the database's licence allows to serve it, if it is limited. Its description ends with its
    /// date.
    fn last_day_of_database(&self) -> Option<String> {
        let terms = Terms::new(&self.config.geo.licence, &self.config.geo.name);
        let date = self.artifacts.geo_description.split_whitespace().last()?.parse().ok()?;
        Some(terms.last_day(date)?.to_string())
    }

    /// The name of the failure bucket: a literal if the account is known, otherwise left to CloudFormation.
    fn failure_bucket(&self) -> serde_json::Value {
        match &self.account {
            Some(account) => self.names.failure_bucket(account).into(),
            None => serde_json::json!({ "Fn::Sub": self.names.failure_bucket("${AWS::AccountId}") }),
        }
    }

    fn insert_alerts(&self, context: &mut Context) {
        let alerts = &self.config.alerts;
        let target = |protocol: &str, endpoint: &Option<String>| {
            let endpoint = endpoint.as_ref()?;
            Some(serde_json::json!({ "protocol": protocol, "endpoint": endpoint }))
        };
        let targets = [target("email", &alerts.email), target("https", &alerts.webhook)];
        let targets: Vec<_> = targets.into_iter().flatten().filter(|_| alerts.are_sent()).collect();
        context.insert("alert_targets", &targets);
        context.insert("alert_topic_variable", env::ALERT_TOPIC);
    }

    fn code(&self, architecture: Architecture) -> Result<&ArtifactRef, RenderError> {
        let name = architecture.as_str();
        self.artifacts.code.get(name).ok_or(RenderError::NoCode(name))
    }

    fn usage_environment(&self) -> Vec<Variable> {
        let mut variables = vec![
            Variable { name: env::ACCESS_TABLE, value: self.names.access_table.clone() },
            Variable { name: env::ALERT_THRESHOLDS, value: self.config.alerts.thresholds.to_string() },
            Variable { name: env::HANDLER, value: env::HANDLER_USAGE.to_owned() },
            Variable { name: env::LEDGER_TABLE, value: self.names.ledger_table.clone() },
        ];
        variables.extend(self.emulator().map(endpoint_variable));
        variables
    }

    fn lookup_environment(&self, region: &Region) -> Vec<Variable> {
        let (tiers, compat) = (&self.config.tiers, &self.config.compat);
        let database = self.emulator().and_then(|emulator| emulator.geo_database.as_ref());
        let database = database.map_or(FUNCTION_DATABASE.to_owned(), |path| path.display().to_string());
        let mut variables = vec![
            Variable { name: env::ACCESS_CACHE_S, value: region.runtime.access_cache_s.to_string() },
            Variable { name: env::ACCESS_TABLE, value: self.names.access_table.clone() },
            Variable { name: env::ANONYMOUS_LIMIT, value: tiers.anonymous.limit.to_string() },
            Variable { name: env::ANONYMOUS_SITE_LIMIT, value: tiers.anonymous.site_limit.to_string() },
            Variable { name: env::GEO_DATABASE, value: database },
            Variable { name: env::HANDLER, value: env::HANDLER_LOOKUP.to_owned() },
            Variable { name: env::HOME_ALIAS, value: LIVE.to_owned() },
            Variable { name: env::HOME_FUNCTION, value: self.names.usage_function.clone() },
            Variable { name: env::HOME_REGION, value: self.config.service.home.to_string() },
            Variable { name: env::QUIET_PERMILLE, value: self.config.usage.quiet_permille.to_string() },
            Variable { name: env::QUOTA_STATUS, value: compat.quota_status.to_string() },
            Variable { name: env::UNKNOWN_KEY_STATUS, value: compat.unknown_key_status.to_string() },
        ];
        let rates = tiers.rates().to_string();
        if !rates.is_empty() {
            variables.push(Variable { name: env::RATES, value: rates });
        }
        if self.config.web.page {
            variables.push(Variable { name: env::WEB_PAGE, value: "1".to_owned() });
        }
        if compat.foreign_api_keys {
            variables.push(Variable { name: env::FOREIGN_API_KEYS, value: "1".to_owned() });
        }
        variables.extend(self.emulator().map(endpoint_variable));
        variables
    }

    fn emulator(&self) -> Option<&Emulator> {
        self.config.emulator.as_ref()
    }

    fn context(&self, what: &str) -> Context {
        let mut context = Context::new();
        let service = &self.names.service;
        context.insert("head", "Rendered by ipgeo: change regions.toml, not this.");
        context.insert("description", &format!("{service}: {what}"));
        context.insert("service", service);
        context.insert("names", &self.names);
        context.insert("bucket", &self.names.bucket("${AWS::AccountId}", "${AWS::Region}"));
        context.insert("email", &self.config.alarms.email);
        context.insert("permissions_boundary", &self.config.service.permissions_boundary);
        context.insert("digest", NO_DIGEST);
        context.insert("version", NO_VERSION);
        context.insert("live", LIVE);
        context
    }

    fn fill(&self, kind: StackKind, region: &RegionName, context: &Context) -> Result<Stack, RenderError> {
        let text =
            self.tera.render(kind.as_str(), context).map_err(|source| RenderError::Fill { kind, source })?;
        let unsound = |source| RenderError::Unsound { kind, region: region.clone(), source };
        let unhashed = Template::parse(&text).map_err(unsound)?;
        let text = FunctionKind::ALL.into_iter().fold(text, |text, function| {
            let Some(hash) = unhashed.version_hash(function) else { return text };
            let prefix = function.version_prefix();
            text.replace(&format!("{prefix}{NO_VERSION}"), &format!("{prefix}{hash}"))
        });
        // The digest is an output, not a tag: CloudFormation copies a stack's tags to every resource, so each new digest
        // would update them all.
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        let text = text.replace(NO_DIGEST, &digest[..DIGEST_CHARS]);
        let template = Template::parse(&text).map_err(unsound)?;
        template.check(&text).map_err(unsound)?;
        Ok(Stack { kind, region: region.clone(), name: self.names.stack(kind), text, template })
    }
}

/// A version's description, which `plan::versions` reads: `code 3f2a9c1b, database 9d1e5a07 until 2026-12-01`.
fn describe(code: &ArtifactRef, geo: Option<&ArtifactRef>, until: Option<String>) -> String {
    let short = |artifact: &ArtifactRef| artifact.digest.chars().take(SHORT_DIGEST_CHARS).collect::<String>();
    let database = geo.map(|geo| format!(", database {}", short(geo))).unwrap_or_default();
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("code {}{database}{until}", short(code))
}

/// The batching window, s; an emulator does not wait.
pub(crate) fn batch_window_s(config: &Config) -> u32 {
    if config.emulator.is_some() { 0 } else { config.usage.window_s }
}

fn endpoint_variable(emulator: &Emulator) -> Variable {
    Variable { name: env::ENDPOINT, value: emulator.endpoint.clone() }
}

/// The limits of all tiers in one text, an output of home's stack: `business=2500000/month startup=…`.
pub(crate) fn tier_limits(tiers: &Tiers) -> String {
    let mut limits: Vec<String> =
        tiers.paid.iter().map(|tier| format!("{}={}", tier.name, tier.limit)).collect();
    limits.sort();
    limits.join(" ")
}

#[cfg(test)]
pub(crate) mod tests;
