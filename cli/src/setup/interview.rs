//! Asking for what the flags did not say. Each answer is judged by the parser at once, in the file that it
//! would make.

use std::collections::BTreeSet;
use std::io;

use glob::Pattern;
use ipgeo_contract::Limit;

use super::render::{Answers, Data, render};
use crate::config::{self, ANONYMOUS, PLACES, other_partition};

/// Wrong answers to one question before the interview ends.
const TRIES: usize = 5;

/// Somebody who can be asked.
pub trait Ask {
    /// Puts a question; an empty answer means the default. `None`: nobody answers any more.
    fn ask(&mut self, question: &str, default: &str) -> io::Result<Option<String>>;
    /// Says something.
    fn say(&mut self, line: &str);
}

/// What the flags said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The service's name.
    pub name: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The home region.
    pub home: Option<String>,
    /// Regions, or patterns of them.
    pub regions: Option<Vec<String>>,
    /// The domain.
    pub domain: Option<String>,
    /// Its zone.
    pub hosted_zone: Option<String>,
    /// The limit of callers without an API key.
    pub anonymous: Option<String>,
    /// Tiers.
    pub tiers: Option<Vec<(String, String)>>,
    /// The geo data.
    pub data: Option<Data>,
}

/// Why there are no answers.
#[derive(Debug, thiserror::Error)]
pub enum InterviewError {
    /// A flag or an answer is wrong.
    #[error("{0}")]
    Wrong(String),
    /// Nobody answers.
    #[error("the questions were not answered; nothing was written")]
    Unanswered,
    /// The terminal can't be read.
    #[error("read an answer")]
    Read(#[from] io::Error),
}

/// Regions by names and patterns (`eu-*`), in the order named, each once.
fn regions_of(patterns: &[String]) -> Result<Vec<String>, String> {
    let mut regions: Vec<String> = Vec::new();
    for pattern in patterns.iter().map(|pattern| pattern.trim()).filter(|pattern| !pattern.is_empty()) {
        let is_pattern = pattern.contains(['*', '?', '[']);
        let matching = Pattern::new(pattern).map_err(|_| format!("`{pattern}` is no pattern of names"))?;
        let found: Vec<&str> =
            PLACES.iter().map(|place| place.name).filter(|name| matching.matches(name)).collect();
        if found.is_empty() && is_pattern {
            let none = || format!("no AWS region matches `{pattern}`");
            return Err(other_partition(pattern).unwrap_or_else(none));
        }
        // A name that is none goes into the file: the parser knows what was meant.
        let found = if found.is_empty() { vec![pattern] } else { found };
        for name in found {
            if !regions.iter().any(|known| known == name) {
                regions.push(name.to_owned());
            }
        }
    }
    if regions.is_empty() { Err("at least one region is needed".to_owned()) } else { Ok(regions) }
}

/// The parser's faults for the file made from these answers, without positions. An unknown region is reported alone,
/// without the faults that follow from it.
fn faults(answers: &Answers) -> Vec<String> {
    let problems =
        config::parse("regions.toml", &render(answers)).err().map(|all| all.problems).unwrap_or_default();
    let mut faults: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    let known = |name: &String| PLACES.iter().any(|place| place.name == *name);
    if !answers.regions.iter().all(known) {
        // The fault about home is often only a consequence.
        faults.retain(|fault| !fault.contains("which is not in [regions]"));
    }
    faults
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The zone that a domain is likely to be in: all of it but its first label.
fn zone_of(domain: &str) -> String {
    match domain.split_once('.') {
        Some((_, zone)) if zone.contains('.') => zone.to_owned(),
        _ => domain.to_owned(),
    }
}

/// Sound answers to begin with; each is replaced by what is known or answered.
fn defaults() -> Answers {
    Answers {
        name: "ipgeo".to_owned(),
        environment: "prod".to_owned(),
        home: "us-east-1".to_owned(),
        regions: ["us-east-1", "eu-central-1", "ap-southeast-1"].map(str::to_owned).to_vec(),
        domain: None,
        anonymous: "1500/day".to_owned(),
        tiers: vec![
            ("startup".to_owned(), "100_000/month".to_owned()),
            ("business".to_owned(), "2_500_000/month".to_owned()),
        ],
        data: Data::Dbip,
    }
}

struct Interview<'a> {
    answers: Answers,
    ask: Option<&'a mut dyn Ask>,
}

impl Interview<'_> {
    /// Takes a flag's value, or asks until the file with the answer has no fault.
    fn settle(
        &mut self,
        known: Option<String>,
        question: &str,
        default: &str,
        set: impl Fn(&mut Answers, &str) -> Result<(), String>,
    ) -> Result<(), InterviewError> {
        let judge = |answers: &Answers, text: &str| -> Result<Answers, String> {
            let mut next = answers.clone();
            set(&mut next, text)?;
            match faults(&next).into_iter().next() {
                Some(fault) => Err(fault),
                None => Ok(next),
            }
        };
        if let Some(text) = known {
            self.answers = judge(&self.answers, &text).map_err(InterviewError::Wrong)?;
            return Ok(());
        }
        let Some(ask) = self.ask.as_deref_mut() else {
            self.answers = judge(&self.answers, default).map_err(InterviewError::Wrong)?;
            return Ok(());
        };
        for _try in 0..TRIES {
            let answer = ask.ask(question, default)?.ok_or(InterviewError::Unanswered)?;
            let answer = if answer.trim().is_empty() { default } else { answer.trim() };
            match judge(&self.answers, answer) {
                Ok(next) => {
                    self.answers = next;
                    return Ok(());
                }
                Err(fault) => ask.say(&fault),
            }
        }
        Err(InterviewError::Unanswered)
    }
}

