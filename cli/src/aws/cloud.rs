//! Implements the cloud's two traits for AWS.

use std::collections::{BTreeMap, BTreeSet};

use ipgeo_contract::{ApiKey, RegionName};

use super::buckets::Bucket;
use super::kept::Kept;
use super::refusal::Refusal;
use super::session::Session;
use super::signed::Signed;
use super::tables::Replicas;
use super::{bake, dns, drift, kept, opt_in, stacks, tables, versions, vitals};
use crate::config::Config;
use crate::infra::cloud::{
    CloudRead, CloudWrite, Done, ProbeTarget, ProbeTargets, Problem, Report, StepError,
};
use crate::infra::plan::{
    AccessState, Action, Alias, BucketKind, Drift, KeptData, ObservedFunction, ObservedRegion, ObservedStack,
    RecordChange, Zone, alias_of,
};
use crate::infra::stacks::{FunctionKind, Names, StackKind};

/// AWS, or an AWS emulator.
#[derive(Debug)]
pub(crate) struct Aws {
    session: Session,
    names: Names,
    home: RegionName,
    /// The regions of the file.
    chosen: BTreeSet<RegionName>,
    key_prefix: String,
    limits: bool,
    emulator: Option<String>,
}

impl Aws {
    /// Loads credentials and endpoints from the standard AWS environment and profile.
    pub(crate) async fn connect(config: &Config, profile: Option<&str>) -> anyhow::Result<Self> {
        Ok(Self {
            session: Session::connect(config, profile).await?,
            names: Names::new(config),
            home: config.service.home.clone(),
            chosen: config.region_names().cloned().collect(),
            key_prefix: config.service.key_prefix.clone(),
            limits: false,
            emulator: config.emulator.as_ref().map(|emulator| emulator.endpoint.clone()),
        })
    }

    /// CloudFormation changes stacks with this role's rights, not with the caller's. Only a role of the same account can
    /// be passed.
    pub(crate) async fn use_role(&mut self, role: Option<&str>) -> Result<(), Problem> {
        if let Some(role) = role {
            let account = self.session.account().await?;
            if role.split(':').nth(4) != Some(account) {
                return Err(Problem::new(
                    format!("--role-arn {role} is of another account; the credentials belong to {account}"),
                    "pass a role of that account, or use credentials of the role's account",
                ));
            }
            self.session.role = Some(role.to_owned());
        }
        Ok(())
    }

    /// Also reads the limits of all API keys.
    #[must_use]
    pub(crate) fn with_limits(mut self) -> Self {
        self.limits = true;
        self
    }

    /// The probes' API key, if the secret that it is derived from exists.
    pub(crate) async fn probe_key(&self) -> Option<ApiKey> {
        let client = self.session.dynamodb(&self.home);
        tables::probe_key(&client, &self.names.access_table, &self.key_prefix).await
    }

    pub(crate) fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    pub(crate) fn tables(&self) -> super::Home {
        let client = self.session.dynamodb(&self.home);
        super::Home::new(client, &self.names.access_table, &self.names.ledger_table)
    }

    /// The access table's replicas outside home, each with its DynamoDB status.
    pub(crate) async fn replicas(&self) -> Result<Replicas, Problem> {
        let client = self.session.dynamodb(&self.home);
        let replicas = tables::replicas(&client, &self.names.access_table).await;
        Ok(replicas.map_err(|refusal| refusal.for_reading(&self.home))?.unwrap_or_default())
    }

    /// Resources of a stack that were changed outside CloudFormation.
    pub(crate) async fn drift(&self, region: &str, kind: StackKind) -> Result<Vec<Drift>, StepError> {
        drift::drifts(&self.session, region, &self.names.stack(kind)).await
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn signed(&self) -> Signed {
        self.session.signed()
    }

    pub(super) fn home(&self) -> &RegionName {
        &self.home
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The log group of the lookup function, the same in every region.
    pub(super) fn lookup_log_group(&self) -> String {
        format!("/aws/lambda/{}", self.names.lookup_function)
    }

    async fn why_unreachable(&self, region: &RegionName, refusal: &Refusal) -> Problem {
        let cause = if self.chosen.contains(region) {
            opt_in::cause(&self.signed(), region, refusal).await
        } else {
            None
        };
        cause.unwrap_or_else(|| refusal.for_reading(region))
    }

    pub(super) fn bucket<'a>(&'a self, region: &'a str, account: &'a str) -> Bucket<'a> {
        Bucket { session: &self.session, region, name: self.names.bucket(account, region), account }
    }

