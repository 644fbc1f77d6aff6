//! Shell completion of values: regions and tiers from `regions.toml`, hints of API keys. The shell runs the program for
//! every TAB, so this code must be fast and print no messages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::aws::Home;
use crate::config::{self, Config, PLACES};
use crate::fs::{Replace, write_private};
use crate::keys::KeyStore as _;
use crate::world::WorldFile;

/// The variable by which a shell asks for completion.
pub(crate) const COMPLETE_VARIABLE: &str = "IPGEO_COMPLETE";
/// Timeout for reading API keys; completion then goes without them.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a list of API keys from AWS is reused, so that not every TAB reads it.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
const CACHE: &str = "completion.json";
const CANDIDATES_MAX: usize = 500;

/// Adds candidates to the arguments of a command and its subcommands, by value name, so that new verbs have them, too.
pub(crate) fn with_candidates(command: Command) -> Command {
    let anywhere = command.get_name() == "init";
    command
        .mut_args(|arg| {
            let name = arg.get_value_names().and_then(|names| names.first().map(ToString::to_string));
            match name.as_deref() {
                Some("REGION" | "REGIONS") if anywhere => arg.add(ArgValueCandidates::new(places)),
                Some("REGION" | "REGIONS") => arg.add(ArgValueCandidates::new(regions)),
                Some("TIER") => arg.add(ArgValueCandidates::new(tiers)),
                Some("KEY") => arg.add(ArgValueCandidates::new(hints)),
                _ => arg,
            }
        })
        .mut_subcommands(with_candidates)
}

fn candidate(value: &str, help: String) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(help.into()))
}

fn places() -> Vec<CompletionCandidate> {
    PLACES.iter().map(|place| candidate(place.name, place.city.to_owned())).collect()
}

/// The part of the typed line that says which configuration, state and account to use.
#[derive(Debug, Default, PartialEq, Eq)]
struct Typed {
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    profile: Option<String>,
    dev: bool,
}

impl Typed {
    /// From the words of the line, as the shell gives them.
    fn read(words: &[String]) -> Self {
        let mut typed = Self::default();
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            let mut value =
                || value.or_else(|| words.next_if(|next| !next.starts_with('-'))).map(str::to_owned);
            match flag {
                "--config" => typed.config = value().map(PathBuf::from),
                "--state" => typed.state = value().map(PathBuf::from),
                "--profile" => typed.profile = value(),
                "--dev" => typed.dev = true,
                _ => {}
            }
        }
        typed
    }

    /// From this process's line and environment.
    fn from_process() -> Self {
        let words: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let after = words.iter().position(|word| word == "--").map_or(0, |at| at + 1);
        let mut typed = Self::read(&words[after..]);
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        typed.config = typed.config.or_else(|| path("IPGEO_CONFIG"));
        let current = std::env::current_dir().unwrap_or_default();
        let beside = || config::state_folder(typed.config.as_deref(), &current);
        typed.state = Some(typed.state.clone().or_else(|| path("IPGEO_STATE")).unwrap_or_else(beside));
        typed
    }

    fn state(&self) -> &Path {
        self.state.as_deref().unwrap_or(Path::new(config::STATE_NAME))
    }

    fn config(&self) -> Option<Config> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None => config::find(&std::env::current_dir().ok()?)?,
        };
        config::load(&path).ok()
    }
}

fn regions() -> Vec<CompletionCandidate> {
    match Typed::from_process().config() {
        Some(config) => config.regions.iter().map(|r| candidate(&r.name, r.city.to_owned())).collect(),
        None => places(),
    }
}

fn tiers() -> Vec<CompletionCandidate> {
    let Some(config) = Typed::from_process().config() else { return Vec::new() };
    config.tiers.paid.iter().map(|tier| candidate(&tier.name, tier.limit.to_string())).collect()
}

/// A candidate for an API key: its hint, and its owner, tier and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Offer {
    hint: String,
    about: String,
}

