//! What the consumers say, as of the last look.

use std::collections::BTreeMap;

use super::{Detail, Family, Line, Snapshot};
use crate::domain::observation::Verdict;

/// What the consumer says.
pub(super) fn write(of: Snapshot<'_>, detail: Detail, text: &mut String) {
    let mut status =
        Family::new("rekeyd_dataplane_status", "The last observed status of the consumer; always 1.");
    let mut observed = Family::new(
        "rekeyd_dataplane_last_observation_timestamp_seconds",
        "When the status was observed; absent before the first time.",
    );
    // A tenant may have several consumers of a kind: the worst of them counts.
    for (tenant, lines) in of.tenants() {
        let mut kinds = BTreeMap::new();
        for Line { view, .. } in lines {
            let seen = view.observation.as_ref().and_then(|seen| Some((seen.at, seen.status.known()?)));
            let is = seen.map_or(Verdict::Unknown, |(_, status)| status.verdict);
            let at = seen.map(|(at, _)| at);
            let kind = kinds.entry(view.policy.consumer).or_insert((is, at));
            if badness(is) > badness(kind.0) {
                *kind = (is, at);
            }
        }
        for (consumer, (is, at)) in kinds {
            let labels = [("tenant", tenant), ("consumer", consumer)];
            status.set(&[labels[0], labels[1], ("class", is.as_str())], true);
            if let Some(at) = at.filter(|_| detail == Detail::Full) {
                observed.set(&labels, at);
            }
        }
    }
    for family in [status, observed] {
        family.finish(text);
    }
}

/// How much a status calls for attention.
fn badness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Success => 0,
        Verdict::InProgress => 1,
        Verdict::NotProvisioned => 2,
        Verdict::Unknown => 3,
        Verdict::Error => 4,
    }
}
