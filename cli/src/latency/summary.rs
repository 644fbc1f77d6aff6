//! Samples to quantiles. Pure.

use serde::Serialize;

use super::http::Attribution;
use super::measure::{Edge, Phases, Sample};

/// Half, most and nearly all of the samples were this fast, ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// Half.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
}

impl Quantiles {
    /// By nearest rank: each is a value that was measured. `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let rank =
            |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1).min(last)];
        Some(Self { p50: rank(50), p95: rank(95), p99: rank(99) })
    }
}

/// How a region is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every request was answered.
    Up,
    /// Some were.
    Shaky,
    /// None was.
    #[default]
    Down,
}

impl State {
    /// Its name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Shaky => "shaky",
            Self::Down => "down",
        }
    }
}

/// One region's row; flat, so that every form of output has it. Times are ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it: a phase and a quantile of it")]
pub struct Row {
    /// The region.
    pub region: String,
    /// The city that it is near.
    pub near: String,
    /// How it is.
    pub state: State,
    /// Requests made.
    pub samples: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Why the last one that failed did.
    pub failure: Option<String>,
    pub dns_p50_ms: Option<f64>,
    pub dns_p95_ms: Option<f64>,
    pub dns_p99_ms: Option<f64>,
    pub connect_p50_ms: Option<f64>,
    pub connect_p95_ms: Option<f64>,
    pub connect_p99_ms: Option<f64>,
    pub tls_p50_ms: Option<f64>,
    pub tls_p95_ms: Option<f64>,
    pub tls_p99_ms: Option<f64>,
    pub first_byte_p50_ms: Option<f64>,
    pub first_byte_p95_ms: Option<f64>,
    pub first_byte_p99_ms: Option<f64>,
    pub total_p50_ms: Option<f64>,
    pub total_p95_ms: Option<f64>,
    pub total_p99_ms: Option<f64>,
    /// The date of its geo database.
    pub database_date: Option<String>,
    /// The version that it runs.
    pub version: Option<String>,
    /// The credit that its geo data asks for.
    #[serde(skip)]
    pub attribution: Option<Attribution>,
}

/// Tenths of a microsecond are noise.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// A region's samples as its row.
pub fn summarise(edge: &Edge, samples: &[Sample]) -> Row {
    let answered: Vec<&Phases> =
        samples.iter().filter_map(|sample| sample.outcome.as_ref().ok()).map(|(phases, _)| phases).collect();
    let failed = samples.len() - answered.len();
    let failure = samples.iter().rev().find_map(|sample| sample.outcome.as_ref().err().cloned());
    let last = samples.iter().rev().find_map(|sample| sample.outcome.as_ref().ok()).map(|(_, reply)| reply);
    let of = |phase: fn(&Phases) -> Option<f64>| -> [Option<f64>; 3] {
        match Quantiles::of(answered.iter().filter_map(|phases| phase(phases))) {
            Some(found) => [found.p50, found.p95, found.p99].map(|value| Some(rounded(value))),
            None => [None; 3],
        }
    };
    let [dns_p50_ms, dns_p95_ms, dns_p99_ms] = of(|phases| phases.dns);
    let [connect_p50_ms, connect_p95_ms, connect_p99_ms] = of(|phases| Some(phases.connect));
    let [tls_p50_ms, tls_p95_ms, tls_p99_ms] = of(|phases| phases.tls);
    let [first_byte_p50_ms, first_byte_p95_ms, first_byte_p99_ms] = of(|phases| Some(phases.first_byte));
    let [total_p50_ms, total_p95_ms, total_p99_ms] = of(|phases| Some(phases.total()));
    Row {
        region: edge.target.region.clone(),
        near: edge.near.clone(),
        state: match (failed, answered.len()) {
            (0, 1..) => State::Up,
            (_, 0) => State::Down,
            _ => State::Shaky,
        },
        samples: samples.len(),
        failed,
        failure,
        dns_p50_ms,
        dns_p95_ms,
        dns_p99_ms,
        connect_p50_ms,
        connect_p95_ms,
        connect_p99_ms,
        tls_p50_ms,
        tls_p95_ms,
        tls_p99_ms,
        first_byte_p50_ms,
        first_byte_p95_ms,
        first_byte_p99_ms,
        total_p50_ms,
        total_p95_ms,
        total_p99_ms,
        database_date: last.and_then(|reply| reply.database_date.clone()),
        version: last.and_then(|reply| reply.version.clone()),
        attribution: last.and_then(|reply| reply.attribution.clone()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::http::Reply;
    use super::*;
    use crate::infra::cloud::ProbeTarget;

    pub(in crate::latency) fn edge(region: &str) -> Edge {
        let target = ProbeTarget {
            region: region.into(),
            host: "a.test".into(),
            connect: None,
            tls: true,
            api_key: None,
        };
        Edge { target, near: "Somewhere".into() }
    }

    pub(in crate::latency) fn sample(first_byte: f64) -> Sample {
        let phases = Phases { dns: Some(1.0), connect: 2.0, tls: Some(3.0), first_byte };
        let reply = Reply {
            status: 200,
            region: None,
            database_date: Some("2026-11-01".into()),
            version: Some("0.1.0".into()),
            attribution: None,
        };
        Sample { outcome: Ok((phases, reply)) }
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let table = [
            (vec![], None),
            (vec![7.0], Some((7.0, 7.0, 7.0))),
            ((1..=100).map(f64::from).collect(), Some((50.0, 95.0, 99.0))),
            ((1..=10).rev().map(f64::from).collect(), Some((5.0, 10.0, 10.0))),
        ];
        for (values, expected) in table {
            let found = Quantiles::of(values).map(|found| (found.p50, found.p95, found.p99));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_row_tells_what_answered_and_what_did_not() {
        let failed = |why: &str| Sample { outcome: Err(why.to_owned()) };
        let row =
            summarise(&edge("eu-west-1"), &[sample(10.0), failed("first"), sample(20.0), failed("last")]);
        assert_eq!((row.state, row.samples, row.failed), (State::Shaky, 4, 2));
        assert_eq!(row.failure.as_deref(), Some("last"));
        assert_eq!((row.first_byte_p50_ms, row.total_p99_ms), (Some(10.0), Some(26.0)));
        let down = summarise(&edge("eu-west-1"), &[failed("no")]);
        assert_eq!((down.state, down.total_p50_ms), (State::Down, None));
        assert_eq!(summarise(&edge("eu-west-1"), &[sample(1.0)]).state, State::Up);
    }

    proptest! {
        #[test]
        fn quantiles_are_in_order(values in prop::collection::vec(0.0..1e6_f64, 1..300)) {
            let found = Quantiles::of(values.clone()).expect("values");
            prop_assert!(found.p50 <= found.p95 && found.p95 <= found.p99);
            prop_assert!([found.p50, found.p95, found.p99].iter().all(|value| values.contains(value)));
        }
    }
}
