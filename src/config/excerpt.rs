//! The line a problem is in, with a caret under the place, for people.
//!
//! Architecture Invariant: of what somebody wrote, nothing is shown but the names of keys, marks, and values that the
//! problem itself names. A secret that was pasted into the wrong place stands behind `…`, and so does its length.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::keys::{self, Form, Key};
use super::problem::Problem;

/// The longest file that is looked into, as in `load`.
const SIZE_LIMIT: u64 = 1 << 20;

/// Two lines: the one the problem is in and the caret below it. `None` where a problem has no place in a line, or the
/// file is not there any more.
pub fn excerpt(problem: &Problem) -> Option<String> {
    let (number, column) = problem.site.line_and_column()?;
    let file = File::open(problem.site.file()?).ok()?.take(SIZE_LIMIT);
    let line = BufReader::new(file).lines().nth(number - 1)?.ok()?;
    let (text, caret) = masked(&line, column, &problem.found);
    let margin = " ".repeat(number.to_string().len());
    Some(format!("  {number} | {text}\n  {margin} | {}^", " ".repeat(caret)))
}

/// The line as it may be shown, and where its `column` (from 1) went.
pub(super) fn masked(line: &str, column: usize, found: &str) -> (String, usize) {
    let names = names();
    let letters: Vec<char> = line.chars().collect();
    let (mut text, mut caret, mut at) = (String::new(), 0, 0);
    while at < letters.len() {
        let piece = Piece::at(&letters[at..]);
        if (at..at + piece.length).contains(&(column - 1)) {
            caret = text.chars().count();
        }
        if piece.kind == Kind::Remark {
            break;
        }
        let shown: String = letters[at..at + piece.length].iter().collect();
        piece.show(&shown, &names, found, &mut text);
        at += piece.length;
    }
    if column > letters.len() {
        caret = text.chars().count();
    }
    (text, caret)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mark,
    Word,
    Quoted,
    Remark,
}

/// What stands together in a line: a mark, a bare word, a text in quotes, a remark.
struct Piece {
    kind: Kind,
    length: usize,
}

impl Piece {
    /// The first piece of what is left of a line. A text that does not end in it goes to the end of the line.
    fn at(rest: &[char]) -> Self {
        let is_mark = |letter: char| letter.is_whitespace() || "=[]{}.,".contains(letter);
        match rest[0] {
            '#' => Self { kind: Kind::Remark, length: rest.len() },
            quote @ ('"' | '\'') => {
                let (mut escaped, mut length) = (false, rest.len());
                for (index, letter) in rest.iter().enumerate().skip(1) {
                    if *letter == quote && !escaped {
                        length = index + 1;
                        break;
                    }
                    escaped = quote == '"' && *letter == '\\' && !escaped;
                }
                Self { kind: Kind::Quoted, length }
            }
            letter if is_mark(letter) => Self { kind: Kind::Mark, length: 1 },
            _ => {
                let is_end = |letter: &char| is_mark(*letter) || "\"'#".contains(*letter);
                Self { kind: Kind::Word, length: rest.iter().position(is_end).unwrap_or(rest.len()) }
            }
        }
    }

    fn show(&self, shown: &str, names: &BTreeSet<&str>, found: &str, text: &mut String) {
        let is_named = |word: &str| {
            let is_kind =
                ["a text", "a number", "a list", "a table", "true or false", "empty"].contains(&word);
            let is_told = found.contains(&format!("is `{word}`")) || found.ends_with(&format!(" is {word}"));
            !is_kind && (is_told || found.contains(&format!(" is {word},")))
        };
        match self.kind {
            Kind::Mark if shown.trim().is_empty() => text.push(' '),
            Kind::Mark => text.push_str(shown),
            Kind::Word => {
                let is_key = names.contains(shown) || found.starts_with(&format!("unknown key `{shown}`"));
                let is_plain = ["true", "false"].contains(&shown) || found.ends_with(&format!(" is {shown}"));
                text.push_str(if is_key || is_plain { shown } else { "…" });
            }
            Kind::Quoted => {
                let quote = &shown[..1];
                let inner = shown[1..].strip_suffix(quote).unwrap_or(&shown[1..]);
                let is_shown = inner.is_empty() || is_named(inner);
                text.extend([quote, if is_shown { inner } else { "…" }, quote]);
            }
            Kind::Remark => {}
        }
    }
}

/// The names of all keys there are.
fn names() -> BTreeSet<&'static str> {
    fn add(keys: &'static [Key], names: &mut BTreeSet<&'static str>) {
        for key in keys {
            names.insert(key.name);
            if let Form::Table(inner) | Form::Tables(inner) = &key.form {
                add(inner, names);
            }
        }
    }
    // The members of references and of named instances are no keys of the table.
    let mut names = BTreeSet::from(["file", "env", "org", "space", "name"]);
    add(keys::DAEMON, &mut names);
    add(keys::TENANT, &mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_and_no_value_is_shown() {
        let check = |line: &str, column, found: &str, expected: (&str, usize)| {
            let (text, caret) = masked(line, column, found);
            assert_eq!((text.as_str(), caret), expected, "{line}");
        };
        check("lead = \"2 days\"", 8, "`lead` in `[[credential]]` is 2 days", ("lead = \"2 days\"", 7));
        check("password = \"a text\"", 12, "`password` in `[login]` is a text", ("password = \"…\"", 11));
        check("name = \"Acme\"", 8, "`name` is `Acme`", ("name = \"Acme\"", 7));
        let login = "login = { user = \"robot\", password = \"hunter2\" }";
        check(login, 38, "`password` is a text", ("login = { user = \"…\", password = \"…\" }", 33));
        check("setle = \"hunter2\"", 1, "unknown key `setle` at the top level", ("setle = \"…\"", 0));
        check("concurrency = 0 # hunter2", 15, "`concurrency` is 0", ("concurrency = 0 ", 14));
        check("[web.lsten]", 6, "unknown key `lsten` in `[web]`", ("[web.lsten]", 5));
        // What is no TOML at all: a bare secret, the inside of a pasted text, an open end.
        check(
            "password = hunter2",
            12,
            "this is not TOML: string values must be quoted",
            ("password = …", 11),
        );
        check("hunter2+aGk=", 9, "this is not TOML", ("…=", 0));
        check("password = \"hunter2", 20, "this is not TOML", ("password = \"…\"", 14));
        check("password = \"a\\\"hunter2\"", 12, "`password` is a text", ("password = \"…\"", 11));
        check("password = \"password\"", 12, "`password` in `[login]` is a text", ("password = \"…\"", 11));
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        use super::super::problem::Site;
        let gone = Site::Spot { file: std::path::Path::new("/nowhere/a.toml").into(), line: 1, column: 1 };
        assert_eq!(excerpt(&Problem::error(&gone, "id", "`id` is empty")), None);
        let whole = Site::Whole(std::path::Path::new("/nowhere").into());
        assert_eq!(excerpt(&Problem::error(&whole, "", "it is gone")), None);
    }
}
