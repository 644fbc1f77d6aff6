//! Folds a region's samples into quantiles. Pure.

use ipgeo_contract::RegionName;
use serde::Serialize;

use super::client::PhaseTimes;
use super::measure::{Attribution, Health, ProbeSample, ProbedEdge};

/// Quantiles of a time, ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Quantiles {
    /// By nearest rank: each is a measured value. `None` without values.
    pub(crate) fn from_values(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let rank =
            |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1).min(last)];
        Some(Self { p50: rank(50), p95: rank(95), p99: rank(99) })
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// Every request was answered.
    Up,
    /// Some were.
    Shaky,
    /// None was.
    #[default]
    Down,
}

impl ProbeState {
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
pub struct ProbeRow {
    pub region: RegionName,
    /// The city that it is near.
    pub near: String,
    pub state: ProbeState,
    pub samples: usize,
    pub failed: usize,
    /// Why the last failed request failed.
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
    pub database_date: Option<String>,
    pub version: Option<String>,
    /// The attribution that its geo data requires.
    #[serde(skip)]
    pub attribution: Option<Attribution>,
}

/// To the microsecond: less is noise.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

pub fn summarise(edge: &ProbedEdge, samples: &[ProbeSample]) -> ProbeRow {
    let answered: Vec<&(PhaseTimes, Health)> = samples.iter().flatten().collect();
    let failed = samples.len() - answered.len();
    let failure = samples.iter().rev().find_map(|sample| sample.as_ref().err().cloned());
    let last = answered.last().map(|(_, health)| health.clone()).unwrap_or_default();
    let quantiles = |phase: fn(&PhaseTimes) -> Option<f64>| -> [Option<f64>; 3] {
        match Quantiles::from_values(answered.iter().filter_map(|(times, _)| phase(times))) {
            Some(found) => [found.p50, found.p95, found.p99].map(|value| Some(rounded(value))),
            None => [None; 3],
        }
    };
    let [dns_p50_ms, dns_p95_ms, dns_p99_ms] = quantiles(|times| times.dns);
    let [connect_p50_ms, connect_p95_ms, connect_p99_ms] = quantiles(|times| Some(times.connect));
    let [tls_p50_ms, tls_p95_ms, tls_p99_ms] = quantiles(|times| times.tls);
    let [first_byte_p50_ms, first_byte_p95_ms, first_byte_p99_ms] = quantiles(|times| Some(times.first_byte));
    let [total_p50_ms, total_p95_ms, total_p99_ms] = quantiles(|times| Some(times.total()));
    ProbeRow {
        region: edge.target.region.clone(),
        near: edge.near.clone(),
        state: match (failed, answered.len()) {
            (0, 1..) => ProbeState::Up,
            (_, 0) => ProbeState::Down,
            _ => ProbeState::Shaky,
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
        database_date: last.database_date,
        version: last.version,
        attribution: last.attribution,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::infra::cloud::ProbeTarget;

    pub(in crate::observe::probe) fn edge(region: &str) -> ProbedEdge {
        let target = ProbeTarget {
            region: RegionName::new(region),
            host: "a.test".into(),
            connect: None,
            tls: true,
            api_key: None,
        };
        ProbedEdge { target, near: "Somewhere".into() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a sample may also be an error")]
    pub(in crate::observe::probe) fn sample(first_byte: f64) -> ProbeSample {
        let times = PhaseTimes { dns: Some(1.0), connect: 2.0, tls: Some(3.0), first_byte };
        let health = Health {
            database_date: Some("2026-11-01".into()),
            version: Some("0.1.0".into()),
            ..Health::default()
        };
        Ok((times, health))
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
            let found = Quantiles::from_values(values).map(|found| (found.p50, found.p95, found.p99));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_row_counts_answers_and_failures() {
        let failed = |why: &str| -> ProbeSample { Err(why.to_owned()) };
        let row =
            summarise(&edge("eu-west-1"), &[sample(10.0), failed("first"), sample(20.0), failed("last")]);
        assert_eq!((row.state, row.samples, row.failed), (ProbeState::Shaky, 4, 2));
        assert_eq!(row.failure.as_deref(), Some("last"));
        assert_eq!((row.first_byte_p50_ms, row.total_p99_ms), (Some(10.0), Some(26.0)));
        let down = summarise(&edge("eu-west-1"), &[failed("no")]);
        assert_eq!((down.state, down.total_p50_ms), (ProbeState::Down, None));
        assert_eq!(summarise(&edge("eu-west-1"), &[sample(1.0)]).state, ProbeState::Up);
    }

    proptest! {
        #[test]
        fn quantiles_are_in_order(values in prop::collection::vec(0.0..1e6_f64, 1..300)) {
            let found = Quantiles::from_values(values.clone()).expect("values");
            prop_assert!(found.p50 <= found.p95 && found.p95 <= found.p99);
            prop_assert!([found.p50, found.p95, found.p99].iter().all(|value| values.contains(value)));
        }
    }
}
