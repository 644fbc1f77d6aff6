//! Reads facts for `ipgeo doctor` that stacks and tables do not hold.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cloud::Aws;
use super::dns;
use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::config::{Config, Region};
use crate::infra::cloud::CloudRead as _;
use crate::infra::lock::{LockStore, Put};
use crate::infra::stacks::{FORWARD_FAILURES, LIVE, StackKind};
use crate::observe::doctor::{Certificate, Concurrency, EdgeFacts, Fact, HomeFacts, Subscription};

/// API Gateway's quota of requests/s per account and region.
const RATE_QUOTA: &str = "L-8A5B8E43";
/// Maximum pages of certificates to search.
const PAGES_MAX: usize = 20;
const DAY_S: i64 = 86_400;

/// The fact of a resource that may be missing.
fn optional<T>(read: Result<Option<T>, Refusal>, region: &str) -> Fact<T> {
    let read = Refusal::absent_as_none(read).map(Option::flatten);
    read.map_err(|refusal| refusal.for_reading(region)).into()
}

/// The fact of a value that always exists.
fn always<T>(read: Result<T, Refusal>, region: &str) -> Fact<T> {
    read.map(Some).map_err(|refusal| refusal.for_reading(region)).into()
}

/// A required text of an answer.
fn text(value: &Value, name: &str) -> Result<String, Refusal> {
    value.as_str().map(str::to_owned).ok_or_else(|| Refusal::unexpected(format!("the answer has no {name}")))
}

pub(super) async fn stream(signed: &Signed, region: &str, name: &str) -> Result<String, Refusal> {
    let input = json!({ "StreamName": name });
    let answer = signed.json(Service::Kinesis, region, "DescribeStreamSummary", &input).await?;
    text(&answer["StreamDescriptionSummary"]["StreamStatus"], "stream status")
}

/// The state of the event source mapping of a function's alias; `None`: no mapping.
async fn mapping(signed: &Signed, region: &str, function: &str) -> Result<Option<String>, Refusal> {
    let path = format!("/2015-03-31/event-source-mappings/?FunctionName={function}%3A{LIVE}");
    let answer = Refusal::absent_as_none(signed.get(Service::Lambda, region, &path).await)?;
    Ok(answer.and_then(|answer| Some(answer["EventSourceMappings"][0]["State"].as_str()?.to_owned())))
}

async fn clock_ahead_s(signed: &Signed, region: &str) -> Result<f64, Refusal> {
    let sent = Timestamp::now();
    let date = signed.date(Service::Kinesis, region).await?;
    let received = Timestamp::now();
    let theirs = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok());
    let theirs = theirs.ok_or_else(|| Refusal::unexpected("the answer has no date"))?;
    // AWS wrote the date between the two, cut to seconds.
    let ours = sent.as_millisecond().midpoint(received.as_millisecond());
    let ahead_ms = ours - theirs.timestamp().as_millisecond() - 500;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    Ok(ahead_ms as f64 / 1_000.0)
}

/// A domain's certificate: the one in use, else any other.
async fn certificate(
    signed: &Signed,
    region: &str,
    domain: &str,
    now: Timestamp,
) -> Result<Option<Certificate>, Refusal> {
    let mut input = json!({ "MaxItems": 100 });
    let mut found: Option<(bool, Certificate)> = None;
    for _page in 0..PAGES_MAX {
        let page = signed.json(Service::Acm, region, "ListCertificates", &input).await?;
        let list = page["CertificateSummaryList"].as_array().map(Vec::as_slice).unwrap_or_default();
        for one in list.iter().filter(|one| one["DomainName"].as_str() == Some(domain)) {
            let in_use = one["InUse"].as_bool().unwrap_or(false);
            if found.as_ref().is_none_or(|(used, _)| in_use && !used) {
                #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
                let ends = one["NotAfter"].as_f64().map(|ends| ends as i64);
                let certificate = Certificate {
                    status: one["Status"].as_str().unwrap_or("UNKNOWN").to_owned(),
                    days_left: ends.map(|ends| (ends - now.as_second()).div_euclid(DAY_S)),
                };
                found = Some((in_use, certificate));
            }
        }
        match page["NextToken"].as_str() {
            Some(token) => input["NextToken"] = token.into(),
            None => break,
        }
    }
    Ok(found.map(|(_, certificate)| certificate))
}

