//! What several verbs need: from the configuration over the choice of regions to AWS and a plan, and back to the terminal.

mod api_key;
mod browser;
mod config;
mod confirm;
mod database;
mod deployment;
mod edges;
mod execution;
mod files;
mod locking;
pub(crate) mod numbers;
mod plan_output;
mod select;
mod usage_path;

pub(crate) use crate::geo::sources::served_database;
pub(crate) use api_key::{OneArgs, all_keys, find_key, identity_from_stdin, wrong_name};
pub(crate) use browser::open_in_browser;
pub(crate) use config::{Target, config_path, load_config};
pub(crate) use confirm::{confirm, confirm_name, confirm_plan};
pub(crate) use database::{
    BuildTasks, checked_database, open_served, print_database, purge_databases, remember_database, today,
};
pub(crate) use deployment::{
    Deployment, PlanFlags, busy, check_drift, config_digest, probe_of, quick_probe, read_deployed,
};
pub(crate) use edges::{probe_cell, probe_edges, report_probes, world_target};
pub(crate) use execution::{carry_out, carry_out_locked, command_line, exit_of, refused, shell_line, shown};
pub(crate) use files::path_to_write;
pub(crate) use locking::{confirm_and_lock, release};
pub(crate) use plan_output::{print_plan, report_faults};
pub(crate) use select::{ExecuteArgs, RegionArgs, first_regions};
pub(crate) use usage_path::{Marked, counting_lag};
