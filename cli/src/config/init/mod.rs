//! A first `regions.toml` for `ipgeo init`: `interview` collects and checks answers, `render` writes them as a commented
//! file. Pure: the terminal is behind [`Ask`], and the caller writes the file.

mod interview;
mod render;

pub(crate) use interview::{Ask, InterviewError, Known, interview};
#[cfg(test)]
pub(in crate::config) use render::FEEDS;
pub(crate) use render::{Data, SCHEMA, render};
