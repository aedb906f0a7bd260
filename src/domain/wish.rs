//! What a person may ask for, and when.

use super::event::Wish;
use super::fleet::Pass;
use super::halt::HaltReason;
use super::record::Record;
use super::stage::{Course, Stage};

/// Whether `wish` makes sense for `record` now; `Err` says why not and what to do instead.
pub fn admit(record: Option<&Record>, wish: &Wish) -> Result<(), String> {
    let Some(record) = record else {
        return Err("nothing is known of this credential yet: see `rekeyd status`".to_owned());
    };
    match wish {
        Wish::Rotate { pass, .. } => admit_rotate(record, *pass),
        Wish::Restore { .. } => admit_restore(record),
        Wish::Unhold if record.hold.is_none() => Err("it is not held".to_owned()),
        Wish::Resume if record.halt.is_none() => Err("it is not halted".to_owned()),
        Wish::Hold { .. } | Wish::Unhold | Wish::Resume => Ok(()),
        Wish::Confirm => admit_confirm(record),
    }
}

fn admit_rotate(record: &Record, pass: Pass) -> Result<(), String> {
    if let Some(halt) = &record.halt {
        return Err(format!(
            "it is halted ({}): {}",
            halt.reason.code(),
            halt.reason.remedy(&record.credential)
        ));
    }
    if let Some(hold) = &record.hold {
        return Err(format!("it is held ({}): `rekeyd unhold {}` first", hold.reason, record.credential));
    }
    match &record.stage {
        // Who asks again and means it more than before is heard.
        Stage::Settled { .. } if record.asked.as_ref().is_some_and(|asked| asked.pass.covers(pass)) => {
            Err("a rotation is asked for already".to_owned())
        }
        Stage::Settled { .. } => Ok(()),
        stage => Err(format!("a rotation is under way (`{}`)", stage.phase())),
    }
}

fn admit_restore(record: &Record) -> Result<(), String> {
    match &record.stage {
        Stage::Provisioning { .. } | Stage::Soaking { course: Course::Forward, .. } => Ok(()),
        Stage::Soaking { .. } | Stage::Restoring { .. } => Err("the old keys are back already".to_owned()),
        Stage::Retiring { .. } => Err("it is too late: the old keys are being retired".to_owned()),
        Stage::Delivering { .. } => Err("the delivery is not answered yet: try again in a moment".to_owned()),
        stage => Err(format!("nothing was delivered (`{}`)", stage.phase())),
    }
}

fn admit_confirm(record: &Record) -> Result<(), String> {
    let reason = record.halt.as_ref().map(|halt| &halt.reason);
    match reason {
        Some(
            HaltReason::ManualDelivery { .. }
            | HaltReason::Indeterminate
            | HaltReason::LiveKeyGone { .. }
            | HaltReason::NewerGeneration { .. }
            | HaltReason::OldJournal
            | HaltReason::PinMismatch { .. },
        ) => Ok(()),
        Some(reason) => Err(format!("this halt ends differently: {}", reason.remedy(&record.credential))),
        None => Err("nothing waits for a confirmation".to_owned()),
    }
}
