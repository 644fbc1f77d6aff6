//! One API key, as an argument and in the tables.

use std::io::Read as _;

use anyhow::Context;
use clap::Args;
use ipgeo_contract::{ApiKey, Identity, KeyRecord, foreign_key_hash};
use ipgeo_runtime::store::StoreError;

use super::config::Target;
use crate::aws::Home;
use crate::keys::{ChooseError, KeyStore as _, choose};
use crate::ui::output::UsageError;
use crate::ui::progress::timed;

#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Hint, last four characters or hash (8 or more digits); `-` reads the API key from stdin
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// All API keys. Thousands take seconds.
pub(crate) async fn all_keys(home: &Home) -> Result<Vec<(Identity, KeyRecord)>, StoreError> {
    timed("reading API keys", home.list()).await
}

/// The API key that a text names; `-` reads the API key itself from standard input.
pub(crate) async fn find_key(text: &str, home: &Home) -> anyhow::Result<(Identity, KeyRecord)> {
    let keys = all_keys(home).await?;
    if text != "-" {
        return Ok(choose(text, &keys).map_err(wrong_name)?.clone());
    }
    let identity = identity_from_stdin()?;
    keys.into_iter()
        .find(|(known, _)| *known == identity)
        .context("this API key is unknown\nhelp: `ipgeo keys list` shows the known ones")
}

/// An ambiguous name is wrong usage; a name that matches no API key is an ordinary error.
pub(crate) fn wrong_name(error: ChooseError) -> anyhow::Error {
    match error {
        ChooseError::None(_) => error.into(),
        ChooseError::Secret | ChooseError::Several { .. } => UsageError::new(error).into(),
    }
}

/// The API key on standard input, in any format.
pub(crate) fn identity_from_stdin() -> anyhow::Result<Identity> {
    let mut text = String::new();
    std::io::stdin().take(1_000).read_to_string(&mut text).context("read the API key from standard input")?;
    let text = text.trim();
    let hash = text.parse::<ApiKey>().map(|key| key.hash()).ok().or_else(|| foreign_key_hash(text));
    Ok(Identity::key(&hash.context("standard input does not contain an API key")?))
}
