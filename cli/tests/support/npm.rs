//! Node programs that tests compare this project with, each in a folder of its own below the build's: installed once, at
//! pinned versions, and shared by all test programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::run;

/// If this is set, a test that needs npm fails without it; otherwise it prints that it was skipped.
const REQUIRE: &str = "IPGEO_REQUIRE_EMULATOR";

/// The folder `name` with these packages (`name@version`). `None`: it can't be created here; a message was printed,
/// and the caller skips the rest of its test.
#[expect(clippy::print_stderr, reason = "a skipped test must report it")]
pub(crate) fn folder(name: &str, packages: &[&str]) -> Option<PathBuf> {
    match made(name, packages) {
        Ok(folder) => Some(folder),
        Err(why) if std::env::var_os(REQUIRE).is_none() => {
            eprintln!(
                "\nLEFT OUT: no Node with {}: {why}\n({REQUIRE}=1 makes this a failure)\n",
                packages.join(", ")
            );
            None
        }
        Err(why) => panic!("no Node with {}: {why}", packages.join(", ")),
    }
}

fn made(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (ready, wanted) = (folder.join("ready"), packages.join("\n"));
    let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
    // Test programs run in parallel: the first creates it, the others wait.
    lock.lock().map_err(|error| error.to_string())?;
    if std::fs::read_to_string(&ready).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("package.json"), "{ \"private\": true }")
        .map_err(|error| error.to_string())?;
    run(Command::new("npm")
        .current_dir(&folder)
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
        .args(packages))?;
    std::fs::write(&ready, wanted).map_err(|error| error.to_string())?;
    Ok(folder)
}
