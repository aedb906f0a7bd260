//! What stops a credential before its stage is asked: a halt, another environment, a key nobody knows, a wait.

use std::time::Duration;

use super::{NextLook, Plan, Reason, Step, settled, window_end};
use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::halt::HaltReason;
use crate::domain::observation::Observation;
use crate::domain::policy::Policy;
use crate::domain::proof::pin_difference;
use crate::domain::record::Record;
use crate::domain::stage::Stage;
use crate::domain::{CLOCK_TOLERANCE, Timestamp, after, backoff, before};

/// The code of a rest because of a refused login.
pub const LOGIN_REFUSED: &str = "login-refused";

/// The code of a rest because the login may not do what is to be done.
pub const NOT_PERMITTED: &str = "not-permitted";

/// What a person does about a login of rekeyd's that is refused.
const MEND_LOGIN: &str = "mend the user or the secret that the tenant's file names (`rekeyd check-config --online` \
    tries every login), then `rekeyd reload` has it tried at once";

/// What a person does about a right that is missing.
const MEND_RIGHTS: &str = "the login works, and a right is missing: give its user the right to list, make and delete keys there (on \
    Cloud Foundry `Space Developer`), then `rekeyd rotate --due` has it tried at once";

/// No failure is waited for longer. A later instant was written before the clock was set back.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Whoever is on the way back may have a consumer that does not work: it is tried at least this often.
const WAY_BACK: Duration = Duration::from_mins(5);

/// Why nothing may be done, seen without looking at anything.
pub(super) fn refusal(policy: &Policy, record: &Record, now: Timestamp) -> Option<Plan> {
    if let Some(halt) = &record.halt {
        let plan = Plan::rest(NextLook::Schedule, "halted", halt.reason.to_string());
        return Some(plan.person(halt.reason.remedy(&record.credential)));
    }
    if let Some(what) = pin_difference(&record.pin, &policy.pin).filter(|_| !record.readopt) {
        return Some(Plan::halt(HaltReason::PinMismatch { what }));
    }
    if now < before(record.written_at, CLOCK_TOLERANCE) {
        let text = "the clock was set back: the journal holds times that are still to come";
        return Some(Plan::note(Event::ClockSetBack, "clock-set-back", text));
    }
    let waits = record.trouble.retry_at.filter(|at| now < *at && *at <= after(now, LONGEST_WAIT))?;
    let cause = record.trouble.last.as_ref().map_or_else(String::new, |failure| failure.cause.clone());
    let step = record.trouble.step.as_deref().unwrap_or("step");
    let plan = Plan::rest(NextLook::At(waits), "backoff", format!("`{step}` failed: {cause}"));
    Some(if by_hand(record) {
        plan.person(cause)
    } else if let Some((code, what)) = refused_login(record) {
        Plan { reason: Reason { code, ..plan.reason }, ..plan }.person(what)
    } else {
        plan
    })
}

/// A key of ours that the journal does not know, unless a person has just said that the issuer is right.
pub(super) fn stranger(record: &Record, observation: &Observation) -> Option<HaltReason> {
    let sightings = observation.keys.known().filter(|_| !record.readopt)?;
    settled::stranger(record, sightings)
}

/// A key in use that is gone after the proof, or while fresh keys are compared with it: what the consumer works with, and
/// rekeyd did not delete it. Nothing goes on by itself from there. Who asked for the way back gets that.
pub(super) fn bereft(
    policy: &Policy,
    record: &Record,
    observation: &Observation,
    now: Timestamp,
) -> Option<HaltReason> {
    let needed = match &record.stage {
        // One that is reset in place is gone as soon as the fresh one is made.
        Stage::Testing { fresh, tested, .. } => tested.len() < fresh.len() && !record.pin.in_place,
        Stage::Soaking { .. } | Stage::Retiring { .. } | Stage::Restoring { watch: Some(_), .. } => true,
        _ => false,
    };
    // A fresh key may be listed late.
    let listed = now >= after(record.entered_at, policy.lag);
    let sightings = observation.keys.known().filter(|_| needed && listed && record.restore.is_none())?;
    settled::missing(record.stage.in_use(), sightings)
}

