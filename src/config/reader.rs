//! A tree against the table of keys. One walk finds everything that is wrong with single values; what is right comes
//! out parsed.
//!
//! A getter answers `None` only if the key is absent or was reported, so that `?` never hides a problem.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use super::document::{Node, Raw};
use super::keys::{Form, Key, Need};
use super::leaf::{self, Leaf};
use super::problem::{Problem, Site, shown};
use super::secrets::Look;
use super::tenant::{Owner, Place};
use crate::domain::spelling::nearest;
use crate::domain::window::Window;
use crate::secret::{Secret, ServiceKey};

/// A section whose values have been parsed.
pub(super) struct Section {
    /// Where it begins.
    pub(super) site: Site,
    /// Its path, for example `credential.keys`; empty for the whole file.
    pub(super) path: String,
    /// How messages call it: in `[dataspace]`.
    label: String,
    leaves: BTreeMap<&'static str, Leaf>,
    tables: BTreeMap<&'static str, Section>,
    lists: BTreeMap<&'static str, Vec<Section>>,
    /// Where each key was written, right or wrong.
    written: BTreeMap<&'static str, Site>,
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $variant:ident;)+) => {
        impl Section {
            $($(#[$doc])* pub(super) fn $name(&self, key: &'static str) -> Option<$type> {
                match self.leaves.get(key) {
                    Some(Leaf::$variant(value)) => Some(value.clone()),
                    Some(_) => unreachable!("`{key}` has another form in the table of keys"),
                    None => None,
                }
            })+
        }
    };
}

getters! {
    text -> String = Text;
    path -> PathBuf = Path;
    flag -> bool = Flag;
    span -> Duration = Span;
    window -> Window = Window;
    size -> u64 = Count;
    zone -> Tz = Zone;
    listen -> Option<SocketAddr> = Listen;
    words -> BTreeMap<String, String> = Words;
    password -> Secret = Password;
    service_key -> Box<ServiceKey> = ServiceKey;
    place -> Place = Place;
    program -> Vec<String> = Program;
    texts -> Vec<String> = Texts;
    owner -> Owner = Owner;
}

impl Section {
    pub(super) fn count(&self, key: &'static str) -> Option<usize> {
        usize::try_from(self.size(key)?).ok()
    }

    pub(super) fn table(&self, key: &'static str) -> Option<&Section> {
        self.tables.get(key)
    }

    pub(super) fn list(&self, key: &'static str) -> &[Section] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether `key` is a list with nothing in it.
    pub(super) fn is_empty(&self, key: &'static str) -> bool {
        self.lists.get(key).is_some_and(Vec::is_empty)
    }

    /// Where `key` was written; the section, if it was not.
    pub(super) fn site_of(&self, key: &'static str) -> &Site {
        self.written.get(key).unwrap_or(&self.site)
    }

    /// Whether `key` was written, right or wrong.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.written.contains_key(key)
    }

    /// How messages call `key`: `cron` in `[schedule]`.
    pub(super) fn called(&self, key: &str) -> String {
        if self.path.is_empty() { format!("`{key}`") } else { format!("`{key}` {}", self.label) }
    }

    /// The path of `key` in the file.
    pub(super) fn path_of(&self, key: &str) -> String {
        joined(&self.path, key)
    }
}

/// Reads `node`, the whole of a file, against `keys`.
pub(super) fn read(
    keys: &'static [Key],
    node: &Node,
    look: &Look<'_>,
    problems: &mut Vec<Problem>,
) -> Section {
    let mut reader = Reader { look, problems };
    let header = Header { path: "", label: "at the top level".to_owned(), site: &node.site };
    match &node.raw {
        Raw::Table(members) => reader.section(keys, members, &header),
        _ => unreachable!("a document is a table"),
    }
}

struct Reader<'a> {
    look: &'a Look<'a>,
    problems: &'a mut Vec<Problem>,
}

/// Which section is being read.
struct Header<'a> {
    path: &'a str,
    /// How messages call it: in `[dataspace]`.
    label: String,
    site: &'a Site,
}

impl Header<'_> {
    fn called(&self, key: &Key) -> String {
        if self.path.is_empty() {
            format!("`{}`", key.name)
        } else {
            format!("`{}` {}", key.name, self.label)
        }
    }
}

