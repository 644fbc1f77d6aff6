//! `ipgeo render`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use ipgeo_contract::RegionName;
use serde::Serialize;

use crate::args::Shared;
use crate::cmd::support::{RegionArgs, load_config, path_to_write};
use crate::fs::{Replace, parent_folder, write_output};
use crate::infra::artifacts::built_set;
use crate::infra::stacks::{Renderer, Stack};
use crate::ui::output::{self, Column, ColumnOf, Formats};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo render                             list the stacks
  ipgeo render --out rendered              then: cfn-lint rendered/*/*.yaml
  ipgeo render --regions eu-central-1 --stdout")]
pub(crate) struct RenderArgs {
    /// Write the templates to FOLDER/REGION/STACK.yaml
    #[arg(long, value_name = "FOLDER", value_parser = path_to_write())]
    out: Option<PathBuf>,
    /// Print the templates, one YAML document each
    #[arg(long, conflicts_with = "out")]
    stdout: bool,
    #[command(flatten)]
    regions: RegionArgs,
}

impl RenderArgs {
    /// With `--stdout` only YAML; the list of stacks supports every format.
    pub(crate) fn forms(&self) -> Formats {
        if self.stdout { Formats::TEXT } else { Formats::ALL }
    }
}

#[derive(Debug, Default, Serialize)]
struct StackRow {
    region: RegionName,
    stack: String,
    resources: usize,
    bytes: usize,
    file: String,
}

/// Writes or lists the templates of every stack.
pub(crate) fn run(args: &RenderArgs, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let scope = args.regions.scope(&config)?;
    let (artifacts, unbuilt) = built_set(&shared.state);
    let mut stacks = Renderer::new(&config, &artifacts)?.all()?;
    stacks.retain(|stack| scope.regions.contains(&stack.region));
    if let Some(folder) = &args.out {
        for stack in &stacks {
            write(folder, stack)?;
        }
    }
    if args.stdout {
        let documents: Vec<&str> = stacks.iter().map(|stack| stack.text.as_str()).collect();
        output::print_data(documents.join("---\n").trim_end())?;
    } else {
        let row = |stack: &Stack| StackRow {
            region: stack.region.clone(),
            stack: stack.name.clone(),
            resources: stack.template.resources.len(),
            bytes: stack.text.len(),
            file: args
                .out
                .as_ref()
                .map_or_else(String::new, |out| out.join(path(stack)).display().to_string()),
        };
        let rows: Vec<StackRow> = stacks.iter().map(row).collect();
        output::print_rows(shared.format(), &columns(args.out.is_some()), &rows)?;
    }
    if unbuilt {
        output::print_note(
            "artifacts are not built yet, so templates have `unbuilt` in place of their digests; `ipgeo plan` builds them",
        );
    }
    Ok(())
}

fn path(stack: &Stack) -> PathBuf {
    Path::new(stack.region.as_str()).join(format!("{}.yaml", stack.kind))
}

/// Writes a stack's template atomically.
fn write(folder: &Path, stack: &Stack) -> anyhow::Result<()> {
    let path = folder.join(path(stack));
    let written = std::fs::create_dir_all(parent_folder(&path))
        .and_then(|()| write_output(&path, stack.text.as_bytes(), Replace::Yes));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn columns(has_files: bool) -> Vec<ColumnOf<StackRow>> {
    let mut columns: Vec<ColumnOf<StackRow>> = vec![
        (Column::text("region"), |row| row.region.to_string()),
        (Column::free_text("stack"), |row| row.stack.clone()),
        (Column::number("resources").rank(1), |row| output::grouped(row.resources as u64)),
        (Column::number("bytes").rank(1), |row| output::grouped(row.bytes as u64)),
    ];
    if has_files {
        columns.push((Column::path("file"), |row| row.file.clone()));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_stacks_fits_a_terminal() {
        let row = |stack: &str| StackRow {
            region: RegionName::new("ap-southeast-1"),
            stack: format!("ipgeo-a-long-service-name-prod-{stack}"),
            resources: 14,
            bytes: 14_321,
            file: format!("/home/somebody/projects/ipgeo/rendered/ap-southeast-1/{stack}.yaml"),
        };
        let rows = ["artifacts", "edge"].map(row);
        output::assert_tables("render", || {
            let tables = [false, true].map(|has_files| {
                output::format_rows(output::Format::Table, &columns(has_files), &rows).expect("a table")
            });
            tables.join("\n\n")
        });
    }
}
