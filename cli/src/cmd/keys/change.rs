//! `ipgeo keys update`, `disable`, `enable` and `revoke`.

use anyhow::bail;
use clap::Args;
use ipgeo_contract::{Limit, SitePattern, Status};
use ipgeo_runtime::dynamo::KeyChange;
use ipnet::IpNet;
use jiff::Timestamp;

use super::create::expires;
use super::{OneArgs, find, print_changed};
use crate::cli::Shared;
use crate::cmd::cloud_args::confirm;
use crate::config::Config;
use crate::keys::{KeyStore as _, find_tier, parse_owner, parse_quota, parse_site};
use crate::ui::output::UsageError;

/// Flags of `ipgeo keys update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Who it is for
    #[arg(long, value_name = "NAME", value_parser = parse_owner)]
    owner: Option<String>,
    /// A tier of regions.toml; its limit comes with it
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// A limit of its own
    #[arg(long, value_name = "LIMIT", value_parser = parse_quota)]
    quota: Option<Limit>,
    /// When it ends
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// It ends never
    #[arg(long, conflicts_with = "expires")]
    never: bool,
    /// The sites it may be used from
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', value_parser = parse_site)]
    sites: Option<Vec<SitePattern>>,
    /// It may be used from any site
    #[arg(long, conflicts_with = "sites")]
    any_site: bool,
    /// The networks it may be used from
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    networks: Option<Vec<IpNet>>,
    /// It may be used from any network
    #[arg(long, conflicts_with = "networks")]
    any_network: bool,
}

/// Flags of `ipgeo keys revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    yes: bool,
}

async fn changed(
    one: &OneArgs,
    change: KeyChange,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let home = one.target.home(shared, config).await?;
    let (identity, record) = find(&one.key, &home).await?;
    if record.status == Status::Revoked {
        bail!("{} is revoked, which is permanent; make a new API key", record.hint);
    }
    let record = home.change(&identity, &change).await?;
    print_changed(&home, &identity, &record, shared, now).await
}

pub(super) async fn update(
    args: UpdateArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let tier = args
        .tier
        .as_deref()
        .map(|name| find_tier(name, &config.tiers))
        .transpose()
        .map_err(|error| UsageError(error.to_string()))?;
    let expires = expires(args.expires.as_deref(), now)?;
    let change = KeyChange {
        owner: args.owner,
        tier: tier.map(|tier| tier.name.clone()),
        limit: args.quota.or(tier.map(|tier| tier.limit)),
        status: None,
        expires: if args.never { Some(None) } else { expires.map(Some) },
        sites: if args.any_site { Some(Vec::new()) } else { args.sites },
        networks: if args.any_network { Some(Vec::new()) } else { args.networks },
    };
    if change == KeyChange::default() {
        bail!(UsageError::of("nothing to change; see `ipgeo keys update --help` for what can be changed"));
    }
    changed(&args.one, change, config, shared, now).await
}

pub(super) async fn set_status(
    args: OneArgs,
    status: Status,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    changed(&args, KeyChange { status: Some(status), ..KeyChange::default() }, config, shared, now).await
}

pub(super) async fn revoke(
    args: RevokeArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let home = args.one.target.home(shared, config).await?;
    let (identity, record) = find(&args.one.key, &home).await?;
    confirm(&format!("this permanently revokes {} of {}", record.hint, record.owner), args.yes)?;
    let change = KeyChange { status: Some(Status::Revoked), ..KeyChange::default() };
    let record = home.change(&identity, &change).await?;
    print_changed(&home, &identity, &record, shared, now).await
}
