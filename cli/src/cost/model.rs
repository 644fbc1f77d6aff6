//! The assumed traffic of a bill. Flags of `ipgeo cost` change the important figures.

use serde::Serialize;

/// A class of addresses with the same number of calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct AddressClass {
    /// Share of all addresses, 0 to 1.
    pub(crate) share: f64,
    /// Calls a month of each address.
    pub(crate) calls: f64,
}

/// Given figures that replace computed ones. Only the reference bills set any: they are how the old hand-made bills
/// are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Stated {
    /// Publications a month.
    pub(crate) publications: Option<f64>,
    /// Read units a month.
    pub(crate) read_units: Option<f64>,
    /// Ledger writes a month.
    pub(crate) ledger_writes: Option<f64>,
    /// Usage lines in one stream record.
    pub(crate) lines_per_record: Option<f64>,
    /// Bytes of a usage line in transit between regions.
    pub(crate) wire_bytes: Option<f64>,
    /// GB-seconds of the usage function a month.
    pub(crate) usage_gb_s: Option<f64>,
    /// Batches always take the full window, even if they would be full earlier.
    pub(crate) whole_windows: bool,
}

/// A month's traffic and the assumptions about each call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TrafficModel {
    /// Calls a month.
    pub(crate) calls: f64,
    /// The share of calls with an API key, 0 to 1.
    pub(crate) keyed_share: f64,
    /// Number of API keys; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub(crate) keys: u32,
    /// Addresses of anonymous callers; each calls one region.
    pub(crate) addresses: [AddressClass; 3],
    /// The share of anonymous calls with a Referer, 0 to 1.
    pub(crate) site_share: f64,
    /// Number of sites; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub(crate) sites: u32,
    /// Bytes of a response on the wire.
    pub(crate) answer_bytes: f64,
    /// Milliseconds of a request that reads the access table.
    pub(crate) read_ms: f64,
    /// Milliseconds of a request that reads nothing.
    pub(crate) memory_ms: f64,
    /// Extra milliseconds of a cold start, and the share of cold starts, 0 to 1.
    pub(crate) cold_ms: (f64, f64),
    /// Lifetime of an environment, hours.
    pub(crate) environment_h: f64,
    /// Calls in the busiest second, as a multiple of the mean.
    pub(crate) peak: f64,
    /// Seconds of one environment's lines that CloudWatch Logs delivers in one record.
    pub(crate) gather_s: f64,
    /// Milliseconds of a table write.
    pub(crate) write_ms: f64,
    /// GB of artifacts retained in each region.
    pub(crate) artifact_gb: f64,
    #[serde(skip)]
    pub(crate) stated: Stated,
}

pub(crate) const MONTH_DAYS: f64 = 30.0;
/// Hours of a month as AWS bills them.
pub(crate) const MONTH_H: f64 = 730.0;
pub(crate) const MONTH_S: f64 = MONTH_DAYS * 86_400.0;

impl TrafficModel {
    /// Typical traffic: 80 % of the calls by 500 API keys, the rest by addresses of which 90 % call twice a month, 70 % of
    /// those calls with one of 20,000 sites as Referer.
    pub(crate) fn typical(calls: f64) -> Self {
        Self {
            calls,
            keyed_share: 0.8,
            keys: 500,
            addresses: [(0.9, 2.0), (0.099, 20.0), (0.001, 1_220.0)]
                .map(|(share, calls)| AddressClass { share, calls }),
            site_share: 0.7,
            sites: 20_000,
            answer_bytes: 1_000.0,
            read_ms: 5.0,
            memory_ms: 2.0,
            cold_ms: (15.0, 0.01),
            environment_h: 2.0,
            peak: 3.0,
            gather_s: 0.1,
            write_ms: 8.0,
            artifact_gb: 1.0,
            stated: Stated::default(),
        }
    }

    /// Calls a month with an API key.
    pub(crate) fn keyed(&self) -> f64 {
        self.calls * self.keyed_share
    }

    /// Calls a month without an API key.
    pub(crate) fn anonymous(&self) -> f64 {
        self.calls - self.keyed()
    }

    /// Number of addresses in a class, so that all classes together make the anonymous calls.
    pub(crate) fn class_size(&self, class: AddressClass) -> f64 {
        let mean: f64 = self.addresses.iter().map(|class| class.share * class.calls).sum();
        if mean > 0.0 { self.anonymous() / mean * class.share } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_traffic_has_a_million_addresses_at_25_million_calls() {
        let model = TrafficModel::typical(25e6);
        let addresses: f64 = model.addresses.iter().map(|class| model.class_size(*class)).sum();
        assert!((addresses - 1e6).abs() < 1.0, "{addresses}");
        assert!((model.keyed() - 20e6).abs() < 1e-6 && (model.anonymous() - 5e6).abs() < 1e-6);
    }
}
