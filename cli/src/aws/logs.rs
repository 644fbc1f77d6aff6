//! Reads the logs of edges from CloudWatch Logs.

use ipgeo_contract::RegionName;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cloud::Aws;
use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::infra::cloud::Problem;
use crate::observe::logs::{LogLine, LogSource};

/// Maximum pages per read: some hundred thousand lines.
const PAGES_MAX: usize = 100;

/// Lines of a log group since an instant. The filter is applied on this side: CloudWatch patterns match words, not
/// substrings.
pub(super) async fn lines(
    signed: &Signed,
    region: &RegionName,
    group: &str,
    since: Timestamp,
    filter: Option<&str>,
) -> Result<Vec<LogLine>, Refusal> {
    let mut input = json!({ "logGroupName": group, "startTime": since.as_millisecond() });
    let mut lines = Vec::new();
    for _page in 0..PAGES_MAX {
        let page = signed.json(Service::Logs, region, "FilterLogEvents", &input).await?;
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.extend(
            events
                .iter()
                .flat_map(|event| lines_of(event, region))
                .filter(|line| filter.is_none_or(|filter| line.contains(filter))),
        );
        match page["nextToken"].as_str() {
            Some(token) => input["nextToken"] = token.into(),
            None => {
                lines.sort();
                return Ok(lines);
            }
        }
    }
    Err(Refusal {
        code: Some("TooMany".to_owned()),
        message: format!("{region} has too many log lines: narrow the range with --since or --regions"),
    })
}

/// The lines of an event: one, unless the function wrote several at once. A usage line carries its own, earlier time.
fn lines_of(event: &Value, region: &RegionName) -> Vec<LogLine> {
    let time = event["timestamp"].as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let (Some(time), Some(message)) = (time, event["message"].as_str()) else { return Vec::new() };
    // Emulators send no event IDs: time and message identify an event instead.
    let id = event["eventId"].as_str().map_or_else(|| format!("{time} {message}"), str::to_owned);
    let line = |(index, text): (usize, &str)| LogLine {
        time: LogLine::event_time(text).unwrap_or(time),
        region: region.clone(),
        id: format!("{id} {index:04}"),
        text: text.to_owned(),
    };
    message.lines().filter(|text| !text.trim().is_empty()).enumerate().map(line).collect()
}

impl LogSource for Aws {
    async fn lines(
        &self,
        region: &RegionName,
        since: Timestamp,
        filter: Option<&str>,
    ) -> Result<Vec<LogLine>, Problem> {
        let read = lines(&self.signed(), region, &self.lookup_log_group(), since, filter).await;
        read.map_err(|refusal| {
            let mut error = refusal.for_reading(region);
            if refusal.is_absent() {
                error.what = format!("no log in {region}: no edge is deployed");
                "deploy it with `ipgeo deploy`; `ipgeo status` shows what is deployed"
                    .clone_into(&mut error.remedy);
            }
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::server;
    use super::*;

    #[tokio::test]
    async fn every_page_is_read_and_the_lines_come_in_order() {
        let event =
            |id: &str, ms: i64, message: &str| json!({"eventId": id, "timestamp": ms, "message": message});
        let (signed, thread) = server(vec![
            (
                200,
                json!({"events": [event("2", 2_000, "two\n"), event("3", 3_000, "other\ntwo too\n")], "nextToken": "t"}),
            ),
            (200, json!({"events": [event("1", 1_000, "two"), {"eventId": "4"}]})),
        ]);
        let since = Timestamp::from_millisecond(500).expect("a time");
        let region = RegionName::new("eu-west-1");
        let lines = lines(&signed, &region, "/aws/lambda/geo-prod-lookup", since, Some("two")).await;
        let found: Vec<_> = lines.expect("read").into_iter().map(|line| (line.id, line.text)).collect();
        let expected = [("1 0000", "two"), ("2 0000", "two"), ("3 0001", "two too")];
        assert_eq!(found, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
        let requests = thread.join().expect("a server");
        assert!(
            requests[0].contains(r#""startTime":500"#) && !requests[0].contains("nextToken"),
            "{}",
            requests[0]
        );
        assert!(requests[1].contains(r#""nextToken":"t""#), "{}", requests[1]);
    }
}
