//! `ipgeo`: see `ipgeo --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipgeo::main().into()
}
