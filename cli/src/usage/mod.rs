//! Usage after it was counted: reports, the usage page, recounts from the stream.

pub(crate) mod recount;
pub(crate) mod report;
pub(crate) mod report_page;
pub(crate) mod stream;
