//! One request's way through the sandbox: judge it for faults, perhaps hold it, let it take effect under the
//! world's lock, perhaps hold or spoil the reply. Each request runs in a task of its own, so that one whose
//! client has died still takes effect, as it would at SAP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Response;
use serde_json::json;

use crate::api;
use crate::clock;
use crate::faults::{Fault, Rules, Verdict};
use crate::holds::{Held, Holds, Release};
use crate::hostility;
use crate::reply::{Body, Broken, Reply};
use crate::request::{Endpoint, Request};
use crate::spoil;
use crate::world::World;
use crate::world::books::Call;
use crate::world::limits::Admission;
use crate::world::service::Caller;

/// What the listeners share. Locks are taken in the order of the fields.
#[derive(Debug)]
pub(crate) struct Shared {
    rules: Mutex<Rules>,
    world: Mutex<World>,
    pub(crate) holds: Holds,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self { rules: Mutex::default(), world: Mutex::new(world), holds: Holds::new() }
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request on its way through.
struct Case {
    endpoint: Endpoint,
    request: Request,
    /// The tenant it is about, where one can be told.
    tenant: Option<String>,
    /// Who asks whom, where one can be told.
    caller: Option<Caller>,
    /// What chance is asked about it: what is drawn for one tenant does not depend on what the others do.
    question: String,
    verdict: Verdict,
    /// How long a limit makes it stand in a queue.
    queued: Duration,
}

impl Case {
    fn held(&self, after_effect: bool) -> Held {
        Held {
            id: 0,
            operation: self.endpoint.operation(),
            tenant: self.tenant.clone(),
            path: self.endpoint.template().to_owned(),
            after_effect,
        }
    }
}

/// Answers a request, or closes the connection.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request) -> Result<Response<Body>, Broken> {
    let (case, is_service_call) = judge(&shared, request);
    let _under_way = is_service_call.then(|| ServiceCall(Arc::clone(&shared)));
    let wait = Duration::from_millis(case.verdict.latency_ms) + case.queued;
    if !wait.is_zero() {
        clock::wait(wait).await;
    }
    if case.verdict.hold_before && shared.holds.hold(case.held(false)).await == Release::Drop {
        log(&mut shared.world(), &case, &Reply::empty(503), None);
        return Err(Broken);
    }
    let reply = play(&shared, &case);
    if case.verdict.hold_after && shared.holds.hold(case.held(true)).await == Release::Drop {
        return Err(Broken);
    }
    spoil::send(case.verdict.fault(), reply)
}

/// Closes a connection under a request that came too late on it. Nothing takes effect.
pub(crate) fn close_idle(shared: &Shared, request: Request) -> Broken {
    let mut case = case(&shared.world(), request);
    case.verdict.names.push("idle connection closed".to_owned());
    log(&mut shared.world(), &case, &Reply::empty(503), None);
    Broken
}

/// A call to a service broker that is under way, for the limit that counts them.
struct ServiceCall(Arc<Shared>);

impl Drop for ServiceCall {
    fn drop(&mut self) {
        self.0.world().end_service_call();
    }
}

fn case(world: &World, request: Request) -> Case {
    let endpoint = Endpoint::of(&request.method, &request.path);
    let tenant = endpoint.tenant(world, &request);
    let caller = world.caller(&endpoint, &request);
    let question = format!("{:?}/{}", endpoint.operation(), tenant.as_deref().unwrap_or("-"));
    let (verdict, queued) = (Verdict::default(), Duration::ZERO);
    Case { endpoint, request, tenant, caller, question, verdict, queued }
}

/// What the request is about, what is to happen to it, and whether it counts as a call to a service broker.
fn judge(shared: &Shared, request: Request) -> (Case, bool) {
    let mut rules = shared.rules();
    let mut world = shared.world();
    let mut case = case(&world, request);
    let operation = case.endpoint.operation();
    world.note_impatience(case.caller.as_ref(), operation);
    case.verdict = rules.judge(&mut world, &case.endpoint, case.tenant.as_deref(), &case.request);
    hostility::add(&mut world, operation, &case.question, &mut case.verdict);
    case.request.only = case.verdict.only;
    match world.admit(&case.endpoint, case.caller.as_ref()) {
        Admission::Pass => {}
        Admission::Queue(wait) => case.queued = wait,
        Admission::Refuse(refusal) => case.verdict.refuse(refusal),
    }
    let is_service_call = case.verdict.refused.is_none() && world.begin_service_call(&case.endpoint);
    (case, is_service_call)
}

/// Lets the request take effect, and writes it down, in one go. Answers what the client is to read.
fn play(shared: &Shared, case: &Case) -> Reply {
    let mut world = shared.world();
    let reply = if let Some(refusal) = &case.verdict.refused {
        refusal.clone()
    } else if case.verdict.takes_effect() {
        if let Some(id) = &case.tenant {
            world.settle(id);
        }
        api::answer(&mut world, &case.endpoint, &case.request)
    } else {
        Reply::json(503, &json!({ "error": "server_error" }))
    };
    let fault = case.verdict.fault();
    let shown = spoil::disguise(&mut world, &case.endpoint, &case.request, fault, &case.question, reply);
    let status = (fault != Some(&Fault::LostReply)).then_some(shown.status);
    if status.is_some() {
        world.note_heard(&case.request, case.caller.as_ref(), &shown);
    }
    log(&mut world, case, &shown, status);
    shown
}

fn log(world: &mut World, case: &Case, reply: &Reply, status: Option<u16>) {
    world.seq += 1;
    let call = Call {
        seq: world.seq,
        at: world.now(),
        method: case.request.method.clone(),
        path: case.endpoint.template().to_owned(),
        operation: case.endpoint.operation(),
        tenant: case.tenant.clone(),
        status,
        faults: case.verdict.names.clone(),
        effect: reply.effect,
        key: reply.key.clone(),
    };
    world.log(call);
}
