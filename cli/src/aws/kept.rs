//! Finds and deletes data that was retained when home's stack was deleted.

use std::time::Instant;

use aws_sdk_dynamodb::types::{
    DeleteReplicationGroupMemberAction, ReplicationGroupUpdate, TableDescription, TableStatus,
};
use serde_json::json;

use super::buckets::Bucket;
use super::refusal::Refusal;
use super::session::Session;
use super::signed::Service;
use super::stacks::pause;
use super::tables::replicas;
use super::vitals;
use crate::infra::cloud::{Done, Progress, Report, StepError};
use crate::infra::plan::{DataKind, KeptData};
use crate::infra::stacks::Names;

/// The data in the home region, apart from the access table.
pub(super) async fn read(
    session: &Session,
    home: &str,
    account: &str,
    names: &Names,
) -> Result<KeptData, Refusal> {
    let bucket = Bucket { session, region: home, name: names.failure_bucket(account), account };
    let (ledger, stream, bucket, made) = futures_util::join!(
        table(session, home, &names.ledger_table),
        stream_is_there(session, home, &names.stream),
        bucket.exists(),
        newest_replica(session, home, &names.access_table),
    );
    Ok(KeptData {
        ledger: ledger?.is_some(),
        stream: stream?,
        failure_bucket: bucket?,
        replica_made_s: made?,
    })
}

/// When the newest replica of a table outside home was created, seconds since 1970. `None` on an emulator, which deletes a
/// table at any time.
async fn newest_replica(session: &Session, home: &str, name: &str) -> Result<Option<i64>, Refusal> {
    if session.emulated {
        return Ok(None);
    }
    let existing = replicas(&session.dynamodb(home), name).await?.unwrap_or_default();
    let tables = existing.keys().map(|region| table(session, region, name));
    let mut newest = None;
    for found in futures_util::future::join_all(tables).await {
        let made = found?.and_then(|table| table.creation_date_time.map(|time| time.secs()));
        newest = newest.max(made);
    }
    Ok(newest)
}

async fn table(session: &Session, region: &str, name: &str) -> Result<Option<TableDescription>, Refusal> {
    let described = session.dynamodb(region).describe_table().table_name(name).send().await;
    Ok(Refusal::absent_as_none(described.map_err(Refusal::from))?.and_then(|found| found.table))
}

async fn stream_is_there(session: &Session, region: &str, name: &str) -> Result<bool, Refusal> {
    let status = vitals::stream(&session.signed(), region, name).await;
    Ok(Refusal::absent_as_none(status)?.is_some())
}

/// One retained resource, by name.
pub(super) struct Kept<'a> {
    pub(super) session: &'a Session,
    pub(super) home: &'a str,
    pub(super) account: &'a str,
    pub(super) name: &'a str,
}

impl Kept<'_> {
    pub(super) async fn delete(
        &self,
        data: DataKind,
        replica: Option<&str>,
        report: Report<'_>,
    ) -> Result<Done, StepError> {
        match data {
            DataKind::Replica => self.replica(replica.unwrap_or_default(), report).await,
            DataKind::AccessTable | DataKind::Ledger => self.table(report).await,
            DataKind::Stream => self.stream(report).await,
            DataKind::FailureBucket => {
                let (session, region, account) = (self.session, self.home, self.account);
                Bucket { session, region, name: self.name.to_owned(), account }.remove().await
            }
        }
    }

    /// Turns off a table's deletion protection in a region and waits until the table can be changed. Returns whether it
    /// exists.
    async fn release(&self, region: &str, report: Report<'_>) -> Result<bool, StepError> {
        let began = Instant::now();
        loop {
            let Some(table) = table(self.session, region, self.name).await? else { return Ok(false) };
            let protected = table.deletion_protection_enabled == Some(true);
            match table.table_status {
                Some(TableStatus::Active) if protected => {
                    let update = self.session.dynamodb(region).update_table().table_name(self.name);
                    update.deletion_protection_enabled(false).send().await.map_err(Refusal::from)?;
                }
                Some(TableStatus::Active) => return Ok(true),
                _ => {}
            }
            report(Progress { phase: "removing deletion protection".to_owned(), done: 0, total: 0 });
            pause(self.session, began, self.name).await?;
        }
    }

    async fn replica(&self, region: &str, report: Report<'_>) -> Result<Done, StepError> {
        let client = self.session.dynamodb(self.home);
        let existing = replicas(&client, self.name).await?.unwrap_or_default();
        if !existing.contains_key(region) {
            return Ok(Done::AlreadySo);
        }
        self.release(region, report).await?;
        // Home's table may still be removing the previous replica.
        self.release(self.home, report).await?;
        let removal = DeleteReplicationGroupMemberAction::builder().region_name(region).build();
        let removal = removal.map_err(|error| StepError::new(error.to_string()))?;
        let update = ReplicationGroupUpdate::builder().delete(removal).build();
        let call = client.update_table().table_name(self.name).replica_updates(update);
        call.send().await.map_err(Refusal::from)?;
        let began = Instant::now();
        while replicas(&client, self.name).await?.is_some_and(|existing| existing.contains_key(region)) {
            report(Progress { phase: "deleting".to_owned(), done: 0, total: 0 });
            pause(self.session, began, "the deletion of a replica").await?;
        }
        Ok(Done::Changed)
    }

    async fn table(&self, report: Report<'_>) -> Result<Done, StepError> {
        if !self.release(self.home, report).await? {
            return Ok(Done::AlreadySo);
        }
        let client = self.session.dynamodb(self.home);
        client.delete_table().table_name(self.name).send().await.map_err(Refusal::from)?;
        let began = Instant::now();
        while table(self.session, self.home, self.name).await?.is_some() {
            report(Progress { phase: "deleting".to_owned(), done: 0, total: 0 });
            pause(self.session, began, "the deletion of a table").await?;
        }
        Ok(Done::Changed)
    }

    async fn stream(&self, report: Report<'_>) -> Result<Done, StepError> {
        let input = json!({ "StreamName": self.name, "EnforceConsumerDeletion": true });
        let deleted = self.session.signed().json(Service::Kinesis, self.home, "DeleteStream", &input).await;
        if Refusal::absent_as_none(deleted)?.is_none() {
            return Ok(Done::AlreadySo);
        }
        let began = Instant::now();
        while stream_is_there(self.session, self.home, self.name).await? {
            report(Progress { phase: "deleting".to_owned(), done: 0, total: 0 });
            pause(self.session, began, "the deletion of the stream").await?;
        }
        Ok(Done::Changed)
    }
}
