//! The house rules that a machine can hold: who imports whom, how long things are, what is not written at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests (design: a file in a head).
const FILE_LIMIT: usize = 350;
/// Lines of a function (design: a function fits on a screen).
const FUNCTION_LIMIT: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

/// The table in ARCHITECTURE.md.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("| module | may import |").expect("the table stands in ARCHITECTURE.md");
    rest.lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let module = cells.next().unwrap().to_owned();
            let may = cells.next().unwrap_or_default().split(',').map(|name| name.trim().to_owned());
            (module, may.filter(|name| !name.is_empty()).collect())
        })
        .collect()
}

/// The modules of ours that a text names after `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            if let Some(group) = part.strip_prefix('{') {
                let group = group.split('}').next().unwrap_or_default();
                let names = group.split(',').map(|name| name.trim().split("::").next().unwrap_or_default());
                found.extend(names.map(str::to_owned));
            } else {
                let name: String =
                    part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                found.insert(name);
            }
        }
    }
    found.remove("");
    found
}

/// The room a file is in: `src/domain/plan/mod.rs` is in `domain`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn forbidden(room: &str, text: &str, table: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let Some(may) = table.get(room) else { return vec![format!("the room `{room}` is not in the table")] };
    imports(text).into_iter().filter(|name| name != room && !may.contains(name)).collect()
}

#[test]
fn nobody_imports_what_the_table_forbids() {
    let table = table();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let room = room(&path);
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        for name in forbidden(&room, &text, &table) {
            wrong.push(format!("{}: imports `{name}`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_forbidden_import_is_found() {
    let table = table();
    let check = |room, text, expected: &[&str]| assert_eq!(forbidden(room, text, &table), expected, "{text}");
    check("domain", "use crate::clock::Clock;", &["clock"]);
    check("domain", "use crate::domain::key::Key;", &[]);
    check("domain", "let now = crate::clock::SystemClock::new();", &["clock"]);
    check("engine", "use crate::{http::Http, domain::Timestamp};", &["http"]);
    check("engine", "// use crate::http::Http;", &[]);
    check("http", "use crate::issuer::X;", &["issuer"]);
}

#[test]
fn the_domain_is_pure() {
    let foreign = ["tokio", "reqwest", "tracing", "prometheus", "rand", "axum", "rusqlite"];
    for (path, text) in sources("src/domain") {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for name in foreign {
                assert!(
                    !line.contains(&format!("{name}::")),
                    "{}: `{name}` in the domain: {line}",
                    path.display()
                );
            }
            for clock in
                ["Utc::now", "Local::now", "SystemTime", "Instant::now", "std::fs", "std::env", "std::net"]
            {
                assert!(!line.contains(clock), "{}: `{clock}` in the domain: {line}", path.display());
            }
        }
    }
}

/// The lines before a file's tests.
fn without_tests(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(start) = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains('{'))
    {
        lines.truncate(start);
    }
    lines
}

/// The functions of a formatted file: name, first line, length.
fn functions(lines: &[&str]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let head = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "pub(super) async fn ",
            "const fn ",
        ];
        if !head.iter().any(|head| text.starts_with(head)) || text.ends_with(';') {
            continue;
        }
        let indent = &line[..line.len() - text.len()];
        let end = format!("{indent}}}");
        let name = text.split("fn ").nth(1).unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
        let length = lines[index..].iter().position(|line| *line == end).map_or(1, |last| last + 1);
        found.push((name.to_owned(), index + 1, length));
    }
    found
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for folder in ["src", "tests/sandbox/src"] {
        for (path, text) in sources(folder) {
            let is_test =
                path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("test"))
                    && path.starts_with(root().join("src"));
            let lines = without_tests(&text);
            if lines.len() > FILE_LIMIT && !is_test && !path.ends_with("tests.rs") {
                long.push(format!("{}: {} lines, {FILE_LIMIT} allowed", path.display(), lines.len()));
            }
            for (name, line, length) in functions(&lines) {
                if length > FUNCTION_LIMIT {
                    long.push(format!(
                        "{}:{line}: `{name}` has {length} lines, {FUNCTION_LIMIT} allowed",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn some_things_are_not_written() {
    // Put together, so that this file does not find itself.
    let never = [
        ("#[allow", "(", "use `expect` with a reason"),
        (".unwrap", "()", "use `expect` with the invariant"),
        ("todo", "!(", "build it"),
        ("unimplemented", "!(", "build it"),
        ("dbg", "!(", "use tracing"),
        ("#[ign", "ore", "nothing is skipped"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        if path.components().any(|part| part.as_os_str() == "tests")
            || path.to_string_lossy().contains("test")
        {
            continue;
        }
        for (number, line) in without_tests(&text).iter().enumerate() {
            for (head, tail, why) in never {
                if line.contains(&format!("{head}{tail}")) && !line.trim_start().starts_with("//") {
                    wrong.push(format!("{}:{}: `{head}{tail}`: {why}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_says_why() {
    for manifest in ["Cargo.toml", "tests/sandbox/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let (mut section, mut before) = (String::new(), "");
        for line in text.lines() {
            if line.starts_with('[') {
                line.clone_into(&mut section);
            } else if (section == "[dependencies]" || section == "[dev-dependencies]") && line.contains(" = ")
            {
                assert!(
                    before.starts_with("# ") && before.ends_with('.'),
                    "{manifest}: no sentence above `{line}`"
                );
            }
            before = line;
        }
    }
}

#[test]
fn every_module_opens_with_a_paragraph() {
    for folder in ["src", "tests/sandbox/src"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! "), "{}: no paragraph at the top", path.display());
        }
    }
}