pub(super) async fn concurrency(signed: &Signed, region: &str) -> Result<Concurrency, Refusal> {
    let answer = signed.get(Service::Lambda, region, "/2016-08-19/account-settings/").await?;
    let limit = &answer["AccountLimit"];
    let number = |name: &str| limit[name].as_u64();
    let found = number("ConcurrentExecutions").zip(number("UnreservedConcurrentExecutions"));
    let (limit, unreserved) = found.ok_or_else(|| Refusal::unexpected("the answer has no limits"))?;
    Ok(Concurrency { limit, unreserved })
}

async fn rate(signed: &Signed, region: &str) -> Result<f64, Refusal> {
    let input = json!({ "ServiceCode": "apigateway", "QuotaCode": RATE_QUOTA });
    let applied = signed.json(Service::Quotas, region, "GetServiceQuota", &input).await;
    let answer = match applied {
        // No increase was ever requested: the default applies.
        Err(refusal) if refusal.is("NoSuchResourceException") => {
            signed.json(Service::Quotas, region, "GetAWSDefaultServiceQuota", &input).await?
        }
        other => other?,
    };
    answer["Quota"]["Value"].as_f64().ok_or_else(|| Refusal::unexpected("the answer has no value"))
}

async fn subscription(signed: &Signed, region: &str, group: &str) -> Result<Option<Subscription>, Refusal> {
    let input = json!({ "logGroupName": group });
    let answer = signed.json(Service::Logs, region, "DescribeSubscriptionFilters", &input).await?;
    let first = &answer["subscriptionFilters"][0];
    Ok(first["destinationArn"].as_str().map(|destination| Subscription {
        destination: destination.to_owned(),
        pattern: first["filterPattern"].as_str().unwrap_or_default().to_owned(),
        count: answer["subscriptionFilters"].as_array().map_or(0, Vec::len),
    }))
}

/// The active alarms whose names have this prefix.
async fn alarms(signed: &Signed, region: &str, prefix: &str) -> Result<Vec<String>, Refusal> {
    let input = json!({ "AlarmNamePrefix": prefix, "StateValue": "ALARM" });
    let answer = signed.json(Service::CloudWatch, region, "DescribeAlarms", &input).await?;
    let found = answer["MetricAlarms"].as_array().into_iter().flatten();
    Ok(found.filter_map(|alarm| alarm["AlarmName"].as_str().map(str::to_owned)).collect())
}

impl Aws {
    pub(crate) async fn home_facts(&self, config: &Config) -> HomeFacts {
        let (signed, home) = (self.signed(), config.service.home.as_str());
        let zone = async {
            let Some((zone, domain)) =
                config.service.hosted_zone.as_ref().zip(config.service.domain.as_ref())
            else {
                return Fact::NotRead;
            };
            let read = dns::read(self.session(), zone, domain).await;
            optional(read, "Route 53")
        };
        let names = self.names();
        let prefix = format!("{}-", names.service);
        let (stream, counter, clock, alarms, zone, run) = futures_util::join!(
            stream(&signed, home, &names.stream),
            mapping(&signed, home, &names.usage_function),
            clock_ahead_s(&signed, home),
            alarms(&signed, home, &prefix),
            zone,
            LockStore::read(self)
        );
        let run = run.map(|found| match found {
            Put::Held(item) if item.until > Timestamp::now() => Some(item),
            _ => None,
        });
        HomeFacts {
            stream: optional(stream.map(Some), home),
            counter: optional(counter, home),
            alarms: always(alarms, home),
            zone,
            run: run.into(),
            clock_ahead_s: always(clock, home),
        }
    }

