//! Removes one safety guard of rekeyd at a time and shows which test notices.
//!
//! `guards.toml` lists every guard: what it is for, the edits that take it away, and the tests that must go red
//! without it. The sources are copied, the named tests are run once as they are and must be green, then each guard is
//! taken away in the copy and its tests are run again: every one of them must go red. A guard whose removal goes
//! unseen is not tested, and a guard whose removal does not compile is not what the list says.

mod cargo;
mod list;
#[cfg(test)]
mod named;
mod tree;

use std::collections::BTreeSet;
use std::process::ExitCode;

use cargo::{Cargo, Outcome};
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
    baseline(&cargo, &guards)?;
    let mut caught = 0;
    for guard in &guards {
        let verdict = without(&tree, &cargo, guard)?;
        caught += usize::from(verdict.is_ok());
        let (mark, text) = match verdict {
            Ok(tests) => ("caught", tests),
            Err(why) => ("UNSEEN", why),
        };
        println!("{mark}  {:32} {text}", guard.id);
    }
    println!("guards: total={} caught={caught}", guards.len());
    Ok(caught == guards.len())
}

/// With every guard in place everything is green; else a red test would show nothing.
fn baseline(cargo: &Cargo, guards: &[Guard]) -> Result<(), String> {
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
    Ok(())
}

/// Takes one guard away and runs its tests. `Ok` names those that noticed, `Err` says what is wrong.
fn without(tree: &Tree, cargo: &Cargo, guard: &Guard) -> Result<Result<String, String>, String> {
    let before = tree.patch(guard)?;
    let verdict = judge(cargo, guard);
    Tree::mend(before)?;
    verdict
}

fn judge(cargo: &Cargo, guard: &Guard) -> Result<Result<String, String>, String> {
    let names: Vec<&str> = guard.caught.iter().map(String::as_str).collect();
    let binaries = match cargo.build(&names)? {
        Ok(binaries) => binaries,
        Err(why) => return Ok(Err(format!("its removal does not compile:\n{why}"))),
    };
    for name in &names {
        if cargo.test(&binaries, name)? == Outcome::Green {
            return Ok(Err(format!("`{name}` stays green without it: {}", guard.says)));
        }
    }
    Ok(Ok(names.join(", ")))
}
