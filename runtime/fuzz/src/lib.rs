//! The modules that parse external input, compiled from their own sources.
#![allow(missing_docs, dead_code, unexpected_cfgs, unused_imports, reason = "documented and used elsewhere")]

#[path = "../../src/lookup/mod.rs"]
pub mod lookup;
#[path = "../../src/store.rs"]
pub mod store;
#[path = "../../src/tables/mod.rs"]
pub mod tables;
#[path = "../../src/usage/mod.rs"]
pub mod usage;

#[path = "../../../cli/src/config/mod.rs"]
pub mod config;

#[path = "."]
pub mod ui {
    #[path = "../../../cli/src/ui/format.rs"]
    pub mod format;
}
