//! Prompts for what the flags do not give. Each answer is checked at once by the real parser, on the file that it would
//! produce. All invalid flags are reported together, before the first prompt.

use std::collections::BTreeSet;
use std::io;

use glob::Pattern;
use ipgeo_contract::Limit;

use super::render::{Answers, Data, render};
use crate::config::places::{PLACES, find, other_partition};
use crate::config::{self, ANONYMOUS};

/// Invalid answers to one question before `init` gives up.
const TRIES: usize = 5;

/// A user who can be prompted.
pub(crate) trait Ask {
    /// Asks a question; an empty answer selects the default. `None`: end of input.
    fn ask(&mut self, question: &str, default: &str) -> io::Result<Option<String>>;
    fn say(&mut self, line: &str);
}

/// The values given by flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub name: Option<String>,
    pub environment: Option<String>,
    pub home: Option<String>,
    /// Regions, or patterns of them.
    pub regions: Option<Vec<String>>,
    pub domain: Option<String>,
    pub hosted_zone: Option<String>,
    /// The limit of callers without an API key.
    pub anonymous: Option<String>,
    pub tiers: Option<Vec<(String, String)>>,
    pub data: Option<Data>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum InterviewError {
    #[error("{0}")]
    Wrong(String),
    #[error("the questions were not answered; nothing was written")]
    Unanswered,
    #[error("read an answer")]
    Read(#[from] io::Error),
}

/// Expands names and patterns (`eu-*`) to regions, in the given order, without duplicates.
fn regions_of(patterns: &[String]) -> Result<Vec<String>, String> {
    let mut regions: Vec<String> = Vec::new();
    for pattern in patterns.iter().map(|pattern| pattern.trim()).filter(|pattern| !pattern.is_empty()) {
        let is_pattern = pattern.contains(['*', '?', '[']);
        let matching =
            Pattern::new(pattern).map_err(|_| format!("`{pattern}` is not a valid name pattern"))?;
        let found: Vec<&str> =
            PLACES.iter().map(|place| place.name).filter(|name| matching.matches(name)).collect();
        if found.is_empty() && is_pattern {
            let none = || format!("no AWS region matches `{pattern}`");
            return Err(other_partition(pattern).unwrap_or_else(none));
        }
        // The parser reports an unknown name, with a suggestion.
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
    if !answers.regions.iter().all(|name| find(name).is_some()) {
        // The fault about home is often only a consequence.
        faults.retain(|fault| !fault.contains("is not in [regions]"));
    }
    faults
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The likely hosted zone of a domain: the domain without its first label.
fn zone_of(domain: &str) -> String {
    match domain.split_once('.') {
        Some((_, zone)) if zone.contains('.') => zone.to_owned(),
        _ => domain.to_owned(),
    }
}

fn defaults() -> Answers {
    Answers {
        name: "ipgeo".to_owned(),
        environment: "prod".to_owned(),
        home: "eu-central-1".to_owned(),
        // Two, as docs/FIRST_DEPLOY.md advises for a first deploy.
        regions: ["eu-central-1", "us-east-1"].map(str::to_owned).to_vec(),
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
    /// Takes the value of a flag, or prompts until the resulting file is valid.
    fn settle(
        &mut self,
        known: Option<String>,
        question: &str,
        default: &str,
        set: impl Fn(&mut Answers, &str) -> Result<(), String>,
    ) -> Result<(), InterviewError> {
        let check = |answers: &Answers, text: &str| -> Result<Answers, String> {
            let mut next = answers.clone();
            set(&mut next, text)?;
            match faults(&next).into_iter().next() {
                Some(fault) => Err(fault),
                None => Ok(next),
            }
        };
        if let Some(text) = known {
            self.answers = check(&self.answers, &text).map_err(InterviewError::Wrong)?;
            return Ok(());
        }
        let Some(ask) = self.ask.as_deref_mut() else {
            self.answers = check(&self.answers, default).map_err(InterviewError::Wrong)?;
            return Ok(());
        };
        for _try in 0..TRIES {
            let answer = ask.ask(question, default)?.ok_or(InterviewError::Unanswered)?;
            let answer = if answer.trim().is_empty() { default } else { answer.trim() };
            match check(&self.answers, answer) {
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
        let (mut valid, before) = (Vec::new(), found.len());
        for pattern in patterns.iter().filter(|pattern| !pattern.trim().is_empty()) {
            match regions_of(std::slice::from_ref(pattern)) {
                Ok(_) => valid.push(pattern.clone()),
                Err(fault) => found.push(format!("--regions: {fault}")),
            }
        }
        match regions_of(&valid) {
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
    let mut seen = BTreeSet::new();
    found.retain(|fault| seen.insert(fault.clone()));
    found
}

/// Takes answers from flags and prompts for the rest; without a prompt, uses defaults. All invalid flags are reported
/// together, before the first question.
pub(crate) fn interview(known: Known, ask: Option<&mut dyn Ask>) -> Result<Answers, InterviewError> {
    let wrong = faults_of_flags(&known);
    if !wrong.is_empty() {
        return Err(InterviewError::Wrong(wrong.join("\n")));
    }
    let mut talk = Interview { answers: defaults(), ask };
    talk.settle(known.name, "Service name (prefix of all AWS resource names)", "ipgeo", |answers, text| {
        text.clone_into(&mut answers.name);
        Ok(())
    })?;
    talk.settle(known.environment, "Environment", "prod", |answers, text| {
        text.clone_into(&mut answers.environment);
        Ok(())
    })?;
    settle_regions(&mut talk, known.regions, known.home)?;
    settle_domain(&mut talk, known.domain, known.hosted_zone)?;
    let question = "Limit per address without an API key";
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
        talk.settle(None, "Geo data (dbip, geolite or sample)", "dbip", |answers, text| {
            answers.data = <Data as clap::ValueEnum>::from_str(text, true)
                .map_err(|_| format!("expected dbip, geolite or sample, found `{text}`"))?;
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
    // If only --home is given, add it to the default regions.
    let default = match &home {
        Some(home) if !talk.answers.regions.contains(home) => format!("{home},{default}"),
        _ => default,
    };
    talk.settle(
        regions.map(|regions| regions.join(",")),
        "Regions, home first (home cannot be changed later; eu-* is all of Europe)",
        &default,
        move |answers, text| {
            answers.regions = regions_of(&list(text))?;
            answers.home = home.clone().unwrap_or_else(|| answers.regions[0].clone());
            Ok(())
        },
    )
}

fn settle_domain(
    talk: &mut Interview<'_>,
    domain: Option<String>,
    zone: Option<String>,
) -> Result<(), InterviewError> {
    talk.settle(domain, "Domain of the API (or none)", "none", |answers, text| {
        answers.domain = (text != "none").then(|| (text.to_owned(), zone_of(text)));
        Ok(())
    })?;
    let Some((_, likely)) = talk.answers.domain.clone() else { return Ok(()) };
    talk.settle(zone, "Route 53 hosted zone of the domain", &likely, |answers, text| {
        if let Some((_, zone)) = &mut answers.domain {
            text.clone_into(zone);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a list; records questions and messages.
    #[derive(Default)]
    struct Script {
        answers: Vec<&'static str>,
        printed: Vec<String>,
    }

    impl Ask for Script {
        fn ask(&mut self, question: &str, default: &str) -> io::Result<Option<String>> {
            self.printed.push(format!("? {question} [{default}]"));
            if self.answers.is_empty() { Ok(None) } else { Ok(Some(self.answers.remove(0).to_owned())) }
        }

        fn say(&mut self, line: &str) {
            self.printed.push(line.to_owned());
        }
    }

    #[test]
    fn without_a_terminal_defaults_are_used() {
        let answers = interview(Known::default(), None).expect("valid");
        assert_eq!((answers.home.as_str(), answers.regions.len()), ("eu-central-1", 2));
        let known = Known { home: Some("eu-west-1".into()), ..Known::default() };
        let answers = interview(known, None).expect("valid");
        assert_eq!((answers.home.as_str(), answers.regions[0].as_str()), ("eu-west-1", "eu-west-1"));
    }

    #[test]
    fn invalid_flags_are_reported_in_the_words_of_the_parser() {
        let table = [
            (Known { name: Some("Geo!".into()), ..Known::default() }, "service.name: expected 2 to 20 of"),
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
            (Known { anonymous: Some("5/month".into()), ..Known::default() }, "per day"),
            (
                Known { tiers: Some(vec![("Big Co".into(), "5/day".into())]), ..Known::default() },
                "tiers.Big Co: expected 1 to 32 of",
            ),
        ];
        for (known, part) in table {
            let error = interview(known.clone(), None).expect_err(part).to_string();
            assert!(error.contains(part), "{known:?}: {error}");
        }
    }

    #[test]
    fn all_invalid_flags_are_reported_together_before_the_first_prompt() {
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
        let errors = interview(known, Some(&mut silent)).expect_err("faults").to_string();
        insta::assert_snapshot!(errors);
        assert!(silent.printed.is_empty(), "{:?}", silent.printed);
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
        let errors = interview(nameless, None).expect_err("faults").to_string();
        for fault in
            ["--tier foo: a tier is NAME=LIMIT", "--tier anonymous: use --anonymous", "service.name: "]
        {
            assert!(errors.contains(fault), "{errors}");
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
            config::parse("regions.toml", &render(&interview(known, None).expect("valid"))).expect("valid");
        let calls: Vec<u64> = config.tiers.paid.iter().map(|tier| tier.limit.calls).collect();
        assert_eq!(calls, [100_000, 2_500_000]);
    }

    #[test]
    fn an_invalid_answer_is_prompted_again_and_end_of_input_fails() {
        let mut script = Script {
            answers: vec!["Bad Name", "geo", "", "eu-*,us-east-1", "api.a.test", "", "", "geolite"],
            printed: Vec::new(),
        };
        let answers = interview(Known::default(), Some(&mut script)).expect("valid");
        assert_eq!((answers.name.as_str(), answers.home.as_str()), ("geo", "eu-central-1"));
        assert!(answers.regions.contains(&"us-east-1".to_owned()) && answers.regions.len() > 5);
        assert_eq!(answers.domain, Some(("api.a.test".into(), "a.test".into())));
        assert_eq!(answers.data, Data::Geolite);
        assert!(script.printed[1].contains("service.name: "), "{:?}", script.printed);
        let of_home = script.printed.iter().filter(|line| line.contains("home"));
        assert_eq!(of_home.count(), 1, "{:?}", script.printed);
        let mut silent = Script::default();
        let ended = interview(Known::default(), Some(&mut silent));
        assert!(matches!(ended, Err(InterviewError::Unanswered)));
    }
}
