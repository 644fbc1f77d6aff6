//! Injects stream faults from a seed: everything that Kinesis and its event source mapping may do to batches, but often, to
//! check that counting is not affected.
//!
//! Every record is first delivered in its shard's order, as Kinesis promises; beyond that,
//! batches are divided anywhere, redelivered in full or in part, also after newer ones, and the records in a batch are
//! shuffled.

use std::collections::VecDeque;

/// Number of delivered records that may be redelivered.
const HISTORY_RECORDS: usize = 64;

/// Turns batches into deliveries.
pub(crate) struct Faults<R> {
    random: Option<fastrand::Rng>,
    history: VecDeque<R>,
}

impl<R: Clone> Faults<R> {
    /// Without a seed, every batch is delivered once and unchanged.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self { random: seed.map(fastrand::Rng::with_seed), history: VecDeque::new() }
    }

    /// The deliveries to make for a batch of new records, in order.
    pub(crate) fn deliveries(&mut self, batch: Vec<R>) -> Vec<Vec<R>> {
        let Some(random) = &mut self.random else { return vec![batch] };
        let mut deliveries = Vec::new();
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(random.usize(1..=rest.len()));
            let mut delivery = piece.to_vec();
            if random.bool() {
                // A batch that was divided differently: it begins with records that were delivered before.
                let from = random.usize(0..=self.history.len());
                delivery.splice(0..0, self.history.iter().skip(from).cloned());
            }
            random.shuffle(&mut delivery);
            deliveries.push(delivery);
            self.history.extend(piece.iter().cloned());
            while self.history.len() > HISTORY_RECORDS {
                self.history.pop_front();
            }
            if random.bool() {
                // An old batch once more, after newer ones.
                let from = random.usize(0..self.history.len());
                let count = random.usize(1..=self.history.len() - from);
                let mut again: Vec<R> = self.history.iter().skip(from).take(count).cloned().collect();
                random.shuffle(&mut again);
                deliveries.push(again);
            }
            rest = left;
        }
        deliveries
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn without_a_seed_a_batch_is_delivered_unchanged() {
        assert_eq!(Faults::new(None).deliveries(vec![1, 2, 3]), [[1, 2, 3]]);
    }

    #[test]
    fn records_are_first_delivered_in_order_and_many_again() {
        let mut faults = Faults::new(Some(7));
        let (mut seen, mut delivered) = (BTreeSet::new(), 0);
        for batch in 0..50_usize {
            for delivery in faults.deliveries((batch * 10..batch * 10 + 10).collect()) {
                delivered += delivery.len();
                let new: BTreeSet<usize> = delivery.into_iter().filter(|r| !seen.contains(r)).collect();
                // Whatever is new continues where the records before ended: no gap is ever jumped.
                assert!(new.iter().copied().eq((seen.len()..).take(new.len())), "{new:?}");
                seen.extend(new);
            }
        }
        assert_eq!(seen.len(), 500);
        assert!(delivered > 1_000, "{delivered} deliveries of 500 records");
    }

    #[test]
    fn the_same_seed_gives_the_same_deliveries() {
        let run = || Faults::new(Some(3)).deliveries((0..20).collect::<Vec<u8>>());
        assert_eq!(run(), run());
    }
}
