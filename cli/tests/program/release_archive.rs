//! The archives of a release, created by `.ci/archive` from this build: their content, and that the `ipgeo` in one plans
//! with the bootstraps beside it, in a folder without sources.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// A file that looks like the bootstrap of a release: the start of a 64-bit program, and the mark.
fn bootstrap(machine: u8, version: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..5].copy_from_slice(b"\x7fELF\x02");
    bytes[18] = machine;
    bytes.extend_from_slice(format!("<ipgeo bootstrap {version}>").as_bytes());
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command, which must succeed.
fn done(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs `.ci/archive`.
fn archives(parts: &Path, out: &Path) -> Output {
    Command::new(root().join(".ci/archive"))
        .args([parts, out])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .expect("bash")
}

/// Answers `GetCallerIdentity` like AWS and refuses everything else.
fn identity_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 8192];
            let read = connection.read(&mut request).unwrap_or(0);
            let (status, body) = if text(&request[..read]).contains("GetCallerIdentity") {
                let identity = "<Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>x</UserId><Account>123456789012</Account>";
                let result = format!("<GetCallerIdentityResult>{identity}</GetCallerIdentityResult>");
                let space = "https://sts.amazonaws.com/doc/2011-06-15/";
                (
                    "200 OK",
                    format!(
                        "<GetCallerIdentityResponse xmlns=\"{space}\">{result}</GetCallerIdentityResponse>"
                    ),
                )
            } else {
                ("403 Forbidden", String::new())
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close\r\n");
            let _ = write!(connection, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    format!("http://{address}")
}

/// The output of `ipgeo plan` of an unpacked archive, in an empty folder.
fn plan(program: &Path, folder: &Path, endpoint: &str) -> String {
    let mut command = Command::new(program);
    command.arg("plan").current_dir(folder).env_remove("AWS_PROFILE").env("AWS_ENDPOINT_URL", endpoint);
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_MAX_ATTEMPTS", "1");
    text(&command.output().expect("it starts").stderr)
}

#[test]
fn an_archive_is_complete_and_its_program_plans_with_the_bootstraps_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (parts, out) = (folder.path().join("parts"), folder.path().join("out"));
    std::fs::create_dir_all(parts.join(target())).expect("a folder");
    // A link if possible, because a debug build has 100 MB.
    let program = parts.join(target()).join("ipgeo");
    std::fs::hard_link(env!("CARGO_BIN_EXE_ipgeo"), &program)
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_ipgeo"), &program).map(drop))
        .expect("the program");
    std::fs::write(parts.join("ipgeo.cdx.json"), "{}").expect("a bill");
    for (name, machine) in [("bootstrap-x86_64", 62), ("bootstrap-arm64", 183)] {
        std::fs::write(parts.join(name), bootstrap(machine, "0.0.9")).expect("a part");
        let refused = archives(&parts, &out);
        assert!(text(&refused.stderr).contains(&format!("{name} is not the bootstrap of ipgeo {VERSION}")));
        std::fs::write(parts.join(name), bootstrap(machine, VERSION)).expect("a part");
    }
    let made = archives(&parts, &out);
    assert!(made.status.success(), "{}", text(&made.stderr));

    let name = format!("ipgeo-{VERSION}-{}", target());
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).expect("checksums");
    assert!(sums.lines().count() == 2 && sums.contains(&format!("{name}.tar.gz")), "{sums}");
    done(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&out));
    done(Command::new("tar").arg("-xzf").arg(out.join(format!("{name}.tar.gz"))).current_dir(folder.path()));
    let unpacked = folder.path().join(&name);
    let listed =
        done(Command::new("find").args([".", "-type", "f", "-printf", "%P %m\n"]).current_dir(&unpacked));
    for (file, mode) in [
        ("ipgeo", "755"),
        ("bootstrap-x86_64", "755"),
        ("bootstrap-arm64", "755"),
        ("README.md", "644"),
        ("CHANGELOG.md", "644"),
        ("LICENSE", "644"),
        ("completions/_ipgeo", "644"),
        ("completions/ipgeo.bash", "644"),
        ("completions/ipgeo.fish", "644"),
        ("man/man1/ipgeo.1", "644"),
        ("man/man1/ipgeo-deploy.1", "644"),
    ] {
        assert!(listed.lines().any(|line| line == format!("{file} {mode}")), "{file}: {listed}");
    }

    // Through a symbolic link in an empty folder.
    done(Command::new(root().join(".ci/try-program")).arg(unpacked.join("ipgeo")));
    let (work, linked) = (folder.path().join("work"), folder.path().join("linked"));
    std::fs::create_dir(&work).expect("a folder");
    std::os::unix::fs::symlink(unpacked.join("ipgeo"), &linked).expect("a link");
    done(Command::new(&linked).args(["init", "--no-input", "--regions", "eu-central-1"]).current_dir(&work));
    done(Command::new(&linked).args(["geo", "build", "--sample"]).current_dir(&work));
    let endpoint = identity_service();
    plan(&linked, &work, &endpoint);
    let index = std::fs::read_to_string(work.join(".ipgeo/artifacts/index.json")).expect("artifacts");
    assert!(index.contains(&format!("ipgeo {VERSION} for arm64")), "{index}");

    // Of another release, or missing: refused with a remedy.
    let shipped = unpacked.join("bootstrap-arm64");
    std::fs::write(&shipped, bootstrap(183, "0.0.9")).expect("replaced");
    let said = plan(&linked, &work, &endpoint);
    assert!(
        said.contains("is the bootstrap of ipgeo 0.0.9, but this is ipgeo") && said.contains("help: "),
        "{said}"
    );
    std::fs::remove_file(&shipped).expect("removed");
    let said = plan(&linked, &work, &endpoint);
    assert!(said.contains("no bootstrap for arm64") && said.contains("--artifact FILE"), "{said}");
}

/// `cargo install` needs a binary with this name, locked dependencies, and a licence.
#[test]
fn the_manifest_can_be_installed_from() {
    let manifest = std::fs::read_to_string(root().join("cli/Cargo.toml")).expect("a manifest");
    let manifest: toml::Value = toml::from_str(&manifest).expect("TOML");
    assert_eq!(manifest["bin"][0]["name"].as_str(), Some("ipgeo"));
    assert!(root().join("Cargo.lock").is_file() && root().join("LICENSE").is_file());
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let workspace: toml::Value = toml::from_str(&workspace).expect("TOML");
    for (name, dependency) in workspace["workspace"]["dependencies"].as_table().expect("dependencies") {
        let path = dependency.get("path").and_then(toml::Value::as_str).unwrap_or("cli");
        assert!(
            !path.starts_with(['/', '.']) && root().join(path).join("Cargo.toml").is_file(),
            "{name}: {path}"
        );
        assert!(dependency.get("git").is_none(), "{name}");
    }
}
