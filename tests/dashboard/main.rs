//! The dashboard for Grafana: what it asks for is there, what it links to is there, and it is whole. On the real Prometheus
//! `tests/observe` asks each of its expressions, and holds it against Grafana's own types.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;
mod catalogue;

use std::collections::BTreeSet;
use std::path::Path;

use board::{dashboard, list, put_in, queries, text};
use catalogue::{at_summary, documented, matchers, metrics, read, words};
use serde_json::Value;

/// What Grafana can write values as, of what the dashboard uses; `suffix: d` is a unit of our own, days.
const UNITS: [&str; 8] =
    ["short", "s", "bytes", "percentunit", "reqps", "dateTimeAsIso", "dateTimeFromNow", "suffix: d"];

/// Metrics that the catalogue does not name: of the process, and of Prometheus itself.
const OTHERS: [&str; 5] = [
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "ALERTS",
];

/// Every panel that shows something.
fn panels(board: &Value) -> Vec<&Value> {
    list(board, "/panels").filter(|panel| panel["type"] != "row").collect()
}

/// The expressions of one panel.
fn expressions(panel: &Value) -> String {
    list(panel, "/targets").map(|target| text(target, "expr") + "\n").collect()
}

#[test]
fn every_metric_label_and_value_is_documented() {
    let (documented, page) = (documented(), read("docs/reference/metrics.md"));
    let mut seen = BTreeSet::new();
    for query in queries(&dashboard()) {
        let place = &query.place;
        for metric in metrics(&query.expression).into_iter().filter(|metric| metric != "up") {
            assert!(documented.contains_key(&metric), "{place}: `{metric}`");
            seen.insert(metric);
        }
        for matcher in matchers(&query.expression) {
            let metric = matcher.metric.trim_end_matches("_bucket");
            let is_ours = metric.starts_with("rekeyd_");
            assert!(is_ours || metric == "up" || OTHERS.contains(&metric), "{place}: `{metric}`");
            if !is_ours || matcher.label == "instance" {
                continue;
            }
            let label = &matcher.label;
            assert!(documented[metric].contains(label), "{place}: `{metric}` has no label `{label}`");
            for value in matcher.values.iter().filter(|value| !value.starts_with('$')) {
                assert!(page.contains(&format!("`{value}`")), "{place}: {label}=`{value}`");
            }
        }
    }
    assert!(seen.len() > 55, "{}", seen.len());
}

#[test]
fn every_label_that_is_shown_is_there() {
    let documented = documented();
    for panel in panels(&dashboard()) {
        for target in list(panel, "/targets") {
            let mut known: BTreeSet<&str> = BTreeSet::from(["instance"]);
            let expression = text(target, "expr");
            for metric in metrics(&expression) {
                known.extend(documented.get(&metric).into_iter().flatten().map(String::as_str));
            }
            let legend = text(target, "legendFormat");
            for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                assert!(known.contains(label), "{}: `{label}` in `{legend}`", panel["title"]);
                // What is aggregated keeps only the labels that it names.
                let is_kept = !expression.contains(" by (") || words(&expression).any(|word| word == label);
                assert!(is_kept, "{}: `{label}` is aggregated away", panel["title"]);
            }
        }
    }
}

#[test]
fn what_shows_one_moment_asks_for_one() {
    let board = dashboard();
    for query in queries(&board) {
        // No variable is left that Grafana would not know here.
        put_in(&query.expression, "600s", "15s");
        let named = |panel: &&Value| panel["title"] == query.place.as_str();
        if let Some(panel) = list(&board, "/panels").find(named) {
            let is_of_time = ["timeseries", "state-timeline"].contains(&text(panel, "type").as_str());
            assert_eq!(query.is_instant, !is_of_time, "{} {}", query.place, query.reference);
        }
    }
}

#[test]
fn a_panel_that_needs_full_says_so() {
    let there = at_summary();
    for panel in panels(&dashboard()) {
        let needs =
            metrics(&expressions(panel)).iter().any(|metric| metric != "up" && !there.contains(metric));
        let says = text(panel, "description").contains("the detail `full`");
        assert_eq!(needs, says, "{}", panel["title"]);
    }
}