    /// The published versions of the functions of a region's stacks.
    async fn functions(
        &self,
        region: &str,
        stacks: &BTreeMap<StackKind, ObservedStack>,
    ) -> Result<BTreeMap<FunctionKind, ObservedFunction>, Refusal> {
        let signed = self.signed();
        let mut found = BTreeMap::new();
        for kind in FunctionKind::ALL {
            let stack = stacks.get(&kind.stack());
            if stack.is_some_and(|stack| stack.outputs.contains_key(kind.version_output())) {
                found.insert(kind, versions::read(&signed, region, self.names.function(kind)).await?);
            }
        }
        Ok(found)
    }

    /// The alias targets of the regions' DNS records, from their edge stacks' outputs.
    async fn aliases(&self, change: &RecordChange) -> Result<Vec<(RegionName, Alias)>, StepError> {
        let mut aliases = Vec::new();
        for region in &change.attach {
            let client = self.session.cloudformation(region);
            let read = stacks::read(&client, &self.names).await?;
            let alias = read.get(&StackKind::Edge).and_then(alias_of);
            let alias = alias.ok_or_else(|| {
                StepError::new(format!("the edge stack in {region} has no custom domain in its outputs"))
            })?;
            aliases.push((region.clone(), alias));
        }
        Ok(aliases)
    }
}

/// The address of an edge, from its stack's outputs; `None` if they lack it.
fn endpoint(
    region: &RegionName,
    outputs: &BTreeMap<String, String>,
    domain: Option<&str>,
    emulator: Option<&str>,
) -> Option<ProbeTarget> {
    let (region, api_key) = (region.clone(), None);
    if let Some(emulator) = emulator {
        // Emulators route by the host name of the request.
        let place = emulator.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let port = place.rsplit(':').next()?;
        let host = format!("{}.execute-api.localhost:{port}", outputs.get("ApiId")?);
        return Some(ProbeTarget { region, host, connect: Some(place), tls: false, api_key });
    }
    if let Some(domain) = domain {
        let connect = Some(format!("{}:443", outputs.get("RegionalDomainName")?));
        return Some(ProbeTarget { region, host: domain.to_owned(), connect, tls: true, api_key });
    }
    let host = outputs.get("ApiEndpoint")?.trim_start_matches("https://").to_owned();
    Some(ProbeTarget { region, host, connect: None, tls: true, api_key })
}

impl ProbeTargets for Aws {
    async fn target(&self, region: &RegionName, domain: Option<&str>) -> Result<ProbeTarget, StepError> {
        let client = self.session.cloudformation(region);
        let read = stacks::read(&client, &self.names).await?;
        let outputs = read.get(&StackKind::Edge).map(|edge| &edge.outputs);
        let target = outputs.and_then(|outputs| endpoint(region, outputs, domain, self.emulator.as_deref()));
        let mut target = target.ok_or_else(|| StepError::new(format!("{region} has no deployed edge")))?;
        target.api_key = self.probe_key().await;
        Ok(target)
    }
}

impl CloudRead for Aws {
    async fn account(&self) -> Result<String, Problem> {
        Ok(self.session.account().await?.to_owned())
    }

    async fn region(&self, region: &RegionName, account: &str, artifacts: &[String]) -> ObservedRegion {
        let unreachable = async |refusal: &Refusal| {
            let unreachable = Some(self.why_unreachable(region, refusal).await);
            ObservedRegion { unreachable, ..ObservedRegion::default() }
        };
        let client = self.session.cloudformation(region);
        let found = match stacks::read(&client, &self.names).await {
            Ok(found) => found,
            Err(refusal) => return unreachable(&refusal).await,
        };
        let functions = match self.functions(region, &found).await {
            Ok(functions) => functions,
            Err(refusal) => return unreachable(&refusal).await,
        };
        let mut observed = ObservedRegion { stacks: found, functions, ..ObservedRegion::default() };
        if artifacts.is_empty() {
            return observed;
        }
        let bucket = self.bucket(region, account);
        if observed.stacks.contains_key(&StackKind::Artifacts) {
            match bucket.holds(artifacts).await {
                Ok((held, altered)) => {
                    observed.artifacts = held;
                    observed.altered = altered;
                }
                Err(refusal) => return unreachable(&refusal).await,
            }
        } else if bucket.belongs_to_other_account().await {
            observed.unreachable = Some(Problem::new(
                format!("the bucket name {} is taken by another account", bucket.name),
                "choose another `name` or `environment` in regions.toml",
            ));
        }
        if self.chosen.contains(region) && !self.session.emulated {
            // A quota that can't be read is not reported: it blocks nothing.
            let found = vitals::concurrency(&self.signed(), region).await;
            observed.concurrency = found.ok().map(|found| found.limit);
        }
        observed
    }

