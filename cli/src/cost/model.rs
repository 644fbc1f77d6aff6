//! The traffic that a bill is of: said, not measured, and every figure of it can be said otherwise.

use serde::Serialize;

/// Addresses that call alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AddressClass {
    /// Its share of all addresses, 0 to 1.
    pub share: f64,
    /// Calls a month of each.
    pub calls: f64,
}

/// Figures that are taken as said in place of being computed; a bill of our own design has none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Stated {
    /// Publications a month.
    pub publications: Option<f64>,
    /// Read units a month.
    pub read_units: Option<f64>,
    /// Ledger writes a month.
    pub ledger_writes: Option<f64>,
    /// Usage lines that one record of the stream carries.
    pub lines_per_record: Option<f64>,
    /// Bytes of a usage line on its way between regions.
    pub wire_bytes: Option<f64>,
    /// GB-seconds of the usage function a month.
    pub usage_gb_s: Option<f64>,
    /// Gathering windows are as long as said, whatever a batch may hold.
    pub whole_windows: bool,
}

/// A month's traffic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Calls a month.
    pub calls: f64,
    /// The share of them with an API key, 0 to 1.
    pub keyed_share: f64,
    /// API keys; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub keys: u32,
    /// The anonymous share's addresses; each calls one region.
    pub addresses: [AddressClass; 3],
    /// The share of anonymous calls that come with a Referer, 0 to 1.
    pub site_share: f64,
    /// Sites; their calls follow Zipf's law with exponent 1, evenly over the regions.
    pub sites: u32,
    /// Bytes of an answer on the wire.
    pub answer_bytes: f64,
    /// Milliseconds that a request takes which reads the access table.
    pub read_ms: f64,
    /// Milliseconds that a request takes which reads nothing.
    pub memory_ms: f64,
    /// Milliseconds more of a request that starts an environment, and the share of such requests.
    pub cold_ms: (f64, f64),
    /// Hours that an environment lives.
    pub environment_h: f64,
    /// The busiest second, as a multiple of the mean.
    pub peak: f64,
    /// Seconds of one environment's lines that CloudWatch Logs hands on together.
    pub gather_s: f64,
    /// Milliseconds of one write to a table.
    pub write_ms: f64,
    /// GB of artifacts that a region keeps.
    pub artifact_gb: f64,
    /// Figures that are taken as said.
    #[serde(skip)]
    pub stated: Stated,
}

/// Days of a month, and hours that it is billed for.
pub(crate) const MONTH_DAYS: f64 = 30.0;
/// Hours of a month as AWS bills them.
pub(crate) const MONTH_H: f64 = 730.0;
/// Seconds of a month.
pub(crate) const MONTH_S: f64 = MONTH_DAYS * 86_400.0;

impl Model {
    /// So many calls a month, shaped as usual: 80 % by 500 API keys, 20 % by addresses of which nine in ten
    /// call twice a month, 70 % of those with one of 20,000 sites.
    pub fn of_calls(calls: f64) -> Self {
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
    pub fn keyed(&self) -> f64 {
        self.calls * self.keyed_share
    }

    /// Calls a month without one.
    pub fn anonymous(&self) -> f64 {
        self.calls - self.keyed()
    }

    /// How many addresses a class has: as many as make the anonymous calls.
    pub fn class_size(&self, class: AddressClass) -> f64 {
        let mean: f64 = self.addresses.iter().map(|class| class.share * class.calls).sum();
        if mean > 0.0 { self.anonymous() / mean * class.share } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_shape_has_a_million_addresses_at_25_million_calls() {
        let model = Model::of_calls(25e6);
        let addresses: f64 = model.addresses.iter().map(|class| model.class_size(*class)).sum();
        assert!((addresses - 1e6).abs() < 1.0, "{addresses}");
        assert!((model.keyed() - 20e6).abs() < 1e-6 && (model.anonymous() - 5e6).abs() < 1e-6);
    }
}
