//! How long a call may take and how often it is tried.

use std::time::Duration;

/// Who waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// An edge's read: a caller waits, and a stale or missing record is better than a late one.
    Quick,
    /// Home's writes and the operator's verbs: nobody waits on the line.
    Patient,
}

/// The bounds of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Until a connection is there.
    pub connect: Duration,
    /// Of one try.
    pub attempt: Duration,
    /// Of all tries together.
    pub all: Duration,
    /// Tries.
    pub tries: u32,
    /// The longest pause before the second try; it doubles with each.
    pub pause: Duration,
}

impl Effort {
    /// Its bounds.
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
