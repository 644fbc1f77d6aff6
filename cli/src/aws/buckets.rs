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

/// An artifact in a bucket, by the SHA-256 that S3 has stored with it: S3 has checked that against the content when the
/// object was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Absent,
    /// Its content matches its name.
    Same,
    /// Its content differs or is unknown: incomplete, replaced, or written by another tool.
    Different,
}

#[derive(Debug, Clone)]
pub(super) struct Bucket<'a> {
    pub(super) session: &'a Session,
    pub(super) region: &'a str,
    pub(super) name: String,
    pub(super) account: &'a str,
}

impl Bucket<'_> {
    /// The artifacts of these keys that are in the bucket, and the keys of objects whose content does not match; none if the
    /// bucket is missing.
    pub(super) async fn holds(
        &self,
        keys: &[String],
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), Refusal> {
        let (mut held, mut altered) = (BTreeSet::new(), BTreeSet::new());
        for key in keys {
            match self.held(key).await? {
                Held::Absent => {}
                Held::Same => drop(held.insert(key.clone())),
                Held::Different => drop(altered.insert(key.clone())),
            }
        }
        Ok((held, altered))
    }

    /// Refuses a template that names an artifact whose object does not match its name. A missing object is accepted: Lambda
    /// does not read the code of an unchanged function again.
    pub(super) async fn check_named(&self, template: &str) -> Result<(), StepError> {
        for key in ArtifactRef::keys_in(template) {
            if self.held(&key).await? == Held::Different {
                return Err(self.altered(&key));
            }
        }
        Ok(())
    }

    fn altered(&self, key: &str) -> StepError {
        let what =
            format!("{key} in the bucket {} is not what its name says: incomplete or replaced", self.name);
        let remedy = "run the same command again: it writes the object again".to_owned();
        StepError { remedy: Some(remedy), ..StepError::new(what) }
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

    /// Whether the bucket exists in this region and belongs to this account. S3 redirects if it is in another region, as
    /// after `home` was changed in `regions.toml`: the plan then says that home can't be moved.
    pub(super) async fn exists(&self) -> Result<bool, Refusal> {
        let answered = self.send(&self.call(Operation::HeadBucket, "/".to_owned())).await?;
        if answered.status == 301 {
            return Ok(false);
        }
        Ok(Refusal::absent_as_none(s3::accept(answered))?.is_some())
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

    /// Compares an object's stored checksum with the digest in its key.
    async fn held(&self, key: &str) -> Result<Held, Refusal> {
        let mut head = self.call(Operation::HeadObject, s3::key_path(key));
        head.headers.push(("x-amz-checksum-mode", "ENABLED".to_owned()));
        let answered = self.send(&head).await?;
        let checksum = answered.checksum.clone();
        Ok(match Refusal::absent_as_none(s3::accept(answered))? {
            None => Held::Absent,
            Some(_) if checksum.is_some() && checksum == checksum_in(key) => Held::Same,
            Some(_) => Held::Different,
        })
    }

    /// Uploads a local artifact unless an intact one exists.
    pub(super) async fn upload(&self, file: &ArtifactFile, report: Report<'_>) -> Result<Done, StepError> {
        if self.held(&file.artifact.key).await? == Held::Same {
            return Ok(Done::AlreadySo);
        }
        report(Progress { phase: "uploading".to_owned(), done: 0, total: 0 });
        let path = file.file.clone();
        let hashed = tokio::task::spawn_blocking(move || hash_file(&path)).await;
        let failed = |why: String| StepError::new(format!("cannot read {}: {why}", file.file.display()));
        let hash = hashed.map_err(|error| failed(error.to_string()))?;
        let (hash, _) = hash.map_err(|error| failed(error.to_string()))?;
        if hex::encode(hash) != file.artifact.digest {
            let what = format!("{} is not what its name says: damaged or changed", file.file.display());
            let remedy = "run the same command again: it creates the file again".to_owned();
            return Err(StepError { remedy: Some(remedy), ..StepError::new(what) });
        }
        let mut put = self.call(Operation::PutObject, s3::key_path(&file.artifact.key));
        // S3 verifies the content against it, stores it, and copies it with the object.
        put.headers.push(("x-amz-checksum-sha256", STANDARD.encode(hash)));
        put.body = Body::File { path: file.file.clone(), sha256: hex::encode(hash) };
        put.timeout += Duration::from_secs(file.bytes / UPLOAD_BYTES_S);
        s3::accept(self.send(&put).await?)?;
        Ok(Done::Changed)
    }

    /// Copies an artifact from another bucket of the service, within S3, unless an intact one exists; checks the copy.
    pub(super) async fn copy(&self, artifact: &ArtifactRef, from: &str) -> Result<Done, StepError> {
        if self.held(&artifact.key).await? == Held::Same {
            return Ok(Done::AlreadySo);
        }
        let mut copy = self.call(Operation::CopyObject, s3::key_path(&artifact.key));
        copy.headers.push(("x-amz-copy-source", format!("{from}{}", s3::key_path(&artifact.key))));
        copy.headers.push(("x-amz-source-expected-bucket-owner", self.account.to_owned()));
        // S3 computes it from the content, whatever was stored with the source.
        copy.headers.push(("x-amz-checksum-algorithm", "SHA256".to_owned()));
        copy.timeout = COPY_TIMEOUT;
        s3::accept(self.send(&copy).await?)?;
        match self.held(&artifact.key).await? {
            Held::Same => Ok(Done::Changed),
            Held::Absent | Held::Different => Err(self.altered(&artifact.key)),
        }
    }

    /// The keys with this prefix, sorted; empty if the bucket is missing.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let (mut keys, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut pairs = vec![("list-type", "2"), ("prefix", prefix)];
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

/// The checksum that the object of an artifact's key must have, base64; `None`: no artifact has such a key.
fn checksum_in(key: &str) -> Option<String> {
    let digest = key.rsplit('/').next()?.strip_suffix(".zip")?;
    let bytes = hex::decode(digest).ok().filter(|bytes| bytes.len() == 32)?;
    Some(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::text_server;
    use super::*;

    /// SHA-256 of `content`.
    const HASH: &str = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    const CHECKSUM: &str = "sha256 7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=";

    fn artifact() -> ArtifactRef {
        ArtifactRef::new("geo data", HASH)
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
            (200, CHECKSUM.to_owned()),
        ]);
        let session = Session::for_tests(signed);
        let bucket = Bucket { session: &session, region: "eu-west-1", name: "b".into(), account: "123" };
        let upload = ArtifactFile { artifact: artifact(), file: file.path().to_owned(), bytes: 7 };
        assert_eq!(bucket.upload(&upload, &|_| {}).await.expect("uploaded"), Done::Changed);
        assert_eq!(bucket.copy(&artifact(), "a").await.expect("copied"), Done::Changed);
        let requests = thread.join().expect("a server");
        for part in [
            &format!("PUT /b/geo%20data/{HASH}.zip HTTP/1.1"),
            "content-length: 7",
            "x-amz-expected-bucket-owner: 123",
            "x-amz-checksum-sha256: 7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=",
            &format!("x-amz-content-sha256: {HASH}"),
            "/eu-west-1/s3/aws4_request",
        ] {
            assert!(requests[2].contains(part), "{part}: {}", requests[2]);
        }
        assert!(requests[2].ends_with("\r\n\r\ncontent"), "{}", requests[2]);
        assert!(requests[0].contains("x-amz-checksum-mode: ENABLED"), "{}", requests[0]);
        let source = format!("x-amz-copy-source: a/geo%20data/{HASH}.zip");
        assert!(requests[6].contains(&source), "{}", requests[6]);
        assert!(requests[6].contains("x-amz-checksum-algorithm: SHA256"), "{}", requests[6]);
        assert!(requests[6].contains("x-amz-source-expected-bucket-owner: 123"), "{}", requests[6]);
    }

    #[tokio::test]
    async fn objects_and_files_that_are_not_what_they_say_are_written_again_or_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "content").expect("written");
        let other = "sha256 AAAAtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=";
        let answers = [
            // Uploaded over a torn object, and over one without a checksum.
            (200, other),
            (200, ""),
            (200, ""),
            (200, ""),
            // Present and intact.
            (200, CHECKSUM),
            // A copy of a source that is torn.
            (404, ""),
            (200, "<CopyObjectResult/>"),
            (200, other),
            // A template that names it; one that names nothing.
            (200, other),
            (404, ""),
            // A damaged file.
            (404, ""),
        ];
        let (signed, thread) = text_server(answers.map(|(status, body)| (status, body.to_owned())).to_vec());
        let session = Session::for_tests(signed);
        let bucket = Bucket { session: &session, region: "eu-west-1", name: "b".into(), account: "123" };
        let upload = ArtifactFile { artifact: artifact(), file: file.path().to_owned(), bytes: 7 };
        for expected in [Done::Changed, Done::Changed, Done::AlreadySo] {
            assert_eq!(bucket.upload(&upload, &|_| {}).await.expect("uploaded"), expected);
        }
        let torn = bucket.copy(&artifact(), "a").await.expect_err("torn");
        assert!(torn.message.ends_with("is not what its name says: incomplete or replaced"), "{torn}");
        let template = format!("S3Key: \"code/{HASH}.zip\"");
        let refused = bucket.check_named(&template).await.expect_err("refused");
        assert!(refused.message.starts_with(&format!("code/{HASH}.zip in the bucket b")), "{refused}");
        assert_eq!(bucket.check_named(&template).await, Ok(()), "CloudFormation will say if it needs it");
        assert_eq!(bucket.check_named("S3Key: \"geo/unbuilt.zip\"").await, Ok(()));
        std::fs::write(file.path(), "content, changed").expect("written");
        let changed = bucket.upload(&upload, &|_| {}).await.expect_err("changed");
        assert!(changed.message.ends_with("is not what its name says: damaged or changed"), "{changed}");
        thread.join().expect("a server");
    }

    #[tokio::test]
    async fn a_bucket_in_another_region_does_not_exist_in_this_one() {
        let answers = [200, 404, 301, 400].map(|status| (status, String::new()));
        let (signed, thread) = text_server(answers.to_vec());
        let session = Session::for_tests(signed);
        let bucket = Bucket { session: &session, region: "eu-west-1", name: "b".into(), account: "123" };
        for expected in [Some(true), Some(false), Some(false), None] {
            assert_eq!(bucket.exists().await.ok(), expected);
        }
        thread.join().expect("a server");
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
