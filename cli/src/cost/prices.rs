//! The committed price table (`prices.toml`): exact for the base region, scaled by a factor elsewhere.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use serde::{Deserialize, Serialize};

/// What AWS charges for, in single units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PricedItem {
    HttpApiRequest,
    RestApiRequest,
    FunctionRequest,
    /// A GB-second of a function on arm64.
    #[serde(rename = "function_time_arm64")]
    FunctionTimeArm64,
    /// A GB-second of a function on `x86_64`.
    #[serde(rename = "function_time_x86_64")]
    FunctionTimeX86,
    /// A GB taken in by CloudWatch Logs.
    LogIngest,
    /// A GB stored there for a month.
    LogStorage,
    /// A shard for an hour.
    StreamShard,
    /// A unit of 25 KB put into a stream.
    StreamPut,
    /// A strongly consistent read of 4 KB; half of one is an eventually consistent read.
    TableRead,
    /// A write of 1 KB.
    TableWrite,
    /// A write of 1 KB to one replica of a global table, the home region's included.
    TableReplicatedWrite,
    /// A GB in tables for a month.
    TableStorage,
    /// A GB in buckets for a month.
    BucketStorage,
    /// A DNS zone for a month.
    DnsZone,
    /// An alarm for a month.
    Alarm,
    /// A GB between regions.
    TransferRegion,
    /// A GB to the internet.
    TransferInternet,
}

/// A price in one region, USD per single unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Price {
    pub(crate) each: f64,
    /// A number of units a month, and the price of each unit above it.
    pub(crate) above: Option<(f64, f64)>,
    /// Whether it is AWS's price; otherwise it is the base region's times an estimated factor.
    pub(crate) exact: bool,
}

impl Price {
    /// USD for a number of units.
    pub(crate) fn total(&self, units: f64) -> f64 {
        match self.above {
            Some((from, each)) if units > from => from * self.each + (units - from) * each,
            _ => units * self.each,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) date: String,
    pub(crate) currency: String,
    /// The region whose prices are exact.
    pub(crate) base_region: RegionName,
    pub(crate) source: String,
    /// A note on the estimated prices.
    pub(crate) estimate: String,
    items: BTreeMap<PricedItem, PriceEntry>,
    regions: BTreeMap<RegionName, Factor>,
    /// Whether every region has the base region's prices; then all are exact.
    #[serde(skip)]
    base_only: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    unit: String,
    count: f64,
    price: f64,
    above: Option<Above>,
    /// Units a month in AWS's always-free tier.
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
    known: BTreeMap<PricedItem, f64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PriceError {
    #[error("the price table of this version of ipgeo is invalid; please report this as a bug")]
    Broken(#[from] toml::de::Error),
    #[error("the price table has no price for {0:?}; please report this as a bug")]
    NoItem(PricedItem),
    #[error(
        "this version of ipgeo has no prices for the region `{0}`\n\
         help: update ipgeo, or estimate with a copy of regions.toml without this region"
    )]
    NoRegion(String),
}

impl Prices {
    /// The committed table.
    pub(crate) fn committed() -> Result<Self, PriceError> {
        Ok(toml::from_str(include_str!("prices.toml"))?)
    }

    /// The same prices as in the base region, in every region.
    #[must_use]
    pub(crate) fn at_base(mut self) -> Self {
        for region in self.regions.values_mut() {
            *region = Factor { factor: 1.0, known: BTreeMap::new() };
        }
        self.base_only = true;
        self
    }

    pub(crate) fn price(&self, item: PricedItem, region: &str) -> Result<Price, PriceError> {
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

    /// The unit in which an item's amounts are shown, and the number of single units in it.
    pub(crate) fn unit(&self, item: PricedItem) -> Result<(&str, f64), PriceError> {
        self.items.get(&item).map(|entry| (entry.unit.as_str(), entry.count)).ok_or(PriceError::NoItem(item))
    }

    /// Where an item's next tier begins, in single units, and the base region's prices of a shown unit before and after it.
    pub(super) fn tier(&self, item: PricedItem) -> Option<(f64, f64, f64, String)> {
        let entry = self.items.get(&item)?;
        let above = entry.above.as_ref()?;
        Some((above.count, entry.price, above.price, entry.unit.clone()))
    }

    pub(crate) fn free(&self, item: PricedItem) -> f64 {
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
            let price = prices.price(PricedItem::LogIngest, place.name).expect(place.name);
            let known = ["us-east-1", "eu-central-1", "ap-northeast-1"].contains(&place.name);
            assert_eq!(price.exact, known, "{}", place.name);
            assert!((0.5..=0.76).contains(&price.each), "{}: {}", place.name, price.each);
        }
        assert_eq!(prices.regions.len(), PLACES.len());
        let frankfurt = prices.price(PricedItem::LogIngest, "eu-central-1").expect("a price");
        assert!((frankfurt.each - 0.63).abs() < 1e-12);
        assert!(prices.price(PricedItem::Alarm, "sa-east-1").expect("a price").exact);
        assert!(matches!(prices.price(PricedItem::Alarm, "moon-1"), Err(PriceError::NoRegion(_))));
        let base = prices.at_base().price(PricedItem::LogIngest, "eu-central-1").expect("a price");
        assert!((base.each - 0.5).abs() < 1e-12 && base.exact);
    }

    #[derive(Debug, Deserialize)]
    struct ListRow {
        item: PricedItem,
        region: String,
        from: f64,
        usd: f64,
        read: String,
    }

    #[test]
    fn prices_are_those_of_the_copied_price_list() {
        let prices = Prices::committed().expect("the committed table");
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .from_reader(include_str!("price_list.csv").as_bytes());
        let list: Vec<ListRow> = reader.deserialize().collect::<Result<_, _>>().expect("rows");
        for row in &list {
            let price = prices.price(row.item, &row.region).expect("a price");
            let free = prices.free(row.item);
            let ours = match price.above {
                _ if row.usd == 0.0 => 0.0,
                Some((from, each)) if row.from > 0.0 => {
                    assert!((from - row.from).abs() < f64::EPSILON, "{row:?}");
                    each
                }
                _ => {
                    assert!(
                        row.from == 0.0 || (row.from - free).abs() < f64::EPSILON,
                        "{row:?}: {free} free"
                    );
                    price.each
                }
            };
            assert!((ours - row.usd).abs() <= row.usd * 1e-9 && price.exact, "{row:?}: {ours}");
        }
        let rows = |item, region: &str| list.iter().any(|row| row.item == item && row.region == region);
        let base = prices.base_region.as_str();
        let unlisted: Vec<PricedItem> =
            prices.items.keys().copied().filter(|item| !rows(*item, base)).collect();
        // No quotation of the list's row for zones was found.
        assert_eq!(unlisted, [PricedItem::DnsZone]);
        for (region, factor) in &prices.regions {
            for item in factor.known.keys() {
                assert!(rows(*item, region.as_str()), "{item:?} in {region}");
            }
        }
        let newest = list.iter().map(|row| row.read.as_str()).max();
        assert_eq!(newest, Some(prices.date.as_str()));
    }

    #[test]
    fn units_above_a_threshold_have_their_own_price() {
        let prices = Prices::committed().expect("the committed table");
        let api = prices.price(PricedItem::HttpApiRequest, "us-east-1").expect("a price");
        for (requests, usd) in [(25e6, 25.0), (300e6, 300.0), (400e6, 390.0)] {
            assert!((api.total(requests) - usd).abs() < 1e-6, "{requests}");
        }
    }
}
