//! The calls to the cloud in memory and their effects.

use std::collections::BTreeMap;

/// Calls and their effects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Reading calls.
    pub reads: usize,
    /// Requested steps: region and title.
    pub calls: Vec<(String, String)>,
    /// What was changed.
    pub effects: Vec<Effect>,
    /// Calls that AWS rejects or advises against, or that harm callers or data: none may ever be made.
    pub harm: Vec<String>,
}

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    /// Where.
    pub region: String,
    /// What: `create edge`, `copy code/….zip`, `attach eu-west-1`.
    pub what: String,
}

impl Log {
    pub(crate) fn effect(&mut self, region: &str, what: impl Into<String>) {
        self.effects.push(Effect { region: region.to_owned(), what: what.into() });
    }

    /// How often the same was done in the same region, where it was more than once.
    pub fn repeated(&self) -> Vec<String> {
        let mut counts: BTreeMap<&Effect, usize> = BTreeMap::new();
        for effect in &self.effects {
            *counts.entry(effect).or_default() += 1;
        }
        let repeated = counts.into_iter().filter(|(_, count)| *count > 1);
        repeated.map(|(effect, count)| format!("{}: {} {count} times", effect.region, effect.what)).collect()
    }

    /// Effects whose description begins so, as `region: what`.
    pub fn effects_of(&self, start: &str) -> Vec<String> {
        let found = self.effects.iter().filter(|effect| effect.what.starts_with(start));
        found.map(|effect| format!("{}: {}", effect.region, effect.what)).collect()
    }
}
