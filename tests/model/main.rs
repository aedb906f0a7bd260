//! The model check: the daemon's own plan, fold, permits and lease rules against a small world in which everything
//! that can go wrong does, at every step, searched to the end.
//!
//! [`setup`] says what is configured and what the consumer is like, [`act`] what may happen, [`host`] how an instance
//! works, [`outside`] what it sees and brings about, [`people`] what people do, [`judge`] what must never be, and
//! [`search`] how all of it is gone through.

mod act;
mod clock;
mod host;
mod judge;
mod outside;
mod people;
mod print;
mod search;
mod setup;
mod single;
mod world;

use std::collections::BTreeMap;

use search::{Report, search};
use setup::Setup;

fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `make model` searches everything; `make test` what takes some seconds.
#[test]
fn nobody_is_locked_out_whatever_happens() {
    let is_full = asked("REKEYD_MODEL").is_some_and(|how| how == "full");
    let only = asked("REKEYD_MODEL_ONLY");
    let budget = asked("REKEYD_MODEL_BUDGET").map(|budget| budget.parse().expect("a budget is a number"));
    let (mut states, mut depth, mut violations) = (0, 0, 0);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for setup in Setup::all() {
        if only.as_ref().is_some_and(|only| only != setup.name) {
            continue;
        }
        let report = search(&setup, budget.unwrap_or(setup.budget[usize::from(is_full)]));
        tell(setup.name, &report);
        states += report.states;
        depth = depth.max(report.depth);
        violations += usize::from(report.violation.is_some());
        for (kind, count) in report.kinds {
            *kinds.entry(kind).or_default() += count;
        }
    }
    let met: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("{} kinds of faults and wishes made a difference: {}", kinds.len(), met.join(", "));
    println!("model: states={states} depth={depth} violations={violations}");
    assert!(states > 0, "there is no setup of that name");
    assert_eq!(violations, 0);
}

fn tell(name: &str, report: &Report) {
    let Report { states, depth, disturbances, .. } = report;
    println!("{name}: {states} states, {depth} deep, up to {disturbances} disturbances");
    let ends: Vec<String> = report.ends.iter().map(|(end, count)| format!("{end} {count}")).collect();
    println!("  ends: {}", ends.join(", "));
    if let Some(violation) = &report.violation {
        println!("  VIOLATION: {}", violation.what);
        for line in &violation.timeline {
            println!("    {line}");
        }
    }
}