/// Faults in `--tier` flags that the parser can't report; the others go into `answers`.
fn faults_of_tiers(tiers: &[(String, String)], answers: &mut Vec<(String, String)>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, limit) in tiers {
        if limit.is_empty() {
            found.push(format!("--tier {name}: a tier is NAME=LIMIT, such as startup=100k/month"));
        } else if let Err(error) = limit.parse::<Limit>() {
            found.push(format!("--tier {name}={limit}: {error}"));
        }
    }
    for (at, (name, _)) in tiers.iter().enumerate() {
        if name == ANONYMOUS {
            found.push(format!("--tier {name}: use --anonymous for the limit of callers without an API key"));
        } else if tiers[..at].iter().any(|(before, _)| before == name) {
            found.push(format!("--tier {name} is given twice"));
        }
    }
    // The parser checks names; limits were checked here.
    answers.clear();
    for (name, _) in tiers {
        if name != ANONYMOUS && !answers.iter().any(|(before, _)| before == name) {
            answers.push((name.clone(), "1/day".to_owned()));
        }
    }
    found
}

/// All faults in the flags, each once; empty if they are valid.
fn faults_of_flags(known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    let mut answers = defaults();
    let take = |text: &Option<String>, to: &mut String| {
        if let Some(text) = text {
            text.clone_into(to);
        }
    };
    take(&known.name, &mut answers.name);
    take(&known.environment, &mut answers.environment);
    if let Some(patterns) = &known.regions {
        let (mut sound, before) = (Vec::new(), found.len());
        for pattern in patterns.iter().filter(|pattern| !pattern.trim().is_empty()) {
            match regions_of(std::slice::from_ref(pattern)) {
                Ok(_) => sound.push(pattern.clone()),
                Err(fault) => found.push(format!("--regions: {fault}")),
            }
        }
        match regions_of(&sound) {
            Ok(regions) => {
                answers.home.clone_from(&regions[0]);
                answers.regions = regions;
            }
            Err(fault) if found.len() == before => found.push(format!("--regions: {fault}")),
            Err(_) => {}
        }
    }
    if let Some(home) = &known.home {
        answers.home.clone_from(home);
        // If the regions are invalid, check the rest with the requested regions, home included.
        if (known.regions.is_none() || !found.is_empty()) && !answers.regions.contains(home) {
            answers.regions.insert(0, home.clone());
        }
    }
    match (&known.domain, &known.hosted_zone) {
        (None, Some(_)) => found.push("--hosted-zone needs --domain".to_owned()),
        (Some(domain), zone) if domain != "none" => {
            answers.domain = Some((domain.clone(), zone.clone().unwrap_or_else(|| zone_of(domain))));
        }
        _ => {}
    }
    match known.anonymous.as_ref().map(|text| (text, text.parse::<Limit>())) {
        Some((text, Ok(_))) => answers.anonymous.clone_from(text),
        Some((_, Err(error))) => found.push(format!("--anonymous: {error}")),
        None => {}
    }
    if let Some(tiers) = &known.tiers {
        found.extend(faults_of_tiers(tiers, &mut answers.tiers));
    }
    found.extend(faults(&answers));
    let mut told = BTreeSet::new();
    found.retain(|fault| told.insert(fault.clone()));
    found
}

