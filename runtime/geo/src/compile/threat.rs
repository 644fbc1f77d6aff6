//! The flags of the member `threat`: those derived from the sources' flags, and those known to be `false`.
//!
//! A flag is `true` if a source sets it, `false` if a source covers it and none sets it, and left out if no source covers
//! it: an unchecked `false` would be made up.

use super::facts::{FLAGS, Flags};

/// A flag that is derived from others.
struct Derived {
    flag: &'static str,
    /// It is true if one of these is, and false only if all are known to be false.
    from: &'static [&'static str],
}

const DERIVED: [Derived; 2] = [
    Derived { flag: "is_anonymous", from: &["is_tor", "is_vpn", "is_proxy", "is_icloud_relay"] },
    Derived { flag: "is_threat", from: &["is_known_attacker", "is_known_abuser"] },
];

fn named(names: &[&str]) -> Flags {
    names.iter().filter_map(|name| Flags::named(name)).fold(Flags::default(), Flags::with)
}

/// The flags with those derived from them.
pub(super) fn with_derived(set: Flags) -> Flags {
    let follow = DERIVED.iter().filter(|derived| set.0 & named(derived.from).0 != 0);
    follow.fold(set, |all, derived| all.with(named(&[derived.flag])))
}

/// The flags that are known to be false if no source sets them: those that sources cover, and of the derived ones those whose
/// parts are all covered. A source that itself sets a derived flag does not cover it: an address outside a list of anonymous
/// networks may still be an exit of a VPN.
pub(super) fn spoken_with_derived(spoken: Flags) -> Flags {
    DERIVED.iter().fold(spoken, |all, derived| {
        let flag = named(&[derived.flag]);
        if spoken.has(named(derived.from)) { all.with(flag) } else { Flags(all.0 & !flag.0) }
    })
}

/// The members of `threat` without braces, in the order of an answer; both sets must include the derived flags.
pub(super) fn members(set: Flags, spoken: Flags) -> String {
    let mut members = String::new();
    for name in FLAGS {
        let flag = named(&[name]);
        if set.has(flag) || spoken.has(flag) {
            if !members.is_empty() {
                members.push(',');
            }
            members.extend(["\"", name, "\":", if set.has(flag) { "true" } else { "false" }]);
        }
    }
    members
}

/// The names of flags, in the order of an answer.
pub(super) fn names(flags: Flags) -> Vec<&'static str> {
    FLAGS.into_iter().filter(|name| flags.has(named(&[name]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threat(set: &[&str], spoken: &[&str]) -> String {
        members(with_derived(named(set)), spoken_with_derived(named(spoken)))
    }

    #[test]
    fn a_flag_is_false_only_if_a_source_speaks_of_it() {
        let four = ["is_tor", "is_vpn", "is_proxy", "is_icloud_relay"];
        // (flags set for the address, flags that any source covers, members of `threat`)
        let table: [(&[&str], &[&str], &str); 14] = [
            (&[], &[], ""),
            (&[], &["is_tor"], r#""is_tor":false"#),
            (&["is_tor"], &["is_tor"], r#""is_tor":true,"is_anonymous":true"#),
            (&["is_vpn"], &["is_tor", "is_vpn"], r#""is_tor":false,"is_vpn":true,"is_anonymous":true"#),
            (&[], &["is_datacenter"], r#""is_datacenter":false"#),
            (&["is_datacenter"], &["is_datacenter"], r#""is_datacenter":true"#),
            (
                &[],
                &four,
                r#""is_tor":false,"is_vpn":false,"is_proxy":false,"is_icloud_relay":false,"is_anonymous":false"#,
            ),
            // A list of a derived flag sets it, but says nothing about other addresses.
            (&[], &["is_anonymous"], ""),
            (&["is_anonymous"], &["is_anonymous"], r#""is_anonymous":true"#),
            (&[], &["is_tor", "is_anonymous"], r#""is_tor":false"#),
            (&[], &["is_threat", "is_known_abuser"], r#""is_known_abuser":false"#),
            (&["is_known_abuser"], &["is_known_abuser"], r#""is_known_abuser":true,"is_threat":true"#),
            (&[], &["is_known_abuser"], r#""is_known_abuser":false"#),
            (
                &[],
                &["is_known_attacker", "is_known_abuser"],
                r#""is_known_attacker":false,"is_known_abuser":false,"is_threat":false"#,
            ),
        ];
        for (set, spoken, expected) in table {
            assert_eq!(threat(set, spoken), expected, "{set:?} of {spoken:?}");
        }
        assert_eq!(names(named(&["is_vpn", "is_tor"])), ["is_tor", "is_vpn"]);
    }
}
