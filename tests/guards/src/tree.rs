//! The copy of the sources in which guards are taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::list::{Guard, edited, root};
use crate::switch;

/// A copy of the sources. It stays where it is, so that the next run builds only what has changed.
pub(crate) struct Tree {
    /// Where the copy is.
    pub(crate) root: PathBuf,
    /// Where it is built.
    pub(crate) target: PathBuf,
}

/// Files as they were.
#[derive(Default)]
pub(crate) struct Mending(BTreeMap<PathBuf, String>);

impl Tree {
    /// Brings the copy up to date: what is the same keeps its time, so that nothing is built for nothing.
    pub(crate) fn copy() -> Result<Self, String> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let target = std::path::absolute(target).map_err(|problem| problem.to_string())?;
        let tree = Self { root: target.join("guards/tree"), target };
        let files = tracked()?;
        for file in &files {
            let text = fs::read(root().join(file)).map_err(|problem| format!("{file}: {problem}"))?;
            let to = tree.root.join(file);
            if fs::read(&to).is_ok_and(|known| known == text) {
                continue;
            }
            write(&to, &text)?;
        }
        tree.forget_all_but(&tree.root, &files)?;
        Ok(tree)
    }

    /// Deletes what is no longer among the sources.
    fn forget_all_but(&self, folder: &Path, files: &BTreeSet<String>) -> Result<(), String> {
        let entries = fs::read_dir(folder).map_err(|problem| format!("{}: {problem}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.forget_all_but(&path, files)?;
                continue;
            }
            let inside = path.strip_prefix(&self.root).map_err(|problem| problem.to_string())?;
            if !files.contains(&*inside.to_string_lossy()) {
                fs::remove_file(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Takes a guard away. Answers what puts it back.
    pub(crate) fn patch(&self, guard: &Guard) -> Result<Mending, String> {
        let mut before = Mending::default();
        for edit in &guard.edits {
            let path = self.root.join(&edit.file);
            let text = fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", edit.file))?;
            let changed = edited(&text, edit)?;
            before.0.entry(path.clone()).or_insert(text);
            write(&path, changed.as_bytes())?;
        }
        Ok(before)
    }

    /// Makes the copy ready for switches.
    pub(crate) fn switches(&self) -> Result<Mending, String> {
        let path = self.root.join("src/lib.rs");
        let text = fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        write(&path, format!("{text}{}", switch::FUNCTION).as_bytes())?;
        Ok(Mending([(path, text)].into()))
    }

    /// Puts a guard behind a switch. Answers whether that can be done, beside the switches that are there already.
    pub(crate) fn switch(&self, guard: &Guard, before: &mut Mending) -> bool {
        let Some(edits) = switch::of(guard) else { return false };
        let mut files = BTreeMap::new();
        for edit in &edits {
            let path = self.root.join(&edit.file);
            let text = files.get(&path).cloned().or_else(|| fs::read_to_string(&path).ok());
            let Some(Ok(changed)) = text.map(|text| edited(&text, edit)) else { return false };
            files.insert(path, changed);
        }
        for (path, changed) in files {
            let Ok(text) = fs::read_to_string(&path) else { return false };
            if write(&path, changed.as_bytes()).is_err() {
                return false;
            }
            before.0.entry(path).or_insert(text);
        }
        true
    }
}

impl Mending {
    /// Puts everything back.
    pub(crate) fn mend(self) -> Result<(), String> {
        self.0.into_iter().try_for_each(|(path, text)| write(&path, text.as_bytes()))
    }
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Every file that git knows or would take.
fn tracked() -> Result<BTreeSet<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|problem| format!("git: {problem}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let files = text.lines().filter(|file| root().join(file).is_file());
    Ok(files.map(str::to_owned).collect())
}