#[test]
fn links_lead_to_pages_of_the_package() {
    let board = dashboard();
    let mut links: Vec<&Value> = list(&board, "/links").collect();
    for panel in panels(&board) {
        let own: Vec<&Value> = list(panel, "/links").collect();
        assert!(!own.is_empty(), "{} leads nowhere", panel["title"]);
        links.extend(own);
    }
    let packed = read("Cargo.toml");
    for link in links {
        let url = text(link, "url");
        let page = url.strip_prefix("${docs}/").unwrap_or_else(|| panic!("`{url}`"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
        assert!(path.exists(), "there is no {}", path.display());
        let folder = page.split('/').next().unwrap();
        assert!(packed.contains(&format!("\"docs/{folder}/*.md\"")), "{folder} is not packed");
    }
}

#[test]
fn every_panel_is_whole() {
    let board = dashboard();
    assert_eq!((text(&board, "uid").as_str(), board["schemaVersion"].as_u64()), ("rekeyd", Some(42)));
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    for panel in list(&board, "/panels") {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} has the id of another", panel["title"]);
        assert!(titles.insert(text(panel, "title")), "{} is there twice", panel["title"]);
    }
    for panel in panels(&board) {
        let title = &panel["title"];
        assert!(text(panel, "description").ends_with('.'), "{title} has no description");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let mut units = vec![text(&panel["fieldConfig"]["defaults"], "unit")];
        for property in list(panel, "/fieldConfig/overrides").flat_map(|of| list(of, "/properties")) {
            if property["id"] == "unit" {
                units.push(text(property, "value"));
            }
        }
        assert!(units.iter().all(|unit| UNITS.contains(&unit.as_str())), "{title}: {units:?}");
        let steps: Vec<&Value> = list(panel, "/fieldConfig/defaults/thresholds/steps").collect();
        assert!(steps.first().is_some_and(|first| first["value"].is_null()), "{title} has no thresholds");
        let values: Vec<f64> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
        assert!(values.is_sorted() && values.len() + 1 == steps.len(), "{title}: {values:?}");
        let references: Vec<String> = list(panel, "/targets").map(|target| text(target, "refId")).collect();
        let expected: Vec<String> =
            ('A'..='Z').take(references.len()).map(|letter| letter.to_string()).collect();
        assert!(!references.is_empty() && references == expected, "{title}: {references:?}");
    }
}

#[test]
fn no_panel_covers_another() {
    let board = dashboard();
    let mut taken = BTreeSet::new();
    for panel in list(&board, "/panels") {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
        for place in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            assert!(taken.insert(place), "{} covers another at {place:?}", panel["title"]);
        }
    }
}

#[test]
fn columns_that_are_named_are_asked_for() {
    let board = dashboard();
    for panel in panels(&board).into_iter().filter(|panel| panel["type"] == "table") {
        let count = list(panel, "/targets").count();
        let organize = list(panel, "/transformations").find(|of| of["id"] == "organize").unwrap();
        let (shown, hidden) = (&organize["options"]["renameByName"], &organize["options"]["excludeByName"]);
        for letter in ('A'..='Z').take(count) {
            let column = format!("Value #{letter}");
            let places = [shown, hidden].iter().filter(|of| !of[column.as_str()].is_null()).count();
            assert_eq!(places, 1, "{}: {column}", panel["title"]);
        }
        let names: Vec<&str> = shown.as_object().unwrap().values().filter_map(Value::as_str).collect();
        let sorted = list(panel, "/options/sortBy").map(|by| text(by, "displayName"));
        let styled = list(panel, "/fieldConfig/overrides").map(|of| text(&of["matcher"], "options"));
        for name in sorted.chain(styled) {
            assert!(names.contains(&name.as_str()), "{}: no column `{name}`", panel["title"]);
        }
    }
}

#[test]
fn it_is_packed_and_described() {
    let shipped = "[\"deploy/grafana/rekeyd.json\", \"usr/share/rekeyd/grafana/rekeyd.json\", \"644\"]";
    assert!(read("Cargo.toml").contains(shipped));
    assert!(read("deploy/scripts/dist").contains("cp -r deploy/grafana \"$tree/grafana\""));
    assert!(read("docs/how-to/monitor.md").contains("/usr/share/rekeyd/grafana/rekeyd.json"));
}
