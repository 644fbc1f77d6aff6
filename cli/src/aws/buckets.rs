//! The service's S3 buckets: listing, uploads, server-side copies between regions, deletion.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;
use super::s3::{self, Operation};
use super::session::Session;
use super::signed::{Answered, Body, Call, Service};
use crate::fs::hash_file;
use crate::infra::cloud::{Done, Progress, Report, StepError};
use crate::infra::plan::ArtifactFile;
use crate::infra::stacks::ArtifactRef;

/// Objects per `DeleteObjects` call (S3 API).
const REMOVALS_MAX: &str = "1000";
const TIMEOUT: Duration = Duration::from_mins(2);
/// S3 answers a copy once it is complete, which takes long between continents.
const COPY_TIMEOUT: Duration = Duration::from_hours(1);
/// The slowest connection that an upload may have, bytes/s: 100 MB an hour.
const UPLOAD_BYTES_S: u64 = 30_000;

/// A bucket of the service.
#[derive(Debug, Clone)]
pub(super) struct Bucket<'a> {
    pub(super) session: &'a Session,
    pub(super) region: &'a str,
    pub(super) name: String,
    pub(super) account: &'a str,
}

impl Bucket<'_> {
    /// The keys that exist in the bucket; none if the bucket is missing.
    pub(super) async fn holds(&self, keys: &[String]) -> Result<BTreeSet<String>, Refusal> {
        let mut held = BTreeSet::new();
        for key in keys {
            if self.has(key).await? {
                held.insert(key.clone());
            }
        }
        Ok(held)
    }

    /// A request without a body.
    fn call(&self, operation: Operation, path: String) -> Call<'_> {
        Call {
            service: Service::S3,
            region: self.region,
            bucket: Some(&self.name),
            method: operation.method(),
            path,
            headers: vec![("x-amz-expected-bucket-owner", self.account.to_owned())],
            body: Body::Bytes(Vec::new()),
            timeout: TIMEOUT,
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Answered, Refusal> {
        self.session.signed().send(call).await
    }

    /// Whether the bucket exists and belongs to this account.
    pub(super) async fn exists(&self) -> Result<bool, Refusal> {
        self.finds(Operation::HeadBucket, "/".to_owned()).await
    }

    async fn finds(&self, operation: Operation, path: String) -> Result<bool, Refusal> {
        let answer = s3::accept(self.send(&self.call(operation, path)).await?);
        Ok(Refusal::absent_as_none(answer)?.is_some())
    }

    /// Deletes the bucket, which must be empty.
    pub(super) async fn remove(&self) -> Result<Done, StepError> {
        let answer = s3::accept(self.send(&self.call(Operation::DeleteBucket, "/".to_owned())).await?);
        Ok(Refusal::absent_as_none(answer)?.map_or(Done::AlreadySo, |_| Done::Changed))
    }

    /// Whether another account owns this bucket name: S3 rejects the expected owner, or redirects to another region.
    pub(super) async fn belongs_to_other_account(&self) -> bool {
        let answered = self.send(&self.call(Operation::HeadBucket, "/".to_owned())).await;
        answered.is_ok_and(|answered| matches!(answered.status, 301 | 403))
    }

    async fn has(&self, key: &str) -> Result<bool, Refusal> {
        self.finds(Operation::HeadObject, s3::key_path(key)).await
    }

    /// Uploads a local artifact unless it exists.
    pub(super) async fn upload(&self, file: &ArtifactFile, report: Report<'_>) -> Result<Done, StepError> {
        if self.has(&file.artifact.key).await? {
            return Ok(Done::AlreadySo);
        }
        report(Progress { phase: "uploading".to_owned(), done: 0, total: 0 });
        let path = file.file.clone();
        let hashed = tokio::task::spawn_blocking(move || hash_file(&path)).await;
        let failed = |why: String| StepError::new(format!("cannot read {}: {why}", file.file.display()));
        let hash = hashed.map_err(|error| failed(error.to_string()))?;
        let (hash, _) = hash.map_err(|error| failed(error.to_string()))?;
        let mut put = self.call(Operation::PutObject, s3::key_path(&file.artifact.key));
        // S3 verifies the content against it, stores it, and copies it with the object.
        put.headers.push(("x-amz-checksum-sha256", STANDARD.encode(hash)));
        put.body = Body::File { path: file.file.clone(), sha256: hex::encode(hash) };
        put.timeout += Duration::from_secs(file.bytes / UPLOAD_BYTES_S);
        s3::accept(self.send(&put).await?)?;
        Ok(Done::Changed)
    }

    /// Copies an artifact from another bucket of the service, within S3, unless it exists.
    pub(super) async fn copy(&self, artifact: &ArtifactRef, from: &str) -> Result<Done, StepError> {
        if self.has(&artifact.key).await? {
            return Ok(Done::AlreadySo);
        }
        let mut copy = self.call(Operation::CopyObject, s3::key_path(&artifact.key));
        copy.headers.push(("x-amz-copy-source", format!("{from}{}", s3::key_path(&artifact.key))));
        copy.headers.push(("x-amz-source-expected-bucket-owner", self.account.to_owned()));
        copy.timeout = COPY_TIMEOUT;
        s3::accept(self.send(&copy).await?)?;
        Ok(Done::Changed)
    }

    /// The keys of all objects, sorted; empty if the bucket is missing.
    pub(super) async fn list(&self) -> Result<Vec<String>, Refusal> {
        let (mut keys, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut pairs = vec![("list-type", "2")];
            pairs.extend(next.as_deref().map(|next| ("continuation-token", next)));
            let answer =
                s3::accept(self.send(&self.call(Operation::ListObjectsV2, s3::query(&pairs))).await?);
            let Some(body) = Refusal::absent_as_none(answer)? else { return Ok(keys) };
            let page = s3::keys(&body)?;
            keys.extend(page.keys);
            next = page.next;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(super) async fn read(&self, key: &str) -> Result<Vec<u8>, Refusal> {
        s3::accept(self.send(&self.call(Operation::GetObject, s3::key_path(key))).await?)
    }

    /// Deletes an object; its versions stay until the bucket's lifecycle rule expires them.
    pub(super) async fn remove_object(&self, key: &str) -> Result<(), Refusal> {
        s3::accept(self.send(&self.call(Operation::DeleteObject, s3::key_path(key))).await?)?;
        Ok(())
    }

    /// Deletes all objects with all their versions.
    pub(super) async fn empty(&self) -> Result<Done, StepError> {
        let list = self
            .call(Operation::ListObjectVersions, s3::query(&[("versions", ""), ("max-keys", REMOVALS_MAX)]));
        let mut done = Done::AlreadySo;
        loop {
            let answer = s3::accept(self.send(&list).await?);
            let Some(body) = Refusal::absent_as_none(answer)? else { return Ok(Done::AlreadySo) };
            let versions = s3::versions(&body)?;
            if versions.is_empty() {
                return Ok(done);
            }
            let body = s3::deletion(&versions);
            let mut delete = self.call(Operation::DeleteObjects, s3::query(&[("delete", "")]));
            delete.headers.push(("content-type", "application/xml".to_owned()));
            // S3 requires a checksum for `DeleteObjects`.
            delete.headers.push(("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(&body))));
            delete.body = Body::Bytes(body.into_bytes());
            let answer = s3::accept(self.send(&delete).await?)?;
            if let Some((key, why)) = s3::undeleted(&answer)? {
                return Err(StepError::new(format!("cannot delete {key} from {}: {why}", self.name)));
            }
            done = Done::Changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::text_server;
    use super::*;

    fn artifact() -> ArtifactRef {
        ArtifactRef { digest: "d".to_owned(), key: "geo/a b.zip".to_owned() }
    }

    #[tokio::test]
    async fn requests_carry_checksum_and_expected_owner() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "content").expect("written");
        let (signed, thread) = text_server(vec![
            (404, String::new()),
            (503, "<Error><Code>SlowDown</Code></Error>".to_owned()),
            (200, String::new()),
            (0, String::new()),
            (404, String::new()),
            // A copy that fails after the status line.
            (200, "<?xml version=\"1.0\"?>\n  <Error><Code>InternalError</Code></Error>".to_owned()),
            (200, "<CopyObjectResult/>".to_owned()),
        ]);
        let session = Session::for_tests(signed);
        let bucket = Bucket { session: &session, region: "eu-west-1", name: "b".into(), account: "123" };
        let upload = ArtifactFile { artifact: artifact(), file: file.path().to_owned(), bytes: 7 };
        assert_eq!(bucket.upload(&upload, &|_| {}).await.expect("uploaded"), Done::Changed);
        assert_eq!(bucket.copy(&artifact(), "a").await.expect("copied"), Done::Changed);
        let requests = thread.join().expect("a server");
        let hash = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
        for part in [
            "PUT /b/geo/a%20b.zip HTTP/1.1",
            "content-length: 7",
            "x-amz-expected-bucket-owner: 123",
            "x-amz-checksum-sha256: 7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=",
            &format!("x-amz-content-sha256: {hash}"),
            "/eu-west-1/s3/aws4_request",
        ] {
            assert!(requests[2].contains(part), "{part}: {}", requests[2]);
        }
        assert!(requests[2].ends_with("\r\n\r\ncontent"), "{}", requests[2]);
        assert!(requests[6].contains("x-amz-copy-source: a/geo/a%20b.zip"), "{}", requests[6]);
        assert!(requests[6].contains("x-amz-source-expected-bucket-owner: 123"), "{}", requests[6]);
    }

    #[tokio::test]
    async fn a_bucket_is_emptied_version_by_version() {
        let versions = "<R><Version><Key>k</Key><VersionId>1</VersionId></Version></R>";
        let (signed, thread) = text_server(vec![
            (200, versions.to_owned()),
            (200, "<DeleteResult/>".to_owned()),
            (200, "<R/>".to_owned()),
            (200, versions.to_owned()),
            (200, "<R><Error><Key>k</Key><Code>C</Code><Message>kept</Message></Error></R>".to_owned()),
            (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned()),
            (404, "<Error><Code>NoSuchBucket</Code></Error>".to_owned()),
        ]);
        let session = Session::for_tests(signed);
        let bucket = Bucket { session: &session, region: "eu-west-1", name: "b".into(), account: "123" };
        assert_eq!(bucket.empty().await.expect("emptied"), Done::Changed);
        assert_eq!(bucket.empty().await.expect_err("kept").message, "cannot delete k from b: kept");
        assert_eq!(bucket.empty().await.expect_err("refused").code.as_deref(), Some("AccessDenied"));
        assert_eq!(bucket.empty().await.expect("no bucket"), Done::AlreadySo);
        let requests = thread.join().expect("a server");
        assert!(requests[0].starts_with("GET /b/?versions=&max-keys=1000 "), "{}", requests[0]);
        assert!(requests[1].contains("<Key>k</Key><VersionId>1</VersionId>"), "{}", requests[1]);
    }
}
