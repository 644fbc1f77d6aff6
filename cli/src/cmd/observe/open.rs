//! `ipgeo open`.

use anyhow::bail;
use clap::Args;
use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::args::Shared;
use crate::aws::{Aws, NoCredentials};
use crate::cmd::support::{RegionArgs, Target, load_config, open_in_browser, world_target};
use crate::config::Config;
use crate::infra::cloud::{ProbeTarget, ProbeTargets as _};
use crate::ui::output::{self, Format, UsageError};
use crate::world::WorldFile;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints the URL, and opens it in a browser if standard output is a terminal of a desktop session. \
`ipgeo usage report --html FILE --open` does the same with the usage page.

Examples:
  ipgeo open --dev
  ipgeo open eu-west-1 --docs
  curl $(ipgeo open)8.8.8.8")]
pub(crate) struct OpenArgs {
    /// Region to open [default: the domain; without one, home; with --dev, the nearest region]
    #[arg(value_name = "REGION")]
    region: Option<String>,
    /// Open the API documentation
    #[arg(long)]
    docs: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Default, Serialize)]
struct Opened {
    url: String,
    /// The region that answers; null if DNS or the caller's place decides.
    region: Option<RegionName>,
    opened: bool,
}

/// Opens the service's page in a browser, or prints its URL.
pub(crate) async fn run(args: OpenArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let region = args.region.as_ref().map(|name| one_region(name, &config)).transpose()?;
    let (base, region) = place(region, &args.target, &config, shared).await?;
    let url = format!("{base}/{}", if args.docs { "docs" } else { "" });
    let is_shown = shared.format() == Format::Table && output::stdout_is_terminal();
    let opened = is_shown && open_in_browser(&url);
    let row = Opened { url, region, opened };
    output::print_data(&output::format_value(shared.format(), &row, || row.url.clone())?)?;
    if opened {
        output::print_note("opened in the browser");
    } else if is_shown {
        output::print_note("cannot open a browser in this session; open the URL yourself");
    }
    if !config.web.page {
        output::print_note("regions.toml has `page = false` in [web]: browsers get JSON too");
    }
    Ok(())
}

/// The one region of regions.toml that a name or pattern selects.
fn one_region(name: &str, config: &Config) -> anyhow::Result<RegionName> {
    let args = RegionArgs { regions: vec![name.to_owned()], exclude_regions: Vec::new() };
    let found = args.scope(config)?.regions;
    match found.len() {
        1 => found.into_iter().next().ok_or_else(|| UsageError::new("no region").into()),
        count => Err(UsageError(format!("`{name}` matches {count} regions; name one of them")).into()),
    }
}

/// The URL without a trailing slash, and the region that answers there.
async fn place(
    region: Option<RegionName>,
    target: &Target,
    config: &Config,
    shared: &Shared,
) -> anyhow::Result<(String, Option<RegionName>)> {
    if target.dev {
        let world = WorldFile::find(&shared.state)?;
        let Some(region) = region else {
            return Ok((world.nearest.trim_end_matches('/').to_owned(), None));
        };
        let edge = world_target(&world, &region).map_err(anyhow::Error::msg)?;
        return Ok((url(&edge), Some(region)));
    }
    match (&config.service.domain, region) {
        (Some(domain), None) => Ok((format!("https://{domain}"), None)),
        (Some(domain), Some(region)) if config.emulator.is_none() => bail!(UsageError(format!(
            "DNS selects the region for {domain}, so a browser cannot choose {region}; use `ipgeo probe --regions {region}` to test it"
        ))),
        (_, region) => {
            let region = region.unwrap_or_else(|| config.service.home.clone());
            let aws = Aws::connect(config, target.profile.name()).await.map_err(NoCredentials::or_dev)?;
            let edge = aws.target(&region, None).await?;
            Ok((url(&edge), Some(region)))
        }
    }
}

fn url(edge: &ProbeTarget) -> String {
    format!("{}://{}", if edge.tls { "https" } else { "http" }, edge.host.trim_end_matches('/'))
}
