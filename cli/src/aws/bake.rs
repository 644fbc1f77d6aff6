//! Watches a function's metrics after its version has changed.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::signed::{Service, Signed};
use crate::infra::cloud::{Done, Progress, Report, StepError};
use crate::infra::plan::{BakeSpec, Vitals};
use crate::infra::stacks::LIVE;

/// Time between two reads. A minute's metrics appear about a minute later.
const PAUSE: Duration = Duration::from_secs(15);
const MINUTE_S: i64 = 60;

async fn vitals(
    signed: &Signed,
    region: &str,
    function: &str,
    since: i64,
    now: i64,
) -> Result<Vitals, Refusal> {
    let query = |id: &str, metric: &str, statistic: &str| {
        json!({
            "Id": id,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "FunctionName", "Value": function},
                        {"Name": "Resource", "Value": format!("{function}:{LIVE}")},
                    ],
                },
                "Period": MINUTE_S,
                "Stat": statistic,
            },
        })
    };
    let queries = [
        query("calls", "Invocations", "Sum"),
        query("errors", "Errors", "Sum"),
        query("throttles", "Throttles", "Sum"),
        query("p99", "Duration", "p99"),
    ];
    let input =
        json!({ "MetricDataQueries": queries, "StartTime": since, "EndTime": now.max(since) + MINUTE_S });
    let answer = signed.json(Service::CloudWatch, region, "GetMetricData", &input).await?;
    let results = answer["MetricDataResults"].as_array().map(Vec::as_slice).unwrap_or_default();
    let values = |id: &'static str| {
        let of_id = results.iter().filter(move |result| result["Id"] == id);
        of_id.flat_map(|result| result["Values"].as_array().into_iter().flatten()).filter_map(Value::as_f64)
    };
    Ok(Vitals {
        calls: values("calls").sum(),
        errors: values("errors").sum(),
        throttles: values("throttles").sum(),
        p99_ms: values("p99").fold(0.0, f64::max),
    })
}

/// Watches until the time has passed or there is a problem.
pub(super) async fn watch(
    signed: &Signed,
    region: &str,
    spec: &BakeSpec,
    report: Report<'_>,
) -> Result<Done, StepError> {
    let began = Instant::now();
    // From the next full minute: this minute may contain errors of the previous version.
    let now = Timestamp::now().as_second();
    let since = now - now.rem_euclid(MINUTE_S) + MINUTE_S;
    loop {
        let left = Duration::from_secs(spec.seconds).saturating_sub(began.elapsed());
        tokio::time::sleep(PAUSE.min(left)).await;
        let seen = vitals(signed, region, &spec.function, since, Timestamp::now().as_second()).await?;
        if let Some(why) = seen.problem() {
            return Err(StepError {
                remedy: Some(format!("check its log: ipgeo logs --all --regions {region}")),
                ..StepError::new(why)
            });
        }
        if began.elapsed() >= Duration::from_secs(spec.seconds) {
            return Ok(Done::AlreadySo);
        }
        let phase = format!("{} calls, {} errors, p99 {:.0} ms", seen.calls, seen.errors, seen.p99_ms);
        report(Progress { phase, done: 0, total: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::tests::server;
    use super::*;

    fn answer(calls: f64, errors: f64) -> (u16, Value) {
        let result = |id: &str, values: &[f64]| json!({"Id": id, "Values": values});
        let results = [
            result("calls", &[calls, 1.0]),
            result("errors", &[errors]),
            result("throttles", &[]),
            result("p99", &[9.5, 31.0]),
        ];
        (200, json!({ "MetricDataResults": results }))
    }

    #[tokio::test]
    async fn metrics_of_the_alias_are_watched() {
        let (signed, thread) = server(vec![answer(99.0, 0.0), answer(99.0, 0.0), answer(99.0, 5.0)]);
        let seen = vitals(&signed, "eu-west-1", "f", 600, 660).await;
        assert_eq!(seen, Ok(Vitals { calls: 100.0, errors: 0.0, throttles: 0.0, p99_ms: 31.0 }));
        let spec = BakeSpec { function: "f".into(), seconds: 0 };
        assert_eq!(watch(&signed, "eu-west-1", &spec, &|_| {}).await, Ok(Done::AlreadySo));
        let refused = watch(&signed, "eu-west-1", &spec, &|_| {}).await.expect_err("too many errors");
        assert_eq!(refused.message, "5 of 100 calls failed, more than 1 %");
        let requests = thread.join().expect("a server");
        for part in [
            "x-amz-target: GraniteServiceVersion20100801.GetMetricData",
            "/eu-west-1/monitoring/aws4_request",
            r#""StartTime":600"#,
            r#"{"Name":"Resource","Value":"f:live"}"#,
        ] {
            assert!(requests[0].contains(part), "{part}: {}", requests[0]);
        }
    }
}
