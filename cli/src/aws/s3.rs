//! The S3 protocol: keys in paths, XML in bodies. `buckets` uses it, `signed` sends the requests.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roxmltree::{Document, Node};

use super::refusal::Refusal;
use super::signed::{Answered, error_of};
use crate::infra::cloud::NO_REASON;

/// Characters that `SigV4` does not encode.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPage {
    pub(super) keys: Vec<String>,
    /// The continuation token; `None`: this was the last page.
    pub(super) next: Option<String>,
}

/// A version of an object, or a delete marker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) key: String,
    pub(super) id: Option<String>,
}

/// The operations that the tool calls, by the names that the API reference and IAM use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CopyObject,
    DeleteBucket,
    DeleteObject,
    DeleteObjects,
    GetObject,
    HeadBucket,
    HeadObject,
    ListObjectVersions,
    ListObjectsV2,
    PutObject,
}

impl Operation {
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::CopyObject | Self::PutObject => "PUT",
            Self::DeleteBucket | Self::DeleteObject => "DELETE",
            Self::DeleteObjects => "POST",
            Self::GetObject | Self::ListObjectVersions | Self::ListObjectsV2 => "GET",
            Self::HeadBucket | Self::HeadObject => "HEAD",
        }
    }
}

/// The path of an object in a bucket.
pub(super) fn key_path(key: &str) -> String {
    format!("/{}", utf8_percent_encode(key, IN_PATH))
}

pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let encoded =
        pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, IN_QUERY)));
    format!("/?{}", encoded.collect::<Vec<_>>().join("&"))
}

/// The error in a body: code and message.
pub(super) fn error_in(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.trim_start().starts_with('<'))?;
    let document = Document::parse(text.trim()).ok()?;
    let error = document.root_element();
    if error.tag_name().name() != "Error" {
        return None;
    }
    let message = child(error, "Message").filter(|message| !message.is_empty());
    Some((child(error, "Code")?, message.unwrap_or_else(|| NO_REASON.to_owned())))
}

/// The body of an answer, or S3's error. Answers to `HEAD` have a status only.
pub(super) fn accept(answered: Answered) -> Result<Vec<u8>, Refusal> {
    let Some((code, message)) = error_of(&answered) else { return Ok(answered.body) };
    let code = match (answered.status, answered.body.is_empty()) {
        (404, true) => "NotFound".to_owned(),
        _ => code,
    };
    Err(Refusal { code: Some(code), message })
}

/// Parses a page of `ListObjectsV2`.
pub(super) fn keys(body: &[u8]) -> Result<KeyPage, Refusal> {
    with_root(body, |root| KeyPage {
        keys: elements(root, "Contents").filter_map(|object| child(object, "Key")).collect(),
        next: child(root, "NextContinuationToken"),
    })
}

/// Parses a page of `ListObjectVersions`.
pub(super) fn versions(body: &[u8]) -> Result<Vec<Version>, Refusal> {
    with_root(body, |root| {
        let both = elements(root, "Version").chain(elements(root, "DeleteMarker"));
        both.filter_map(|node| Some(Version { key: child(node, "Key")?, id: child(node, "VersionId") }))
            .collect()
    })
}

/// The request body of `DeleteObjects`.
pub(super) fn deletion(versions: &[Version]) -> String {
    let mut text =
        r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>"#.to_owned();
    for Version { key, id } in versions {
        let id = id.as_ref().map(|id| format!("<VersionId>{}</VersionId>", escaped(id)));
        let _ = write!(text, "<Object><Key>{}</Key>{}</Object>", escaped(key), id.unwrap_or_default());
    }
    text + "</Delete>"
}

/// The first object that `DeleteObjects` could not delete, and the reason.
pub(super) fn undeleted(body: &[u8]) -> Result<Option<(String, String)>, Refusal> {
    with_root(body, |root| {
        let error = elements(root, "Error").next()?;
        let text = |name| child(error, name).unwrap_or_default();
        Some((text("Key"), text("Message")))
    })
}

