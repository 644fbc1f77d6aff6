//! Applies changed tier limits at start: if a tier in regions.toml has a different limit than at the last start, its API
//! keys get the new one, as with a deploy.

use std::path::Path;

use anyhow::Context as _;
use ipgeo_contract::Limit;

use crate::aws::Home;
use crate::config::Tiers;
use crate::fs::{Replace, write_private};
use crate::keys::change_tier;
use crate::ui::format::{counted, grouped_limit};
use crate::ui::output::print_note;

/// File in the stores' folder: the limits at the last start, one per line, such as `startup 100000/month`.
const FILE_NAME: &str = "tiers";

/// Gives API keys the new limits of their tiers. The limits are saved afterwards, so that the next start completes one
/// that was interrupted.
pub(crate) async fn apply_changes(folder: &Path, tiers: &Tiers, home: &Home) -> anyhow::Result<()> {
    let file = folder.join(FILE_NAME);
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    for (name, from) in before.lines().filter_map(read_line) {
        if tiers.find(name).is_none() {
            print_note(&format!(
                "tier `{name}` is no longer in regions.toml; its API keys keep their limits"
            ));
        }
        let Some(tier) = tiers.find(name).filter(|tier| tier.limit != from) else { continue };
        let changed = change_tier(home, name, from, tier.limit, |_, _| ()).await;
        let count = changed
            .map_err(|error| anyhow::anyhow!(error))
            .with_context(|| format!("give the API keys of tier `{name}` its new limit"))?;
        if count > 0 {
            print_note(&format!(
                "tier `{name}`: {} changed from {} to {}",
                counted(count, "API key"),
                grouped_limit(&from.to_string()),
                grouped_limit(&tier.limit.to_string())
            ));
        }
    }
    let now: Vec<String> = tiers.paid.iter().map(|tier| format!("{} {}", tier.name, tier.limit)).collect();
    let now = now.join("\n");
    if now != before {
        write_private(&file, now.as_bytes(), Replace::Yes)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Malformed lines are skipped.
fn read_line(line: &str) -> Option<(&str, Limit)> {
    let (name, limit) = line.split_once(' ')?;
    Some((name, limit.parse().ok()?))
}
