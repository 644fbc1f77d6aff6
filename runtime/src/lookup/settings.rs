//! The lookup handler's settings, from environment variables.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use ipgeo_contract::{Limit, QUIET_PERMILLE_MAX, Rates, RegionName, Window, env};

use super::problem::RefusalStatuses;

/// Settings of one edge, set by the operator's tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The edge's region.
    pub region: RegionName,
    /// Seconds that an access record is cached.
    pub access_cache_s: u32,
    /// The anonymous tier's limit by address. Its window is a day, because an address's identity changes daily.
    pub anonymous_limit: Limit,
    /// The anonymous tier's limit by site.
    pub anonymous_site_limit: Limit,
    /// The short rates of anonymous callers and tiers.
    pub rates: Rates,
    /// Thousandths of an anonymous limit that are admitted unread and charged to the pooled anonymous callers.
    pub quiet_permille: u32,
    /// Status for an unknown API key: 401 or 403.
    pub unknown_key_status: u16,
    /// Status for over quota: 429 or 403.
    pub quota_status: u16,
    /// Whether API keys in other formats than ours are looked up instead of refused.
    pub foreign_api_keys: bool,
    /// Whether browsers get pages.
    pub web_page: bool,
}

/// All invalid environment variables.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsError(Vec<String>);

impl Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} environment variables are invalid: {}", self.0.len(), self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings and the path of the geo database through `var`. The error lists all faults.
    pub fn from_env(var: impl Fn(&str) -> Option<String>) -> Result<(Self, PathBuf), SettingsError> {
        let mut faults = Vec::new();
        let mut reader = Reader { var: &var, faults: &mut faults };
        let settings = Self {
            region: reader.needed("AWS_REGION").map(RegionName::new).unwrap_or_default(),
            access_cache_s: reader.or(env::ACCESS_CACHE_S, 10),
            anonymous_limit: reader.or(env::ANONYMOUS_LIMIT, NOTHING_A_DAY),
            anonymous_site_limit: reader.or(env::ANONYMOUS_SITE_LIMIT, NOTHING_A_DAY),
            rates: reader.or(env::RATES, Rates::default()),
            quiet_permille: reader.or(env::QUIET_PERMILLE, 0),
            unknown_key_status: reader.or(env::UNKNOWN_KEY_STATUS, 401),
            quota_status: reader.or(env::QUOTA_STATUS, 429),
            foreign_api_keys: reader.or(env::FOREIGN_API_KEYS, 0_u8) == 1,
            web_page: reader.or(env::WEB_PAGE, 0_u8) == 1,
        };
        let database = reader.needed(env::GEO_DATABASE).unwrap_or_default();
        for name in [env::ANONYMOUS_LIMIT, env::ANONYMOUS_SITE_LIMIT] {
            reader.needed(name);
        }
        reader.check(
            settings.anonymous_limit.window == Window::Day,
            env::ANONYMOUS_LIMIT,
            "must be a daily limit",
        );
        reader.check(
            settings.quiet_permille <= QUIET_PERMILLE_MAX,
            env::QUIET_PERMILLE,
            &format!("must be at most {QUIET_PERMILLE_MAX}"),
        );
        reader.check(
            matches!(settings.unknown_key_status, 401 | 403),
            env::UNKNOWN_KEY_STATUS,
            "must be 401 or 403",
        );
        reader.check(matches!(settings.quota_status, 429 | 403), env::QUOTA_STATUS, "must be 429 or 403");
        if faults.is_empty() { Ok((settings, database.into())) } else { Err(SettingsError(faults)) }
    }

    pub(super) fn refusal_statuses(&self) -> RefusalStatuses {
        RefusalStatuses { unknown_key: self.unknown_key_status, over_quota: self.quota_status }
    }
}

/// Placeholder for a limit that could not be read; the fault is reported.
const NOTHING_A_DAY: Limit = Limit { calls: 1, window: Window::Day };

struct Reader<'a, V> {
    var: &'a V,
    faults: &'a mut Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<'_, V> {
    fn needed(&mut self, name: &str) -> Option<String> {
        let value = (self.var)(name).filter(|value| !value.is_empty());
        if value.is_none() {
            self.faults.push(format!("{name} is not set"));
        }
        value
    }

    fn or<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        let Some(text) = (self.var)(name).filter(|value| !value.is_empty()) else { return default };
        text.parse().unwrap_or_else(|error| {
            self.faults.push(format!("{name} is `{text}`: {error}"));
            default
        })
    }

    fn check(&mut self, holds: bool, name: &str, rule: &str) {
        if !holds {
            self.faults.push(format!("{name} {rule}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<(Settings, PathBuf), SettingsError> {
        Settings::from_env(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_edge_reads_its_settings() {
        let (settings, database) = read(&[
            ("AWS_REGION", "eu-central-1"),
            (env::GEO_DATABASE, "/opt/geo.mmdb"),
            (env::ANONYMOUS_LIMIT, "1500/day"),
            (env::ANONYMOUS_SITE_LIMIT, "50k/month"),
            (env::RATES, "addr=5/s:5 tier.startup=10/s:20"),
            (env::QUIET_PERMILLE, "4"),
            (env::QUOTA_STATUS, "403"),
        ])
        .expect("good settings");
        assert_eq!(database, PathBuf::from("/opt/geo.mmdb"));
        assert_eq!(
            (
                settings.access_cache_s,
                settings.quiet_permille,
                settings.unknown_key_status,
                settings.quota_status
            ),
            (10, 4, 401, 403)
        );
        assert_eq!(settings.anonymous_site_limit.to_string(), "50000/month");
        assert_eq!(settings.rates.tiers["startup"].words(), "10/s, burst 20");
    }

    #[test]
    fn all_invalid_variables_are_reported_together() {
        let error = read(&[
            (env::ACCESS_CACHE_S, "soon"),
            (env::ANONYMOUS_LIMIT, "5/month"),
            (env::RATES, "addr=5/h"),
            (env::QUIET_PERMILLE, "101"),
            (env::UNKNOWN_KEY_STATUS, "200"),
        ])
        .expect_err("faults");
        assert_eq!(
            error.to_string(),
            "8 environment variables are invalid: AWS_REGION is not set; IPGEO_ACCESS_CACHE_S is `soon`: invalid \
             digit found in string; IPGEO_RATES is `addr=5/h`: `h` is not a unit of a rate; the units are `s` and `min`, and a limit \
             counts by `day` or `month`; IPGEO_GEO_DATABASE is not set; IPGEO_ANONYMOUS_SITE_LIMIT is not set; \
             IPGEO_ANONYMOUS_LIMIT must be a daily limit; IPGEO_QUIET_PERMILLE must be at most 100; \
             IPGEO_UNKNOWN_KEY_STATUS must be 401 or 403"
        );
    }
}
