//! Published versions of a function, and the alias that points to one.

use serde_json::json;

use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::infra::cloud::{Done, StepError};
use crate::infra::plan::{ObservedFunction, PrunedVersions, VersionSwitch};
use crate::infra::stacks::LIVE;

fn path(function: &str, rest: &str) -> String {
    format!("/2015-03-31/functions/{function}{rest}")
}

/// The version that the alias points to; `None`: no alias.
async fn live(signed: &Signed, region: &str, function: &str) -> Result<Option<u64>, Refusal> {
    let alias = signed.get(Service::Lambda, region, &path(function, &format!("/aliases/{LIVE}"))).await;
    let alias = Refusal::absent_as_none(alias)?;
    Ok(alias.and_then(|alias| alias["FunctionVersion"].as_str()?.parse().ok()))
}

pub(super) async fn read(signed: &Signed, region: &str, function: &str) -> Result<ObservedFunction, Refusal> {
    let mut found =
        ObservedFunction { live: live(signed, region, function).await?, ..ObservedFunction::default() };
    let mut marker: Option<String> = None;
    loop {
        let query = marker.map(|marker| format!("&Marker={marker}")).unwrap_or_default();
        let page = signed
            .get(Service::Lambda, region, &path(function, &format!("/versions?MaxItems=50{query}")))
            .await;
        let Some(page) = Refusal::absent_as_none(page)? else { return Ok(found) };
        for version in page["Versions"].as_array().into_iter().flatten() {
            // `$LATEST` is not a number.
            if let Some(number) = version["Version"].as_str().and_then(|number| number.parse().ok()) {
                let description = version["Description"].as_str().unwrap_or_default();
                found.versions.insert(number, description.to_owned());
            }
        }
        marker = page["NextMarker"].as_str().filter(|marker| !marker.is_empty()).map(encoded);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

/// A marker is opaque: everything but letters and digits is percent-encoded.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(super) async fn switch(signed: &Signed, region: &str, wanted: &VersionSwitch) -> Result<Done, StepError> {
    let serves = live(signed, region, &wanted.function).await?;
    if serves == Some(wanted.to) {
        return Ok(Done::AlreadySo);
    }
    wanted.check(serves)?;
    let body = json!({ "FunctionVersion": wanted.to.to_string() });
    let path = path(&wanted.function, &format!("/aliases/{LIVE}"));
    signed.rest(Service::Lambda, region, "PUT", &path, Some(&body)).await?;
    Ok(Done::Changed)
}

pub(super) async fn prune(signed: &Signed, region: &str, pruned: &PrunedVersions) -> Result<Done, StepError> {
    let mut done = Done::AlreadySo;
    for version in &pruned.versions {
        // Without the qualifier, this call would delete the function.
        let path = path(&pruned.function, &format!("?Qualifier={version}"));
        let deleted = signed.rest(Service::Lambda, region, "DELETE", &path, None).await;
        if Refusal::absent_as_none(deleted)?.is_some() {
            done = Done::Changed;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::signed::tests::server;
    use super::*;
    use crate::infra::stacks::FunctionKind;

    #[tokio::test]
    async fn versions_are_read_switched_and_deleted_one_by_one() {
        let alias = |version: &str| (200, json!({"Name": "live", "FunctionVersion": version}));
        let version = |number: &str| json!({"Version": number, "Description": format!("code {number}")});
        let absent = || (404, json!({"__type": "ResourceNotFoundException", "message": "no"}));
        let (signed, thread) = server(vec![
            alias("3"),
            (200, json!({"Versions": [version("$LATEST"), version("2")], "NextMarker": "a/b"})),
            (200, json!({"Versions": [version("3")]})),
            absent(),
            absent(),
            alias("3"),
            (200, json!({"FunctionVersion": "2"})),
            alias("2"),
            (204, Value::Null),
            absent(),
        ]);
        let region = "eu-west-1";
        let found = read(&signed, region, "f").await.expect("read");
        let versions = BTreeMap::from([(2, "code 2".to_owned()), (3, "code 3".to_owned())]);
        assert_eq!(found, ObservedFunction { live: Some(3), versions });
        assert_eq!(read(&signed, region, "f").await.expect("read"), ObservedFunction::default());
        let wanted = VersionSwitch { kind: FunctionKind::Edge, function: "f".into(), from: Some(3), to: 2 };
        assert_eq!(switch(&signed, region, &wanted).await, Ok(Done::Changed));
        assert_eq!(switch(&signed, region, &wanted).await, Ok(Done::AlreadySo));
        let pruned = PrunedVersions { kind: FunctionKind::Edge, function: "f".into(), versions: vec![1, 2] };
        assert_eq!(prune(&signed, region, &pruned).await, Ok(Done::Changed));
        let requests = thread.join().expect("a server");
        let line = |index: usize| requests[index].lines().next().unwrap_or_default().to_owned();
        assert_eq!(line(2), "GET /2015-03-31/functions/f/versions?MaxItems=50&Marker=a%2Fb HTTP/1.1");
        assert_eq!(line(6), "PUT /2015-03-31/functions/f/aliases/live HTTP/1.1");
        assert!(requests[6].ends_with(r#"{"FunctionVersion":"2"}"#), "{}", requests[6]);
        for (index, version) in [(8, 1), (9, 2)] {
            assert_eq!(line(index), format!("DELETE /2015-03-31/functions/f?Qualifier={version} HTTP/1.1"));
        }
    }
}
