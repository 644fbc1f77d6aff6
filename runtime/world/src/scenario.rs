//! What a run is about, drawn from its seed.

use fastrand::Rng;
use ipgeo_contract::{Limit, RateLimit, Rates, RegionName, Window};
use ipgeo_runtime::lookup::Settings;
use jiff::{SignedDuration, Timestamp};

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Nothing: the strict bounds hold.
    Calm,
    /// Partitions, kills, losses, repeats.
    Rough,
    /// The same, with clocks that are stepped.
    Clocks,
}

impl Mood {
    pub(crate) fn is_rough(self) -> bool {
        self != Self::Calm
    }
}

/// A run's parameters.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub mood: Mood,
    pub start: Timestamp,
    pub hours: u64,
    pub regions: usize,
    /// Seconds that the counter gathers a batch for.
    pub window_s: u64,
    /// Whether environments report early counts.
    pub has_early_counts: bool,
    /// Whether operators do anything.
    pub has_operators: bool,
    pub quiet_permille: u32,
    pub address_limit: Limit,
    pub site_limit: Limit,
    /// Limits of the API keys.
    pub key_limits: Vec<Limit>,
    /// A short rate of the API keys' tier.
    pub rate: Option<RateLimit>,
    /// Regions whose lines go through a forwarder.
    pub forwarders: Vec<bool>,
    /// Mean seconds between two bursts of a caller.
    pub pause_s: u64,
}

/// Names of regions, home first.
pub(crate) const REGIONS: [&str; 4] = ["eu-central-1", "us-east-1", "ap-south-1", "sa-east-1"];
/// The API keys' tier.
pub(crate) const TIER: &str = "startup";

impl Scenario {
    pub(crate) fn from_seed(seed: u64, random: &mut Rng) -> Self {
        let window = |random: &mut Rng| if random.bool() { Window::Day } else { Window::Month };
        let limit = |random: &mut Rng| Limit { calls: random.u64(5..400), window: window(random) };
        // Days at the end of a month, so that months end in most runs.
        let day = SignedDuration::from_hours(random.i64(0..120));
        let first: Timestamp = Timestamp::from_second(1_795_996_800).unwrap_or_default();
        let regions = random.usize(2..=REGIONS.len());
        let hours = [6, 24, 72, 168, 336, 744, 1_488][random.usize(0..7)];
        Self {
            seed,
            mood: [Mood::Calm, Mood::Rough, Mood::Rough, Mood::Rough, Mood::Clocks][random.usize(0..5)],
            start: first - day,
            hours,
            regions,
            window_s: [5, 60, 300][random.usize(0..3)],
            has_early_counts: random.u8(0..10) < 8,
            has_operators: random.u8(0..10) < 7,
            quiet_permille: [0, 0, 50][random.usize(0..3)],
            address_limit: Limit { calls: random.u64(20..100), window: Window::Day },
            site_limit: limit(random),
            key_limits: (0..random.usize(1..=3)).map(|_| limit(random)).collect(),
            rate: random.bool().then(|| "2/s:10".parse().ok()).flatten(),
            forwarders: (0..regions).map(|_| random.bool()).collect(),
            pause_s: hours * 3_600 / random.u64(4..20),
        }
    }

    /// The settings of a region's edge.
    pub(crate) fn settings(&self, region: usize) -> Settings {
        let mut rates = Rates::default();
        if let Some(rate) = self.rate {
            rates.tiers.insert(TIER.to_owned(), rate);
        }
        Settings {
            region: RegionName::new(REGIONS[region]),
            access_cache_s: CACHE_S,
            anonymous_limit: self.address_limit,
            anonymous_site_limit: self.site_limit,
            rates,
            quiet_permille: self.quiet_permille,
            unknown_key_status: 401,
            quota_status: 429,
            foreign_api_keys: false,
            web_page: false,
        }
    }
}

/// Seconds that an edge caches a record, as shipped.
pub(crate) const CACHE_S: u32 = 10;
