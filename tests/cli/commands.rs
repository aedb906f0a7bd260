//! `commands/`: what every command says, run and compared.
//!
//! A line `@ …` names the ground that the commands after it run in, a line `$ …` is a command, and what follows is
//! what came of it: `>` before a line of its output, `!` before a line of its errors, `=` before its exit code where
//! that is not 0. A line `# …` is a remark. `| head N` keeps the first lines only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::ground::Ground;
use crate::{at_once, compare, files, here};

/// The words of a line of shell.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                words.extend(begun.then(|| std::mem::take(&mut word)));
                begun = false;
            }
            letter => {
                word.push(letter);
                begun = true;
            }
        }
    }
    words.extend(begun.then_some(word));
    words
}

/// Runs the command of a line and tells what came of it.
fn told(ground: &Ground, line: &str) -> String {
    let (command, kept) = match line.split_once(" | head ") {
        Some((command, number)) => (command, number.parse().unwrap()),
        None => (line, usize::MAX),
    };
    let words = words(command);
    let at = words.iter().position(|word| word == "rekeyd").expect("a line has a command of ours");
    let variable =
        |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables: BTreeMap<String, String> = words[..at].iter().filter_map(variable).collect();
    let arguments: Vec<&str> = words[at + 1..].iter().map(String::as_str).collect();
    let output = ground.run(&variables, &arguments);
    let mut text = String::new();
    for (sign, stream) in [('>', &output.stdout), ('!', &output.stderr)] {
        for line in ground.plain(stream).lines().take(kept) {
            writeln!(text, "{}", format!("{sign} {line}").trim_end()).unwrap();
        }
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(text, "= {code}").unwrap(),
        None => writeln!(text, "= {}", output.status).unwrap(),
    }
    text
}

/// Runs a file and answers what it should hold.
fn run(text: &str) -> String {
    let mut ground = None;
    let mut seen = String::new();
    for line in text.lines().filter(|line| !line.starts_with(['>', '!', '='])) {
        writeln!(seen, "{line}").unwrap();
        if let Some(name) = line.strip_prefix("@ ") {
            ground = Some(Ground::named(name));
        } else if let Some(command) = line.strip_prefix("$ ") {
            let ground = ground.get_or_insert_with(Ground::configured);
            seen.push_str(&told(ground, command));
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "`{line}` is neither command nor remark");
        }
    }
    seen
}

#[test]
fn every_command_says_what_is_written_down() {
    let wrong = at_once(&files(&here("commands"), "txt"), |path| {
        compare(path, &run(&fs::read_to_string(path).unwrap()))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands of a file with what came of each.
fn cases(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            cases.push((command.to_owned(), String::new()));
        } else if let (Some((_, told)), true) = (cases.last_mut(), line.starts_with(['>', '!', '='])) {
            writeln!(told, "{line}").unwrap();
        }
    }
    cases
}

/// The names of all commands, from the help; the commands of a group as `audit verify`.
fn names(group: &str) -> BTreeSet<String> {
    let ground = Ground::named("nothing");
    let mut arguments: Vec<&str> = group.split_whitespace().collect();
    arguments.push("--help");
    let help = ground.plain(&ground.run(&BTreeMap::new(), &arguments).stdout);
    let Some((_, rest)) = help.split_once("Commands:\n") else { return BTreeSet::new() };
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let lines = rest.lines().take_while(|line| !line.is_empty()).filter(is_name);
    let firsts = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    firsts.map(|name| format!("{group} {name}").trim().to_owned()).collect()
}

#[test]
fn every_command_has_its_file_with_help_and_errors() {
    let mut all = names("");
    assert!(all.len() > 18, "{all:?}");
    let inner: Vec<String> = all.iter().flat_map(|name| names(name)).collect();
    all.extend(inner);
    let mut missing = Vec::new();
    for name in &all {
        let path = here("commands").join(format!("{}.txt", name.split(' ').next().unwrap()));
        let cases = if path.exists() { cases(&path) } else { Vec::new() };
        let help = format!("rekeyd {name} --help");
        let has_help = cases.iter().any(|(command, told)| *command == help && told.contains("> Usage: "));
        if !has_help {
            missing.push(format!("`{help}` is not in {}", path.display()));
        }
        if !cases.iter().any(|(_, told)| told.contains("\n= ") || told.starts_with("= ")) {
            missing.push(format!("{} shows no error", path.display()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_error_names_the_next_command() {
    let mut wrong = Vec::new();
    for path in files(&here("commands"), "txt") {
        for (command, told) in cases(&path) {
            let errors: Vec<&str> = told.lines().filter(|line| line.starts_with('!')).collect();
            let is_error = told.lines().any(|line| line.starts_with("= ")) && !errors.is_empty();
            let errors = errors.join("\n");
            let next = ["`rekeyd ", "`systemctl ", "`journalctl ", "`sudo ", "'--help'", "Usage: "];
            if is_error && !next.iter().any(|next| errors.contains(next)) {
                wrong.push(format!("{}: $ {command}\n{errors}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
