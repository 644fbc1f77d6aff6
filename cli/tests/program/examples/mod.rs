//! Parts of the test of the documents' examples: the pages, the shape of an output, and where examples run.

pub(crate) mod page;
pub(crate) mod session;
pub(crate) mod shape;
