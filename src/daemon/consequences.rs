//! What a wish changes besides, for the person who wished: before it is taken, since afterwards nobody can tell.

use crate::domain::event::Wish;
use crate::domain::plan::rotation_due;
use crate::domain::record::{Hold, Record};
use crate::domain::stage::Stage;
use crate::domain::view::View;
use crate::domain::{Timestamp, after};

/// What `wish` changes besides, a sentence each.
pub(super) fn consequences(view: &View, wish: &Wish, now: Timestamp) -> Vec<String> {
    let Some(record) = &view.record else { return Vec::new() };
    let sentence = match wish {
        Wish::Hold { .. } => record.hold.as_ref().filter(|_| record.is_held(now)).map(replaced),
        Wish::Unhold => lifted(view, record, now),
        _ => None,
    };
    sentence.into_iter().collect()
}

fn stamp(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn replaced(hold: &Hold) -> String {
    let until =
        hold.until.map_or_else(|| "until somebody lifted it".to_owned(), |at| format!("until {}", stamp(at)));
    format!("it takes the place of the hold before it ({}, {until})", hold.reason)
}

/// What goes on once nothing holds it.
fn lifted(view: &View, record: &Record, now: Timestamp) -> Option<String> {
    let id = &record.credential;
    if record.halt.is_some() || !record.is_held(now) {
        return None;
    }
    Some(match &record.stage {
        Stage::Settled { .. } => {
            let due = rotation_due(&view.policy, record.stage.in_use()).ok().flatten();
            due.filter(|at| *at <= now)?;
            "it is due: its rotation begins as soon as the fleet lets it".to_owned()
        }
        Stage::Soaking { evidence, .. } => match after(evidence.reached_at, view.policy.soak) {
            end if end <= now => format!(
                "its soak is over: the old keys go now, unless another gate is closed; `rekeyd explain {id}` shows them"
            ),
            end => format!("it soaks until {}, and then the old keys go", stamp(end)),
        },
        Stage::Retiring { .. } => "the old keys go on being retired".to_owned(),
        stage => format!("its rotation goes on (`{}`)", stage.phase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("it is an instant")
    }

    #[test]
    fn a_hold_that_is_replaced_is_named() {
        let hold = |until| Hold { until, reason: "audit".to_owned() };
        assert_eq!(
            replaced(&hold(None)),
            "it takes the place of the hold before it (audit, until somebody lifted it)"
        );
        let until = Some(at("2026-03-02T08:00:00Z"));
        assert_eq!(
            replaced(&hold(until)),
            "it takes the place of the hold before it (audit, until 2026-03-02 08:00 UTC)"
        );
    }
}
