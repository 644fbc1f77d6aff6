//! What the network and the stores do to a message: delays, losses, and spells of them, all from the seed.

use fastrand::Rng;

/// A way that messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From a region's environments to its replica of the access table.
    Replica(usize),
    /// From a region's environments to home's counter.
    Report(usize),
    /// From a region's log to the stream.
    Pipe(usize),
    /// From home's access table to a region's replica.
    Replication(usize),
    /// From the counter and the operators to home's tables.
    Home,
    /// From the stream to the counter.
    Invoke,
}

/// What is wrong during a spell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing arrives: a partition, a full disk, a region that is gone.
    Down,
    /// Everything takes seconds: a slow disk, a throttled table.
    Slow,
    /// Requests and responses are lost.
    Flaky,
    /// Some calls are refused after all their attempts: a throttled table.
    Refusing,
}

/// A spell of trouble, milliseconds from the start.
#[derive(Clone, Debug)]
pub struct Spell {
    pub(crate) link: Link,
    pub(crate) trouble: Trouble,
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

/// What happens to one message and its response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) there_ms: u64,
    pub(crate) back_ms: u64,
    pub(crate) arrives: bool,
    pub(crate) is_answered: bool,
    pub(crate) is_refused: bool,
}

/// After a spell of this length, batches are given up.
const GIVEN_UP_MS: u64 = 24 * HOUR_MS;

/// All spells of a run.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    spells: Vec<Spell>,
    /// Losses outside of spells, in thousandths.
    glitches: u64,
    /// Nothing is lost any more.
    is_over: bool,
}

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: u64 = 3_600_000;

impl Weather {
    /// Without any trouble.
    pub(crate) fn calm() -> Self {
        Self::default()
    }

    /// Spells of all kinds; the longest last for `longest_ms`.
    pub(crate) fn rough(random: &mut Rng, regions: usize, hours: u64, longest_ms: u64) -> Self {
        let count = random.u64(1..=4 + hours / 8);
        let spell = |random: &mut Rng| {
            let region = random.usize(0..regions);
            let link = [
                Link::Replica(region),
                Link::Report(region),
                Link::Pipe(region),
                Link::Replication(region.max(1)),
                Link::Home,
                Link::Home,
                Link::Invoke,
            ][random.usize(0..7)];
            let trouble =
                [Trouble::Down, Trouble::Slow, Trouble::Flaky, Trouble::Refusing][random.usize(0..4)];
            let from_ms = random.u64(0..hours * HOUR_MS);
            // As many short spells as long ones.
            let shift = random.u32(0..=12);
            let length = (longest_ms >> shift).max(1_000);
            Spell { link, trouble, from_ms, until_ms: from_ms + random.u64(length / 2..=length) }
        };
        let mut spells: Vec<Spell> = (0..count).map(|_| spell(random)).collect();
        if longest_ms > GIVEN_UP_MS && hours * HOUR_MS > 2 * longest_ms {
            let link = if random.bool() { Link::Home } else { Link::Invoke };
            let from_ms = random.u64(0..hours * HOUR_MS / 2);
            let until_ms = from_ms + random.u64(GIVEN_UP_MS..longest_ms);
            spells.push(Spell { link, trouble: Trouble::Down, from_ms, until_ms });
        }
        let glitches = if random.bool() { 0 } else { random.u64(1..30) };
        Self { spells, glitches, is_over: false }
    }

    /// From now on, nothing is wrong.
    pub(crate) fn clear(&mut self, now_ms: u64) {
        self.spells.retain(|spell| spell.from_ms < now_ms);
        self.spells.iter_mut().for_each(|spell| spell.until_ms = spell.until_ms.min(now_ms));
        self.is_over = true;
    }

    /// The spell that a link is in.
    pub(crate) fn trouble(&self, link: Link, at_ms: u64) -> Option<Trouble> {
        let is_in = |spell: &&Spell| spell.link == link && (spell.from_ms..spell.until_ms).contains(&at_ms);
        self.spells.iter().find(is_in).map(|spell| spell.trouble)
    }

    /// Whether a link had no trouble at all in a time.
    pub(crate) fn was_fine(&self, link: Link, from_ms: u64, until_ms: u64) -> bool {
        let touches =
            |spell: &Spell| spell.link == link && spell.from_ms < until_ms && spell.until_ms > from_ms;
        self.glitches == 0 && !self.spells.iter().any(touches)
    }

    /// The fate of a message that is sent now. `usual_ms`: how long it takes if nothing is wrong.
    pub(crate) fn fate(&self, link: Link, at_ms: u64, usual_ms: u64, random: &mut Rng) -> Fate {
        let glitches = if self.is_over { 0 } else { self.glitches };
        let mut fate = Fate {
            there_ms: random.u64(1..=usual_ms),
            back_ms: random.u64(0..=usual_ms),
            arrives: random.u64(0..1_000) >= glitches,
            is_answered: random.u64(0..1_000) >= glitches,
            is_refused: false,
        };
        match self.trouble(link, at_ms) {
            None => {}
            Some(Trouble::Down) => fate.arrives = false,
            Some(Trouble::Slow) => {
                fate.there_ms += random.u64(0..9_000);
                fate.back_ms += random.u64(0..3_000);
            }
            Some(Trouble::Flaky) => {
                fate.arrives &= random.u8(0..10) >= 3;
                fate.is_answered &= random.u8(0..10) >= 3;
            }
            Some(Trouble::Refusing) if matches!(link, Link::Home | Link::Replica(_)) => {
                fate.is_refused = random.u8(0..10) < 3;
            }
            Some(Trouble::Refusing) => fate.arrives &= random.u8(0..10) >= 3,
        }
        fate
    }
}
