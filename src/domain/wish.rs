//! What a person may ask for, and when.

use super::Timestamp;
use super::event::Wish;
use super::evidence::Watch;
use super::fleet::Pass;
use super::halt::HaltReason;
use super::record::Record;
use super::stage::{Course, Stage};

/// Whether `wish` makes sense for `record` at `now`; `Err` says why not and what to do instead.
pub fn admit(record: Option<&Record>, wish: &Wish, now: Timestamp) -> Result<(), String> {
    let Some(record) = record else {
        return Err(
            "nothing is known of this credential yet: `rekeyd status` shows what was seen of it".to_owned()
        );
    };
    match wish {
        Wish::Rotate { pass, .. } => admit_rotate(record, *pass, now),
        Wish::Withdraw { .. } => admit_withdraw(record),
        Wish::Restore { .. } if record.pin.in_place => Err(format!(
            "there is no way back: the secret before it stopped working when it was reset in place; {}",
            see(record)
        )),
        Wish::Restore { .. } => admit_restore(record),
        Wish::Unhold if record.hold.is_none() => {
            Err(format!("it is not held, so there is nothing to lift: {}", see(record)))
        }
        Wish::Resume if record.halt.is_none() => {
            Err(format!("it is not halted, so there is nothing to end: {}", see(record)))
        }
        Wish::Hold { .. } | Wish::Unhold | Wish::Resume => Ok(()),
        Wish::Confirm => admit_confirm(record),
    }
}

fn admit_rotate(record: &Record, pass: Pass, now: Timestamp) -> Result<(), String> {
    if let Some(halt) = &record.halt {
        return Err(format!(
            "it is halted ({}): {}",
            halt.reason.code(),
            halt.reason.remedy(&record.credential)
        ));
    }
    if let Some(hold) = record.hold.as_ref().filter(|_| record.is_held(now)) {
        return Err(format!("it is held ({}): `rekeyd unhold {}` first", hold.reason, record.credential));
    }
    match &record.stage {
        // Who asks again and means it more than before is heard.
        Stage::Settled { .. } if record.asked.as_ref().is_some_and(|asked| asked.pass.covers(pass)) => {
            Err(format!("a rotation is asked for already, and once is enough: {}", see(record)))
        }
        Stage::Settled { .. } => Ok(()),
        stage => Err(format!("a rotation is under way (`{}`): {}", stage.phase(), see(record))),
    }
}

fn admit_withdraw(record: &Record) -> Result<(), String> {
    match &record.stage {
        Stage::Settled { .. } if record.asked.is_some() => Ok(()),
        Stage::Settled { .. } => {
            Err(format!("no rotation is asked for, so there is nothing to withdraw: {}", see(record)))
        }
        Stage::Restoring { .. } | Stage::Soaking { course: Course::Back(_), .. } => {
            Err(format!("the rotation is on its way back already: {}", see(record)))
        }
        Stage::Retiring { .. } => {
            Err(format!("it is too late, the old keys are being retired: {}", see(record)))
        }
        stage if record.pin.in_place => Err(format!(
            "the rotation has begun (`{}`), and a secret that is reset in place goes forward only: {}",
            stage.phase(),
            see(record)
        )),
        stage => Err(format!(
            "the rotation has begun (`{}`), and half-way is no place to stop: once the fresh keys are delivered, \
             `rekeyd restore {}` goes back; {}",
            stage.phase(),
            record.credential,
            see(record)
        )),
    }
}

fn admit_restore(record: &Record) -> Result<(), String> {
    match &record.stage {
        Stage::Provisioning { .. } | Stage::Soaking { course: Course::Forward, .. } => Ok(()),
        Stage::Restoring { .. } => {
            Err(format!("the old keys are on their way back already: {}", see(record)))
        }
        Stage::Soaking { .. } | Stage::Retiring { course: Course::Back(_), .. } => {
            Err(format!("the old keys are back already: {}", see(record)))
        }
        Stage::Retiring { .. } => Err(format!(
            "it is too late, the old keys are being retired: once that is over, `rekeyd rotate {}` makes fresh ones; {}",
            record.credential,
            see(record)
        )),
        Stage::Settled { .. } if record.outcome.as_ref().is_some_and(|last| last.turned_back.is_none()) => {
            Err(format!(
                "the last rotation is over, and the keys before it are gone: `rekeyd rotate {}` makes fresh ones; {}",
                record.credential,
                see(record)
            ))
        }
        Stage::Delivering { .. } => {
            Err(format!("the delivery is not answered yet: try again in a moment; {}", see(record)))
        }
        stage => Err(format!(
            "nothing was delivered (`{}`), so there is nothing to go back from: {}",
            stage.phase(),
            see(record)
        )),
    }
}

fn admit_confirm(record: &Record) -> Result<(), String> {
    let reason = record.halt.as_ref().map(|halt| &halt.reason);
    match reason {
        Some(
            HaltReason::ManualDelivery { .. }
            | HaltReason::HandOver { .. }
            | HaltReason::Indeterminate
            | HaltReason::LiveKeyGone { .. }
            | HaltReason::NewerGeneration { .. }
            | HaltReason::OldJournal
            | HaltReason::PinMismatch { .. },
        ) => Ok(()),
        Some(HaltReason::NoWayBack { .. }) if record.stage.watch().is_some_and(Watch::awaits_person) => {
            Ok(())
        }
        Some(reason) => Err(format!("this halt ends differently: {}", reason.remedy(&record.credential))),
        None if record.stage.watch().is_some_and(Watch::awaits_person) => Ok(()),
        None => Err(format!("nothing waits for a confirmation: {}", see(record))),
    }
}

/// Where a person sees how things stand.
fn see(record: &Record) -> String {
    format!("`rekeyd status {}` shows how it stands", record.credential)
}
