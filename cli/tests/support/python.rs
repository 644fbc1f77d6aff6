//! Python programs that tests compare this project with, each in its own virtual environment below the
//! build's folder: created once, at pinned versions, and shared by all test programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// If this is set, a test that needs Python fails without it; otherwise it prints that it was skipped.
const REQUIRE: &str = "IPGEO_REQUIRE_EMULATOR";

/// A virtual environment.
#[derive(Debug, Clone)]
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment `name` with these packages (`name==version`). `None`: it can't be created here; a
    /// message was printed, and the caller skips the rest of its test.
    #[expect(clippy::print_stderr, reason = "a test that leaves itself out must say so")]
    pub(crate) fn with(name: &str, packages: &[&str]) -> Option<Self> {
        match Self::made(name, packages) {
            Ok(venv) => Some(venv),
            Err(why) if std::env::var_os(REQUIRE).is_none() => {
                eprintln!(
                    "\nLEFT OUT: no Python with {}: {why}\n({REQUIRE}=1 makes this a failure)\n",
                    packages.join(", ")
                );
                None
            }
            Err(why) => panic!("no Python with {}: {why}", packages.join(", ")),
        }
    }

    fn made(name: &str, packages: &[&str]) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (ready, wanted) = (folder.join("ready"), packages.join("\n"));
        let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
        // Test programs run in parallel: the first creates it, the others wait.
        lock.lock().map_err(|error| error.to_string())?;
        let venv = Self { folder };
        if std::fs::read_to_string(&ready).is_ok_and(|found| found == wanted) {
            return Ok(venv);
        }
        run(Command::new("python3").args(["-m", "venv", "--clear", "--without-pip"]).arg(&venv.folder))?;
        // A pip in each environment would take seconds of CPU, and so would compiling modules that nothing imports.
        run(pip()?
            .arg("--python")
            .arg(&venv.folder)
            .args(["install", "--quiet", "--disable-pip-version-check", "--no-compile"])
            .args(packages))?;
        std::fs::write(&ready, wanted).map_err(|error| error.to_string())?;
        Ok(venv)
    }

    /// Its interpreter.
    pub(crate) fn python(&self) -> Command {
        let mut python = Command::new(self.folder.join("bin").join("python"));
        // Container images often set it; each start would then compile every module again.
        python.env_remove("PYTHONDONTWRITEBYTECODE");
        python
    }
}

/// The one pip that installs into all environments, in an environment of its own.
fn pip() -> Result<Command, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pip");
    let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let mut pip = Command::new(folder.join("bin").join("python"));
    pip.env_remove("PYTHONDONTWRITEBYTECODE").args(["-m", "pip"]);
    if run(Command::new(pip.get_program()).args(["-c", "import pip"])).is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    }
    Ok(pip)
}

/// Runs a command to its end; returns its standard output, or its error messages.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match command.output() {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(text(&stdout)),
        Ok(Output { status, stdout, stderr }) => {
            Err(format!("{program}: {status}\n{}\n{}", text(&stdout), text(&stderr)))
        }
        Err(error) => Err(format!("{program}: {error}")),
    }
}
