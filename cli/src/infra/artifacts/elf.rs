//! Checks a built program: its architecture and the glibc version that it needs.

use super::toolchain::GLIBC;
use crate::config::Architecture;

const MAGIC: &[u8; 4] = b"\x7fELF";
/// `e_machine` (ELF specification and its supplements).
const MACHINE_X86_64: u16 = 62;
const MACHINE_AARCH64: u16 = 183;

/// Why a file can't be the function's program.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    #[error(
        "it is not a 64-bit Linux program (nor a zip with `bootstrap` in it)\n\
         help: use `bootstrap-arm64` or `bootstrap-x86_64` of a release archive, or run ipgeo in a clone, which builds it"
    )]
    NotElf,
    #[error(
        "it is built for {found}, but regions.toml has `architecture = \"{wanted}\"`\n\
         help: pass a program for {wanted} with --artifact, or change `architecture`"
    )]
    Machine { found: String, wanted: &'static str },
    #[error(
        "it needs glibc 2.{found}, but Lambda has {major}.{minor}; build it with `cargo zigbuild` \
         (pip install cargo-zigbuild ziglang)", major = GLIBC.0, minor = GLIBC.1
    )]
    Glibc { found: u32 },
}

/// Checks that a program runs in Lambda's `provided.al2023` on an architecture.
pub(crate) fn check_bootstrap(program: &[u8], wanted: Architecture) -> Result<(), ElfError> {
    let header = program.get(..20).filter(|header| header.starts_with(MAGIC) && header[4] == 2);
    let header = header.ok_or(ElfError::NotElf)?;
    let machine = u16::from_le_bytes([header[18], header[19]]);
    let expected = match wanted {
        Architecture::Arm64 => MACHINE_AARCH64,
        Architecture::X86_64 => MACHINE_X86_64,
    };
    if machine != expected {
        let found = match machine {
            MACHINE_AARCH64 => "arm64".to_owned(),
            MACHINE_X86_64 => "x86_64".to_owned(),
            other => format!("processor {other}"),
        };
        return Err(ElfError::Machine { found, wanted: wanted.as_str() });
    }
    match glibc_minor(program) {
        Some(found) if found > GLIBC.1 => Err(ElfError::Glibc { found }),
        _ => Ok(()),
    }
}

/// The highest `GLIBC_2.<minor>` that a program names; its dynamic string table holds the names as text.
fn glibc_minor(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let mut highest = None;
    let mut rest = program;
    while let Some(at) = position_of(rest, NAME) {
        rest = &rest[at + NAME.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(3);
        let minor = digits
            .fold(None, |sum: Option<u32>, digit| Some(sum.unwrap_or(0) * 10 + u32::from(digit - b'0')));
        highest = highest.max(minor);
    }
    highest
}

/// The first position of a text in a program.
pub(super) fn position_of(bytes: &[u8], name: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == name[0]) {
        if bytes[from + at..].starts_with(name) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(machine: u16, tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = 2;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes.extend_from_slice(tail);
        bytes
    }

    #[test]
    fn programs_for_other_systems_are_rejected() {
        let table = [
            (program(MACHINE_AARCH64, b"GLIBC_2.17\0GLIBC_2.34\0"), Architecture::Arm64, Ok(())),
            (program(MACHINE_X86_64, b"static"), Architecture::X86_64, Ok(())),
            (
                program(MACHINE_X86_64, b"\0GLIBC_2.4\0GLIBC_2.39\0"),
                Architecture::X86_64,
                Err(ElfError::Glibc { found: 39 }),
            ),
            (
                program(MACHINE_X86_64, b""),
                Architecture::Arm64,
                Err(ElfError::Machine { found: "x86_64".into(), wanted: "arm64" }),
            ),
            (b"#!/bin/sh\necho hello, I am a script".to_vec(), Architecture::Arm64, Err(ElfError::NotElf)),
            (Vec::new(), Architecture::Arm64, Err(ElfError::NotElf)),
        ];
        for (bytes, wanted, expected) in table {
            assert_eq!(check_bootstrap(&bytes, wanted), expected);
        }
    }
}
