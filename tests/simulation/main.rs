//! Deterministic simulation: the real engine, years of virtual time, an outside world that lies, dies and dawdles.
//!
//! A seed draws a story ([`story`]): tenants, instances, how each consumer misbehaves, how bad the weather is. The
//! instances ([`hosts`]) run the product's own engine on a journal ([`store`]) and on ports ([`ports`]) behind which
//! stands the truth ([`tenant`], [`consumer`], [`request`]). The books ([`judge`]) judge every change at its effect. Once
//! the faults are over, somebody ([`helper`]) does what each halt asks for, and everything must come to rest ([`run`]).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chance;
mod consumer;
mod emergency;
mod faults;
mod helper;
mod hosts;
mod judge;
mod operators;
mod ports;
mod request;
mod run;
mod sim;
mod store;
mod story;
mod tenant;
mod time;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rekeyd::clock::{Clock, SystemClock};

use chance::mix;
use run::{Outcome, run};
use story::Draw;

/// A number from the environment, decimal or hexadecimal.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let parsed =
        text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    Some(parsed.unwrap_or_else(|_| panic!("{name}: `{text}` is no number")))
}

/// How the stories are drawn: as today, unless `SIMULATE_DRAW` says otherwise.
fn draw() -> Draw {
    let number = number("SIMULATE_DRAW").unwrap_or(2);
    Draw::numbered(number).unwrap_or_else(|| panic!("SIMULATE_DRAW: stories are drawn in no way {number}"))
}

/// What came of many seeds.
#[derive(Default)]
struct Sum {
    seeds: usize,
    rotations: u64,
    violations: usize,
    counts: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, draw: Draw, outcome: Outcome) {
        self.rotations += outcome.rotations;
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.seeds += 1;
        if self.seeds.is_multiple_of(1000) {
            println!(
                "simulate: so far seeds={} rotations={} violations={}",
                self.seeds, self.rotations, self.violations
            );
        }
        self.violations += outcome.violations.len();
        if !outcome.violations.is_empty() && self.violations < 500 {
            let asked = if draw == Draw::First { " DRAW=1" } else { "" };
            println!("{}\n  replay: make simulate SEED={seed:#x}{asked}", outcome.violations.join("\n"));
        }
    }
}

/// Runs `seeds` on all cores; none is begun once all together have made `calls`.
fn run_all(seeds: &[u64], draw: Draw, calls: u64) -> Sum {
    let sum = Mutex::new(Sum::default());
    let (next, spent) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) =
                    seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap())
                {
                    if spent.load(Ordering::Relaxed) >= calls {
                        return;
                    }
                    let outcome = run(*seed, draw, false);
                    spent.fetch_add(outcome.counts["calls"], Ordering::Relaxed);
                    sum.lock().unwrap().add(*seed, draw, outcome);
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

/// The table of named seeds: the seed, how its story is drawn, what it was; one a line.
fn named() -> Vec<(u64, Draw, &'static str)> {
    let lines = include_str!("seeds").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parse = |line: &'static str| {
        let mut parts = line.splitn(3, ' ');
        let seed = u64::from_str_radix(parts.next().unwrap().strip_prefix("0x").unwrap(), 16).unwrap();
        let draw = Draw::numbered(parts.next().unwrap().parse().unwrap()).unwrap();
        (seed, draw, parts.next().unwrap())
    };
    lines.map(parse).collect()
}

#[test]
fn every_bug_that_was_found_stays_closed() {
    for (seed, draw, name) in named() {
        let outcome = run(seed, draw, false);
        assert!(outcome.violations.is_empty(), "{seed:#x} {name}\n{}", outcome.violations.join("\n"));
    }
}

#[test]
fn the_same_seed_gives_the_same_timeline() {
    for (seed, draw) in [(0, Draw::First), (1, Draw::Second), (2, Draw::Second)] {
        let (one, two) = (run(seed, draw, true), run(seed, draw, true));
        assert!(one.timeline.len() > 1000, "{seed}: {} lines", one.timeline.len());
        for (left, right) in one.timeline.iter().zip(&two.timeline) {
            assert_eq!(left, right, "{seed}");
        }
        assert_eq!((one.hash, one.timeline.len()), (two.hash, two.timeline.len()), "{seed}");
        // Who writes the timeline does not change it.
        assert_eq!(one.hash, run(seed, draw, false).hash, "{seed}");
    }
}

#[test]
fn fresh_seeds() {
    if let Some(seed) = number("SIMULATE_SEED") {
        return replay(seed);
    }
    // Without `make`, which asks for more, this runs as it was built for all other tests: slowly.
    let count = number("SIMULATE_SEEDS").unwrap_or(10);
    let base = number("SIMULATE_BASE").unwrap_or_else(|| SystemClock::new().nonce());
    println!("simulate: base seed {base:#x}");
    let seeds: Vec<u64> = (0..count).map(|index| mix(base.wrapping_add(index))).collect();
    let sum = run_all(&seeds, draw(), number("SIMULATE_CALLS").unwrap_or(u64::MAX));
    if sum.seeds < seeds.len() {
        println!("simulate: the work that was set ended after {} of {count} seeds", sum.seeds);
    }
    for (what, count) in &sum.counts {
        println!("{count:>10} {what}");
    }
    println!("simulate: seeds={} rotations={} violations={}", sum.seeds, sum.rotations, sum.violations);
    assert_eq!(sum.violations, 0);
}

fn replay(seed: u64) {
    let outcome = run(seed, draw(), true);
    if let Ok(path) = std::env::var("SIMULATE_JOURNAL") {
        // A fixture of today's journal, for the upgrades to come.
        let lines: Vec<String> =
            outcome.journal.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    for line in &outcome.timeline {
        println!("{line}");
    }
    println!("{:?}", outcome.counts);
    println!("simulate: seeds=1 rotations={} violations={}", outcome.rotations, outcome.violations.len());
    assert!(outcome.violations.is_empty(), "{}", outcome.violations.join("\n"));
}
