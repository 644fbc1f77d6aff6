//! The handler: routes a request, charges it, looks up, answers, and writes one usage line.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipgeo_contract::{EarlyReport, Period, QuotaState, UsageEvent, Verdict};
use jiff::Timestamp;
use serde_json::json;

use super::address::{AddressFault, echo, public_address};
use super::answer::Answer;
use super::cache::Memory;
use super::charge::{ChargeRequest, Decision, Gate, StoreUnavailable};
use super::compose::{Extent, compose};
use super::event::Event;
use super::explain;
use super::fields;
use super::geo::Geo;
use super::problem::{OverQuota, Problem, is_bad_request};
use super::request::{Form, Item, Metered, Part, Route, is_root, reads_json_only, route};
use super::settings::Settings;
use super::special::located;
use super::web;
use crate::store::{AccessRead, StoreError};

/// Initial capacity for a location's JSON, enough to avoid reallocation.
const LOCATION_BYTES: usize = 1_536;

/// Where usage lines and warnings are written.
pub trait UsageSink: Send + Sync {
    /// Takes one usage line, without its line feed.
    fn usage(&self, line: String);

    /// Takes a failure that the caller does not see.
    fn warn(&self, message: String);
}

/// Answers lookups in one environment.
pub struct Lookup<A, G, S> {
    access: A,
    geo: G,
    sink: S,
    settings: Settings,
    memory: Mutex<Memory>,
}

/// The request, with its addresses parsed.
enum Work {
    Location {
        address: Result<IpAddr, AddressFault>,
        part: Part,
        explain: bool,
    },
    Bulk {
        items: Vec<Result<Subject, BadItem>>,
        part: Part,
        wrap: bool,
    },
    Asn {
        number: u32,
        part: Part,
    },
    /// An invalid request.
    Bad(Problem),
}

/// An item of a bulk request that can be looked up.
enum Subject {
    Address(IpAddr),
    Asn(u32),
}

/// An invalid item: what was sent, and why it is invalid.
struct BadItem {
    sent: String,
    why: String,
}

impl Subject {
    fn read(item: Item) -> Result<Self, BadItem> {
        match item {
            Item::Asn(number) => Ok(Self::Asn(number)),
            Item::Other(sent) => Err(BadItem {
                sent: echo(&sent),
                why: "An item should be an IP address, as a string.".into(),
            }),
            Item::Address(text) => public_address(&text)
                .map(Self::Address)
                .map_err(|fault| BadItem { sent: echo(&text), why: fault.to_string() }),
        }
    }
}

impl Work {
    fn read(metered: Metered, event: &Event) -> Self {
        match metered {
            Metered::Location { address, part, explain } => {
                let text = address.as_deref().unwrap_or(&event.request_context.http.source_ip);
                Self::Location { address: public_address(text), part, explain }
            }
            Metered::Bulk { items, part, wrap } => {
                Self::Bulk { items: items.into_iter().map(Subject::read).collect(), part, wrap }
            }
            Metered::Asn { number, part } => Self::Asn { number, part },
        }
    }

    /// Calls that the work costs if all of it is answered: its valid public addresses and network numbers.
    fn cost(&self) -> u64 {
        match self {
            Self::Location { address, .. } => u64::from(address.is_ok()),
            Self::Bulk { items, .. } => items.iter().filter(|item| item.is_ok()).count() as u64,
            Self::Asn { .. } => 1,
            Self::Bad(_) => 0,
        }
    }
}

impl<A: AccessRead, G: Geo, S: UsageSink> Lookup<A, G, S> {
    /// A handler with an empty memory.
    pub fn new(access: A, geo: G, sink: S, settings: Settings) -> Self {
        let memory = Mutex::new(Memory::new(settings.access_cache_s));
        Self { access, geo, sink, settings, memory }
    }

    /// The same handler, which reports early counts to home under this name of its environment.
    #[must_use]
    pub fn reporting_as(self, environment: String) -> Self {
        let memory = self.memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self { memory: Mutex::new(memory.reporting_as(environment)), ..self }
    }

