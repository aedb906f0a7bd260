//! Every command that a page or a help text shows is one.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use super::Command;

fn pages(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The words of a line of shell up to a pipe, a redirection or a comment, without quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            '|' | '>' | '#' | ';' if !quoted => {
                // `2>` is one mark.
                if letter == '>' && word.parse::<u8>().is_ok() {
                    word.clear();
                }
                break;
            }
            letter => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The commands of ours among the lines of `text`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let words = words(line.trim());
        // A variable or another program may stand before it.
        let at = words.iter().position(|word| word == "rekeyd" || word.ends_with("/rekeyd"))?;
        let before = words[..at]
            .iter()
            .all(|word| word.contains('=') || word == "sudo" || word == "-u" || word == "rekeyd");
        before.then(|| words[at..].to_vec())
    };
    text.lines().filter_map(line).collect()
}

/// The lines inside fences.
fn fenced(page: &str) -> String {
    let parts = page.split("```").skip(1).step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_is_a_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    pages(&root.join("docs"), &mut found);
    let mut seen = 0;
    for page in found {
        for command in commands(&fenced(&fs::read_to_string(&page).unwrap())) {
            let shown = command.join(" ");
            assert!(Command::try_parse_from(&command).is_ok(), "{}: `{shown}`", page.display());
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} examples");
}

#[test]
fn every_example_of_the_help_is_a_command() {
    let mut whole = Command::command();
    whole.build();
    let mut seen = 0;
    for verb in whole.get_subcommands() {
        let Some(text) = verb.get_after_help() else { continue };
        for command in commands(&text.to_string()) {
            let shown = command.join(" ");
            assert!(Command::try_parse_from(&command).is_ok(), "`{shown}`");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} examples");
}

/// What stands in backquotes and begins with our name, over the ends of lines.
fn quoted(text: &str) -> Vec<Vec<String>> {
    let parts = text.split('`').skip(1).step_by(2).map(|part| words(&part.replace('\n', " ")));
    parts.filter(|words| words.first().is_some_and(|word| word == "rekeyd")).collect()
}

#[test]
fn every_command_of_an_alert_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = fs::read_to_string(root.join("deploy/prometheus/rekeyd.rules.yml")).unwrap();
    let rules =
        rules.replace("{{ $labels.tenant }}", "acme").replace("{{ $labels.credential }}", "dataplane");
    let mut seen = 0;
    for command in quoted(&rules).iter().filter(|command| command.len() > 1) {
        assert!(Command::try_parse_from(command).is_ok(), "`{}`", command.join(" "));
        seen += 1;
    }
    assert!(seen > 30, "{seen} commands");
}

#[test]
fn every_command_of_a_runbook_exists() {
    let whole = Command::command();
    let mut found = Vec::new();
    pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks"), &mut found);
    for page in found {
        for command in quoted(&fs::read_to_string(&page).unwrap()) {
            let verb = command.get(1).map(String::as_str);
            let is_one = verb.is_none_or(|verb| whole.find_subcommand(verb).is_some());
            assert!(is_one, "{}: `{}`", page.display(), command.join(" "));
        }
    }
}
