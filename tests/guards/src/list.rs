//! The list of guards.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

/// One guard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guard {
    /// Its name.
    pub(crate) id: String,
    /// What it is for, in a sentence.
    pub(crate) says: String,
    /// What takes it away. Where another guard stands before it, that one goes too: it is the second line of defence.
    pub(crate) edits: Vec<Edit>,
    /// The tests that must go red without it, as `binary::path::test`.
    pub(crate) caught: Vec<String>,
}

/// One change of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The file, from the root of the sources.
    pub(crate) file: String,
    /// The text that is there, exactly once.
    pub(crate) find: String,
    /// The text that is put in its place.
    pub(crate) put: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    guard: Vec<Guard>,
}

/// The root of the sources.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate is two folders below the root").to_owned()
}

/// Reads the list.
pub(crate) fn load() -> Result<Vec<Guard>, String> {
    let path = root().join("tests/guards/guards.toml");
    let text = fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    let list: List = toml::from_str(&text).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(list.guard)
}

/// `text` with `edit` made; `Err` where what it looks for is not there exactly once.
pub(crate) fn edited(text: &str, edit: &Edit) -> Result<String, String> {
    match text.matches(&edit.find).count() {
        1 if edit.find != edit.put => Ok(text.replacen(&edit.find, &edit.put, 1)),
        1 => Err(format!("{}: an edit that changes nothing", edit.file)),
        count => Err(format!("{}: `{}` is there {count} times, not once", edit.file, edit.find)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::named;

    /// The fewest guards that are worth the name of a list.
    const FEWEST: usize = 25;

    #[test]
    fn every_guard_is_where_the_list_says_and_its_tests_are_there() {
        let guards = load().expect("the list can be read");
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        for guard in &guards {
            if !ids.insert(&guard.id) {
                problems.push(format!("`{}` is there twice", guard.id));
            }
            if guard.caught.is_empty() || guard.edits.is_empty() || !guard.says.ends_with('.') {
                problems.push(format!("`{}` has no sentence, no edit or no test", guard.id));
            }
            problems.extend(guard.caught.iter().filter_map(|name| named::missing(&root(), name)));
            let files: BTreeSet<&String> = guard.edits.iter().map(|edit| &edit.file).collect();
            for file in files {
                let mut text = fs::read_to_string(root().join(file)).unwrap_or_default();
                for edit in guard.edits.iter().filter(|edit| edit.file == *file) {
                    match edited(&text, edit) {
                        Ok(changed) => text = changed,
                        Err(why) => problems.push(format!("`{}`: {why}", guard.id)),
                    }
                }
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(guards.len() >= FEWEST, "{} guards", guards.len());
    }

    #[test]
    fn an_edit_that_does_not_fit_is_refused() {
        let edit =
            |find: &str, put: &str| Edit { file: "f".to_owned(), find: find.to_owned(), put: put.to_owned() };
        assert_eq!(edited("a b c", &edit("b", "x")), Ok("a x c".to_owned()));
        for (find, put) in [("a", "x"), ("z", "x"), ("b", "b")] {
            assert!(edited("a b a", &edit(find, put)).is_err(), "{find}");
        }
    }
}
