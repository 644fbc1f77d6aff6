//! `ipgeo schema`.

use crate::config;
use crate::ui::output;

pub(crate) fn run() -> anyhow::Result<()> {
    Ok(output::print_data(config::schema_json().trim_end())?)
}
