//! The environment as a value, and its merger with the file. What is merged keeps the place it came from.
//!
//! `config` does the merging and nothing else: its values carry the number of a `Node`, which keeps type and place.

use std::collections::BTreeMap;

use ::config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::document::{Node, Raw};
use super::problem::Site;

/// What a variable that overrides a key begins with.
pub const PREFIX: &str = "REKEYD__";

/// The environment variables of the process, as far as the caller passes them on.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The keys it overrides: path, variable, value. `REKEYD__HTTP__READ_TIMEOUT` is `http.read-timeout`.
    fn overrides(&self) -> impl Iterator<Item = (String, &String, &String)> {
        self.0.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".").replace('_', "-");
            // `config` reads brackets in a path as an index into a list; no key has any.
            let path =
                path.replace(|character: char| !character.is_ascii_alphanumeric() && character != '.', "-");
            Some((path, name, value))
        })
    }
}

/// The file with the environment over it.
pub(super) fn merge(file: Node, environment: &Environment) -> Node {
    let (key_site, site) = (file.key_site.clone(), file.site.clone());
    let mut nodes = Vec::new();
    let written = file.clone();
    let tree = numbered(file, &mut nodes);
    let mut builder = Config::builder().add_source(Tree(tree));
    for (path, name, value) in environment.overrides() {
        let site = Site::Variable(name.clone());
        let leaf = Node { key_site: site.clone(), site, raw: Raw::Loose(value.clone()) };
        builder = builder.add_source(Override(path, numbered(leaf, &mut nodes)));
    }
    let merged = builder.build().expect("sources in memory always merge").cache;
    Node {
        key_site,
        site,
        raw: restored(merged, &nodes, Some(&written), &Site::Variable(PREFIX.to_owned())).raw,
    }
}

/// The file as a source. It replaces the empty tree as a whole, so that its keys are never read as paths.
#[derive(Debug, Clone)]
struct Tree(Value);

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        self.0.clone().into_table()
    }

    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        *cache = self.0.clone();
        Ok(())
    }
}

/// One variable as a source: path and value. One source each, so that they are merged in a fixed order.
#[derive(Debug, Clone)]
struct Override(String, Value);

impl Source for Override {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from_iter([(self.0.clone(), self.1.clone())]))
    }
}

/// `node` as a value for `config`. Its leaves are set aside in `nodes`; the value's origin is their number.
fn numbered(mut node: Node, nodes: &mut Vec<Node>) -> Value {
    let members = match &mut node.raw {
        Raw::Table(members) => Some(std::mem::take(members)),
        _ => None,
    };
    let number = nodes.len().to_string();
    nodes.push(node);
    let kind = members.map_or(ValueKind::Nil, |members| {
        ValueKind::Table(members.into_iter().map(|(key, node)| (key, numbered(node, nodes))).collect())
    });
    Value::new(Some(&number), kind)
}

/// The node that a merged value stands for. `config` makes tables anew: where one is `written` in the file, it is there;
/// one that only the environment made is where its first variable is.
fn restored(value: Value, nodes: &[Node], written: Option<&Node>, outside: &Site) -> Node {
    let known = value.origin().and_then(|number| nodes.get(number.parse::<usize>().ok()?)).or(written);
    let mut node = known.cloned().unwrap_or_else(|| Node {
        key_site: outside.clone(),
        site: outside.clone(),
        raw: Raw::Other("nothing"),
    });
    if let ValueKind::Table(members) = value.kind {
        let inner = |key: &str| match written.map(|node| &node.raw) {
            Some(Raw::Table(members)) => members.get(key),
            _ => None,
        };
        let members: BTreeMap<String, Node> = members
            .into_iter()
            .map(|(key, value)| {
                let node = restored(value, nodes, inner(&key), outside);
                (key, node)
            })
            .collect();
        if known.is_none()
            && let Some(first) = members.values().next()
        {
            node.key_site = first.key_site.clone();
            node.site = first.site.clone();
        }
        node.raw = Raw::Table(members);
    }
    node
}
