//! What of a credential calls for attention most, as one series.

use std::time::Duration;

use super::credential::needs_person;
use super::{Snapshot, keys};
use crate::domain::between;
use crate::domain::proof::required_grade;
use crate::domain::record::Record;
use crate::domain::stage::Phase;
use crate::domain::view::View;

/// What may call for attention: the closed set of the label `class`, the most pressing first.
pub(in crate::metrics) const CLASSES: [&str; 9] =
    ["person", "restored", "delivery", "no_end", "key_limit", "evidence", "orphan", "unmanaged", "none"];

/// Keys that were put back are told of for this long, as the rule over the counter does.
const RESTORED: Duration = Duration::from_hours(1);

/// One failed delivery is repeated by itself.
const DELIVERIES: u32 = 2;

/// The most pressing of them.
pub(super) fn class(of: Snapshot<'_>, view: &View, record: &Record) -> &'static str {
    let keys = keys::count(view);
    let many = |count: &dyn Fn(&keys::Keys) -> bool| keys.as_ref().is_some_and(count);
    let limit = view.policy.limits.keys_per_role;
    let restored = of.tally.restored_at(&view.credential);
    let is: [bool; CLASSES.len()] = [
        needs_person(view, record),
        restored.is_some_and(|at| between(at, of.now) < RESTORED),
        record.trouble.failures >= DELIVERIES && record.trouble.step.as_deref() == Some("deliver"),
        record.stage.in_use().values().any(|key| view.policy.window.end_of(key).is_none()),
        record.phase() == Phase::Settled && many(&|keys| keys.alive.iter().any(|(_, alive)| *alive >= limit)),
        record.phase() == Phase::Soaking && record.grade < required_grade(&view.policy, record),
        many(&|keys| keys.orphan > 0),
        many(&|keys| keys.unmanaged > 0),
        true,
    ];
    let pressing = CLASSES.into_iter().zip(is).find_map(|(class, is)| is.then_some(class));
    pressing.expect("the last of them always holds")
}