    /// What is to be sent to home now, after an answer; usually nothing.
    pub fn early_report(&self, now: Timestamp) -> Option<EarlyReport> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).early_report(now)
    }

    /// Makes the calls of a report that could not be sent due again.
    pub fn report_failed(&self, report: &EarlyReport) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).report_failed(report);
    }

    /// Answers an event in JSON, however malformed.
    pub async fn handle_json(&self, event: &[u8], now: Timestamp) -> Answer {
        match serde_json::from_slice::<Event>(event) {
            Ok(event) => self.handle(&event, now).await,
            Err(_) => self.finish(Answer::problem(&Problem::bad_event())),
        }
    }

    /// Answers an event at `now`, and writes its usage line if it is metered. Locations, bulk requests, network numbers and
    /// invalid requests for them are metered; health, pages, the API description, preflight, and unknown paths and methods
    /// are not.
    pub async fn handle(&self, event: &Event, now: Timestamp) -> Answer {
        if let Some(page) = self.settings.web_page.then(|| web::answer(event)).flatten() {
            return self.finish(page);
        }
        let mut answer = match route(event) {
            Err(problem) if problem.is_bad_request() => self.metered(event, Work::Bad(problem), now).await,
            Err(problem) => Answer::problem(&problem),
            Ok(Route::Preflight) => Answer::preflight(),
            Ok(Route::Health) => self.health(),
            Ok(Route::Description) => web::description(event),
            Ok(Route::Metered(metered)) => self.metered(event, Work::read(metered, event), now).await,
        };
        if self.settings.web_page && is_root(event) {
            answer.header("vary", "Accept");
        }
        if reads_json_only(event) {
            answer.as_plain_json();
        }
        // HEAD is answered like GET; the HTTP layer sends the length and omits the body.
        self.finish(answer)
    }

    async fn metered(&self, event: &Event, work: Work, now: Timestamp) -> Answer {
        let Some(request) = ChargeRequest::read(event, work.cost()) else {
            return Answer::problem(&Problem::bad_event());
        };
        let gate = Gate { access: &self.access, memory: &self.memory, settings: &self.settings };
        let mut warnings = Vec::new();
        let decided = gate.decide(&request, now, &mut warnings).await;
        for error in &warnings {
            self.warn(error);
        }
        let mut decision = match decided {
            Ok(decision) => decision,
            Err(StoreUnavailable(error)) => {
                self.warn(&error);
                return Answer::problem(&Problem::unavailable());
            }
        };
        let (mut answer, cost) = self.answer(&work, &decision, now);
        if decision.verdict == Verdict::Allowed {
            gate.take_back(&decision, now, request.cost.saturating_sub(cost));
            if is_bad_request(answer.status_code) {
                decision.verdict = Verdict::BadRequest;
            }
        }
        gate.settle(&decision, now, cost);
        if let Some(quota) = decision.quota {
            answer.quota(QuotaState { used: quota.used.saturating_add(cost), ..quota }, now);
        }
        if let Some(rate) = decision.rate {
            answer.rate(rate, decision.verdict == Verdict::OverRate);
        }
        self.write_line(event, &decision, cost, now);
        answer
    }

    /// The answer and what it costs.
    fn answer(&self, work: &Work, decision: &Decision, now: Timestamp) -> (Answer, u64) {
        if decision.verdict != Verdict::Allowed {
            let quota = decision.refused_by(&self.settings);
            let over = OverQuota {
                quota,
                rate: decision.rate,
                cost: work.cost(),
                of_keys: decision.is_of_key,
                reset_s: Period::new(quota.limit.window, now).seconds_left(now),
            };
            let problem = Problem::refused(decision.verdict, self.settings.refusal_statuses(), over);
            return (Answer::problem(&problem), decision.cost);
        }
        match work {
            Work::Location { explain: true, .. } if !decision.may_explain => {
                (Answer::problem(&Problem::may_not_explain()), 0)
            }
            Work::Location { address, part, explain } => {
                match self.location(address, part, *explain, decision.count, now) {
                    Ok(answer) => (answer, 1),
                    Err(problem) => (Answer::problem(&problem), 0),
                }
            }
            Work::Bulk { items, part, wrap } => {
                (self.bulk(items, part, *wrap, decision.count, now), work.cost())
            }
            Work::Asn { number, part } => match self.geo.asn(*number) {
                Some(known) => (Answer::json(chosen(known, part)), 1),
                None => (Answer::problem(&Problem::asn_not_found(*number)), 0),
            },
            Work::Bad(problem) => (Answer::problem(problem), 0),
        }
    }

    fn location(
        &self,
        address: &Result<IpAddr, AddressFault>,
        part: &Part,
        explain: bool,
        count: u64,
        now: Timestamp,
    ) -> Result<Answer, Problem> {
        let address = address.as_ref().map_err(Problem::address)?;
        let location = self.compose(*address, count, now).ok_or_else(|| Problem::not_found(address))?;
        let Part::Field { name, form } = part else {
            let mut chosen = chosen(location, part);
            if let Some(origins) = explain.then(|| self.geo.origins(located(*address))).flatten() {
                explain::add(&mut chosen, &origins);
            }
            return Ok(Answer::json(chosen));
        };
        let value = fields::one(&location, name).ok_or_else(|| Problem::field_not_known(name))?;
        Ok(match (form, serde_json::from_str::<String>(&value)) {
            (Form::PlainTexts, Ok(text)) => Answer::bare(text),
            (Form::Plain, text) => Answer::plain(text.unwrap_or(value)),
            _ => Answer::json(value),
        })
    }

    /// A location's JSON; `None` if the address is not in the database.
    fn compose(&self, address: IpAddr, count: u64, now: Timestamp) -> Option<String> {
        let mut out = String::with_capacity(LOCATION_BYTES);
        compose(&self.geo, address, Extent::Counted(count), now, &mut out).then_some(out)
    }

    fn bulk(
        &self,
        items: &[Result<Subject, BadItem>],
        part: &Part,
        wrap: bool,
        count: u64,
        now: Timestamp,
    ) -> Answer {
        let answer = |item: &Result<Subject, BadItem>| match item {
            Err(BadItem { sent, why }) => refused_item(sent, why),
            Ok(Subject::Address(address)) => match self.compose(*address, count, now) {
                Some(location) => chosen(location, part),
                None => refused_item(&address.to_string(), &Problem::not_found(address).message),
            },
            Ok(Subject::Asn(number)) => match self.geo.asn(*number) {
                Some(known) => chosen(known, part),
                None => refused_item(&format!("AS{number}"), &Problem::asn_not_found(*number).message),
            },
        };
        let items: Vec<String> = items.iter().map(answer).collect();
        let list = format!("[{}]", items.join(","));
        Answer::json(if wrap { format!("{{\"responses\":{list}}}") } else { list })
    }

    fn health(&self) -> Answer {
        let mut health = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "region": self.settings.region,
            "database_date": self.geo.date(),
        });
        if let Some((text, link)) = self.geo.attribution() {
            health["attribution"] = json!({ "text": text, "link": link });
        }
        Answer::json(health.to_string())
    }

    /// Adds the headers about the database.
    fn finish(&self, mut answer: Answer) -> Answer {
        answer.header("x-database-date", self.geo.date());
        if let Some((text, link)) = self.geo.attribution() {
            answer.header("x-database-attribution", format!("{text} <{link}>"));
        }
        answer
    }

    fn write_line(&self, event: &Event, decision: &Decision, cost: u64, now: Timestamp) {
        let usage = UsageEvent {
            time: now,
            verdict: decision.verdict,
            cost,
            region: self.settings.region.clone(),
            request_id: event.request_context.request_id.clone(),
            tier: decision.tier.clone(),
            charges: decision.line.clone(),
        };
        self.sink.usage(usage.to_line());
    }

    fn warn(&self, error: &StoreError) {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        self.sink.warn(format!("{error}: {cause}"));
    }
}

fn refused_item(ip: &str, message: &str) -> String {
    json!({ "ip": ip, "message": message }).to_string()
}

/// A location or a network number, or the requested fields of it.
fn chosen(object: String, part: &Part) -> String {
    match part {
        Part::Fields(names) => fields::some(&object, names),
        _ => object,
    }
}
