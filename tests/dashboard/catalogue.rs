//! The metrics of the reference, and which of them are there with the detail `summary`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A file of the source.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The words of an expression that may be names.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
}

/// The metrics that an expression asks for, as the reference names them.
pub(crate) fn metrics(expression: &str) -> BTreeSet<String> {
    let is_metric = |word: &&str| word.starts_with("rekeyd_") || *word == "up";
    let plain = |word: &str| word.trim_end_matches("_count").trim_end_matches("_bucket").to_owned();
    words(expression).filter(is_metric).map(plain).collect()
}

/// The labels of each metric in the reference.
pub(crate) fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/reference/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |line: &str| {
        let (name, rest) = line.split_once('`').unwrap();
        let labels = rest.split('|').nth(2).unwrap().split(',').map(|label| label.trim().to_owned());
        (name.to_owned(), labels.filter(|label| !label.is_empty()).collect())
    };
    rows.map(row).collect()
}

/// The metrics that are there with the detail `summary`: all that have no label `credential`, and those of the table.
pub(crate) fn at_summary() -> BTreeSet<String> {
    let page = read("docs/reference/metrics.md");
    let (_, detail) = page.split_once("## How much is told of a credential").unwrap();
    let six = detail.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let six =
        six.flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|word| word.starts_with("rekeyd_"));
    let six: BTreeSet<String> = six.map(str::to_owned).collect();
    assert!((6..=9).contains(&six.len()), "{six:?}");
    let left_out =
        ["rekeyd_check_last", "rekeyd_scheduler_next", "rekeyd_lease_expiry", "rekeyd_dataplane_last"];
    let is_there = |(name, labels): &(String, BTreeSet<String>)| {
        !labels.contains("credential") && !left_out.iter().any(|start| name.starts_with(start))
    };
    documented().into_iter().filter(is_there).map(|(name, _)| name).chain(six).collect()
}

/// One label of one metric, and the values that are asked for.
pub(crate) struct Matcher {
    pub(crate) metric: String,
    pub(crate) label: String,
    pub(crate) values: Vec<String>,
}

/// The matchers of every selector of an expression.
pub(crate) fn matchers(expression: &str) -> Vec<Matcher> {
    let mut found = Vec::new();
    let parts: Vec<&str> = expression.split('{').collect();
    for pair in parts.windows(2) {
        let metric = words(pair[0]).last().unwrap();
        for matcher in pair[1].split('}').next().unwrap().split(',') {
            let (label, values) = matcher.split_once(['=', '!']).unwrap();
            let values = values.split('"').nth(1).unwrap().split('|').map(str::to_owned).collect();
            found.push(Matcher { metric: metric.to_owned(), label: label.trim().to_owned(), values });
        }
    }
    found
}
