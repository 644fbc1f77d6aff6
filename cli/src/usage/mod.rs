//! Usage after it was counted: reports, the usage page, recounts from the stream.

pub mod recount;
pub mod report;
pub mod report_page;
pub mod stream;
