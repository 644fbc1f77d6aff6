//! Filters API keys by owner and tier, and says which filter matched nothing.

use std::collections::BTreeSet;

use ipgeo_contract::{Identity, KeyRecord};

use super::spec::{SpecError, tier_of};
use crate::config::{Tiers, suggestion};

/// The filter; `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// An owner, in full.
    pub owner: Option<String>,
    /// A tier.
    pub tier: Option<String>,
}

/// API keys that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// Those that match.
    pub found: Vec<(Identity, KeyRecord)>,
    nothing: Option<String>,
}

impl Filtered {
    /// The message when nothing was found: there are no API keys at all, or which filter matched nothing.
    pub fn nothing(&self) -> Option<String> {
        self.nothing.clone()
    }
}

impl KeyFilter {
    /// The API keys that match. A tier that is neither in the file nor in any API key is an error: a typo must not
    /// look like an empty list.
    pub fn apply(&self, all: &[(Identity, KeyRecord)], tiers: &Tiers) -> Result<Filtered, SpecError> {
        let of_tier = |record: &KeyRecord| self.tier.as_ref().is_none_or(|tier| *tier == record.tier);
        let of_owner = |record: &KeyRecord| self.owner.as_ref().is_none_or(|owner| *owner == record.owner);
        if let Some(tier) = &self.tier
            && !all.iter().any(|(_, record)| of_tier(record))
        {
            tier_of(tier, tiers)?;
        }
        let found: Vec<_> =
            all.iter().filter(|(_, record)| of_tier(record) && of_owner(record)).cloned().collect();
        let nothing = found.is_empty().then(|| self.told(all, &of_owner, &of_tier));
        Ok(Filtered { found, nothing })
    }

    fn told(
        &self,
        all: &[(Identity, KeyRecord)],
        of_owner: &dyn Fn(&KeyRecord) -> bool,
        of_tier: &dyn Fn(&KeyRecord) -> bool,
    ) -> String {
        if all.is_empty() {
            return "there are no API keys yet; create one with `ipgeo keys create`".to_owned();
        }
        let any = |matches: &dyn Fn(&KeyRecord) -> bool| all.iter().any(|(_, record)| matches(record));
        let owner = self.owner.as_deref().unwrap_or_default();
        if !any(of_owner) {
            let owners: BTreeSet<&str> = all.iter().map(|(_, record)| record.owner.as_str()).collect();
            return format!("no API key has the owner `{owner}`{}", suggestion(owner, owners));
        }
        let tier = self.tier.as_deref().unwrap_or_default();
        if !any(of_tier) {
            return format!("no API key has the tier `{tier}`");
        }
        format!("no API key of the owner `{owner}` has the tier `{tier}`")
    }
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{Limit, Status};

    use super::*;
    use crate::config::{Anonymous, Tier};

    fn key(seed: u8, owner: &str, tier: &str) -> (Identity, KeyRecord) {
        let limit: Limit = "5/day".parse().expect("a limit");
        let record = KeyRecord {
            owner: owner.into(),
            tier: tier.into(),
            limit,
            status: Status::Active,
            expires: None,
            sites: vec![],
            networks: vec![],
            hint: "ipg_…x3Kq".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            published: None,
        };
        (format!("key#{}", hex::encode([seed; 32])).parse().expect("an identity"), record)
    }

    #[test]
    fn the_filter_that_matches_nothing_is_named() {
        let limit: Limit = "5/day".parse().expect("a limit");
        let tier = |name: &str| Tier { name: name.to_owned(), limit };
        let tiers = Tiers {
            anonymous: Anonymous { limit, site_limit: limit },
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
            (Some("zoo"), Some("startup"), "no API key of the owner `zoo` has the tier `startup`"),
            (
                None,
                Some("statrup"),
                "there is no tier `statrup` in regions.toml; there are `startup`, `business`, `enterprise`; did you mean `startup`?",
            ),
            (None, Some("anonymous"), "callers of the tier `anonymous` have no API key; name another tier"),
        ];
        for (owner, tier, expected) in table {
            let filter = KeyFilter { owner: owner.map(str::to_owned), tier: tier.map(str::to_owned) };
            let told = match filter.apply(&keys, &tiers) {
                Ok(found) => found.nothing().unwrap_or_else(|| found.found.len().to_string()),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expected, "{owner:?} {tier:?}");
        }
        let none = KeyFilter::default().apply(&[], &tiers).expect("sound");
        assert_eq!(
            none.nothing().as_deref(),
            Some("there are no API keys yet; create one with `ipgeo keys create`")
        );
    }
}
