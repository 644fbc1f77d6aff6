//! Files that flags name.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// The parser of flags that name a file or folder to write, of verbs that print something else on standard output. `-`
/// is refused: a file of that name is rarely meant.
pub(crate) fn path_to_write() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path == Path::new("-") {
            return Err("this cannot go to standard output; name a file or folder (`./-` for one named `-`)");
        }
        Ok(path)
    })
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn a_dash_is_no_file() {
        let parse = |path: &str| {
            let command = Command::new("x").arg(Arg::new("out").long("out").value_parser(path_to_write()));
            command.try_get_matches_from(["x", "--out", path])
        };
        for path in ["a", "./-", "-a", "a/-"] {
            assert!(parse(&format!("./{path}")).is_ok(), "{path}");
        }
        let error = parse("-").expect_err("refused").to_string();
        assert!(error.contains("standard output"), "{error}");
    }
}
