//! An API key as it is printed.

use ipgeo_contract::{Identity, KeyRecord, Month, Period, Status};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::Shared;
use crate::aws::Home;
use crate::ui::output::{self, grouped, instant};

/// An API key's row: everything except the API key itself.
#[derive(Debug, Default, Serialize)]
pub(super) struct KeyRow {
    pub(super) hint: String,
    pub(super) owner: String,
    pub(super) tier: String,
    pub(super) limit: String,
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
        now: Timestamp,
    ) -> Self {
        let period = Period::new(record.limit.window, now);
        let last_used =
            item.and_then(|item| Some(format!("{}-{:02}", item.month, item.days.last_key_value()?.0)));
        let published = record.published.filter(|published| published.period == period);
        let expired = record.expires.is_some_and(|expires| expires <= now);
        let status =
            if expired && record.status == Status::Active { "expired" } else { record.status.as_str() };
        Self {
            hint: record.hint.clone(),
            owner: record.owner.clone(),
            tier: record.tier.clone(),
            limit: record.limit.to_string(),
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
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let item = home.ledger.item(identity, Month::from_time(now)).await?;
    let row = KeyRow::new(identity, record, item.as_ref(), now);
    Ok(output::print_data(&output::format_value(shared.format(), &row, || lines_of(&row, &[]))?)?)
}

/// An API key as lines of text.
pub(super) fn lines_of(row: &KeyRow, more: &[(&str, String)]) -> String {
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    let lines = [
        ("API key", row.hint.clone()),
        ("owner", row.owner.clone()),
        ("tier", row.tier.clone()),
        ("limit", row.limit.clone()),
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
    let text: Vec<String> = lines
        .iter()
        .chain(more)
        .map(|(name, value)| format!("{name:<10}  {}", output::printable(value)))
        .collect();
    text.join("\n")
}
