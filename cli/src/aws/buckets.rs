//! Buckets of artifacts: what they hold, uploads, copies from region to region by S3 itself.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::refusal::Refusal;
use super::session::Session;
use crate::infra::cloud::{Done, Progress, StepError};
use crate::infra::plan::ArtifactFile;
use crate::infra::stacks::ArtifactRef;

/// Objects that one call may remove (S3 API).
const REMOVALS_MAX: i32 = 1_000;

/// A bucket of ours.
#[derive(Debug, Clone)]
pub(super) struct Bucket<'a> {
    pub(super) session: &'a Session,
    pub(super) region: &'a str,
    pub(super) name: String,
    pub(super) account: &'a str,
}

impl Bucket<'_> {
    /// Which of these keys it holds; none when there is no bucket.
    pub(super) async fn holds(&self, keys: &[String]) -> Result<BTreeSet<String>, Refusal> {
        let mut held = BTreeSet::new();
        for key in keys {
            if self.has(key).await? {
                held.insert(key.clone());
            }
        }
        Ok(held)
    }

    /// Whether the bucket exists and is ours.
    pub(super) async fn exists(&self) -> Result<bool, Refusal> {
        let head = self.session.s3(self.region).head_bucket().bucket(&self.name);
        match head.expected_bucket_owner(self.account).send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_absent() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Deletes the bucket, which must be empty.
    pub(super) async fn remove(&self) -> Result<Done, StepError> {
        let call = self.session.s3(self.region).delete_bucket().bucket(&self.name);
        match call.expected_bucket_owner(self.account).send().await.map_err(Refusal::from) {
            Ok(_) => Ok(Done::Changed),
            Err(refusal) if refusal.is_absent() => Ok(Done::AlreadySo),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Whether the name is taken by somebody else.
    pub(super) async fn is_anothers(&self) -> bool {
        let head = self.session.s3(self.region).head_bucket().bucket(&self.name);
        match head.expected_bucket_owner(self.account).send().await {
            Ok(_) => false,
            Err(error) => error.raw_response().is_some_and(|response| response.status().as_u16() == 403),
        }
    }

    async fn has(&self, key: &str) -> Result<bool, Refusal> {
        let head = self.session.s3(self.region).head_object().bucket(&self.name).key(key);
        match head.expected_bucket_owner(self.account).send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_absent() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Puts a local artifact in, unless it is there.
    pub(super) async fn upload(
        &self,
        file: &ArtifactFile,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Done, StepError> {
        if self.has(&file.artifact.key).await? {
            return Ok(Done::AlreadySo);
        }
        tell(Progress { phase: "uploading".to_owned(), done: 0, total: 0 });
        let body = ByteStream::from_path(&file.file).await;
        let body = body.map_err(|error| StepError::of(format!("{}: {error}", file.file.display())))?;
        let put = self.session.s3(self.region).put_object().bucket(&self.name).key(&file.artifact.key);
        let put = put.expected_bucket_owner(self.account).body(body);
        put.send().await.map_err(Refusal::from)?;
        Ok(Done::Changed)
    }

    /// Has S3 copy an artifact from another bucket of ours, unless it is there.
    pub(super) async fn copy(&self, artifact: &ArtifactRef, from: &str) -> Result<Done, StepError> {
        if self.has(&artifact.key).await? {
            return Ok(Done::AlreadySo);
        }
        let copy = self.session.s3(self.region).copy_object().bucket(&self.name).key(&artifact.key);
        let copy = copy
            .copy_source(format!("{from}/{}", artifact.key))
            .expected_bucket_owner(self.account)
            .expected_source_bucket_owner(self.account);
        copy.send().await.map_err(Refusal::from)?;
        Ok(Done::Changed)
    }

    /// The keys of all objects, in order; empty if there is no bucket.
    pub(super) async fn list(&self) -> Result<Vec<String>, Refusal> {
        let (mut keys, mut next) = (Vec::new(), None::<String>);
        loop {
            let list = self.session.s3(self.region).list_objects_v2().bucket(&self.name);
            let list = list.expected_bucket_owner(self.account).set_continuation_token(next.take());
            let page = match list.send().await.map_err(Refusal::from) {
                Ok(page) => page,
                Err(refusal) if refusal.is_absent() => return Ok(keys),
                Err(refusal) => return Err(refusal),
            };
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// The content of an object.
    pub(super) async fn read(&self, key: &str) -> Result<Vec<u8>, Refusal> {
        let get = self.session.s3(self.region).get_object().bucket(&self.name).key(key);
        let answer = get.expected_bucket_owner(self.account).send().await?;
        let body = answer.body.collect().await;
        body.map(|body| body.to_vec()).map_err(|error| Refusal { code: None, message: error.to_string() })
    }

    /// Deletes an object; its old version stays for the bucket's retention time.
    pub(super) async fn remove_object(&self, key: &str) -> Result<(), Refusal> {
        let delete = self.session.s3(self.region).delete_object().bucket(&self.name).key(key);
        delete.expected_bucket_owner(self.account).send().await?;
        Ok(())
    }

    /// Removes every object and every version of it.
    pub(super) async fn empty(&self) -> Result<Done, StepError> {
        let client = self.session.s3(self.region);
        let mut removed = false;
        loop {
            let list = client.list_object_versions().bucket(&self.name).max_keys(REMOVALS_MAX);
            let listed = list.expected_bucket_owner(self.account).send().await.map_err(Refusal::from);
            let page = match listed {
                Ok(page) => page,
                Err(refusal) if refusal.is_absent() => return Ok(Done::AlreadySo),
                Err(refusal) => return Err(refusal.into()),
            };
            let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
            let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
            let objects: Vec<ObjectIdentifier> = versions
                .chain(markers)
                .filter_map(|(key, version)| {
                    ObjectIdentifier::builder()
                        .key(key?)
                        .set_version_id(version.map(str::to_owned))
                        .build()
                        .ok()
                })
                .collect();
            if objects.is_empty() {
                return Ok(if removed { Done::Changed } else { Done::AlreadySo });
            }
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
            let delete = delete.map_err(|error| StepError::of(error.to_string()))?;
            let call = client.delete_objects().bucket(&self.name).delete(delete);
            let answer = call.expected_bucket_owner(self.account).send().await.map_err(Refusal::from)?;
            if let Some(error) = answer.errors().first() {
                let (key, why) = (error.key().unwrap_or_default(), error.message().unwrap_or_default());
                return Err(StepError::of(format!("{key} can't be removed: {why}")));
            }
            removed = true;
        }
    }
}
