//! The stacks that should exist: tera templates to CloudFormation YAML. Pure: no clock, no files, no AWS.

mod names;
mod render;
mod template;

pub use names::{Names, StackKind, drained_record, role_arn_pattern};
pub use render::{
    ArtifactRef, ArtifactSet, DataPolicy, FUNCTION_DATABASE, RenderError, Renderer, Replica, Stack,
    tier_limits,
};
pub(crate) use render::{STREAM_SHARDS, batch_window_s};
pub(crate) use template::references;
pub use template::{INLINE_BYTES_MAX, Resource, Template, TemplateError};

#[cfg(test)]
pub(crate) use render::tests::{artifacts as test_artifacts, config as test_config};
