//! The model check: the daemon's own plan, fold, permits and lease rules against a small world in which everything
//! that can go wrong does, at every step, searched to the end.
//!
//! [`setup`] says what is configured and what the consumer is like, [`act`] what may happen, [`host`] how an instance
//! works, [`outside`] what it sees and brings about, [`people`] what people do, [`judge`] what must never be, and
//! [`search`] how all of it is gone through.

mod act;
mod clock;
mod fleet;
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

/// What all searches found together.
#[derive(Default)]
struct Sum {
    states: usize,
    depth: usize,
    violations: usize,
    kinds: BTreeMap<&'static str, usize>,
}

impl Sum {
    fn add(&mut self, name: &str, report: Report) {
        tell(name, &report);
        self.states += report.states;
        self.depth = self.depth.max(report.depth);
        self.violations += usize::from(report.violation.is_some());
        for (kind, count) in report.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

/// `make model` searches everything; `make test` what takes some seconds.
#[test]
fn nobody_is_locked_out_whatever_happens() {
    let is_full = asked("REKEYD_MODEL").is_some_and(|how| how == "full");
    let only = asked("REKEYD_MODEL_ONLY");
    let is_asked = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let budget = asked("REKEYD_MODEL_BUDGET").map(|budget| budget.parse().expect("a budget is a number"));
    let mut sum = Sum::default();
    for setup in Setup::all().iter().filter(|setup| is_asked(setup.name)) {
        sum.add(setup.name, search(setup, budget.unwrap_or(setup.budget[usize::from(is_full)])));
    }
    if is_asked(fleet::NAME) {
        sum.add(fleet::NAME, search(&fleet::Three, budget.unwrap_or(fleet::BUDGET[usize::from(is_full)])));
    }
    let met: Vec<String> = sum.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("{} kinds of faults and wishes made a difference: {}", met.len(), met.join(", "));
    println!("model: states={} depth={} violations={}", sum.states, sum.depth, sum.violations);
    assert!(sum.states > 0, "there is no setup of that name");
    assert_eq!(sum.violations, 0);
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
