//! The proxy: every signed call of the program is judged before the emulator sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::{self, Memory};
use super::http::{Answer, Call, Form, Scope};
use super::needs::{ResourceNeed, needs};
use super::policy::{Decision, Policies, Request};
use super::record::Record;
use super::refusal::{Refusal, denial};
use super::resolve::{Place, Resolved};
use super::rules::{Failure, Rule, Strictness, THROTTLED, fails, fresh_roles, invalid, refused};
use super::stacks::{
    ChangeSet, Failed, accepted, describe_failed, element, failure_events, resources_of, validation_events,
    with_states,
};

/// The emulator's account.
const ACCOUNT: &str = "000000000000";
/// The access key of the program when it speaks to an emulator.
const ACCESS_KEY: &str = "test";
/// Who AWS says the program is.
const DEPLOYER: &str = "arn:aws:iam::000000000000:user/deployer";

/// An AWS that is strict, in front of an emulator. Its threads end with the connections that they serve.
#[derive(Debug, Clone)]
pub struct StrictAws {
    port: u16,
    upstream: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    strictness: Strictness,
    record: Record,
    calls: u64,
    change_sets: BTreeMap<String, ChangeSet>,
    /// By region and name.
    stacks: BTreeMap<(String, String), Stack>,
    failed: BTreeMap<(String, String), Failed>,
    streams: BTreeMap<String, String>,
    /// Roles that functions have waited for.
    propagated: BTreeSet<String>,
    refusals: Vec<String>,
    unknown: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Stack {
    id: String,
    role: Option<String>,
    resources: BTreeMap<String, Resolved>,
}

impl Memory for State {
    fn stack_of(&self, change_set: &str) -> Option<String> {
        self.change_sets.get(change_set).map(|set| set.stack_id.clone())
    }

    fn stream(&self, region: &str) -> Option<String> {
        self.streams.get(region).cloned()
    }
}

impl State {
    /// Decides one request; the sentence of a refusal.
    fn decide(&mut self, policies: Option<&Policies>, what: &str, request: &Request) -> Result<(), Decision> {
        self.record.add(what, request);
        let decision = policies.map_or(Decision::Allowed(String::new()), |policies| policies.decide(request));
        if matches!(decision, Decision::Allowed(_)) { Ok(()) } else { Err(decision) }
    }

    fn has(&self, rule: Rule) -> bool {
        self.strictness.rules.contains(&rule)
    }
}

impl StrictAws {
    /// Listens on a free port before an emulator (`http://127.0.0.1:PORT`).
    pub fn before(emulator: &str, strictness: Strictness) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            upstream: emulator.trim_start_matches("http://").to_owned(),
            state: Arc::new(Mutex::new(State { strictness, ..State::default() })),
        };
        let served = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let proxy = served.clone();
                std::thread::spawn(move || {
                    if let Err(error) = proxy.serve(&client) {
                        proxy.state().unknown.insert(format!("a connection broke: {error}"));
                    }
                });
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Begins a step of this name.
    pub fn step(&self, name: &str) {
        self.state().record.step(name);
    }

    /// Fails if a call came that is not known here.
    pub fn check(&self) {
        let state = self.state();
        assert!(state.unknown.is_empty(), "calls that `calls.rs` does not know: {:#?}", state.unknown);
    }

    /// Changes how strict it is.
    pub fn set(&self, strictness: Strictness) {
        self.state().strictness = strictness;
    }

    /// What was needed so far.
    pub fn record(&self) -> Record {
        self.check();
        self.state().record.clone()
    }

    /// Every refusal since the last time, in AWS's words.
    pub fn take_refusals(&self) -> Vec<String> {
        std::mem::take(&mut self.state().refusals)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let Some(call) = Call::read(client)? else { return Ok(()) };
        let answer = match call.scope().filter(|scope| is_of_the_program(&call, scope)) {
            Some(scope) => self.judge(&call, &scope)?,
            None => call.send(&self.upstream)?,
        };
        answer.write(client)
    }

    fn judge(&self, call: &Call, scope: &Scope) -> io::Result<Answer> {
        let service = scope.service.as_str();
        if let Err(refusal) = self.admit(call, scope) {
            return Ok(refusal.answer(service));
        }
        if service == "cloudformation" {
            return self.cloudformation(call, scope);
        }
        if service == "kinesis"
            && let Some(stream) = call.json()["StreamName"].as_str()
        {
            self.state().streams.insert(scope.region.clone(), stream.to_owned());
        }
        call.send(&self.upstream)
    }

