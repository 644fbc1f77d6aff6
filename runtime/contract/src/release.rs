//! The mark by which a bootstrap names its release. The operator's tool reads the mark from the file, because it often can't run
//! the program: it is for Linux, and maybe for another processor.

/// Contained as text in every bootstrap: `<ipgeo bootstrap VERSION>`.
pub const RELEASE_MARK: &str = concat!("<ipgeo bootstrap ", env!("CARGO_PKG_VERSION"), ">");
