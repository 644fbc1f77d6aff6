//! Clients generated from the description at `/openapi.json`: for Python by `openapi-python-client`,
//! for TypeScript by `openapi-typescript`. Neither generator may warn, and the clients must work.
//!
//! They need `python3` with `venv`, `npm`, and access to the package indexes; without them, a test prints that it was
//! skipped.

use std::path::Path;
use std::process::Command;

use crate::npm;
use crate::python::{Venv, run};
use crate::support::{Dev, get};

const PYTHON: [&str; 1] = ["openapi-python-client==0.29.1"];
const TYPESCRIPT: [&str; 3] = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"];

const PYTHON_SCRIPT: &str = r#"
import sys
from generated import Client
from generated.api.default import asn, bulk, caller, field, health, subject
from generated.models import Asn, Currency, FieldField, Location, Network, Problem, Refused
client = Client(base_url=sys.argv[1])

google = subject.sync("8.8.8.8", client=client)
assert isinstance(google, Location) and google.city == "Mountain View", google
assert google.asn.asn == "AS15169" and google.languages[0].code == "en", google
assert google.carrier is None and google.time_zone.name == "America/Los_Angeles", google
assert isinstance(caller.sync(client=client), Location)
network = subject.sync("AS15169", client=client)
assert isinstance(network, Network) and network.name == "Google LLC", network
assert subject.sync("city", client=client) is not None
assert isinstance(asn.sync("8.8.8.8", client=client), Asn)
currency = field.sync("8.8.8.8", FieldField.CURRENCY, client=client)
assert isinstance(currency, Currency) and currency.code == "USD", currency
assert field.sync("8.8.8.8", FieldField.CITY, client=client) == "Mountain View"
many = bulk.sync(client=client, body=["8.8.8.8", "AS15169", "bleh"])
assert [type(item) for item in many] == [Location, Network, Refused], many
problem = subject.sync("10.0.0.1", client=client)
assert isinstance(problem, Problem) and problem.status == 400, problem
assert health.sync(client=client).status == "ok"
print("all as expected")
"#;

const TYPESCRIPT_SCRIPT: &str = r#"
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { argv: string[] };
const client = createClient<paths>({ baseUrl: process.argv[2] });
const ensure = (holds: boolean, what: unknown) => {
  if (!holds) throw new Error(JSON.stringify(what));
};

const main = async () => {
  const google = await client.GET("/{subject}", { params: { path: { subject: "8.8.8.8" } } });
  const location = google.data as components["schemas"]["Location"];
  const city: string | null | undefined = location.city;
  ensure(city === "Mountain View" && location.carrier === null, location);
  const native: string | undefined = location.languages?.[0]?.native;
  ensure(native === "English" && location.time_zone?.is_dst !== undefined, location);
  const currency = await client.GET("/{ip}/{field}", { params: { path: { ip: "8.8.8.8", field: "currency" } } });
  ensure((currency.data as components["schemas"]["Currency"]).code === "USD", currency);
  const many = await client.POST("/bulk", { body: ["8.8.8.8", "bleh"], params: { query: { fields: "city" } } });
  ensure(Array.isArray(many.data) && many.data.length === 2, many);
  const refused = await client.GET("/asn/{ip}", { params: { path: { ip: "10.0.0.1" } } });
  ensure(refused.error?.message === "10.0.0.1 is a private IP address", refused);
  console.log("all as expected");
};
main();
"#;

/// Starts a service and saves its description as a file.
fn described(folder: &Path) -> Dev {
    let dev = Dev::start(folder);
    let (status, text) = get(&format!("{}/openapi.json", dev.nearest().trim_end_matches('/')), None);
    assert_eq!(status, 200);
    std::fs::write(folder.join("openapi.json"), text).expect("a file");
    dev
}

#[test]
fn openapi_python_client_makes_a_client_that_works() {
    let Some(venv) = Venv::with("openapi-python-client", &PYTHON) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dev = described(folder.path());
    // The formatter that it would run afterwards is another program.
    std::fs::write(folder.path().join("config.yml"), "post_hooks: []\n").expect("a file");
    let mut generate = venv.python();
    generate.current_dir(folder.path()).args([
        "-m",
        "openapi_python_client",
        "generate",
        "--fail-on-warning",
    ]);
    generate.args(["--path", "openapi.json", "--output-path", "generated", "--meta", "none"]);
    run(generate.args(["--config", "config.yml"])).unwrap_or_else(|told| panic!("{told}"));
    let mut ask = venv.python();
    ask.current_dir(folder.path()).args(["-c", PYTHON_SCRIPT, dev.nearest().trim_end_matches('/')]);
    let told = run(&mut ask).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(told, "all as expected");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn openapi_typescript_makes_types_that_work() {
    let Some(packages) = npm::folder("openapi-typescript", &TYPESCRIPT) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dev = described(folder.path());
    std::fs::write(folder.path().join("client.ts"), TYPESCRIPT_SCRIPT).expect("a file");
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.path().join("node_modules"))
        .expect("a link");
    let tool = |name: &str, arguments: &[&str]| {
        let program = packages.join("node_modules/.bin").join(name);
        let output =
            Command::new(program).current_dir(folder.path()).args(arguments).output().expect("it runs");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(output.status.success() && !told.to_lowercase().contains("warn"), "{name}: {told}");
    };
    tool("openapi-typescript", &["openapi.json", "-o", "api.ts"]);
    tool("tsc", &["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "client.ts"]);
    let mut ask = Command::new("node");
    ask.current_dir(folder.path()).args(["client.js", dev.nearest().trim_end_matches('/')]);
    let told = run(&mut ask).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(told, "all as expected");
    assert_eq!(dev.stop(), Some(0));
}
