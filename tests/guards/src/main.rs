//! Removes one safety guard of rekeyd at a time and shows which test notices.
//!
//! `guards.toml` lists every guard: what it is for, the edits that take it away, and the tests that must go red
//! without it. The sources are copied, the named tests are run once as they are and must be green, then each guard is
//! taken away in the copy and its tests are run again: every one of them must go red. A guard whose removal goes
//! unseen is not tested, and a guard whose removal does not compile is not what the list says.
//!
//! Most guards go by a switch, all in one build (`switch`); the others are compiled away, one by one.

mod cargo;
mod list;
#[cfg(test)]
mod named;
mod switch;
mod tree;

use std::collections::BTreeSet;
use std::process::ExitCode;

use cargo::{Binaries, Cargo, Outcome};
use list::Guard;
use tree::Tree;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("guards: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Checks the guards that are named on the command line, or all. Answers whether every one is caught.
fn run() -> Result<bool, String> {
    let chosen: BTreeSet<String> = std::env::args().skip(1).collect();
    let all = list::load()?;
    let guards: Vec<Guard> =
        all.into_iter().filter(|guard| chosen.is_empty() || chosen.contains(&guard.id)).collect();
    if guards.is_empty() {
        return Err(format!("no guard is called {chosen:?}"));
    }
    let tree = Tree::copy()?;
    let cargo = Cargo::new(&tree);
    let (switched, compiled) = by_switch(&tree, &cargo, &guards)?;
    let mut caught = switched;
    for guard in compiled {
        caught += usize::from(tell(guard, without(&tree, &cargo, guard)?));
    }
    println!("guards: total={} caught={caught}", guards.len());
    Ok(caught == guards.len())
}

/// Says what came of a guard. Answers whether it was caught.
fn tell(guard: &Guard, verdict: Result<String, String>) -> bool {
    let is_caught = verdict.is_ok();
    let (mark, text) = match verdict {
        Ok(tests) => ("caught", tests),
        Err(why) => ("UNSEEN", why),
    };
    println!("{mark}  {:32} {text}", guard.id);
    is_caught
}

/// Puts every guard that can be behind a switch, builds once, and checks that everything is green while all are on.
/// Then switches them off one by one. Answers how many were caught, and those that take a compiler.
fn by_switch<'a>(tree: &Tree, cargo: &Cargo, guards: &'a [Guard]) -> Result<(usize, Vec<&'a Guard>), String> {
    let mut before = tree.switches()?;
    let (switched, compiled): (Vec<&Guard>, Vec<&Guard>) =
        guards.iter().partition(|guard| tree.switch(guard, &mut before));
    println!("{} guards go by a switch, {} are compiled away", switched.len(), compiled.len());
    let binaries = baseline(cargo, guards)?;
    let mut caught = 0;
    for guard in switched {
        caught += usize::from(tell(guard, judge(&cargo.without(&guard.id), guard, &binaries)?));
    }
    before.mend()?;
    Ok((caught, compiled))
}

/// With every guard in place everything is green; else a red test would show nothing.
fn baseline(cargo: &Cargo, guards: &[Guard]) -> Result<Binaries, String> {
    let names: BTreeSet<&String> = guards.iter().flat_map(|guard| &guard.caught).collect();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    println!("with every guard in place: {} tests", names.len());
    let binaries = cargo.build(&names)?.map_err(|why| format!("the sources do not compile:\n{why}"))?;
    for name in names {
        let outcome = cargo.test(&binaries, name)?;
        if outcome != Outcome::Green {
            return Err(format!("`{name}` is {outcome:?} although every guard is in place"));
        }
    }
    Ok(binaries)
}

/// Takes one guard away and runs its tests. `Ok` names those that noticed, `Err` says what is wrong.
fn without(tree: &Tree, cargo: &Cargo, guard: &Guard) -> Result<Result<String, String>, String> {
    let before = tree.patch(guard)?;
    let names: Vec<&str> = guard.caught.iter().map(String::as_str).collect();
    let verdict = match cargo.build(&names)? {
        Ok(binaries) => judge(cargo, guard, &binaries),
        Err(why) => Ok(Err(format!("its removal does not compile:\n{why}"))),
    };
    before.mend()?;
    verdict
}

/// Runs the tests of a guard that is away.
fn judge(cargo: &Cargo, guard: &Guard, binaries: &Binaries) -> Result<Result<String, String>, String> {
    let mut green = Vec::new();
    for name in &guard.caught {
        if cargo.test(binaries, name)? != Outcome::Red {
            green.push(format!("`{name}`"));
        }
    }
    if green.is_empty() {
        return Ok(Ok(guard.caught.join(", ")));
    }
    Ok(Err(format!("green without it: {}; {}", green.join(", "), guard.says)))
}
