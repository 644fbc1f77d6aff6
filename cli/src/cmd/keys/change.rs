//! `ipgeo keys update`, `disable`, `enable` and `revoke`.

use anyhow::bail;
use clap::Args;
use ipgeo_contract::{KeyRecord, Limit, SitePattern, Status};
use ipgeo_runtime::dynamo::KeyChange;
use ipnet::IpNet;

use super::KeysContext;
use super::row::{RateArgs, print_changed};
use crate::cmd::support::{OneArgs, confirm, find_key, numbers::expires};
use crate::keys::{KeyStore as _, find_tier, parse_owner, parse_quota, parse_site};
use crate::ui::output::{self, UsageError};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo keys update ipg_…x3Kq --tier business
  ipgeo keys update ipg_…x3Kq --quota 50k/day --expires 90d
  ipgeo keys update ipg_…x3Kq --rate 600/min --burst 20
  ipgeo keys update ipg_…x3Kq --any-site --networks 203.0.113.0/24")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Owner
    #[arg(long, value_name = "NAME", value_parser = parse_owner)]
    owner: Option<String>,
    /// Tier in regions.toml; also sets its limit
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Limit that replaces the one of the tier: 50k/day
    #[arg(long, value_name = "LIMIT", value_parser = parse_quota)]
    quota: Option<Limit>,
    #[command(flatten)]
    rate: RateArgs,
    /// Remove the API key's own rate; the tier's applies
    #[arg(long, conflicts_with = "rate")]
    tier_rate: bool,
    /// Expiry: 90d, 2027-01-31, or a time
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Remove the expiry
    #[arg(long, conflicts_with = "expires")]
    never: bool,
    /// Allow only these sites: example.com, *.example.com
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', value_parser = parse_site)]
    sites: Option<Vec<SitePattern>>,
    /// Remove the site restriction
    #[arg(long, conflicts_with = "sites")]
    any_site: bool,
    /// Allow only these networks: 203.0.113.0/24
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    networks: Option<Vec<IpNet>>,
    /// Remove the network restriction
    #[arg(long, conflicts_with = "networks")]
    any_network: bool,
    /// Allow `?explain=1`: which source each field of an answer came from
    #[arg(long)]
    explain: bool,
    /// Refuse `?explain=1`
    #[arg(long, conflicts_with = "explain")]
    no_explain: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo keys revoke ipg_…x3Kq")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
}

async fn changed(one: &OneArgs, change: KeyChange, context: KeysContext<'_>) -> anyhow::Result<KeyRecord> {
    let home = one.target.home(context.shared, context.config).await?;
    let (identity, record) = find_key(&one.key, &home).await?;
    if record.status == Status::Revoked {
        bail!(
            "{} is revoked, which is permanent\nhelp: create a new API key with `ipgeo keys create`",
            record.hint
        );
    }
    let record = home.change(&identity, &change).await?;
    print_changed(&home, &identity, &record, context).await?;
    Ok(record)
}

pub(super) async fn update(args: UpdateArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let tier = args
        .tier
        .as_deref()
        .map(|name| find_tier(name, &context.config.tiers))
        .transpose()
        .map_err(|error| UsageError(error.to_string()))?;
    let expires = expires(args.expires.as_deref(), context.now)?;
    let change = KeyChange {
        owner: args.owner,
        tier: tier.map(|tier| tier.name.clone()),
        limit: args.quota.or(tier.map(|tier| tier.limit)),
        rate: if args.tier_rate { Some(None) } else { args.rate.limit()?.map(Some) },
        status: None,
        expires: if args.never { Some(None) } else { expires.map(Some) },
        sites: if args.any_site { Some(Vec::new()) } else { args.sites },
        networks: if args.any_network { Some(Vec::new()) } else { args.networks },
        explain: (args.explain || args.no_explain).then_some(args.explain),
    };
    if change == KeyChange::default() {
        bail!(UsageError::new("nothing to change; see `ipgeo keys update --help` for what can be changed"));
    }
    changed(&args.one, change, context).await?;
    Ok(())
}

pub(super) async fn set_status(
    args: OneArgs,
    status: Status,
    context: KeysContext<'_>,
) -> anyhow::Result<()> {
    let change = KeyChange { status: Some(status), ..KeyChange::default() };
    let record = changed(&args, change, context).await?;
    if status == Status::Disabled {
        output::print_note(&format!("`ipgeo keys enable {}` reverses this", record.hint));
    }
    Ok(())
}

pub(super) async fn revoke(args: RevokeArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let home = args.one.target.home(context.shared, context.config).await?;
    let (identity, record) = find_key(&args.one.key, &home).await?;
    confirm(&format!("this permanently revokes {} of {}", record.hint, record.owner), args.yes)?;
    let change = KeyChange { status: Some(Status::Revoked), ..KeyChange::default() };
    let record = home.change(&identity, &change).await?;
    print_changed(&home, &identity, &record, context).await
}
