//! Generates calls: independent Poisson arrivals for each API key and region.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use crate::ui::format::{float, whole};

/// Calls of one API key in one region at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arrival {
    /// Seconds from the start.
    pub(super) at_s: f64,
    /// The API key's rank, from 0.
    pub(super) key: usize,
    /// Index of the region.
    pub(super) region: usize,
    pub(super) calls: u64,
}

/// Time of a caller's next calls in milliseconds (unlike a float, it has an order), API key, region.
type NextCall = Reverse<(u64, usize, usize)>;

/// All calls in time order. A caller with less than one call a tick produces single calls; a busier one produces one
/// arrival a tick with all its calls.
pub(super) struct Arrivals {
    random: Rng,
    /// Calls a second of each API key in one region.
    rates: Vec<f64>,
    tick_s: f64,
    next: BinaryHeap<NextCall>,
}

impl Arrivals {
    pub(super) fn new(rates: Vec<f64>, regions: usize, tick_s: f64, mut random: Rng) -> Self {
        let mut next = BinaryHeap::with_capacity(rates.len() * regions);
        for (key, rate) in rates.iter().enumerate() {
            for region in 0..regions {
                let first_s =
                    if rate * tick_s < 1.0 { gap(*rate, &mut random) } else { random.f64() * tick_s };
                next.push(Reverse((ms(first_s), key, region)));
            }
        }
        Self { random, rates, tick_s, next }
    }

    pub(super) fn next(&mut self, end_s: f64) -> Option<Arrival> {
        let Reverse((at, key, region)) = *self.next.peek()?;
        let at_s = seconds(at);
        if at_s >= end_s {
            return None;
        }
        let rate = self.rates[key];
        let (calls, then_s) = if rate * self.tick_s < 1.0 {
            (1, gap(rate, &mut self.random))
        } else {
            (poisson(rate * self.tick_s, &mut self.random), self.tick_s)
        };
        self.next.pop();
        self.next.push(Reverse((at + ms(then_s).max(1), key, region)));
        Some(Arrival { at_s, key, region, calls })
    }
}

/// A number as a count, rounded; negative numbers become 0.
pub(super) fn rounded(number: f64) -> u64 {
    whole(number.round())
}

pub(super) fn ms(seconds: f64) -> u64 {
    rounded(seconds * 1e3)
}

fn seconds(ms: u64) -> f64 {
    float(ms) / 1e3
}

/// Seconds until the next call at a rate.
fn gap(rate: f64, random: &mut Rng) -> f64 {
    if rate <= 0.0 { f64::from(u32::MAX) } else { -(1.0 - random.f64()).ln() / rate }
}

pub(super) fn poisson(mean: f64, random: &mut Rng) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    if mean > 50.0 {
        // The normal approximation; Box-Muller transform.
        let (u, v) = (1.0 - random.f64(), random.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        return rounded(mean + mean.sqrt() * normal);
    }
    let (limit, mut product, mut count) = ((-mean).exp(), random.f64(), 0);
    while product > limit {
        product *= random.f64();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_in_order_and_match_their_rates() {
        let rates = vec![20.0, 0.5, 0.001];
        let mut arrivals = Arrivals::new(rates.clone(), 2, 1.0, Rng::with_seed(7));
        let (mut counts, mut last) = ([0_u64; 3], 0.0);
        while let Some(arrival) = arrivals.next(10_000.0) {
            assert!(arrival.at_s >= last && arrival.region < 2);
            last = arrival.at_s;
            counts[arrival.key] += arrival.calls;
        }
        for (count, rate) in counts.into_iter().zip(rates) {
            let mean = rate * 2.0 * 10_000.0;
            let off = (f64::from(u32::try_from(count).expect("few")) - mean).abs();
            assert!(off < 5.0 * mean.sqrt(), "{count} of {mean}");
        }
    }

    #[test]
    fn counts_have_the_mean_and_variance_of_a_poisson_distribution() {
        let mut random = Rng::with_seed(3);
        for mean in [0.3, 8.0, 49.0, 51.0, 900.0] {
            let draws: Vec<f64> = (0..20_000)
                .map(|_| f64::from(u32::try_from(poisson(mean, &mut random)).expect("few")))
                .collect();
            let average = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / 20_000.0;
            assert!((average - mean).abs() < 5.0 * (mean / 20_000.0).sqrt(), "{average} of {mean}");
            assert!((variance / mean - 1.0).abs() < 0.1, "{variance} of {mean}");
        }
        assert_eq!(poisson(0.0, &mut random), 0);
    }
}
