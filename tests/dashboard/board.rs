//! The dashboard as it is shipped, and every expression in it.

use serde_json::Value;

/// One expression, and where it stands.
pub(crate) struct Query {
    /// The panel's title, or the name of an annotation or a variable.
    pub(crate) place: String,
    /// Which of its queries it is.
    pub(crate) reference: String,
    /// A query of Prometheus, with Grafana's variables in it.
    pub(crate) expression: String,
    /// Whether it is asked for one moment, and not over the time shown.
    pub(crate) is_instant: bool,
}

/// The dashboard.
pub(crate) fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/rekeyd.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The elements of an array, none where it is not there.
pub(crate) fn list<'a>(of: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    of.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A text, empty where it is not there.
pub(crate) fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}

/// `label_values(SERIES, LABEL)`, which only Grafana knows, as a query of Prometheus.
fn label_values(query: &str) -> Option<String> {
    let (series, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")?;
    Some(format!("group by ({label}) ({series})"))
}

/// Every expression: of panels, annotations and variables.
pub(crate) fn queries(board: &Value) -> Vec<Query> {
    let mut found = Vec::new();
    for panel in list(board, "/panels") {
        found.extend(list(panel, "/targets").map(|target| Query {
            place: text(panel, "title"),
            reference: text(target, "refId"),
            expression: text(target, "expr"),
            is_instant: target["instant"] == true,
        }));
    }
    found.extend(list(board, "/annotations/list").map(|annotation| Query {
        place: format!("annotation {}", text(annotation, "name")),
        reference: "A".to_owned(),
        expression: text(&annotation["target"], "expr"),
        is_instant: false,
    }));
    let of_variables = list(board, "/templating/list").filter(|variable| variable["type"] == "query");
    found.extend(of_variables.map(|variable| Query {
        place: format!("variable {}", text(variable, "name")),
        reference: "A".to_owned(),
        expression: label_values(&text(&variable["query"], "query")).unwrap(),
        is_instant: true,
    }));
    found
}

/// An expression as Grafana would send it: everything chosen, `span` shown, rates over `rate`.
pub(crate) fn put_in(expression: &str, span: &str, rate: &str) -> String {
    let variables = [
        ("$__rate_interval", rate),
        ("$__range", span),
        ("$instance", ".+"),
        ("$tenant", ".+"),
        ("$shown", "20"),
    ];
    let text = variables.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!text.contains('$'), "an unknown variable in `{text}`");
    text
}
