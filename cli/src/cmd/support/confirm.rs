//! Confirmation prompts.

use anyhow::bail;

use super::select::ExecuteArgs;
use crate::ui::output::{self, UsageError};

/// Asks before a plan is executed. An error when the operator declines or cannot be asked.
pub(crate) fn confirm_plan(question: &str, args: &ExecuteArgs) -> anyhow::Result<()> {
    ask(question, "", args.yes, args.no_input)
}

/// Asks before something that cannot be undone, unless `yes`. An error when the operator declines or cannot be asked.
pub(crate) fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    ask(&format!("{what}; continue?"), &format!("{what}: "), yes, false)
}

fn ask(question: &str, reason: &str, yes: bool, no_input: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let answer = if no_input { None } else { output::prompt(&format!("{question} [y/N]"))? };
    match answer {
        None => {
            bail!(UsageError::new(format!(
                "{reason}cannot prompt: {}; pass --yes to confirm",
                obstacle(no_input)
            )))
        }
        Some(answer) if matches!(answer.to_lowercase().as_str(), "y" | "yes") => Ok(()),
        Some(_) => bail!("cancelled: nothing was changed"),
    }
}

/// Asks for the name of the service that is to be deleted, unless `confirm` is it.
pub(crate) fn confirm_name(name: &str, confirm: Option<&str>, no_input: bool) -> anyhow::Result<()> {
    if let Some(confirm) = confirm {
        if confirm == name {
            return Ok(());
        }
        bail!(UsageError::new(format!("--confirm is `{confirm}`, but the service is `{name}`")));
    }
    let answer = if no_input { None } else { output::prompt(&format!("type {name} to continue:"))? };
    match answer {
        Some(answer) if answer == name => Ok(()),
        Some(answer) if answer.is_empty() => bail!("cancelled: nothing was changed"),
        Some(answer) => bail!("`{answer}` is not `{name}`: nothing was changed"),
        None => {
            bail!(UsageError::new(format!("cannot prompt: {}; pass --confirm {name}", obstacle(no_input))))
        }
    }
}

/// Why there was no answer.
fn obstacle(no_input: bool) -> &'static str {
    if no_input { "--no-input was given" } else { "stdin is not a terminal" }
}
