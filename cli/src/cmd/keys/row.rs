//! An API key as it is printed.

use clap::Args;
use ipgeo_contract::{Identity, KeyRecord, Month, Period, Rate, RateLimit, Status};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use serde::Serialize;

use super::KeysContext;
use crate::aws::Home;
use crate::config::Tiers;
use crate::keys::own_rate;
use crate::ui::format::grouped_limit;
use crate::ui::output::{self, UsageError, grouped, instant};

/// Flags of an API key's own short rate.
#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    /// Calls per second or minute, beside the limit: 10/s, 600/min; replaces the rate of the tier
    // A negative rate gets our error, which says what a rate is.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    rate: Option<Rate>,
    /// Calls that may come at the same time after a pause [default: those of one second, at least 2]
    #[arg(long, value_name = "CALLS", requires = "rate", value_parser = RateLimit::parse_burst)]
    burst: Option<u32>,
}

impl RateArgs {
    pub(super) fn limit(&self) -> Result<Option<RateLimit>, UsageError> {
        own_rate(self.rate, self.burst).map_err(UsageError)
    }
}

/// An API key's row: everything except the API key itself.
#[derive(Debug, Default, Serialize)]
pub(super) struct KeyRow {
    pub(super) hint: String,
    pub(super) owner: String,
    pub(super) tier: String,
    pub(super) limit: String,
    /// The effective short rate, its burst, and whether it is the API key's own (`key`) or its tier's (`tier`).
    pub(super) rate: Option<String>,
    pub(super) burst: Option<u32>,
    pub(super) rate_of: Option<&'static str>,
    /// Exact number of calls charged in the period.
    pub(super) used: u64,
    pub(super) period: String,
    /// The day of its newest counted call in this or the previous month; older months are not read.
    pub(super) last_used: Option<String>,
    /// The charged calls that were published to the edges.
    pub(super) published: u64,
    pub(super) status: String,
    pub(super) expires: Option<String>,
    pub(super) sites: String,
    pub(super) networks: String,
    /// Whether it may use `?explain=1`.
    pub(super) explain: bool,
    pub(super) created: String,
    pub(super) hash: String,
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl KeyRow {
    /// The row of a record and its newest ledger item.
    pub(super) fn new(
        identity: &Identity,
        record: &KeyRecord,
        item: Option<&LedgerItem>,
        tiers: &Tiers,
        now: Timestamp,
    ) -> Self {
        let period = Period::new(record.limit.window, now);
        let last_used =
            item.and_then(|item| Some(format!("{}-{:02}", item.month, item.days.last_key_value()?.0)));
        let published = record.published.filter(|published| published.period == period);
        let of_tier = || tiers.find(&record.tier).and_then(|tier| Some((tier.rate_limit()?, "tier")));
        let rate = record.rate.map(|rate| (rate, "key")).or_else(of_tier);
        let expired = record.expires.is_some_and(|expires| expires <= now);
        let status =
            if expired && record.status == Status::Active { "expired" } else { record.status.as_str() };
        Self {
            hint: record.hint.clone(),
            owner: record.owner.clone(),
            tier: record.tier.clone(),
            limit: record.limit.to_string(),
            rate: rate.map(|(rate, _)| rate.rate().to_string()),
            burst: rate.map(|(rate, _)| rate.burst()),
            rate_of: rate.map(|(_, of)| of),
            used: item.map_or(0, |item| item.used_in(period)),
            period: period.to_string(),
            last_used,
            published: published.map_or(0, |published| published.used),
            status: status.to_owned(),
            expires: record.expires.map(instant),
            sites: joined(&record.sites),
            networks: joined(&record.networks),
            explain: record.explain,
            created: instant(record.created),
            hash: identity.name().to_owned(),
        }
    }
}

/// Prints a changed API key with its exact usage.
pub(super) async fn print_changed(
    home: &Home,
    identity: &Identity,
    record: &KeyRecord,
    KeysContext { config, shared, now }: KeysContext<'_>,
) -> anyhow::Result<()> {
    let item = home.ledger.item(identity, Month::from_time(now)).await?;
    let row = KeyRow::new(identity, record, item.as_ref(), &config.tiers, now);
    Ok(output::print_data(&output::format_value(shared.format(), &row, || lines_of(&row))?)?)
}

pub(super) fn lines_of(row: &KeyRow) -> String {
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    let rate = match (&row.rate, row.burst) {
        (Some(rate), Some(burst)) if row.rate_of == Some("tier") => {
            format!("{}, burst {burst}, from the tier", grouped_limit(rate))
        }
        (Some(rate), Some(burst)) => format!("{}, burst {burst}", grouped_limit(rate)),
        _ => "none".to_owned(),
    };
    let lines = [
        ("API key", row.hint.clone()),
        ("owner", row.owner.clone()),
        ("tier", row.tier.clone()),
        ("limit", grouped_limit(&row.limit)),
        ("rate", rate),
        (
            "used",
            format!(
                "{} in {}; {} published to the edges",
                grouped(row.used),
                row.period,
                grouped(row.published)
            ),
        ),
        ("last used", row.last_used.clone().unwrap_or_else(|| "not in this month".to_owned())),
        ("status", row.status.clone()),
        ("expires", row.expires.clone().unwrap_or_else(|| "never".to_owned())),
        ("sites", any(&row.sites)),
        ("networks", any(&row.networks)),
        ("explain", if row.explain { "allowed" } else { "refused" }.to_owned()),
        ("created", row.created.clone()),
        ("hash", row.hash.clone()),
    ];
    output::format_facts(&lines)
}
