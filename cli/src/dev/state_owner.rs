//! Records which service and home region the state belongs to. Another service on the same stores would silently start
//! empty, because tables are named after the service and the ledger is in the home region's store.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ipgeo_contract::RegionName;
use serde::{Deserialize, Serialize};

use super::world::StartError;
use crate::config::Config;
use crate::fs::{Replace, write_private};

const FILE_NAME: &str = "service.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StateOwner {
    service: String,
    home: RegionName,
}

/// Refuses stores of another service or home region; marks new ones.
pub(super) fn check_owner(stores: &Path, config: &Config) -> anyhow::Result<()> {
    let path = stores.join(FILE_NAME);
    let wanted = StateOwner { service: config.service.full_name(), home: config.service.home.clone() };
    let found: StateOwner = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
            format!("read {}; `ipgeo dev --fresh` starts over with empty stores", path.display())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let json = serde_json::to_vec(&wanted)?;
            return write_private(&path, &json, Replace::Yes)
                .with_context(|| format!("cannot write {}", path.display()));
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let (what, was, is) = if found.home != wanted.home {
        ("home", found.home.to_string(), wanted.home.to_string())
    } else if found.service != wanted.service {
        ("service", found.service, wanted.service)
    } else {
        return check_home_store(stores, config);
    };
    Err(StartError::StateOfAnotherService { what, was, is, stores: stores.to_owned() }.into())
}

/// Refuses to start if home's store is missing from existing state: API keys and counts would be lost silently.
fn check_home_store(stores: &Path, config: &Config) -> anyhow::Result<()> {
    let store = store_file(stores, &config.service.home);
    match std::fs::metadata(&store) {
        Ok(found) if found.len() > 0 => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("read {}", store.display()))
        }
        _ => Err(StartError::HomeStoreMissing { store }.into()),
    }
}

pub(super) fn store_file(stores: &Path, region: &str) -> PathBuf {
    stores.join(format!("{region}.sqlite"))
}
