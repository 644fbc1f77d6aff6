//! The committed price table.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use serde::{Deserialize, Serialize};

/// What is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A request of an HTTP API.
    HttpApiRequest,
    /// A request of a REST API.
    RestApiRequest,
    /// A request of a function.
    FunctionRequest,
    /// A GB-second of a function on arm64.
    #[serde(rename = "function_time_arm64")]
    FunctionTimeArm64,
    /// A GB-second of a function on `x86_64`.
    #[serde(rename = "function_time_x86_64")]
    FunctionTimeX86,
    /// A GB taken in by CloudWatch Logs.
    LogIngest,
    /// A GB kept there for a month.
    LogStorage,
    /// A shard for an hour.
    StreamShard,
    /// A unit of 25 KB put into a stream.
    StreamPut,
    /// A strongly consistent read of 4 KB; half of one is an eventually consistent read.
    TableRead,
    /// A write of 1 KB.
    TableWrite,
    /// A write of 1 KB to one replica of a global table; home's counts too.
    TableReplicatedWrite,
    /// A GB in tables for a month.
    TableStorage,
    /// A GB in buckets for a month.
    BucketStorage,
    /// A DNS zone for a month.
    DnsZone,
    /// A health check of an endpoint of AWS for a month.
    HealthCheck,
    /// An alarm for a month.
    Alarm,
    /// A GB from region to region.
    TransferRegion,
    /// A GB to the internet.
    TransferInternet,
}

/// A price of one region: per single unit, USD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// For each unit.
    pub each: f64,
    /// For each unit above a number of units a month.
    pub above: Option<(f64, f64)>,
    /// Whether it is a figure of AWS (of the base region when all are priced as it); otherwise a stated factor made it.
    pub exact: bool,
}

impl Price {
    /// What so many units cost, USD.
    pub fn of(&self, units: f64) -> f64 {
        match self.above {
            Some((from, each)) if units > from => from * self.each + (units - from) * each,
            _ => units * self.each,
        }
    }
}

/// The table as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// When they were read.
    pub date: String,
    /// `USD`.
    pub currency: String,
    /// The region whose prices are exact.
    pub base_region: RegionName,
    /// Where they are from.
    pub source: String,
    /// How the others are made.
    pub estimate: String,
    items: BTreeMap<Item, Entry>,
    regions: BTreeMap<RegionName, Factor>,
    /// Whether every region is priced as the base region: nothing is estimated then, and nothing is regional.
    #[serde(skip)]
    base_only: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    unit: String,
    count: f64,
    price: f64,
    above: Option<Above>,
    /// Units a month that every account has for nothing, for ever.
    free: Option<f64>,
    /// Whether all regions have the same price.
    #[serde(default)]
    everywhere: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    count: f64,
    price: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Factor {
    factor: f64,
    #[serde(default)]
    known: BTreeMap<Item, f64>,
}

/// Why there is no price.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The committed file is broken; a fault of this program.
    #[error("the committed price table can't be read")]
    Broken(#[from] toml::de::Error),
    /// The table lacks an item; a fault of this program.
    #[error("the price table has no {0:?}")]
    NoItem(Item),
    /// The table lacks a region.
    #[error(
        "this version of ipgeo has no prices for the region `{0}`; update ipgeo, or estimate with a copy of regions.toml without it"
    )]
    NoRegion(String),
}

impl Prices {
    /// The committed table.
    pub fn committed() -> Result<Self, PriceError> {
        Ok(toml::from_str(include_str!("prices.toml"))?)
    }

    /// The same with every region at the base region's prices.
    #[must_use]
    pub fn at_base(mut self) -> Self {
        for region in self.regions.values_mut() {
            *region = Factor { factor: 1.0, known: BTreeMap::new() };
        }
        self.base_only = true;
        self
    }

    /// An item's price in a region.
    pub fn price(&self, item: Item, region: &str) -> Result<Price, PriceError> {
        let entry = self.items.get(&item).ok_or(PriceError::NoItem(item))?;
        let place = self.regions.get(region).ok_or_else(|| PriceError::NoRegion(region.to_owned()))?;
        let known = place.known.get(&item).map(|known| known / entry.price);
        let exact = self.base_only || entry.everywhere || region == self.base_region || known.is_some();
        let factor = if entry.everywhere { 1.0 } else { known.unwrap_or(place.factor) };
        Ok(Price {
            each: entry.price * factor / entry.count,
            above: entry.above.as_ref().map(|above| (above.count, above.price * factor / entry.count)),
            exact,
        })
    }

    /// How an item's amounts are told: the unit, and how many single units it is.
    pub fn unit(&self, item: Item) -> Result<(&str, f64), PriceError> {
        self.items.get(&item).map(|entry| (entry.unit.as_str(), entry.count)).ok_or(PriceError::NoItem(item))
    }

    /// Units a month that every account has for nothing; 0 when there are none.
    pub fn free(&self, item: Item) -> f64 {
        self.items.get(&item).and_then(|entry| entry.free).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PLACES;

    #[test]
    fn every_region_has_a_price_and_only_known_ones_are_exact() {
        let prices = Prices::committed().expect("the committed table");
        for place in PLACES {
            let price = prices.price(Item::LogIngest, place.name).expect(place.name);
            let known = ["us-east-1", "eu-central-1", "ap-northeast-1"].contains(&place.name);
            assert_eq!(price.exact, known, "{}", place.name);
            assert!((0.5..=0.76).contains(&price.each), "{}: {}", place.name, price.each);
        }
        assert_eq!(prices.regions.len(), PLACES.len());
        let frankfurt = prices.price(Item::LogIngest, "eu-central-1").expect("a price");
        assert!((frankfurt.each - 0.63).abs() < 1e-12);
        assert!(prices.price(Item::Alarm, "sa-east-1").expect("a price").exact);
        assert!(matches!(prices.price(Item::Alarm, "moon-1"), Err(PriceError::NoRegion(_))));
        let base = prices.at_base().price(Item::LogIngest, "eu-central-1").expect("a price");
        assert!((base.each - 0.5).abs() < 1e-12 && base.exact);
    }

    #[test]
    fn what_is_above_a_number_has_its_own_price() {
        let prices = Prices::committed().expect("the committed table");
        let api = prices.price(Item::HttpApiRequest, "us-east-1").expect("a price");
        for (requests, usd) in [(25e6, 25.0), (300e6, 300.0), (400e6, 390.0)] {
            assert!((api.of(requests) - usd).abs() < 1e-6, "{requests}");
        }
    }
}
