//! The faults that the hostile modes draw by themselves, at the seeded rates of the scenario.

use crate::faults::{Fault, RetryAfter, RetryAfterForm, Verdict};
use crate::request::Operation;
use crate::world::World;

/// Adds to `verdict` what chance wants.
pub(crate) fn add(world: &mut World, operation: Operation, tenant: Option<&str>, verdict: &mut Verdict) {
    if !world.is_hostile() {
        return;
    }
    let question = format!("{operation:?}/{}", tenant.unwrap_or("-"));
    let (before, after) = (world.rates().before, world.rates().after);
    if world.chance.happens(&format!("{question}/before"), before) {
        let fault = before_effect(world, &question);
        verdict.add(&fault, Some(false));
    }
    if world.chance.happens(&format!("{question}/after"), after) {
        let fault = after_effect(world, &question);
        verdict.add(&fault, Some(true));
    }
}

fn before_effect(world: &mut World, question: &str) -> Fault {
    match world.chance.up_to(&format!("{question}/before which"), 6) {
        0 => status(500, None),
        1 => Fault::Html { code: Some(502) },
        2 => Fault::Html { code: Some(503) },
        3 => Fault::LostReply,
        4 => status(503, Some(retry_after(world, question))),
        _ => status(429, Some(retry_after(world, question))),
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
    RetryAfter { form, seconds: world.rates().retry_after_seconds }
}