    /// The facts of a region's edge, without its health.
    pub(crate) async fn edge_facts(&self, region: &Region, domain: Option<&str>, account: &str) -> EdgeFacts {
        let (signed, name) = (self.signed(), &region.name);
        let observed = self.region(name, account, &[]).await;
        if let Some(problem) = observed.unreachable {
            return EdgeFacts { reachable: Fact::Unreadable(problem), ..EdgeFacts::default() };
        }
        let certificate = async {
            let Some(domain) = domain else { return Fact::NotRead };
            optional(certificate(&signed, name, domain, Timestamp::now()).await, name)
        };
        let group = self.lookup_log_group();
        let bucket = self.bucket(name, account);
        let (certificate, concurrency, rate, subscription, unforwarded) = futures_util::join!(
            certificate,
            concurrency(&signed, name),
            rate(&signed, name),
            subscription(&signed, name, &group),
            bucket.list(FORWARD_FAILURES)
        );
        let stack = observed.stacks.get(&StackKind::Edge).map(|stack| stack.status.clone());
        EdgeFacts {
            reachable: Fact::Known(()),
            stack: Ok(stack).into(),
            certificate,
            concurrency: always(concurrency, name),
            rate: always(rate, name),
            subscription: optional(subscription, name),
            unforwarded: always(unforwarded.map(|batches| batches.len()), name),
            ..EdgeFacts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::server;
    use super::*;

    #[tokio::test]
    async fn answers_are_read_as_facts() {
        let region = "eu-west-1";
        let (signed, thread) = server(vec![
            (200, json!({"StreamDescriptionSummary": {"StreamStatus": "ACTIVE"}})),
            (200, json!({"EventSourceMappings": [{"State": "Enabled"}]})),
            (200, json!({"EventSourceMappings": []})),
            (404, json!({"__type": "ResourceNotFoundException", "message": "no alias"})),
            (
                200,
                json!({"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}}),
            ),
            (400, json!({"__type": "NoSuchResourceException", "message": "none"})),
            (200, json!({"Quota": {"Value": 10_000.0}})),
            (200, json!({"subscriptionFilters": [{"destinationArn": "arn", "filterPattern": "p"}]})),
            (400, json!({"__type": "ResourceNotFoundException", "message": "no group"})),
        ]);
        assert_eq!(stream(&signed, region, "s").await.as_deref(), Ok("ACTIVE"));
        assert_eq!(mapping(&signed, region, "f").await.expect("read").as_deref(), Some("Enabled"));
        for _ in 0..2 {
            assert_eq!(mapping(&signed, region, "f").await.expect("read"), None);
        }
        let found = concurrency(&signed, region).await.expect("read");
        assert_eq!(found, Concurrency { limit: 1_000, unreserved: 900 });
        assert_eq!(rate(&signed, region).await, Ok(10_000.0));
        let found = subscription(&signed, region, "g").await.expect("read").expect("one");
        assert_eq!((found.destination.as_str(), found.pattern.as_str(), found.count), ("arn", "p", 1));
        assert_eq!(optional(subscription(&signed, region, "g").await, region), Fact::Absent);
        let requests = thread.join().expect("a server");
        assert!(
            requests[1].starts_with("GET /2015-03-31/event-source-mappings/?FunctionName=f%3Alive "),
            "{}",
            requests[1]
        );
        assert!(requests[6].contains("ServiceQuotasV20190624.GetAWSDefaultServiceQuota"), "{}", requests[6]);
    }

    #[tokio::test]
    async fn the_certificate_in_use_is_preferred() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let one = |domain: &str, status: &str, in_use: bool, days: i64| json!({"DomainName": domain, "Status": status, "InUse": in_use, "NotAfter": 1_000_000 + days * DAY_S});
        let (signed, thread) = server(vec![
            (
                200,
                json!({"CertificateSummaryList": [one("a.test", "EXPIRED", false, -9), one("b.test", "ISSUED", true, 1)], "NextToken": "t"}),
            ),
            (200, json!({"CertificateSummaryList": [one("a.test", "ISSUED", true, 90)]})),
            (200, json!({"CertificateSummaryList": []})),
        ]);
        let found = certificate(&signed, "eu-west-1", "a.test", now).await.expect("read");
        assert_eq!(found, Some(Certificate { status: "ISSUED".into(), days_left: Some(90) }));
        assert_eq!(certificate(&signed, "eu-west-1", "a.test", now).await, Ok(None));
        thread.join().expect("a server");
    }
}
