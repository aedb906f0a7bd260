//! Whether a test that is named somewhere is really there, by reading the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source of a test binary; `lib` is the library's own.
fn sources(root: &Path, binary: &str) -> Vec<(PathBuf, String)> {
    fn walk(path: &Path, found: &mut Vec<(PathBuf, String)>) {
        if let Ok(folder) = fs::read_dir(path) {
            for entry in folder.flatten() {
                walk(&entry.path(), found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && let Ok(text) = fs::read_to_string(path)
        {
            found.push((path.to_owned(), text));
        }
    }
    let mut found = Vec::new();
    if binary == "lib" {
        walk(&root.join("src"), &mut found);
    } else {
        walk(&root.join(format!("tests/{binary}.rs")), &mut found);
        walk(&root.join(format!("tests/{binary}")), &mut found);
    }
    found
}

/// Whether `text` has a test of this name: a function under an attribute, or one that a macro of this file is given.
fn has_test(text: &str, name: &str) -> bool {
    let heads = [format!("fn {name}("), format!("fn {name}<")];
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().any(|(index, line)| {
        let line = line.trim_start();
        let listed = line == format!("{name},") || line.starts_with(&format!("{name}: "));
        if listed && text.contains("macro_rules!") {
            return true;
        }
        let above = lines[..index].iter().rev().map(|line| line.trim_start());
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        heads.iter().any(|head| line.contains(head.as_str()))
            && above.any(|line| line.starts_with("#[") && line.contains("test"))
    })
}

/// Why `name`, written `binary::path::test`, is no test; `None` where it is one.
pub(crate) fn missing(root: &Path, name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split("::").collect();
    let (Some(binary), Some(test)) = (parts.first(), parts.last()) else { return Some(name.to_owned()) };
    let files = sources(root, binary);
    if files.is_empty() {
        return Some(format!("`{name}`: there is no test binary `{binary}`"));
    }
    let module = parts.get(1).filter(|_| parts.len() > 2);
    let is_there = files.iter().any(|(path, text)| {
        let inside = path.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            module.is_none_or(|module| part.trim_end_matches(".rs") == *module)
        });
        inside && has_test(text, test)
    });
    (!is_there).then(|| format!("`{name}` is no test"))
}