fn with_root<T>(body: &[u8], read: impl Fn(Node<'_, '_>) -> T) -> Result<T, Refusal> {
    let broken = |why: String| Refusal::unexpected(format!("the answer is not XML: {why}"));
    let text = std::str::from_utf8(body).map_err(|error| broken(error.to_string()))?;
    let document = Document::parse(text.trim()).map_err(|error| broken(error.to_string()))?;
    Ok(read(document.root_element()))
}

fn elements<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    // By local name: AWS uses a namespace, some emulators do not.
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

fn child(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    elements(node, name).next().map(|node| node.text().unwrap_or_default().to_owned())
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // An XML parser would normalise them.
            '\r' | '\n' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

    #[test]
    fn keys_are_encoded_once_and_slashes_stay() {
        let table = [
            ("geo/1.zip", "/geo/1.zip"),
            ("a b+c=d~e", "/a%20b%2Bc%3Dd~e"),
            ("100%/ü", "/100%25/%C3%BC"),
            ("../x", "/../x"),
        ];
        for (key, path) in table {
            assert_eq!(key_path(key), path);
        }
        assert_eq!(query(&[("versions", ""), ("t", "1/a+=")]), "/?versions=&t=1%2Fa%2B%3D");
    }

    #[test]
    fn listings_are_read_page_by_page() {
        let page = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"{NAMESPACE}\">\
             <Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>1/a=</NextContinuationToken>\
             <Contents><Key>a&amp;b</Key></Contents><Contents><Key>c</Key></Contents></ListBucketResult>"
        );
        let expected = KeyPage { keys: vec!["a&b".into(), "c".into()], next: Some("1/a=".into()) };
        assert_eq!(keys(page.as_bytes()), Ok(expected));
        assert_eq!(keys(b"<ListBucketResult></ListBucketResult>"), Ok(KeyPage::default()));
        assert_eq!(keys(b"{}").expect_err("no XML").code.as_deref(), Some("Answer"));
        let page = b"<ListVersionsResult><Version><Key>a</Key><VersionId>1</VersionId></Version>\
                     <DeleteMarker><Key>b</Key></DeleteMarker></ListVersionsResult>";
        let version = |key: &str, id: Option<&str>| Version { key: key.into(), id: id.map(str::to_owned) };
        assert_eq!(versions(page), Ok(vec![version("a", Some("1")), version("b", None)]));
    }

    #[test]
    fn a_deletion_survives_its_own_reader() {
        let hostile = ["a<b>&\"'", "line\r\nend\t", "&amp;", "]]>"];
        let all = hostile.map(|key| Version { key: key.into(), id: Some("1".into()) });
        let text = deletion(&all);
        let document = Document::parse(&text).expect("XML");
        let keys: Vec<_> =
            elements(document.root_element(), "Object").filter_map(|o| child(o, "Key")).collect();
        assert_eq!(keys, hostile);
        assert_eq!(document.root_element().tag_name().namespace(), Some(NAMESPACE));
        let failed = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        assert_eq!(undeleted(failed), Ok(Some(("k".into(), "no".into()))));
        assert_eq!(undeleted(b"<DeleteResult/>"), Ok(None));
    }

    #[test]
    fn an_error_has_its_code_and_reason() {
        let table = [
            ("<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>", Some(("SlowDown", "Reduce"))),
            (
                "<?xml version=\"1.0\"?>\n   <Error><Code>InternalError</Code></Error>",
                Some(("InternalError", NO_REASON)),
            ),
            ("<CopyObjectResult/>", None),
            ("<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>", None),
            ("<html>", None),
            ("", None),
        ];
        for (body, expected) in table {
            let found = error_in(body.as_bytes());
            assert_eq!(found.as_ref().map(|(code, message)| (code.as_str(), message.as_str())), expected);
        }
    }
}
