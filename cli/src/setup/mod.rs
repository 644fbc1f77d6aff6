//! A first `regions.toml`: from answers to a commented file that the parser takes. Pure.

mod interview;
mod render;

pub use interview::{Ask, InterviewError, Known, interview};
pub use render::{Answers, Data, SCHEMA, render};
