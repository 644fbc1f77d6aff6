//! A problem: where, what, and what to do about it. Plans and all reading of the cloud report their problems so.

use std::fmt;

use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::infra::stacks::RenderError;
use crate::ui::format::counted;

/// Something that is wrong, and what to do about it. A failed step is no `Problem` but a `StepError`: it has AWS's
/// code and resource, and often nobody knows a remedy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The region; `None` if the problem is the account's or the whole service's.
    pub region: Option<RegionName>,
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(region) = &self.region {
            write!(f, "{region}: ")?;
        }
        write!(f, "{}\nhelp: {}", self.what, self.remedy)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A problem of no particular region.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { region: None, what: what.into(), remedy: remedy.into() }
    }

    /// The same as a problem of a region.
    #[must_use]
    pub fn in_region(mut self, region: &RegionName) -> Self {
        self.region = Some(region.clone());
        self
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{} the plan; nothing was changed", problems_block(.0.len()))]
    Blocked(Vec<Problem>),
    /// A template can't be rendered: a fault of this program, or a template that has grown too large.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl PlanError {
    /// The problems that block the plan; any other failure remains an error.
    pub fn into_problems(self) -> Result<Vec<Problem>, RenderError> {
        match self {
            Self::Blocked(problems) => Ok(problems),
            Self::Render(error) => Err(error),
        }
    }
}

/// The subject and verb of a sentence: `1 problem blocks`, `2 problems block`.
pub(crate) fn problems_block(count: usize) -> String {
    format!("{} {}", counted(count, "problem"), if count == 1 { "blocks" } else { "block" })
}
