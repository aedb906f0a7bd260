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

/// The files below `dir` that end so.
fn below(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// What begins with a backquote and our name, up to the next backquote: as a person would paste it, with a name where the program
/// puts one. What ends in `…` is only begun.
fn pasted(text: &str) -> Vec<Vec<String>> {
    let begun = text.split("`rekeyd ").skip(1).filter_map(|rest| rest.split_once('`'));
    let whole = begun.map(|(command, _)| command).filter(|command| !command.contains(['\n', '…']));
    let named = whole.map(|command| {
        let mut named = command.replace("T/C", "acme/dataplane");
        while let Some((before, rest)) = named.split_once('{') {
            let (_, after) = rest.split_once('}').unwrap_or((rest, ""));
            named = format!("{before}acme/dataplane{after}");
        }
        words(&format!("rekeyd {}", named.replace('\'', "\"")))
    });
    named.collect()
}

/// What does not parse of the commands in `text`.
fn broken(text: &str, seen: &mut usize) -> Vec<String> {
    let commands = pasted(text);
    *seen += commands.len();
    // Help and version are no mistakes.
    let fails =
        |command: &&Vec<String>| Command::try_parse_from(*command).is_err_and(|problem| problem.use_stderr());
    commands.iter().filter(fails).map(|command| command.join(" ")).collect()
}

#[test]
fn every_command_that_is_printed_can_be_pasted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    below(&root.join("src"), "rs", &mut found);
    // The one replaces what stands behind our name, the other tests with half a command.
    found.retain(|path| !path.ends_with("cli/out.rs") && !path.ends_with("cli/examples_tests.rs"));
    // The reference of the configuration names commands in prose.
    found.retain(|path| !path.display().to_string().contains("src/config/keys"));
    below(&root.join("tests/cli"), "txt", &mut found);
    below(&root.join("tests/cli"), "stderr", &mut found);
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in found {
        let mut text = String::new();
        // Of the comments only those of the commands are printed, as their help.
        let is_shown =
            |line: &&str| path.starts_with(root.join("src/cli")) || !line.trim_start().starts_with("//");
        for line in fs::read_to_string(&path).unwrap().lines().filter(is_shown) {
            // A text goes on behind a stroke at the end of its line.
            match line.strip_suffix('\\') {
                Some(part) => text.push_str(part.trim_start()),
                None => text.extend([line.trim_start(), "\n"]),
            }
        }
        wrong.extend(
            broken(&text, &mut seen).iter().map(|command| format!("{}: `{command}`", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 300, "{seen} commands");
}

#[test]
fn half_a_command_is_found() {
    let mut seen = 0;
    let text = "`rekeyd rotate` or `rekeyd rotate {id} --wait`, `rekeyd man --dir`, `rekeyd --version`, `rekeyd hold T/C`, `rekeyd …`";
    assert_eq!(broken(text, &mut seen), ["rekeyd rotate", "rekeyd man --dir"]);
    assert_eq!(seen, 5);
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