impl Reader<'_> {
    fn section(
        &mut self,
        keys: &'static [Key],
        members: &BTreeMap<String, Node>,
        header: &Header<'_>,
    ) -> Section {
        self.unknown(keys, members, header);
        let mut section = Section {
            site: header.site.clone(),
            path: header.path.to_owned(),
            label: header.label.clone(),
            leaves: BTreeMap::new(),
            tables: BTreeMap::new(),
            lists: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        for key in keys {
            match (members.get(key.name), key.need) {
                (Some(node), _) => {
                    section.written.insert(key.name, node.site.clone());
                    self.key(key, node, header, &mut section);
                }
                (None, Need::Required(_)) => self.missing(key, header),
                (None, Need::Optional(_)) => {}
                (None, Need::Default(text)) => {
                    let site = header.site.clone();
                    let raw = match key.form {
                        Form::Table(_) => Raw::Table(BTreeMap::new()),
                        _ => Raw::Loose(text.to_owned()),
                    };
                    self.key(key, &Node { key_site: site.clone(), site, raw }, header, &mut section);
                }
            }
        }
        section
    }

    fn key(&mut self, key: &'static Key, node: &Node, header: &Header<'_>, section: &mut Section) {
        match (&key.form, &node.raw) {
            (Form::Table(keys), Raw::Table(members)) => {
                let path = joined(header.path, key.name);
                let label = format!("in `[{path}]`");
                let inner = Header { path: &path, label, site: &node.key_site };
                section.tables.insert(key.name, self.section(keys, members, &inner));
            }
            (Form::Tables(keys), Raw::List(nodes)) => {
                let sections = nodes.iter().filter_map(|node| self.item(key, keys, node, header)).collect();
                section.lists.insert(key.name, sections);
            }
            (Form::Table(_), _) => self.wrong_shape(
                key,
                node,
                header,
                &format!("a section `[{}]`", joined(header.path, key.name)),
            ),
            (Form::Tables(_), _) => self.wrong_shape(key, node, header, &format!("`[[{}]]`", key.name)),
            (form, _) => match leaf::parse(form, node, self.look) {
                Ok(leaf) => {
                    section.leaves.insert(key.name, leaf);
                }
                Err(complaint) => {
                    let found = format!("{} {}", header.called(key), complaint.found);
                    let problem = Problem::error(&node.site, &joined(header.path, key.name), found);
                    self.problems.push(problem.expected(complaint.expected).remedy(complaint.remedy));
                }
            },
        }
    }

    fn item(&mut self, key: &Key, keys: &'static [Key], node: &Node, header: &Header<'_>) -> Option<Section> {
        let Raw::Table(members) = &node.raw else {
            self.wrong_shape(key, node, header, "a section");
            return None;
        };
        let path = joined(header.path, key.name);
        let label = format!("in `[[{path}]]`");
        Some(self.section(keys, members, &Header { path: &path, label, site: &node.site }))
    }

    fn wrong_shape(&mut self, key: &Key, node: &Node, header: &Header<'_>, expected: &str) {
        let found = format!("{} is {}", header.called(key), node.raw.kind());
        let path = joined(header.path, key.name);
        self.problems.push(Problem::error(&node.site, &path, found).expected(expected));
    }

    fn unknown(&mut self, keys: &[Key], members: &BTreeMap<String, Node>, header: &Header<'_>) {
        let names = || keys.iter().map(|key| key.name);
        for (word, node) in members.iter().filter(|(word, _)| !names().any(|name| name == *word)) {
            let found = format!("unknown key `{}` {}", shown(word), header.label);
            let listed: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            let near =
                nearest(word, names()).map_or_else(String::new, |name| format!("did you mean `{name}`?"));
            let problem = Problem::error(&node.key_site, &joined(header.path, &shown(word)), found);
            self.problems.push(problem.expected(format!("one of {}", listed.join(", "))).remedy(near));
        }
    }

    fn missing(&mut self, key: &Key, header: &Header<'_>) {
        let found = format!("missing key `{}` {}", key.name, header.label);
        let remedy = match (&key.form, self.look.file_stem) {
            (Form::Word, Some(stem)) if header.path.is_empty() => format!("for example `id = \"{stem}\"`"),
            _ => String::new(),
        };
        let problem = Problem::error(header.site, &joined(header.path, key.name), found);
        self.problems.push(problem.expected(leaf::expectation(&key.form)).remedy(remedy));
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
