//! A TOML text as a tree in which every value knows where it was written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Site, shown};

/// A value and where it, and its key, were written.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) key_site: Site,
    pub(super) site: Site,
    pub(super) raw: Raw,
}

/// A value as it was written.
#[derive(Clone)]
pub(super) enum Raw {
    Text(String),
    /// Text that may stand for any type: from the environment, or a default.
    Loose(String),
    Whole(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// Anything that no key takes, by the name of its type.
    Other(&'static str),
}

impl Raw {
    /// What it is, without its value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Loose(_) => "a text",
            Self::Whole(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads `text`. Syntax errors carry line and column, never the line itself.
pub(super) fn read(file: &Path, text: &str) -> Result<Node, Vec<Problem>> {
    /// After the first few, syntax errors are echoes.
    const LIMIT: usize = 10;
    let lines = Lines::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { key_site: lines.site(0), site: lines.site(0), raw: lines.table(table.get_ref()) });
    }
    let problem = |error: &toml::de::Error| {
        let site = lines.site(error.span().map_or(0, |span| span.start));
        Problem::error(&site, "", format!("this is not TOML: {}", shown(error.message())))
            .remedy("a value is written `key = \"value\"`, the head of a section `[section]`")
    };
    Err(errors.iter().take(LIMIT).map(problem).collect())
}

/// The place right after `text`, in a file that begins with it.
pub(super) fn end(file: &Path, text: &str) -> Site {
    Lines::new(file, text).site(text.len())
}

/// Where each line starts.
struct Lines<'a> {
    file: Arc<Path>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: &Path, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file: file.into(), text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    fn site(&self, offset: usize) -> Site {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Site::Spot { file: Arc::clone(&self.file), line, column }
    }

    fn node(&self, key: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Node {
        let raw = match value.get_ref() {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Raw::Whole(number),
                Err(_) => Raw::Other("a huge number"),
            },
            DeValue::Float(_) => Raw::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Raw::Flag(*flag),
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Array(list) => {
                Raw::List(list.iter().map(|value| self.node(&value.span(), value)).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { key_site: self.site(key.start), site: self.site(value.span().start), raw }
    }

    fn table(&self, table: &DeTable<'_>) -> Raw {
        let members = table.iter();
        Raw::Table(
            members.map(|(key, value)| (key.get_ref().to_string(), self.node(&key.span(), value))).collect(),
        )
    }
}
