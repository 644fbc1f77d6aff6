//! The description at `/openapi.json`, tested by `openapi-spec-validator`, which knows `OpenAPI`'s own rules, and by
//! `schemathesis`: it generates valid and invalid requests from the description, sends them to `ipgeo dev`, and compares
//! every answer with the description.
//!
//! It needs `python3` with `venv` and access to Python's package index; without them, it is skipped with a message.

use crate::python::{self, Venv};
use crate::support::Dev;

const SCHEMATHESIS: &str = "schemathesis==4.32.5";

const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/src/lookup/openapi.json");

/// Requests for each operation.
const EXAMPLES: &str = "60";
/// The checks of each answer. Two are omitted, because they treat every text of a parameter's format as valid: `10.0.0.1` is an
/// address, but has no location.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method";

#[test]
fn the_description_is_valid_openapi_3_1() {
    let Some(venv) = Venv::with("openapi-spec-validator", &[VALIDATOR]) else { return };
    let mut command = venv.python();
    command.args(["-m", "openapi_spec_validator", "--schema", "3.1", DESCRIPTION]);
    let printed = python::run(&mut command).unwrap_or_else(|error| panic!("{error}"));
    assert!(printed.ends_with("OK"), "{printed}");
}

#[test]
fn every_answer_is_as_the_description_says() {
    let Some(venv) = Venv::with("schemathesis", &[SCHEMATHESIS]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path());
    let description = format!("{}/openapi.json", dev.nearest().trim_end_matches('/'));
    let mut command = venv.python();
    command
        .current_dir(folder.path())
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", &description])
        .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "1", "--mode", "all"])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"])
        .args(["--generation-database", "none"]);
    let told = python::run(&mut command).unwrap_or_else(|told| panic!("{told}"));
    // A run with hardly any requests would pass too.
    let of = |word: &str| {
        told.split([',', '\n']).find_map(|part| part.trim().strip_suffix(word)?.parse::<u32>().ok())
    };
    let (generated, passed) = (of(" generated"), of(" passed"));
    assert!(generated > Some(100) && generated == passed, "{told}");
    assert_eq!(dev.stop(), Some(0));
}
