//! Timeouts and retries of calls to AWS.

use std::time::Duration;

/// How much time a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For an edge's reads: a caller waits, and a stale or missing record is better than a late answer.
    Quick,
    /// For home's writes and the operator's tool: nobody waits for an HTTP answer.
    Patient,
}

/// Timeouts and retries of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Timeout of opening a connection.
    pub connect: Duration,
    /// Timeout of one attempt.
    pub attempt: Duration,
    /// Timeout of all attempts together.
    pub all: Duration,
    /// Maximum attempts.
    pub tries: u32,
    /// Maximum pause before the second attempt; it doubles with each further one.
    pub pause: Duration,
}

impl Effort {
    /// The timeouts and retries.
    pub fn bounds(self) -> Bounds {
        let ms = Duration::from_millis;
        match self {
            Self::Quick => {
                Bounds { connect: ms(500), attempt: ms(800), all: ms(1_500), tries: 2, pause: ms(20) }
            }
            Self::Patient => {
                Bounds { connect: ms(3_000), attempt: ms(5_000), all: ms(20_000), tries: 5, pause: ms(1_000) }
            }
        }
    }
}
