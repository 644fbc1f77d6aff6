//! How often things fall together: the mathematics of batching and caching, for arrivals that know nothing
//! of each other (Poisson).

/// Of `cells`, how many have at least one of `calls` in them, on average.
pub(crate) fn occupied(cells: f64, calls: f64) -> f64 {
    if cells <= 0.0 { 0.0 } else { cells * -(-calls / cells).exp_m1() }
}

/// Of calls at `rate` a second, the share that finds nothing remembered, when what is read is good for
/// `good_s` from its reading on.
pub(crate) fn missed(rate: f64, good_s: f64) -> f64 {
    1.0 / (1.0 + rate * good_s)
}

/// How many calls are beyond the first `first`, on average, when `mean` are expected.
pub(crate) fn beyond(mean: f64, first: u64) -> f64 {
    // Far above, the first ones are always there; and e^-mean is no longer a number.
    if mean > 500.0 {
        return (mean - to_f64(first)).max(0.0);
    }
    let (mut term, mut within) = ((-mean).exp(), 0.0);
    for k in 0..first {
        within += term * to_f64(first - k);
        term *= mean / to_f64(k + 1);
        if term < 1e-18 && to_f64(k) > mean {
            // The terms that follow are the tail above the mean: (first - k) of next to nothing.
            break;
        }
    }
    (mean - to_f64(first) + within).max(0.0)
}

/// Calls of each of `count` callers, the busiest first, by Zipf's law with exponent 1.
pub(crate) fn zipf(count: u32, calls: f64) -> Vec<f64> {
    let sum: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
    (1..=count).map(|rank| calls / (sum * f64::from(rank))).collect()
}

/// A count as a number to reckon with; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

/// A number that is not negative as a whole count, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
pub(crate) fn to_u64(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batching_and_caching_at_their_ends() {
        // (cells, calls, occupied)
        for (cells, calls, expected) in
            [(0.0, 9.0, 0.0), (10.0, 0.0, 0.0), (1.0, 1e9, 1.0), (1e9, 1.0, 1.0), (2.0, 2.0, 1.264_241)]
        {
            assert!((occupied(cells, calls) - expected).abs() < 1e-6, "{cells} {calls}");
        }
        assert!((missed(0.0, 10.0) - 1.0).abs() < 1e-12 && (missed(0.1, 10.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn calls_beyond_the_first_few() {
        // (mean, first, beyond): E[max(X - first, 0)].
        for (mean, first, expected) in [
            (3.0, 0, 3.0),
            (0.0, 5, 0.0),
            (1.0, 1, (-1.0_f64).exp()),
            (600.0, 6, 594.0),
            (499.0, 6, 493.0),
            (1.0, 200, 0.0),
            (100.0, 200, 0.0),
        ] {
            assert!((beyond(mean, first) - expected).abs() < 1e-9, "{mean} {first}");
        }
    }

    #[test]
    fn the_busiest_caller_has_its_share() {
        let calls = zipf(500, 1.0);
        assert!((calls.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((calls[0] / calls[9] - 10.0).abs() < 1e-9);
    }
}