    async fn access(&self) -> Result<Option<AccessState>, Problem> {
        let client = self.session.dynamodb(&self.home);
        tables::state(&client, &self.names.access_table, &self.key_prefix, self.limits).await
    }

    async fn kept(&self, account: &str) -> Result<KeptData, Problem> {
        let read = kept::read(&self.session, &self.home, account, &self.names).await;
        read.map_err(|refusal| refusal.for_reading(&self.home))
    }

    async fn zone(&self, zone: &str, domain: &str) -> Result<Option<Zone>, Problem> {
        let read = dns::read(&self.session, zone, domain).await;
        read.map_err(|refusal| refusal.for_reading("Route 53"))
    }
}

impl CloudWrite for Aws {
    async fn ensure(
        &self,
        region: &RegionName,
        action: &Action,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        let (session, names) = (&self.session, &self.names);
        let account = self.session.account().await?;
        match action {
            Action::Stack(change) => {
                self.bucket(region, account).check_named(&change.text).await?;
                let done = stacks::ensure(session, region, &names.service, change, report).await?;
                if !change.replicas.is_empty() {
                    let table = &names.access_table;
                    tables::await_replicas(session, region, table, &change.replicas, report).await?;
                }
                Ok(done)
            }
            Action::RepairDrift { name, drifts, allow_replace, .. } => {
                drift::repair(session, region, name, drifts.len(), allow_replace, report).await
            }
            Action::DeleteStack { kind, name, before } => {
                let target = stacks::Deletion { kind: *kind, name, before: before.as_deref() };
                stacks::delete(session, region, target, report).await
            }
            Action::Upload(file) => self.bucket(region, account).upload(file, report).await,
            Action::Copy { artifact, from } => {
                let from = names.bucket(account, from);
                self.bucket(region, account).copy(artifact, &from).await
            }
            Action::Secret => {
                let client = session.dynamodb(region);
                tables::ensure_secret(&client, &names.access_table, &self.key_prefix).await
            }
            Action::Tier(tier) => {
                let client = session.dynamodb(region);
                let home = super::Home::new(client, &names.access_table, &names.ledger_table);
                tables::ensure_tier(&home, tier, report).await
            }
            Action::Records(change) => dns::ensure(session, change, &self.aliases(change).await?).await,
            Action::EmptyBucket { bucket } => {
                let mut target = self.bucket(region, account);
                if *bucket == BucketKind::Failures {
                    target.name = names.failure_bucket(account);
                }
                target.empty().await
            }
            Action::DeleteData { data, name, replica } => {
                let target = Kept { session, home: region, account, name };
                target.delete(*data, replica.as_deref(), report).await
            }
            Action::Bake(spec) => bake::watch(&self.signed(), region, spec, report).await,
            Action::Switch(wanted) => versions::switch(&self.signed(), region, wanted).await,
            Action::Prune(pruned) => versions::prune(&self.signed(), region, pruned).await,
            // `Gated` and the executor carry these out.
            Action::Probe(_) | Action::Follow(_) | Action::Wait { .. } => Ok(Done::AlreadySo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_addressed_by_its_stacks_outputs() {
        let outputs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let all = outputs(&[
            ("ApiId", "abc"),
            ("ApiEndpoint", "https://abc.execute-api.eu-west-1.amazonaws.com"),
            ("RegionalDomainName", "d-1.execute-api.eu-west-1.amazonaws.com"),
        ]);
        let local = Some("http://127.0.0.1:4566/");
        let table = [
            (&all, None, None, Some("https://abc.execute-api.eu-west-1.amazonaws.com at itself")),
            (
                &all,
                Some("api.example.com"),
                None,
                Some("https://api.example.com at d-1.execute-api.eu-west-1.amazonaws.com:443"),
            ),
            (&all, None, local, Some("http://abc.execute-api.localhost:4566 at 127.0.0.1:4566")),
            (&outputs(&[]), None, None, None),
            (&outputs(&[("ApiId", "abc")]), Some("api.example.com"), None, None),
        ];
        for (outputs, domain, emulator, expected) in table {
            let found = endpoint(&RegionName::new("eu-west-1"), outputs, domain, emulator).map(|target| {
                let scheme = if target.tls { "https" } else { "http" };
                let place = target.connect.unwrap_or_else(|| "itself".to_owned());
                format!("{scheme}://{} at {place}", target.host)
            });
            assert_eq!(found.as_deref(), expected);
        }
    }
}
