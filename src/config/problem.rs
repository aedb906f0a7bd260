//! What is wrong with a configuration: where, what was found, what was expected, what to do.
//!
//! Architecture Invariant: a problem never repeats a secret or a line of the source.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether the daemon may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is accepted, and somebody should look at it.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// A file or directory as a whole.
    Whole(Arc<Path>),
    /// A place in a file; line and column count characters from 1.
    Spot {
        /// The file.
        file: Arc<Path>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable, by name.
    Variable(String),
}

impl Site {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Whole(file) | Self::Spot { file, .. } => Some(file),
            Self::Variable(_) => None,
        }
    }

    /// Line and column, where they are known.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        match self {
            Self::Spot { line, column, .. } => Some((*line, *column)),
            Self::Whole(_) | Self::Variable(_) => None,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(file) => write!(f, "{}", file.display()),
            Self::Spot { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub site: Site,
    /// How bad.
    pub severity: Severity,
    /// The path of the key, for example `dataspace.settle`; empty where it is no key.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What was expected; may be empty.
    pub expected: String,
    /// What to do; may be empty.
    pub remedy: String,
}

impl Problem {
    /// An error at `site` in `key`.
    pub fn error(site: &Site, key: &str, found: impl Into<String>) -> Self {
        Self {
            site: site.clone(),
            severity: Severity::Error,
            key: key.to_owned(),
            found: found.into(),
            expected: String::new(),
            remedy: String::new(),
        }
    }

    /// A warning at `site` in `key`.
    pub fn warning(site: &Site, key: &str, found: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(site, key, found) }
    }

    /// The same problem with what was expected.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }

    /// The same problem with what to do.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.site, self.severity, self.found)?;
        if !self.expected.is_empty() {
            write!(f, ": expected {}", self.expected)?;
        }
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// The warnings among `problems` in one line: beside errors they only hide what is in the way.
pub fn warnings_counted(problems: &[Problem]) -> Option<String> {
    let many = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let words = if many == 1 { "warning" } else { "warnings" };
    (many > 0).then(|| format!("… and {many} {words}: `rekeyd check-config`"))
}

/// What lets the daemon read a file, and what whoever is not the daemon does instead.
pub(super) fn let_read(path: &Path) -> String {
    format!(
        "where that is the daemon's user, run `chgrp rekeyd {0}; chmod 640 {0}`; else ask as the daemon's user, `sudo -u rekeyd rekeyd …`",
        path.display()
    )
}

/// Text from outside as it may stand in a message: one line, not long.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 48;
    let plain = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    let mut short: String = text.chars().take(LIMIT).map(plain).collect();
    if text.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    short
}

/// A duration as people write it. `humantime` alone would turn 30 days into months of 30.44.
pub fn lasting(span: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(24 * 3600, "days"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = span.as_secs();
    let mut parts = Vec::new();
    for (seconds, unit) in UNITS {
        let number = rest / seconds;
        rest %= seconds;
        if number > 0 {
            let unit = if (number, unit) == (1, "days") { "day" } else { unit };
            parts.push(format!("{number} {unit}"));
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}
