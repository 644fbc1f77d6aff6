//! The mathematics of batching and caching for independent (Poisson) arrivals.

use crate::ui::format::float;

/// Expected number of non-empty cells when `calls` fall into `cells` at random: n (1 − e^(−c/n)).
pub(crate) fn occupied(cells: f64, calls: f64) -> f64 {
    if cells <= 0.0 { 0.0 } else { cells * -(-calls / cells).exp_m1() }
}

/// The cache miss ratio of calls at `rate` a second when an entry is valid for `ttl_s` from its read: one miss starts each
/// validity period, which has `rate * ttl_s` hits on average.
pub(crate) fn miss_ratio(rate: f64, ttl_s: f64) -> f64 {
    1.0 / (1.0 + rate * ttl_s)
}

/// Expected number of calls beyond the first `first`, E[max(X − first, 0)] for Poisson X: `mean − first` plus what is missing
/// below `first`.
pub(crate) fn expected_excess(mean: f64, first: u64) -> f64 {
    // For large means the first calls are practically certain, and e^-mean would underflow.
    if mean > 500.0 {
        return (mean - float(first)).max(0.0);
    }
    let (mut term, mut within) = ((-mean).exp(), 0.0);
    for k in 0..first {
        within += term * float(first - k);
        term *= mean / float(k + 1);
        if term < 1e-18 && float(k) > mean {
            // The remaining terms are in the upper tail and negligible.
            break;
        }
    }
    (mean - float(first) + within).max(0.0)
}

/// Calls of each of `count` callers, the busiest first, by Zipf's law with exponent 1.
pub(crate) fn zipf(count: u32, calls: f64) -> Vec<f64> {
    let sum: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
    (1..=count).map(|rank| calls / (sum * f64::from(rank))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupancy_and_miss_ratio_at_their_limits() {
        // (cells, calls, occupied)
        for (cells, calls, expected) in
            [(0.0, 9.0, 0.0), (10.0, 0.0, 0.0), (1.0, 1e9, 1.0), (1e9, 1.0, 1.0), (2.0, 2.0, 1.264_241)]
        {
            assert!((occupied(cells, calls) - expected).abs() < 1e-6, "{cells} {calls}");
        }
        assert!((miss_ratio(0.0, 10.0) - 1.0).abs() < 1e-12 && (miss_ratio(0.1, 10.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn calls_beyond_the_first_few() {
        // (mean, first, expected excess)
        for (mean, first, expected) in [
            (3.0, 0, 3.0),
            (0.0, 5, 0.0),
            (1.0, 1, (-1.0_f64).exp()),
            (600.0, 6, 594.0),
            (499.0, 6, 493.0),
            (1.0, 200, 0.0),
            (100.0, 200, 0.0),
        ] {
            assert!((expected_excess(mean, first) - expected).abs() < 1e-9, "{mean} {first}");
        }
    }

    #[test]
    fn the_busiest_caller_has_its_share() {
        let calls = zipf(500, 1.0);
        assert!((calls.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((calls[0] / calls[9] - 10.0).abs() < 1e-9);
    }
}
