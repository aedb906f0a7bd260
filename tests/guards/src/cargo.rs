//! Building and running the named tests in the copy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::switch::VARIABLE;
use crate::tree::Tree;

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was run and passed.
    Green,
    /// It failed, or did not come to an end.
    Red,
    /// There is no such test.
    Missing,
}

/// The test binaries that were built, by name.
pub(crate) type Binaries = BTreeMap<String, PathBuf>;

/// Without a guard a test may go round in circles: after this time it is red.
const PATIENCE: Duration = Duration::from_mins(3);

/// How often it is looked whether a test has ended.
const POLL: Duration = Duration::from_millis(50);

/// Cargo, for the copy.
pub(crate) struct Cargo<'a> {
    tree: &'a Tree,
    /// The guard that is switched off.
    without: Option<String>,
}

/// A line of cargo's, as far as it matters.
#[derive(Deserialize)]
struct Line {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl<'a> Cargo<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self { tree, without: None }
    }

    /// The same, with the guard of this name switched off in every test.
    pub(crate) fn without(&self, guard: &str) -> Self {
        Self { tree: self.tree, without: Some(guard.to_owned()) }
    }

    /// Builds the binaries that the named tests are in. The inner `Err` holds what the compiler said.
    pub(crate) fn build(&self, names: &[&str]) -> Result<Result<Binaries, String>, String> {
        let binaries: BTreeSet<&str> = names.iter().filter_map(|name| name.split("::").next()).collect();
        let mut command = Command::new("cargo");
        command.args(["test", "--locked", "--package", "rekeyd", "--no-run", "--message-format", "json"]);
        for binary in binaries {
            match binary {
                "lib" => command.arg("--lib"),
                name => command.args(["--test", name]),
            };
        }
        // The folder of every other build: what we depend on is built already.
        command.current_dir(&self.tree.root).env("CARGO_TARGET_DIR", &self.tree.target);
        let output = command.output().map_err(|problem| format!("cargo: {problem}"))?;
        if !output.status.success() {
            return Ok(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let built = lines.filter(|line| line.reason == "compiler-artifact").filter_map(|line| {
            let target = line.target?;
            let name =
                if target.kind.iter().any(|kind| kind == "lib") { "lib".to_owned() } else { target.name };
            Some((name, line.executable?))
        });
        Ok(Ok(built.collect()))
    }

    /// Runs one test.
    pub(crate) fn test(&self, binaries: &Binaries, name: &str) -> Result<Outcome, String> {
        let (binary, path) = name.split_once("::").ok_or_else(|| format!("`{name}` names no test"))?;
        let executable = binaries.get(binary).ok_or_else(|| format!("`{binary}` was not built"))?;
        let mut command = Command::new(executable);
        command.args(["--exact", path]).current_dir(&self.tree.root).env("RUST_BACKTRACE", "0");
        command.env_remove(VARIABLE).envs(self.without.iter().map(|guard| (VARIABLE, guard)));
        let log = self.tree.root.with_extension("log");
        let file = std::fs::File::create(&log).map_err(|problem| problem.to_string())?;
        let again = file.try_clone().map_err(|problem| problem.to_string())?;
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let child = command.spawn().map_err(|problem| format!("{name}: {problem}"))?;
        let passed = ended_well(child).map_err(|problem| format!("{name}: {problem}"))?;
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        Ok(match passed {
            true if text.contains("1 passed") => Outcome::Green,
            true => Outcome::Missing,
            false => Outcome::Red,
        })
    }
}

/// Waits for the end, within limits.
#[expect(clippy::disallowed_methods, reason = "a tool that waits for real processes")]
fn ended_well(mut child: Child) -> std::io::Result<bool> {
    let started = std::time::Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
