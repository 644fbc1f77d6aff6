//! The DynamoDB tables for a deploy: the address secret, tier limits, replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ReplicaDescription, ReplicaStatus};
use ipgeo_contract::{
    AddressSecret, ApiKey, Identity, Limit, RegionName, error_chain, probe_api_key, probe_record,
};
use ipgeo_runtime::dynamo::{AccessTable, KeyWriteError};
use ipgeo_runtime::store::{AccessRead as _, StoreError};
use jiff::Timestamp;

use super::Home;
use super::refusal::Refusal;
use super::session::Session;
use super::stacks::pause;
use crate::infra::cloud::{Done, Problem, Progress, Report, StepError};
use crate::infra::plan::{AccessState, TierLimit};
use crate::keys::change_tier;

/// DynamoDB's status of each replica, by region.
pub(super) type Replicas = BTreeMap<RegionName, String>;

/// The table's replicas outside home; `None`: no table.
pub(super) async fn replicas(client: &Client, table: &str) -> Result<Option<Replicas>, Refusal> {
    let described = client.describe_table().table_name(table).send().await.map_err(Refusal::from);
    let Some(found) = Refusal::absent_as_none(described)? else { return Ok(None) };
    let replicas = found.table().map(|table| table.replicas()).unwrap_or_default().iter();
    let state = |status: Option<&ReplicaStatus>| {
        status.map_or_else(|| "UNKNOWN".to_owned(), |status| status.as_str().to_owned())
    };
    let pair = |replica: &ReplicaDescription| {
        Some((RegionName::new(replica.region_name()?), state(replica.replica_status())))
    };
    Ok(Some(replicas.filter_map(pair).collect()))
}

/// The state of the access table; with `limits`, also the limits of all API keys.
pub(super) async fn state(
    client: &Client,
    table: &str,
    prefix: &str,
    limits: bool,
) -> Result<Option<AccessState>, Problem> {
    let existing = replicas(client, table).await.map_err(|refusal| refusal.for_reading("the home region"))?;
    let Some(existing) = existing else { return Ok(None) };
    let access = AccessTable::new(client.clone(), table);
    let mut state = AccessState { replicas: existing.into_keys().collect(), ..AccessState::default() };
    if let Some(secret) = access.address_secret().await.map_err(|error| unread(&error))? {
        let key = probe_api_key(prefix, &secret).map_err(|error| {
            Problem::new(
                format!("cannot derive the probes' API key: {error}"),
                "correct `key_prefix` in regions.toml".to_owned(),
            )
        })?;
        state.ready =
            access.key_now(&Identity::key(&key.hash())).await.map_err(|error| unread(&error))?.is_some();
    }
    if limits {
        for (_, record) in access.list_keys().await.map_err(|error| unread(&error))? {
            *state.limits.entry((record.tier, record.limit.to_string())).or_default() += 1;
        }
    }
    Ok(Some(state))
}

fn unread(error: &StoreError) -> Problem {
    let why = error_chain(error, ": ");
    let denied = why.contains("AccessDenied") || why.contains("not authorized");
    let remedy = if denied {
        "compare the deployer's policy with `ipgeo iam policy`"
    } else {
        "check the network and the credentials, then run the same command again"
    };
    Problem::new(why, remedy.to_owned())
}

fn unwritten(error: &(dyn std::error::Error + 'static)) -> StepError {
    StepError::new(error_chain(error, ": "))
}

/// The probes' API key, if the table has its secret.
pub(super) async fn probe_key(client: &Client, table: &str, prefix: &str) -> Option<ApiKey> {
    let access = AccessTable::new(client.clone(), table);
    let secret = access.address_secret().await.ok().flatten()?;
    probe_api_key(prefix, &secret).ok()
}

/// Creates the address secret and the probes' API key unless they exist.
pub(super) async fn ensure_secret(client: &Client, table: &str, prefix: &str) -> Result<Done, StepError> {
    let access = AccessTable::new(client.clone(), table);
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| StepError::new(format!("cannot generate the address secret: {error}")))?;
    let secret = access.ensure_address_secret(AddressSecret::new(bytes)).await.map_err(|e| unwritten(&e))?;
    let key = probe_api_key(prefix, &secret).map_err(|error| StepError::new(error.to_string()))?;
    let record = probe_record(&key, Timestamp::now());
    match access.put_key(&Identity::key(&key.hash()), &record).await {
        Ok(()) => Ok(Done::Changed),
        Err(KeyWriteError::Exists) => Ok(Done::AlreadySo),
        Err(error) => Err(unwritten(&error)),
    }
}

/// Moves API keys from a tier's old limit to its new one and publishes each key's exact usage.
pub(super) async fn ensure_tier(
    home: &Home,
    tier: &TierLimit,
    report: Report<'_>,
) -> Result<Done, StepError> {
    let parse = |text: &str| -> Result<Limit, StepError> {
        text.parse().map_err(|error: ipgeo_contract::LimitError| StepError::new(error.to_string()))
    };
    let (from, to) = (parse(&tier.from)?, parse(&tier.to)?);
    let phase = |done, total| report(Progress { phase: "API keys".to_owned(), done, total });
    let changed = change_tier(home, &tier.tier, from, to, phase).await;
    let changed = changed.map_err(|error| unwritten(error.as_ref()))?;
    Ok(if changed == 0 { Done::AlreadySo } else { Done::Changed })
}

/// Waits until the table is active in all these regions.
pub(super) async fn await_replicas(
    session: &Session,
    home: &str,
    table: &str,
    wanted: &BTreeSet<RegionName>,
    report: Report<'_>,
) -> Result<(), StepError> {
    let client = session.dynamodb(home);
    let began = Instant::now();
    loop {
        let existing = replicas(&client, table).await?.unwrap_or_default();
        let others = || wanted.iter().filter(|region| *region != home);
        let active = others().filter(|region| existing.get(*region).is_some_and(|s| s == "ACTIVE")).count();
        let total = others().count();
        let broken = existing.iter().find(|(_, state)| {
            matches!(state.as_str(), "CREATION_FAILED" | "INACCESSIBLE_ENCRYPTION_CREDENTIALS")
        });
        if let Some((region, state)) = broken {
            return Err(StepError {
                resource: Some(format!("replica of {table} in {region}")),
                remedy: Some(format!(
                    "delete it: aws dynamodb update-table --table-name {table} --region {home} --replica-updates Delete={{RegionName={region}}}"
                )),
                ..StepError::new(state.clone())
            });
        }
        if active == total {
            return Ok(());
        }
        report(Progress { phase: "replicas".to_owned(), done: active, total });
        pause(session, began, "a replica of the access table").await?;
    }
}
