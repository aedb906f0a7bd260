//! One request's way through the sandbox: judge it for faults, perhaps hold it, let it take effect under the
//! world's lock, perhaps hold or spoil the reply. Each request runs in a task of its own, so that one whose
//! client has died still takes effect, as it would at SAP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Response;
use serde_json::json;

use crate::api;
use crate::clock;
use crate::faults::{Rules, Verdict};
use crate::holds::{Held, Holds, Release};
use crate::hostility;
use crate::reply::{Body, Broken, Reply};
use crate::request::{Endpoint, Request};
use crate::spoil;
use crate::world::World;
use crate::world::books::Call;

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

/// Answers a request, or closes the connection.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request) -> Result<Response<Body>, Broken> {
    let endpoint = Endpoint::of(&request.method, &request.path);
    let (tenant, verdict) = judge(&shared, &endpoint, &request);
    if verdict.latency_ms > 0 {
        clock::wait(Duration::from_millis(verdict.latency_ms)).await;
    }
    let held = |after_effect| Held {
        id: 0,
        operation: endpoint.operation(),
        tenant: tenant.clone(),
        path: endpoint.template().to_owned(),
        after_effect,
    };
    if verdict.hold_before && shared.holds.hold(held(false)).await == Release::Drop {
        let reply = Reply::empty(503);
        log(&mut shared.world(), &endpoint, tenant.clone(), &request, &verdict, &reply, None);
        return Err(Broken);
    }
    let reply = play(&shared, &endpoint, tenant.clone(), &request, &verdict);
    if verdict.hold_after && shared.holds.hold(held(true)).await == Release::Drop {
        return Err(Broken);
    }
    match verdict.spoilt {
        None => Ok(reply.into_http()),
        Some((fault, _)) => spoil::spoil(&fault, reply, clock::machine_time()),
    }
}

/// Which tenant the request is about, and what is to happen to it.
fn judge(shared: &Shared, endpoint: &Endpoint, request: &Request) -> (Option<String>, Verdict) {
    let mut rules = shared.rules();
    let mut world = shared.world();
    let tenant = endpoint.tenant(&world, request);
    let mut verdict = rules.judge(&mut world, endpoint, tenant.as_deref(), request);
    hostility::add(&mut world, endpoint.operation(), tenant.as_deref(), &mut verdict);
    (tenant, verdict)
}

/// Lets the request take effect, and writes it down, in one go.
fn play(
    shared: &Shared,
    endpoint: &Endpoint,
    tenant: Option<String>,
    request: &Request,
    verdict: &Verdict,
) -> Reply {
    let mut world = shared.world();
    let reply = if verdict.takes_effect() {
        if let Some(id) = &tenant {
            world.settle(id);
        }
        api::answer(&mut world, endpoint, request)
    } else {
        Reply::json(503, &json!({ "error": "server_error" }))
    };
    let status = match &verdict.spoilt {
        None => Some(reply.status),
        Some((fault, _)) => spoil::visible_status(fault, &reply),
    };
    log(&mut world, endpoint, tenant, request, verdict, &reply, status);
    reply
}

fn log(
    world: &mut World,
    endpoint: &Endpoint,
    tenant: Option<String>,
    request: &Request,
    verdict: &Verdict,
    reply: &Reply,
    status: Option<u16>,
) {
    world.seq += 1;
    let call = Call {
        seq: world.seq,
        at: world.now(),
        method: request.method.clone(),
        path: endpoint.template().to_owned(),
        operation: endpoint.operation(),
        tenant,
        status,
        faults: verdict.names.clone(),
        effect: reply.effect,
        key: reply.key.clone(),
    };
    world.log(call);
}
