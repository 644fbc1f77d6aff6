//! Steps that fail on purpose.

use ipgeo_contract::RegionName;

/// A step that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectedFault {
    /// Where.
    pub region: RegionName,
    /// The step by its title.
    pub step: String,
    /// Which of several calls of that title, from 0.
    pub nth: usize,
    /// How it fails.
    pub kind: FaultKind,
}

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is refused, and nothing is changed.
    Refuse,
    /// It is done, and the answer is lost on the way.
    LoseAnswer,
    /// CloudFormation's operation fails and is undone. Other steps: as [`Self::Refuse`].
    Fail,
    /// CloudFormation's operation fails and so does undoing it: `ROLLBACK_FAILED`, `UPDATE_ROLLBACK_FAILED`,
    /// `DELETE_FAILED`. Other steps: as [`Self::Refuse`].
    Stick,
    /// Whoever deploys dies: the step goes on alone and is never answered.
    Kill,
    /// CloudFormation's operation fails and is undone, because a new role is not known everywhere; the next time it is.
    /// Other steps: as one [`Self::Throttle`].
    Early,
    /// It is refused this often with a request for patience, and then done.
    Throttle(u32),
}

impl FaultKind {
    /// Every kind, to be tried one after the other.
    pub const ALL: [Self; 7] =
        [Self::Refuse, Self::LoseAnswer, Self::Fail, Self::Stick, Self::Early, Self::Kill, Self::Throttle(2)];
}
