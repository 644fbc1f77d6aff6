//! Reporting how far a build is.

/// A phase of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildPhase {
    /// Walking all sources and laying out the result.
    Merge,
    /// Writing the file.
    Write,
}

/// Receives the progress of a build.
pub trait BuildProgress {
    /// A phase begins; about `total` steps are expected.
    fn begin(&self, phase: BuildPhase, total: u64);
    /// `steps` more steps are done.
    fn done(&self, steps: u64);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl BuildProgress for NoProgress {
    fn begin(&self, _phase: BuildPhase, _total: u64) {}
    fn done(&self, _steps: u64) {}
}
