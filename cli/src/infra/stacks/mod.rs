//! The stacks that should exist: tera templates to CloudFormation YAML. Pure: no clock, no files, no AWS.

mod names;
mod render;
mod template;

pub use names::{FunctionKind, Names, StackKind};
pub(crate) use names::{LIVE, drained_record};
pub(crate) use render::tier_limits;
pub use render::{ArtifactRef, ArtifactSet, DataPolicy, RenderError, Renderer, Replica, Stack};
pub(crate) use render::{
    FORWARD_ALIAS, FORWARD_FAILURES, FORWARD_FUNCTION, LOGS_SERVICE, PipeParts, STREAM_SHARDS,
    USAGE_DESTINATION, batch_window_s, regional_logs_service,
};
pub(crate) use template::{ALIAS, VERSION, references};
pub use template::{Resource, Template};

#[cfg(test)]
pub(crate) use render::tests::{artifacts as test_artifacts, config as test_config};