/// A step that fails and fails, long after its stage should have been over. What passes by itself has passed by then.
pub(super) fn worn_out(policy: &Policy, record: &Record, now: Timestamp) -> Option<HaltReason> {
    let lasts = matches!(
        record.stage,
        Stage::Provisioning { .. } | Stage::Soaking { .. } | Stage::Retiring { .. } | Stage::Restoring { .. }
    );
    let trouble = &record.trouble;
    let late = now >= after(record.deadline(policy)?, policy.limits.stage_time);
    let first = trouble.first.as_ref().filter(|_| lasts && late)?;
    (trouble.failures >= policy.limits.attempts).then(|| HaltReason::AttemptsExhausted {
        step: trouble.step.clone().unwrap_or_default(),
        cause: first.cause.clone(),
    })
}

/// Until when the failures of a step may be waited for: the stage's own limit, or while settled the end of the keys.
pub(super) fn time_limit(policy: &Policy, record: &Record) -> Option<Timestamp> {
    match &record.stage {
        Stage::Settled { live } => window_end(policy, live).ok().flatten(),
        _ => record.deadline(policy),
    }
}

/// Whether the issuer cannot make keys and a person must: the failure says which key, and where to.
pub(super) fn by_hand(record: &Record) -> bool {
    let not_found = record.trouble.last.as_ref().is_some_and(|failure| failure.class == Class::NotFound);
    not_found && matches!(record.stage, Stage::Creating { .. })
}

/// A rest because something could not be seen. A login that is refused, or may not, is a person's to mend.
pub(super) fn unseen(what: &str, failure: &Failure, at: Timestamp) -> Plan {
    let Some((code, mend)) = refused(failure.class) else {
        return Plan::rest(NextLook::At(at), "cannot-see", format!("{what} could not be seen: {failure}"));
    };
    let why = if code == NOT_PERMITTED { "the login may not" } else { "the login is refused" };
    let text = format!("{what} could not be seen, since {why}: {failure}");
    Plan::rest(NextLook::At(at), code, text).person(mend)
}

/// The code of a refusal that a person mends, and how.
fn refused(class: Class) -> Option<(&'static str, &'static str)> {
    match class {
        Class::Unauthorized => Some((LOGIN_REFUSED, MEND_LOGIN)),
        Class::Forbidden => Some((NOT_PERMITTED, MEND_RIGHTS)),
        _ => None,
    }
}

/// The same of the login at the issuer. At the consumer, and where fresh keys are tried, the keys may be the cause.
fn refused_login(record: &Record) -> Option<(&'static str, &'static str)> {
    let is_of_the_issuer = matches!(record.trouble.step.as_deref(), Some("create" | "delete"));
    record.trouble.last.as_ref().filter(|_| is_of_the_issuer).and_then(|failure| refused(failure.class))
}

/// When a step that failed is tried again.
pub fn retry_at(
    policy: &Policy,
    record: &Record,
    step: &Step,
    failure: &Failure,
    now: Timestamp,
) -> Timestamp {
    // A fresh key takes time to become known: a refusal then is "not yet", and no account is at risk.
    let not_yet = matches!(step, Step::Test { .. }) && failure.class.is_login();
    if not_yet {
        return after(now, policy.poll);
    }
    // A person makes the key: its name is looked for again and again.
    if matches!(step, Step::Create { .. }) && failure.class == Class::NotFound {
        return after(now, policy.poll * 4);
    }
    let failures = record.trouble.failures + 1;
    wait(policy, record, failure, failures, now)
}

/// When a step or a look that failed so many times in a row is tried again.
pub(super) fn wait(
    policy: &Policy,
    record: &Record,
    failure: &Failure,
    failures: u32,
    now: Timestamp,
) -> Timestamp {
    let deadline = time_limit(policy, record);
    let at = backoff::retry_at(&record.credential, failure, failures, deadline, now);
    // Trying a login again soon could lock the account.
    if !matches!(record.stage, Stage::Restoring { .. }) || failure.class.is_login() {
        return at;
    }
    let soon = after(now, WAY_BACK);
    at.min(failure.not_before.map_or(soon, |not_before| soon.max(not_before)))
}
