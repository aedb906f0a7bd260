//! The faults that the hostile modes draw by themselves, at the seeded rates of the scenario.

use crate::faults::{Fault, RetryAfter, RetryAfterForm, Verdict};
use crate::request::Operation;
use crate::scenario::tenant::Role;
use crate::world::World;

/// Adds to `verdict` what chance wants.
pub(crate) fn add(world: &mut World, operation: Operation, question: &str, verdict: &mut Verdict) {
    if !world.is_hostile() {
        return;
    }
    let rates = world.rates().clone();
    let mut wants = |what: &str, rate: f64| world.chance.happens(&format!("{question}/{what}"), rate);
    let (before, after) = (wants("before", rates.before), wants("after", rates.after));
    let (garbled, heavy) = (wants("garbled", rates.garbled), wants("heavy", rates.heavy));
    let (elsewhere, throttled) = (wants("elsewhere", rates.elsewhere), wants("throttled", rates.throttled));
    let delayed = wants("delayed", rates.delayed);
    if delayed {
        let most = world.paced(f64::from(world.scenario.waits.delay_milliseconds) / 1000.0).as_millis();
        let latency_ms =
            world.chance.up_to(&format!("{question}/delay"), u32::try_from(most).unwrap_or(u32::MAX));
        verdict.add(&Fault::Latency { latency_ms: latency_ms.into() }, None);
    }
    if throttled {
        let wait = retry_after(world, question);
        verdict.add(&status(429, Some(wait)), Some(false));
    }
    if before {
        let fault = before_effect(world, question);
        verdict.add(&fault, Some(false));
    }
    if after {
        let fault = after_effect(world, question);
        let spoils = verdict.add(&fault, Some(true));
        if spoils && operation == Operation::PutCredentials {
            verdict.only = half(world, question);
        }
    }
    if elsewhere {
        let fault = elsewhere_fault(world, question);
        verdict.add(&fault, None);
    }
    if garbled {
        let fault = garbled_reply(world, question);
        verdict.add(&fault, Some(true));
    }
    if heavy {
        let fault = heavy_reply(world, question);
        verdict.add(&fault, Some(true));
    }
}

fn before_effect(world: &mut World, question: &str) -> Fault {
    match world.chance.up_to(&format!("{question}/before which"), 4) {
        0 => status(500, None),
        1 => Fault::Html { code: Some(502) },
        2 => Fault::Html { code: Some(503) },
        3 => Fault::LostReply,
        _ => status(503, Some(retry_after(world, question))),
    }
}

fn after_effect(world: &mut World, question: &str) -> Fault {
    match world.chance.up_to(&format!("{question}/after which"), 5) {
        0 => Fault::Html { code: Some(502) },
        1 => status(500, None),
        2 => Fault::Html { code: Some(504) },
        3 => Fault::Truncated,
        _ => Fault::LostReply,
    }
}

fn garbled_reply(world: &mut World, question: &str) -> Fault {
    match world.chance.up_to(&format!("{question}/garbled which"), 3) {
        0 => Fault::Garbage,
        1 => Fault::Nested,
        _ => Fault::Mistyped,
    }
}

fn heavy_reply(world: &mut World, question: &str) -> Fault {
    if world.chance.happens(&format!("{question}/heavy which"), 0.5) {
        return Fault::Huge;
    }
    let pace = world.paced(f64::from(world.scenario.waits.drip_milliseconds) / 1000.0);
    Fault::Drip { every_ms: u64::try_from(pace.as_millis()).ok() }
}

/// The token that came with the call must not follow.
fn elsewhere_fault(world: &mut World, question: &str) -> Fault {
    let to = format!("{}/moved", world.bases.elsewhere);
    let code = match world.chance.up_to(&format!("{question}/elsewhere which"), 5) {
        0 => 301,
        1 => 302,
        2 => 307,
        3 => 308,
        _ => return Fault::Misled,
    };
    Fault::Redirect { to, code: Some(code) }
}

/// Of a PUT whose reply is spoilt perhaps only one entry was applied: a service that fails, fails in between. An
/// answer of 200 for half the work is a lie that no client can find out; consumers that tell it are a trait, not chance.
fn half(world: &mut World, question: &str) -> Option<Role> {
    let rate = world.rates().put_half;
    if !world.chance.happens(&format!("{question}/half"), rate) {
        return None;
    }
    let first = world.chance.happens(&format!("{question}/which half"), 0.5);
    Some(if first { Role::Ciapi } else { Role::Cirt })
}

fn status(code: u16, retry_after: Option<RetryAfter>) -> Fault {
    Fault::Status { code, body: None, retry_after }
}

fn retry_after(world: &mut World, question: &str) -> RetryAfter {
    let form = match world.chance.up_to(&format!("{question}/retry form"), 3) {
        0 => RetryAfterForm::Seconds,
        1 => RetryAfterForm::HttpDate,
        2 => RetryAfterForm::SapUtc,
        _ => RetryAfterForm::Epoch,
    };
    RetryAfter { form, seconds: world.some_pause(&format!("{question}/pause")) }
}