/// API keys that were read recently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cache {
    /// The service and the profile they belong to.
    account: String,
    at: Timestamp,
    offers: Vec<Offer>,
}

impl Cache {
    fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state.join(CACHE)).ok()?).ok()
    }

    /// The offers for an account, while they are fresh.
    fn fresh(self, account: &str, now: Timestamp) -> Option<Vec<Offer>> {
        let age = now.duration_since(self.at);
        (self.account == account && !age.is_negative() && age < FRESH).then_some(self.offers)
    }
}

async fn read(home: anyhow::Result<Home>) -> Vec<Offer> {
    let Ok(home) = home else { return Vec::new() };
    let mut keys = home.list().await.unwrap_or_default();
    keys.sort_by(|(_, a), (_, b)| (&a.owner, &a.hint).cmp(&(&b.owner, &b.hint)));
    keys.truncate(CANDIDATES_MAX);
    let offer = |record: ipgeo_contract::KeyRecord| Offer {
        about: format!("{}, {}, {}", record.owner, record.tier, record.status.as_str()),
        hint: record.hint,
    };
    keys.into_iter().map(|(_, record)| offer(record)).collect()
}

fn hints() -> Vec<CompletionCandidate> {
    let typed = Typed::from_process();
    let offers = offers(&typed, Timestamp::now()).unwrap_or_default();
    offers.iter().map(|offer| candidate(&offer.hint, offer.about.clone())).collect()
}

/// Reads the API keys from `ipgeo dev`, or from the account. The list from the account is cached for a minute, also when it is
/// empty.
fn offers(typed: &Typed, now: Timestamp) -> Option<Vec<Offer>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let within = |read| runtime.block_on(async { tokio::time::timeout(PATIENCE, read).await });
    if typed.dev {
        let world = WorldFile::find(typed.state()).ok()?;
        return within(Box::pin(read(Home::of_world(&world))) as Reading<'_>).ok();
    }
    let config = typed.config()?;
    let account_name =
        format!("{} {}", config.service.full_name(), typed.profile.as_deref().unwrap_or_default());
    if let Some(offers) = Cache::read(typed.state()).and_then(|cache| cache.fresh(&account_name, now)) {
        return Some(offers);
    }
    let account = async { read(Home::of_account(&config, typed.profile.as_deref()).await).await };
    let offers = within(Box::pin(account)).unwrap_or_default();
    if let Ok(json) = serde_json::to_vec(&Cache { account: account_name, at: now, offers: offers.clone() }) {
        // Without a cache they are read again.
        let _written_or_not = write_private(&typed.state().join(CACHE), &json, Replace::Yes);
    }
    Some(offers)
}

type Reading<'a> = std::pin::Pin<Box<dyn Future<Output = Vec<Offer>> + 'a>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_where_things_are() {
        let read = |line: &str| Typed::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(read("ipgeo keys show"), Typed::default());
        assert_eq!(
            read("ipgeo --config a/r.toml keys --state=s show --dev --profile p ipg_"),
            Typed {
                config: Some("a/r.toml".into()),
                state: Some("s".into()),
                profile: Some("p".into()),
                dev: true
            }
        );
        assert_eq!(read("ipgeo --config --dev").config, None);
    }

    #[test]
    fn remembered_api_keys_are_of_one_account_and_one_minute() {
        let at: Timestamp = "2026-11-25T10:00:00Z".parse().expect("a time");
        let cache = Cache { account: "geo-prod ".into(), at, offers: vec![] };
        for (account, seconds, fresh) in [
            ("geo-prod ", 0, true),
            ("geo-prod ", 59, true),
            ("geo-prod ", 60, false),
            ("geo-prod x", 1, false),
            ("geo-prod ", -1, false),
        ] {
            let now = at + SignedDuration::from_secs(seconds);
            assert_eq!(cache.clone().fresh(account, now).is_some(), fresh, "{account}{seconds}");
        }
    }
}