/// Takes answers from flags and prompts for the rest; without a prompt, uses defaults. All invalid flags are reported
/// together, before the first question.
pub fn interview(known: Known, ask: Option<&mut dyn Ask>) -> Result<Answers, InterviewError> {
    let wrong = faults_of_flags(&known);
    if !wrong.is_empty() {
        return Err(InterviewError::Wrong(wrong.join("\n")));
    }
    let mut talk = Interview { answers: defaults(), ask };
    talk.settle(known.name, "Name of the service (begins every AWS name)", "ipgeo", |answers, text| {
        text.clone_into(&mut answers.name);
        Ok(())
    })?;
    talk.settle(known.environment, "Environment", "prod", |answers, text| {
        text.clone_into(&mut answers.environment);
        Ok(())
    })?;
    settle_regions(&mut talk, known.regions, known.home)?;
    settle_domain(&mut talk, known.domain, known.hosted_zone)?;
    let question = "Calls of an address without an API key";
    talk.settle(known.anonymous, question, "1500/day", |answers, text| {
        text.clone_into(&mut answers.anonymous);
        Ok(())
    })?;
    if let Some(tiers) = known.tiers {
        talk.answers.tiers = tiers;
    }
    if let Some(data) = known.data {
        talk.answers.data = data;
    } else {
        talk.settle(None, "Geo data: dbip, geolite or sample", "dbip", |answers, text| {
            answers.data = <Data as clap::ValueEnum>::from_str(text, true)
                .map_err(|_| format!("`{text}` is none of dbip, geolite and sample"))?;
            Ok(())
        })?;
    }
    match faults(&talk.answers).as_slice() {
        [] => Ok(talk.answers),
        wrong => Err(InterviewError::Wrong(wrong.join("\n"))),
    }
}

fn settle_regions(
    talk: &mut Interview<'_>,
    regions: Option<Vec<String>>,
    home: Option<String>,
) -> Result<(), InterviewError> {
    let default = talk.answers.regions.join(",");
    // With the home region given and no others, home is among them.
    let default = match &home {
        Some(home) if !talk.answers.regions.contains(home) => format!("{home},{default}"),
        _ => default,
    };
    let wanted = home.clone();
    talk.settle(
        regions.map(|regions| regions.join(",")),
        "Regions, the first is home; eu-* means all of Europe",
        &default,
        move |answers, text| {
            answers.regions = regions_of(&list(text))?;
            answers.home = wanted.clone().unwrap_or_else(|| answers.regions[0].clone());
            Ok(())
        },
    )?;
    let first = home.clone().unwrap_or_else(|| talk.answers.regions[0].clone());
    talk.settle(
        home,
        "Home region: ledger, stream and counter; it can't be moved",
        &first,
        |answers, text| {
            text.clone_into(&mut answers.home);
            Ok(())
        },
    )
}

