//! Compares the sandbox's call log with the journal: nothing is changed upstream whose intent was not on disk before.

use std::collections::BTreeMap;

use rekeyd::domain::event::{Entry, Event};
use rekeyd::domain::fold;
use rekeyd::domain::stage::Phase;
use sap_sandbox::request::Operation;
use sap_sandbox::world::books::Call;

use crate::ground::Ground;
use crate::tally::Tally;

/// Nothing was done that the journal did not say before. One that cannot be read has said nothing.
pub(crate) async fn audited(ground: &Ground, mut tally: Tally) -> Tally {
    let entries = ground.entries().await.unwrap_or_default();
    let problems = unintended(&ground.fleet.sandbox.calls(0), &entries);
    if !problems.is_empty() {
        tally.resumed = 0;
    }
    tally.problems.extend(problems);
    tally
}

/// The calls that change something for good, with what the journal must have said before.
pub(crate) fn unintended(calls: &[Call], entries: &[Entry]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls {
        let before: Vec<&Entry> = entries.iter().filter(|entry| entry.at <= call.at).collect();
        let (kind, intents, phases): (_, _, &[Phase]) = match call.operation {
            Operation::CreateKey => ("create", intents(&before, is_create), &[Phase::Creating]),
            Operation::DeleteKey => (
                "delete",
                intents(&before, |event| is_delete(event, call.key.as_deref())),
                &[Phase::Retiring, Phase::Restoring, Phase::Settled],
            ),
            Operation::PutCredentials => {
                ("put", usize::MAX, &[Phase::Delivering, Phase::Restoring, Phase::Retiring])
            }
            _ => continue,
        };
        let name = call.key.clone().filter(|_| kind == "delete").unwrap_or_default();
        let count = sent.entry(format!("{kind} {name}")).or_default();
        *count += 1;
        if *count > intents {
            problems
                .push(format!("{kind} number {count} of `{name}` with {intents} intents on disk: {call:?}"));
        }
        match phase_at(&before) {
            Some(phase) if phases.contains(&phase) => {}
            phase => problems.push(format!("{kind} while the journal said {phase:?}: {call:?}")),
        }
        if kind == "create" && call.key.as_ref().is_some_and(|key| !is_named(&before, key)) {
            problems.push(format!("create of a key that was never named: {call:?}"));
        }
    }
    problems
}

fn intents(before: &[&Entry], wanted: impl Fn(&Event) -> bool) -> usize {
    before.iter().filter(|entry| wanted(&entry.event)).count()
}

fn is_create(event: &Event) -> bool {
    matches!(event, Event::CreateSent { .. })
}

/// A call whose reply never came to be carries no name; then any intent counts.
fn is_delete(event: &Event, key: Option<&str>) -> bool {
    matches!(event, Event::DeleteSent { name, .. } if key.is_none_or(|key| name.to_string() == key))
}

fn is_named(before: &[&Entry], key: &str) -> bool {
    before.iter().any(|entry| {
        matches!(&entry.event, Event::Begun { names, .. } if names.values().any(|name| name.to_string() == key))
    })
}

/// The stage below any halt, as these entries say.
fn phase_at(before: &[&Entry]) -> Option<Phase> {
    let entries: Vec<Entry> = before.iter().map(|entry| (*entry).clone()).collect();
    let records = fold::fold(&entries).ok()?;
    records.values().next().map(|record| record.stage.phase())
}
