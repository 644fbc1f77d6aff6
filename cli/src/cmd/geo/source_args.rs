//! Where `ipgeo lookup` and `ipgeo bulk` get their answers.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ipgeo_geo::DatabaseInfo;
use ipgeo_runtime::lookup::Offline;
use jiff::Timestamp;

use crate::args::Shared;
use crate::cmd::support::{open_served, served_database};
use crate::lookup::{Api, ApiOptions, Source, api_key};
use crate::world::WorldFile;

/// The environment variable with the caller's API key.
const API_KEY: &str = "IPGEO_API_KEY";

/// A database or the API.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Compiled database [default: the output of `ipgeo geo build`]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "dev"])]
    database: Option<PathBuf>,
    /// Use the API at this URL instead of a database
    #[arg(long, value_name = "URL", conflicts_with = "dev")]
    url: Option<String>,
    /// Use the local `ipgeo dev` instead of a database
    #[arg(long)]
    dev: bool,
    /// File with the API key [default: the value of `IPGEO_API_KEY`]
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

impl SourceArgs {
    /// Opens the source; with a database, its metadata too.
    pub(super) fn open(&self, shared: &Shared) -> anyhow::Result<(Source, Option<DatabaseInfo>)> {
        let url = match &self.url {
            Some(url) => Some(url.clone()),
            None if self.dev => Some(WorldFile::find(&shared.state)?.nearest),
            None => None,
        };
        let Some(url) = url else {
            let path = self.database.clone().unwrap_or_else(|| served_database(&shared.state));
            let database = open_served(&path)?;
            let info = database.info().clone();
            return Ok((Source::Offline(Box::new(Offline::new(database, Timestamp::now()))), Some(info)));
        };
        let key = match &self.api_key_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read the API key in {}", path.display()))?;
                api_key(&text, &path.display().to_string())?
            }
            None => api_key(&std::env::var(API_KEY).unwrap_or_default(), API_KEY)?,
        };
        Ok((Source::Api(Api::new(ApiOptions { url, key })?), None))
    }
}
