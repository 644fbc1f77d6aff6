//! Filters API keys by owner and tier, for `keys list` and `keys export`. An empty result explains which filter matched
//! nothing, so that a typo does not look like an empty list.

use std::collections::BTreeSet;

use ipgeo_contract::{Identity, KeyRecord};

use super::spec::{SpecError, find_tier};
use crate::config::{Tiers, suggestion};

/// `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyFilter {
    /// The exact owner.
    pub owner: Option<String>,
    pub tier: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilteredKeys {
    pub found: Vec<(Identity, KeyRecord)>,
    empty_reason: Option<String>,
}

impl FilteredKeys {
    /// Why nothing was found: there are no API keys at all, or the filter that matched nothing.
    pub(crate) fn empty_reason(&self) -> Option<String> {
        self.empty_reason.clone()
    }
}

impl KeyFilter {
    /// The API keys that match. A tier that is neither in regions.toml nor in any API key is an error.
    pub(crate) fn apply(
        &self,
        all: &[(Identity, KeyRecord)],
        tiers: &Tiers,
    ) -> Result<FilteredKeys, SpecError> {
        let has_tier = |record: &KeyRecord| self.tier.as_ref().is_none_or(|tier| *tier == record.tier);
        let has_owner = |record: &KeyRecord| self.owner.as_ref().is_none_or(|owner| *owner == record.owner);
        if let Some(tier) = &self.tier
            && !all.iter().any(|(_, record)| has_tier(record))
        {
            find_tier(tier, tiers)?;
        }
        let found: Vec<_> =
            all.iter().filter(|(_, record)| has_tier(record) && has_owner(record)).cloned().collect();
        let empty_reason = found.is_empty().then(|| self.explain_empty(all, &has_owner, &has_tier));
        Ok(FilteredKeys { found, empty_reason })
    }

    fn explain_empty(
        &self,
        all: &[(Identity, KeyRecord)],
        has_owner: &dyn Fn(&KeyRecord) -> bool,
        has_tier: &dyn Fn(&KeyRecord) -> bool,
    ) -> String {
        if all.is_empty() {
            return "no API keys yet; create one with `ipgeo keys create`".to_owned();
        }
        let any = |matches: &dyn Fn(&KeyRecord) -> bool| all.iter().any(|(_, record)| matches(record));
        let owner = self.owner.as_deref().unwrap_or_default();
        if !any(has_owner) {
            let owners: BTreeSet<&str> = all.iter().map(|(_, record)| record.owner.as_str()).collect();
            return format!("no API key has the owner `{owner}`{}", suggestion(owner, owners));
        }
        let tier = self.tier.as_deref().unwrap_or_default();
        if !any(has_tier) {
            return format!("no API key has the tier `{tier}`");
        }
        format!("owner `{owner}` has no API key of the tier `{tier}`")
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::Limit;

    use super::super::testing::key_record;
    use super::*;
    use crate::config::{Anonymous, Tier};

    fn key(seed: u8, owner: &str, tier: &str) -> (Identity, KeyRecord) {
        let record = KeyRecord { owner: owner.into(), tier: tier.into(), ..key_record("5/day") };
        (format!("key#{}", hex::encode([seed; 32])).parse().expect("an identity"), record)
    }

    #[test]
    fn an_empty_result_names_the_filter_that_matched_nothing() {
        let limit: Limit = "5/day".parse().expect("a limit");
        let tier = |name: &str| Tier::new(name, limit);
        let tiers = Tiers {
            anonymous: Anonymous::new(limit, limit),
            paid: vec![tier("startup"), tier("business"), tier("enterprise")],
        };
        let keys = [key(1, "acme", "startup"), key(2, "zoo", "business"), key(3, "acme", "retired")];
        let table = [
            (None, None, "3"),
            (Some("acme"), None, "2"),
            (Some("acme"), Some("startup"), "1"),
            (None, Some("retired"), "1"),
            (Some("amce"), None, "no API key has the owner `amce`; did you mean `acme`?"),
            (Some("nobody"), None, "no API key has the owner `nobody`"),
            (None, Some("enterprise"), "no API key has the tier `enterprise`"),
            (Some("zoo"), Some("startup"), "owner `zoo` has no API key of the tier `startup`"),
            (
                None,
                Some("statrup"),
                "unknown tier `statrup`; regions.toml has `startup`, `business`, `enterprise`; did you mean `startup`?",
            ),
            (None, Some("anonymous"), "callers of the tier `anonymous` have no API key; choose another tier"),
        ];
        for (owner, tier, expected) in table {
            let filter = KeyFilter { owner: owner.map(str::to_owned), tier: tier.map(str::to_owned) };
            let text = match filter.apply(&keys, &tiers) {
                Ok(found) => found.empty_reason().unwrap_or_else(|| found.found.len().to_string()),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected, "{owner:?} {tier:?}");
        }
        let none = KeyFilter::default().apply(&[], &tiers).expect("sound");
        assert_eq!(
            none.empty_reason().as_deref(),
            Some("no API keys yet; create one with `ipgeo keys create`")
        );
    }
}
