//! Pages that lie are bugs: what must agree is compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every word of `text` that starts with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let found = text
        .split(|letter| !is_part(letter))
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len());
    found.map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented_and_exists() {
    let code = sources("src/metrics") + &sources("src/metrics/snapshot");
    let page = read("docs/reference/metrics.md");
    assert_eq!(words(&page, "rekeyd_"), words(&code, "rekeyd_"));
}

#[test]
fn every_halt_has_its_row() {
    let code = ["src/domain/halt.rs", "src/domain/fleet/mod.rs"].map(|file| {
        let text = read(file);
        let (_, rest) = text.split_once("fn code(&self)").unwrap();
        rest.split("fn remedy(").next().unwrap().to_owned()
    });
    let code = code.concat();
    let codes: BTreeSet<String> = code
        .lines()
        .filter_map(|line| line.split("=> \"").nth(1))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(codes.len() >= 16, "{codes:?}");
    let page = read("docs/how-to/end-a-halt.md");
    for code in codes {
        assert!(page.contains(&format!("| `{code}` |")), "`{code}` has no row");
    }
}

#[test]
fn the_readme_names_every_command() {
    let readme = read("README.md");
    let commands = commands();
    assert!(commands.len() > 18, "{commands:?}");
    for name in commands {
        assert!(readme.contains(&name), "`rekeyd {name}` is not in the README");
    }
}

#[test]
fn links_lead_somewhere() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let tracked = Command::new("git").args(["ls-files", "*.md"]).current_dir(&root).output().unwrap();
    let pages = String::from_utf8(tracked.stdout).unwrap();
    let mut links = 0;
    for page in pages.lines() {
        let folder = root.join(page).parent().unwrap().to_owned();
        for part in read(page).split("](").skip(1) {
            let target = part.split(')').next().unwrap().split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            links += 1;
            assert!(folder.join(target).exists(), "{page}: `{target}` does not exist");
        }
    }
    assert!(links > 10, "{links}");
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/adr/README.md");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adr")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "`{name}` is not in the index");
    }
}

/// The text of every source below a folder.
fn sources(folder: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_invariant_names_what_holds_it_and_that_is_there() {
    let page = read("ARCHITECTURE.md");
    let (_, invariants) = page.split_once("## Architecture invariants").unwrap();
    let (invariants, table) = invariants.split_once("### What holds each of them").unwrap();
    let numbered =
        |line: &&str| line.split_once(". **").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
    let count = invariants.lines().filter(numbered).count();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| ") && !line.starts_with("| invariant"))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    assert!(count >= 10);
    assert_eq!(rows.len(), count);
    let places = [sources("tests/model"), sources("tests/simulation"), sources("tests/guards")];
    for (number, row) in rows.iter().enumerate() {
        assert!(row[0].trim().starts_with(&format!("{} ", number + 1)), "{row:?}");
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(!quoted(row[3]).is_empty(), "{row:?} names no guard");
        for (cell, text) in row[1..].iter().zip(&places) {
            assert!(!quoted(cell).is_empty() || cell.trim().starts_with("none"), "{cell}");
            for phrase in quoted(cell) {
                assert!(text.contains(phrase), "nothing says `{phrase}`");
            }
        }
        for guard in quoted(row[3]) {
            assert!(places[2].contains(&format!("\nid = \"{guard}\"\n")), "there is no guard `{guard}`");
        }
    }
}

/// What a command prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rekeyd")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all commands, from the help.
fn commands() -> BTreeSet<String> {
    let help = printed(&["--help"]);
    let (_, rest) = help.split_once("Commands:").unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with("Options"));
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = lines.filter(is_name).filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_its_page_and_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    printed(&["man", "--dir", dir.path().to_str().unwrap()]);
    let commands = commands();
    for name in &commands {
        let page = fs::read_to_string(dir.path().join(format!("man8/rekeyd-{name}.8"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(dir.path().join("man8/rekeyd.8").exists() && dir.path().join("man5/rekeyd.toml.5").exists());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for name in &commands {
            assert!(script.contains(name.as_str()), "{shell}: {name}");
        }
    }
    let script = dir.path().join("rekeyd.bash");
    fs::write(&script, printed(&["completions", "bash"])).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
}
