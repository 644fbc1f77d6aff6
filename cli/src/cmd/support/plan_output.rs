//! A plan as people read it, and what blocks one.

use crate::infra::plan::{Plan, Problem, problems_block, show};
use crate::ui::output::{self, Exit, Paint, painted};

/// Prints a plan as a table, below the account and home region that it is for.
pub(crate) fn print_plan(plan: &Plan, verbose: bool) -> anyhow::Result<()> {
    let shown = show(plan, verbose);
    let place = format!("{} in account {}, home {}", plan.service, plan.account, plan.home);
    let mut text = painted(Paint::Heading, &place) + "\n";
    text.extend(shown.body.lines().map(|line| painted_line(line) + "\n"));
    text.push('\n');
    text.push_str(&painted(Paint::Heading, &shown.last_line));
    Ok(output::print_painted(&text)?)
}

/// A plan's line in the colour of its sign.
fn painted_line(line: &str) -> String {
    let change = line.split_once(": ").map_or(line, |(_, change)| change).trim_start();
    let paint = if !line.starts_with(' ') && !line.starts_with("note:") {
        Paint::Heading
    } else if line.contains("[DATA OR PIPE]") || change.starts_with("-/+") || change.starts_with("- ") {
        Paint::Danger
    } else if change.starts_with("[IAM]") || change.starts_with('~') {
        Paint::Change
    } else if change.starts_with('+') {
        Paint::Add
    } else {
        return line.to_owned();
    };
    painted(paint, line)
}

pub(crate) fn report_faults(faults: &[Problem]) -> Exit {
    for fault in faults {
        output::print_note(&format!("error: {fault}"));
    }
    output::print_note(&format!("{} this plan; nothing was changed", problems_block(faults.len())));
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_colour_of_its_sign() {
        let table = [
            ("edges", Some("1m")),
            ("  9 regions: ~ edge LookupFunction: MemorySize 256 → 512", Some("33m")),
            ("  eu-west-1: + edge stack: 14 resources", Some("32m")),
            ("  eu-west-1: -/+ edge Domain: DomainName a → b  [DATA OR PIPE]", Some("31m")),
            ("  eu-west-1: - edge stack ipgeo-prod-edge, whole", Some("31m")),
            ("  eu-west-1: ? /health, /8.8.8.8 and an API key", None),
            ("note: drained, and left so: eu-west-1", None),
        ];
        for (line, code) in table {
            let painted = painted_line(line);
            assert_eq!(painted == line, code.is_none(), "{painted:?}");
            assert!(code.is_none_or(|code| painted.contains(code)), "{painted:?}");
        }
    }
}