    /// Throttling and IAM.
    fn admit(&self, call: &Call, scope: &Scope) -> Result<(), Refusal> {
        let mut state = self.state();
        state.calls += 1;
        if state.has(Rule::Throttling) && state.calls.is_multiple_of(THROTTLED) {
            return Err(Refusal::throttled(&scope.service));
        }
        let requests = match calls::requests(call, scope, ACCOUNT, &*state) {
            Ok(requests) => requests,
            Err(unknown) => {
                state.unknown.insert(unknown.clone());
                return Err(Refusal { status: 501, code: "NotImplemented", message: unknown });
            }
        };
        let policies = state.strictness.deployer.clone();
        for request in requests {
            let what = request.action.split(':').nth(1).unwrap_or_default().to_owned();
            if let Err(decision) = state.decide(policies.as_ref(), &what, &request) {
                let refusal = Refusal::denied(&scope.service, DEPLOYER, &request, &decision);
                state.refusals.push(refusal.message.clone());
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn cloudformation(&self, call: &Call, scope: &Scope) -> io::Result<Answer> {
        let form = call.form();
        let set = form.get("ChangeSetName").unwrap_or_default();
        match form.get("Action").unwrap_or_default() {
            "CreateChangeSet" => self.create_change_set(call, &form, scope),
            "DescribeChangeSet" => {
                let found =
                    self.state().change_sets.get(set).filter(|found| !found.invalid.is_empty()).cloned();
                found.map_or_else(|| call.send(&self.upstream), |found| Ok(describe_failed(set, &found)))
            }
            "DescribeEvents" => {
                let found = self.state().change_sets.get(set).cloned();
                found.map_or_else(|| call.send(&self.upstream), |found| Ok(validation_events(&found)))
            }
            "ExecuteChangeSet" => self.execute(call, set),
            "DeleteStack" => self.delete(call, &form, scope),
            "DescribeStacks" => {
                let answer = call.send(&self.upstream)?;
                let state = self.state();
                Ok(with_states(
                    answer,
                    state.failed.values().filter(|failed| failed.status != "DELETE_COMPLETE"),
                ))
            }
            "DescribeStackEvents" => {
                let stack = form.get("StackName").unwrap_or_default();
                let state = self.state();
                let found = state.failed.iter().find(|((region, name), failed)| {
                    failed.stack_id == stack || (*region == scope.region && name == stack)
                });
                let answer = found.map(|((_, name), failed)| failure_events(failed, name));
                drop(state);
                answer.map_or_else(|| call.send(&self.upstream), Ok)
            }
            _ => call.send(&self.upstream),
        }
    }

    fn create_change_set(&self, call: &Call, form: &Form, scope: &Scope) -> io::Result<Answer> {
        let name = form.get("StackName").unwrap_or_default();
        let name = name.split(":stack/").nth(1).map_or(name, |rest| rest.split('/').next().unwrap_or(rest));
        let place =
            Place { region: scope.region.clone(), account: ACCOUNT.to_owned(), stack: name.to_owned() };
        let resources = match resources_of(form, &place) {
            Ok(resources) => resources,
            Err(why) => return Ok(Refusal::validation(why).answer("cloudformation")),
        };
        let capabilities: Vec<&str> = form.all("Capabilities.member").collect();
        let rules = self.state().strictness.rules.clone();
        let template = form.get("TemplateBody").unwrap_or_default();
        if let Some((code, message)) = refused(&rules, template, &resources, &capabilities) {
            self.state().refusals.push(message.clone());
            return Ok(Refusal { status: 400, code, message }.answer("cloudformation"));
        }
        let mut found: Vec<(&'static str, Failure)> = Vec::new();
        if rules.contains(&Rule::Schemas) {
            found.extend(invalid(&resources).into_iter().map(|failure| ("PropertyValidation", failure)));
        }
        if rules.contains(&Rule::EarlyValidation) {
            let left = self.left_over(form, &resources, &place)?;
            found.extend(left.into_iter().map(|failure| ("ResourceExistenceCheck", failure)));
        }
        let answer = call.send(&self.upstream)?;
        let text = answer.text();
        if let (Some(id), Some(stack_id)) = (element(&text, "Id"), element(&text, "StackId")) {
            let set = ChangeSet {
                place,
                creates: form.get("ChangeSetType") == Some("CREATE"),
                stack_id: stack_id.to_owned(),
                resources,
                role: form.get("RoleARN").map(str::to_owned),
                invalid: found,
            };
            let mut state = self.state();
            state.refusals.extend(set.invalid.iter().map(|(_, failure)| failure.reason.clone()));
            state.change_sets.insert(id.to_owned(), set);
        }
        Ok(answer)
    }

    /// Resources to be added whose names are taken, unless an import adopts them.
    fn left_over(
        &self,
        form: &Form,
        resources: &BTreeMap<String, Resolved>,
        place: &Place,
    ) -> io::Result<Vec<Failure>> {
        let key = (place.region.clone(), place.stack.clone());
        let known = self.state().stacks.get(&key).cloned().unwrap_or_default();
        let imports = form.get("ImportExistingResources") == Some("true");
        let mut found = Vec::new();
        for (name, resource) in resources {
            if known.resources.contains_key(name) || (imports && resource.retained) {
                continue;
            }
            if let Some(physical) = super::names::taken(&self.upstream, resource, place)? {
                let reason = format!(
                    "Resource of type '{}' with identifier '{physical}' already exists.",
                    resource.kind
                );
                found.push(Failure { physical, ..Failure::new(name, &resource.kind, reason) });
            }
        }
        Ok(found)
    }

    fn execute(&self, call: &Call, id: &str) -> io::Result<Answer> {
        let Some(set) = self.state().change_sets.get(id).cloned() else { return call.send(&self.upstream) };
        let key = (set.place.region.clone(), set.place.stack.clone());
        let before = self.state().stacks.get(&key).cloned().unwrap_or_default();
        let role = set.role.clone().or(before.role);
        let failure = self.failure(&before.resources, &set.resources, &set.place, role.as_deref());
        if let Some(failure) = failure {
            // Undone as CloudFormation would: the emulator never began.
            let status = if set.creates { "DELETE_COMPLETE" } else { "UPDATE_ROLLBACK_COMPLETE" };
            if set.creates {
                let form =
                    [("Action", "DeleteStack"), ("Version", "2010-05-15"), ("StackName", &set.stack_id)];
                let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
                call.with_body(Form(form.to_vec()).encode()).send(&self.upstream)?;
            }
            let mut state = self.state();
            state.refusals.push(failure.reason.clone());
            state.failed.insert(key, Failed::new(&set.stack_id, status, failure));
            return Ok(accepted("ExecuteChangeSet"));
        }
        let answer = call.send(&self.upstream)?;
        if answer.status < 300 {
            let mut state = self.state();
            state.failed.remove(&key);
            state.stacks.insert(key, Stack { id: set.stack_id, role, resources: set.resources });
        }
        Ok(answer)
    }

    /// Why a change would fail on AWS: its permissions first, then its rules.
    fn failure(
        &self,
        before: &BTreeMap<String, Resolved>,
        after: &BTreeMap<String, Resolved>,
        place: &Place,
        role: Option<&str>,
    ) -> Option<Failure> {
        let mut state = self.state();
        let service_role = state.strictness.service_role.clone().filter(|_| role.is_some());
        let policies = service_role.or_else(|| state.strictness.deployer.clone());
        let mut failure = None;
        // All are recorded, also after the first that fails.
        for ResourceNeed { resource, kind, operation, requests } in needs(before, after, place) {
            let what = format!("{} {resource} {operation:?}", place.stack);
            for request in requests {
                let Err(decision) = state.decide(policies.as_ref(), &what, &request) else { continue };
                let why = format!(
                    "Resource handler returned message: \"{}\" (HandlerErrorCode: AccessDenied)",
                    denial(role.unwrap_or(DEPLOYER), &request, &decision)
                );
                failure = failure.or_else(|| Some(Failure::new(&resource, &kind, why)));
            }
        }
        let failure = failure.or_else(|| fails(&state.strictness.rules, before, after));
        if failure.is_none() && state.has(Rule::RolePropagation) {
            for (function, role) in fresh_roles(before, after) {
                if state.propagated.insert(role) {
                    let why = "Resource handler returned message: \"The role defined for the function cannot be \
                               assumed by Lambda. (Service: Lambda, Status Code: 400)\" (HandlerErrorCode: \
                               InvalidRequest)";
                    return Some(Failure::new(&function, "AWS::Lambda::Function", why));
                }
            }
        }
        failure
    }

    fn delete(&self, call: &Call, form: &Form, scope: &Scope) -> io::Result<Answer> {
        let named = form.get("StackName").unwrap_or_default();
        let found = self.state().stacks.iter().find_map(|(key, stack)| {
            let is_it = stack.id == named || (key.0 == scope.region && key.1 == named);
            is_it.then(|| (key.clone(), stack.clone()))
        });
        let Some((key, stack)) = found else { return call.send(&self.upstream) };
        let place = Place { region: key.0.clone(), account: ACCOUNT.to_owned(), stack: key.1.clone() };
        let role = form.get("RoleARN").map(str::to_owned).or_else(|| stack.role.clone());
        let failure = self.failure(&stack.resources, &BTreeMap::new(), &place, role.as_deref());
        if let Some(failure) = failure {
            let mut state = self.state();
            state.refusals.push(failure.reason.clone());
            state.failed.insert(key, Failed::new(&stack.id, "DELETE_FAILED", failure));
            return Ok(accepted("DeleteStack"));
        }
        let answer = call.send(&self.upstream)?;
        if answer.status < 300 {
            let mut state = self.state();
            state.failed.remove(&key);
            state.stacks.remove(&key);
        }
        Ok(answer)
    }
}

/// Functions that the emulator runs have the program's access key, but not its clients.
fn is_of_the_program(call: &Call, scope: &Scope) -> bool {
    let agent = call.header("user-agent").unwrap_or_default();
    scope.access_key == ACCESS_KEY && (agent.contains("aws-sdk-rust") || agent.starts_with("ipgeo/"))
}
