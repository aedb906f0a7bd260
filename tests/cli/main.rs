//! What a person sees on the command line, letter by letter: every command's help, errors and output, and what is said
//! of configurations that are wrong.
//!
//! `commands/` holds one file a command, `config/` one broken configuration each with the words for it. Both are run
//! with the real binary; `UPDATE_GOLDEN=1` writes down what it says now.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside;
mod broken;
mod commands;
mod following;
mod ground;

use std::fs;
use std::path::{Path, PathBuf};

/// A folder beside this file.
fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name)
}

/// The files in `folder` that end in `.ending`, by name.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths
}

/// Compares `seen` with the golden file, or writes it.
fn compare(golden: &Path, seen: &str) -> Result<(), String> {
    let expected = fs::read_to_string(golden).unwrap_or_default();
    if expected == seen {
        return Ok(());
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, seen).unwrap();
        return Ok(());
    }
    let mut said = format!("{}: it says something else now\n", golden.display());
    let (mut old, mut new) = (expected.lines(), seen.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                said.extend(old.map(|line| format!("  -{line}\n")));
                said.extend(new.map(|line| format!("  +{line}\n")));
            }
        }
    }
    said.push_str("  if that is meant, run it once with UPDATE_GOLDEN=1 and read the difference\n");
    Err(said)
}

/// Does `each` with every path, some at once, and answers what went wrong.
fn at_once(paths: &[PathBuf], each: impl Fn(&Path) -> Result<(), String> + Sync) -> Vec<String> {
    const WORKERS: usize = 4;
    let shares = paths.chunks(paths.len().div_ceil(WORKERS));
    std::thread::scope(|scope| {
        let workers: Vec<_> = shares
            .map(|share| scope.spawn(|| share.iter().filter_map(|path| each(path).err()).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// `rekeyd … | head` ends when `head` does.
#[test]
fn a_reader_that_has_gone_ends_a_command_without_a_word() {
    for arguments in [&["man"][..], &["schema", "tenant"], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rekeyd"));
        let output =
            command.args(arguments).stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {} {said}", output.status);
    }
}