fn settle_domain(
    talk: &mut Interview<'_>,
    domain: Option<String>,
    zone: Option<String>,
) -> Result<(), InterviewError> {
    talk.settle(domain, "Domain of the API, or none", "none", |answers, text| {
        answers.domain = (text != "none").then(|| (text.to_owned(), zone_of(text)));
        Ok(())
    })?;
    let Some((_, likely)) = talk.answers.domain.clone() else { return Ok(()) };
    talk.settle(zone, "Route 53 zone of the domain", &likely, |answers, text| {
        if let Some((_, zone)) = &mut answers.domain {
            text.clone_into(zone);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a list, and what was said to it.
    #[derive(Default)]
    struct Script {
        answers: Vec<&'static str>,
        heard: Vec<String>,
    }

    impl Ask for Script {
        fn ask(&mut self, question: &str, default: &str) -> io::Result<Option<String>> {
            self.heard.push(format!("? {question} [{default}]"));
            if self.answers.is_empty() { Ok(None) } else { Ok(Some(self.answers.remove(0).to_owned())) }
        }

        fn say(&mut self, line: &str) {
            self.heard.push(line.to_owned());
        }
    }

    #[test]
    fn without_anybody_to_ask_the_defaults_stand() {
        let answers = interview(Known::default(), None).expect("sound");
        assert_eq!((answers.home.as_str(), answers.regions.len()), ("us-east-1", 3));
        let known = Known { home: Some("eu-west-1".into()), ..Known::default() };
        let answers = interview(known, None).expect("sound");
        assert_eq!((answers.home.as_str(), answers.regions[0].as_str()), ("eu-west-1", "eu-west-1"));
    }

    #[test]
    fn wrong_flags_are_told_as_the_parser_tells_them() {
        let table = [
            (Known { name: Some("Geo!".into()), ..Known::default() }, "`name` is 2 to 20 of"),
            (
                Known { regions: Some(vec!["us-eats-1".into()]), ..Known::default() },
                "did you mean `us-east-1`?",
            ),
            (
                Known { regions: Some(vec!["moon-*".into()]), ..Known::default() },
                "no AWS region matches `moon-*`",
            ),
            (Known { home: Some("eu-wset-1".into()), ..Known::default() }, "did you mean `eu-west-1`?"),
            (
                Known {
                    home: Some("eu-west-1".into()),
                    regions: Some(vec!["us-*".into()]),
                    ..Known::default()
                },
                "not in [regions]",
            ),
            (Known { domain: Some("localhost".into()), ..Known::default() }, "lowercase domain"),
            (Known { hosted_zone: Some("a.test".into()), ..Known::default() }, "needs --domain"),
            (Known { anonymous: Some("5/month".into()), ..Known::default() }, "by day"),
            (
                Known { tiers: Some(vec![("Big Co".into(), "5/day".into())]), ..Known::default() },
                "name of a tier",
            ),
        ];
        for (known, says) in table {
            let error = interview(known.clone(), None).expect_err(says).to_string();
            assert!(error.contains(says), "{known:?}: {error}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_the_flags_is_told_at_once_and_before_anything_is_asked() {
        let known = Known {
            name: Some("Geo!".into()),
            environment: Some("production-of-ours".into()),
            home: Some("us-gov-west-1".into()),
            regions: Some(vec!["us-eats-1".into(), "moon-*".into()]),
            domain: Some("localhost".into()),
            hosted_zone: None,
            anonymous: Some("5".into()),
            tiers: Some(vec![("Big Co".into(), "2.5x/month".into()), ("big".into(), "2.5M/week".into())]),
            data: None,
        };
        let mut silent = Script::default();
        let told = interview(known, Some(&mut silent)).expect_err("faults").to_string();
        insta::assert_snapshot!(told);
        assert!(silent.heard.is_empty(), "{:?}", silent.heard);
        let twice = Known {
            tiers: Some(vec![("a".into(), "5/day".into()), ("a".into(), "6/day".into())]),
            ..Known::default()
        };
        assert_eq!(interview(twice, None).expect_err("twice").to_string(), "--tier a is given twice");
        let nameless = Known {
            name: Some("A b".into()),
            tiers: Some(vec![("foo".into(), String::new()), ("anonymous".into(), "5/day".into())]),
            ..Known::default()
        };
        let told = interview(nameless, None).expect_err("faults").to_string();
        for fault in ["--tier foo: a tier is NAME=LIMIT", "--tier anonymous: use --anonymous", "`name` is"] {
            assert!(told.contains(fault), "{told}");
        }
    }

    #[test]
    fn the_example_of_the_help_works() {
        let known = Known {
            domain: Some("api.example.com".into()),
            tiers: Some(vec![
                ("startup".into(), "100k/month".into()),
                ("business".into(), "2.5M/month".into()),
            ]),
            ..Known::default()
        };
        let config =
            config::parse("regions.toml", &render(&interview(known, None).expect("sound"))).expect("sound");
        let calls: Vec<u64> = config.tiers.paid.iter().map(|tier| tier.limit.calls).collect();
        assert_eq!(calls, [100_000, 2_500_000]);
    }

    #[test]
    fn a_wrong_answer_is_asked_again_and_silence_ends_it() {
        let mut script = Script {
            answers: vec!["Bad Name", "geo", "", "eu-*,us-east-1", "", "api.a.test", "", "", "geolite"],
            heard: Vec::new(),
        };
        let answers = interview(Known::default(), Some(&mut script)).expect("sound");
        assert_eq!((answers.name.as_str(), answers.home.as_str()), ("geo", "eu-central-1"));
        assert!(answers.regions.contains(&"us-east-1".to_owned()) && answers.regions.len() > 5);
        assert_eq!(answers.domain, Some(("api.a.test".into(), "a.test".into())));
        assert_eq!(answers.data, Data::Geolite);
        assert!(script.heard[1].contains("`name` is"), "{:?}", script.heard);
        let mut silent = Script::default();
        let ended = interview(Known::default(), Some(&mut silent));
        assert!(matches!(ended, Err(InterviewError::Unanswered)));
    }
}
