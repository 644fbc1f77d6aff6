//! Chooses the command that builds the function, from the tools on this machine.

use crate::config::Architecture;

/// The glibc of Lambda's `provided.al2023`.
pub(crate) const GLIBC: (u32, u32) = (2, 34);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolchainFacts {
    /// The compiler's own target, such as `x86_64-unknown-linux-gnu`.
    pub host: String,
    pub zigbuild: bool,
    /// Whether the standard library for the wanted target is installed.
    pub has_target: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildCommand {
    /// Arguments of `cargo`.
    pub arguments: Vec<String>,
    /// The program's path below the target folder.
    pub program: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ToolchainError {
    #[error(
        "cannot build the function: this machine builds for {host}, the function needs {wanted}\n\
         help: install `cargo zigbuild` (pip install cargo-zigbuild ziglang) and run `rustup target add {wanted}`, set \
         `architecture` in regions.toml, or pass a built program with --artifact FILE"
    )]
    NoCross { host: String, wanted: &'static str },
    #[error(
        "cannot build the function: the compiler has no standard library for {0}\nhelp: run `rustup target add {0}`"
    )]
    NoTarget(&'static str),
}

pub(super) fn target(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Arm64 => "aarch64-unknown-linux-gnu",
        Architecture::X86_64 => "x86_64-unknown-linux-gnu",
    }
}

pub(crate) fn build_command(
    architecture: Architecture,
    facts: &ToolchainFacts,
    target_folder: &str,
) -> Result<BuildCommand, ToolchainError> {
    let target = target(architecture);
    let package = ["--profile", "lambda", "--locked", "--package", "ipgeo-runtime", "--bin", "bootstrap"];
    let folder = ["--target-dir", target_folder];
    let command = |head: &[&str], program: String| BuildCommand {
        arguments: head.iter().chain(&package).chain(&folder).map(|text| (*text).to_owned()).collect(),
        program,
    };
    if facts.zigbuild {
        if !facts.has_target {
            return Err(ToolchainError::NoTarget(target));
        }
        let versioned = format!("{target}.{}.{}", GLIBC.0, GLIBC.1);
        return Ok(command(&["zigbuild", "--target", &versioned], format!("{target}/lambda/bootstrap")));
    }
    if facts.host == target {
        return Ok(command(&["build"], "lambda/bootstrap".to_owned()));
    }
    Err(ToolchainError::NoCross { host: facts.host.clone(), wanted: target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_decide_the_command() {
        const X86: &str = "x86_64-unknown-linux-gnu";
        let facts =
            |host: &str, zigbuild, has_target| ToolchainFacts { host: host.to_owned(), zigbuild, has_target };
        let table = [
            (
                Architecture::Arm64,
                facts(X86, true, true),
                Ok(
                    "zigbuild --target aarch64-unknown-linux-gnu.2.34 --profile lambda --locked --package ipgeo-runtime \
                    --bin bootstrap --target-dir t => aarch64-unknown-linux-gnu/lambda/bootstrap",
                ),
            ),
            (
                Architecture::X86_64,
                facts(X86, false, true),
                Ok(
                    "build --profile lambda --locked --package ipgeo-runtime --bin bootstrap --target-dir t => lambda/bootstrap",
                ),
            ),
            (
                Architecture::Arm64,
                facts(X86, true, false),
                Err("rustup target add aarch64-unknown-linux-gnu"),
            ),
            (Architecture::Arm64, facts(X86, false, true), Err("pip install cargo-zigbuild ziglang")),
            (Architecture::X86_64, facts("aarch64-apple-darwin", false, true), Err("--artifact FILE")),
        ];
        for (architecture, facts, expected) in table {
            let found = match build_command(architecture, &facts, "t") {
                Ok(command) => format!("{} => {}", command.arguments.join(" "), command.program),
                Err(error) => error.to_string(),
            };
            match expected {
                Ok(text) => assert_eq!(found, text),
                Err(part) => assert!(found.contains(part), "{found}"),
            }
        }
    }

    /// A release's bootstraps are built as `deploy` builds them.
    #[test]
    fn the_release_workflow_builds_with_the_same_commands() {
        let workflow = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.github/workflows/release.yml"));
        for architecture in [Architecture::Arm64, Architecture::X86_64] {
            let facts = ToolchainFacts { host: String::new(), zigbuild: true, has_target: true };
            let command = build_command(architecture, &facts, "target").expect("a command");
            let line = command.arguments.join(" ").replace(" --target-dir target", "");
            assert!(workflow.contains(&format!("cargo {line}\n")), "cargo {line}");
            let copy = format!("cp target/{} parts/bootstrap-{}\n", command.program, architecture.as_str());
            assert!(workflow.contains(&copy), "{copy}");
        }
    }
}
