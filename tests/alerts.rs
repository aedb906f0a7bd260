//! An alert without a runbook, a test or a metric is a bug: what must agree is compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "dashboard/catalogue.rs"]
mod catalogue;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use catalogue::{Matcher, at_summary, documented, matchers, metrics, read, words};

/// Alerts that are planned, each with the metric that it waits for.
const LATER: [(&str, &str); 3] = [
    ("RekeydLeaseFlapping", "rekeyd_lease_takeovers_total"),
    ("RekeydClockSkew", "rekeyd_upstream_clock_skew_seconds"),
    ("RekeydChecksStale", "rekeyd_check_interval_seconds"),
];

/// Metrics whose absence another alert than `RekeydSeriesMissing` notices, with the unit test that shows it.
const NOTICED_OTHERWISE: [(&str, &str); 3] = [
    // Either detail is there, or what is missing is named as of `full`.
    ("rekeyd_credential_attention", "family: rekeyd_credential_needs_person\n"),
    ("rekeyd_credential_expiry_timestamp_seconds", "'series removed: no end of a window is left, "),
    ("up", "'series removed: the target is gone'"),
];

/// Where the pages are for whoever follows a link.
const PAGES: &str = "file:///usr/share/doc/rekeyd/runbooks/";

/// One alert of the rules file.
struct Alert {
    name: String,
    expression: String,
    wait: String,
    severity: String,
    annotations: BTreeMap<String, String>,
}

/// What stands behind `key` on a line of its own.
fn value(text: &str, key: &str) -> Option<String> {
    let prefix = format!("{key}: ");
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(&prefix))?;
    Some(line.trim_matches('\'').replace("''", "'"))
}

fn alerts() -> Vec<Alert> {
    let rules = read("deploy/prometheus/rekeyd.rules.yml");
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let rules = lines.collect::<Vec<_>>().join("\n");
    let parse = |text: &str| {
        let (expression, rest) = text.split_once("\n        labels:\n").unwrap();
        let (_, expression) = expression.split_once("        expr: ").unwrap();
        let annotations = ["summary", "description", "runbook_url"]
            .into_iter()
            .map(|key| (key.to_owned(), value(rest, key).unwrap()))
            .collect();
        Alert {
            name: text.lines().next().unwrap().to_owned(),
            wait: value(expression, "for").unwrap_or_else(|| "0m".to_owned()),
            expression: expression.split("\n        for: ").next().unwrap().to_owned(),
            severity: value(rest, "severity").unwrap(),
            annotations,
        }
    };
    rules.split("      - alert: ").skip(1).map(parse).collect()
}

fn names() -> BTreeSet<String> {
    alerts().into_iter().map(|alert| alert.name).collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")).unwrap() {
        pages.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    let alerts = alerts();
    let expected: BTreeSet<String> =
        alerts.iter().map(|alert| format!("{}.md", alert.name.to_lowercase())).collect();
    assert_eq!(pages, expected);
    for alert in &alerts {
        let file = format!("{}.md", alert.name.to_lowercase());
        assert_eq!(alert.annotations["runbook_url"], format!("{PAGES}{file}"), "{}", alert.name);
        let page = read(&format!("docs/runbooks/{file}"));
        assert!(page.starts_with(&format!("# {}\n\nSeverity `{}`, ", alert.name, alert.severity)), "{file}");
        let mut rest = page.as_str();
        for section in ["\n## Meaning\n", "\n## Impact\n", "\n## Diagnosis\n\n```\n", "\n## Mitigation\n"] {
            rest = rest.split_once(section).unwrap_or_else(|| panic!("{file} lacks {section:?}")).1;
        }
    }
}

#[test]
fn the_list_has_a_row_for_each_alert() {
    let page = read("docs/reference/alerts.md");
    let names = names();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| [")) {
        rows += 1;
        let instead = line.trim_end_matches('|').rsplit(" | ").next().unwrap();
        for name in instead.split(',').map(str::trim).filter(|name| *name != "itself") {
            assert!(names.contains(name), "there is no alert `{name}`: {line}");
        }
    }
    assert_eq!(rows, names.len());
    for Alert { name, severity, wait, .. } in alerts() {
        let row = format!("| [{name}](../runbooks/{}.md) | {severity} | {wait} | ", name.to_lowercase());
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_stay_silent() {
    let tests = read("deploy/prometheus/rekeyd.rules.test.yml");
    let tests: Vec<&str> = tests.split("  - name: ").skip(1).collect();
    let find = |name: &str| {
        let named = |test: &&&str| test.starts_with(&format!("'{name}'\n"));
        let found: Vec<&&str> = tests.iter().filter(named).collect();
        assert_eq!(found.len(), 1, "`{name}`");
        *found[0]
    };
    for Alert { name, wait, .. } in alerts() {
        let asks = format!("        alertname: {name}\n        exp_alerts:");
        let fires = find(&format!("{name} fires"));
        assert!(fires.contains(&format!("{asks}\n          - exp_labels:\n")), "{name}");
        assert!(fires.contains("exp_annotations:"), "{name}");
        let waits = fires.contains(&format!("{asks} []\n"));
        assert!(waits || wait == "0m", "{name} is not seen to wait for {wait}");
        assert!(find(&format!("{name} stays silent")).contains(&format!("{asks} []\n")), "{name}");
    }
}

#[test]
fn no_alert_is_silent_because_its_series_are_gone() {
    let tests = read("deploy/prometheus/rekeyd.rules.test.yml");
    let others = alerts().into_iter().filter(|alert| alert.name != "RekeydSeriesMissing");
    let asked: BTreeSet<String> = others.flat_map(|alert| metrics(&alert.expression)).collect();
    assert!(asked.len() > 25, "{asked:?}");
    for metric in asked {
        let otherwise = NOTICED_OTHERWISE.iter().find(|(of, _)| *of == metric);
        let shown = otherwise.map_or_else(|| format!("family: {metric}\n"), |(_, test)| (*test).to_owned());
        assert!(tests.contains(&shown), "no unit test shows what fires without `{metric}`");
    }
}

/// The alternatives of an expression: what stands between `or` at any depth.
fn alternatives(expression: &str) -> Vec<&str> {
    let mut found = vec![];
    let mut start = 0;
    for (at, _) in expression.match_indices('\n') {
        let line = expression[at + 1..].lines().next().unwrap_or_default();
        if line.trim() == "or" {
            found.push(&expression[start..at]);
            start = at + 1 + line.len();
        }
    }
    found.push(&expression[start..]);
    found
}

#[test]
fn no_alert_is_silent_at_summary() {
    let (there, tests) = (at_summary(), read("deploy/prometheus/rekeyd.rules.test.yml"));
    for Alert { name, expression, .. } in alerts() {
        if name == "RekeydSeriesMissing" {
            continue;
        }
        let can_fire =
            |part: &&str| metrics(part).iter().all(|metric| metric == "up" || there.contains(metric));
        let (can, all) =
            (alternatives(&expression).into_iter().filter(can_fire).count(), alternatives(&expression));
        assert!(can > 0, "{name} asks for what is not there at summary: {all:?}");
        if all.iter().any(|part| part.contains("rekeyd_credential_attention")) {
            assert!(tests.contains(&format!("  - name: '{name} fires at summary'\n")), "{name}");
        }
    }
}

#[test]
fn every_metric_label_and_value_of_a_rule_is_documented() {
    let documented = documented();
    let page = read("docs/reference/metrics.md");
    let mut seen = 0;
    for alert in alerts() {
        let name = &alert.name;
        for metric in metrics(&alert.expression).iter().filter(|metric| *metric != "up") {
            assert!(documented.contains_key(metric), "{name}: `{metric}`");
        }
        let ours = matchers(&alert.expression).into_iter().filter(|matcher| matcher.metric != "up");
        for Matcher { metric, label, values } in ours {
            assert!(documented[&metric].contains(&label), "{name}: `{metric}` has no label `{label}`");
            for value in values {
                seen += 1;
                assert!(page.contains(&format!("`{value}`")), "{name}: {label}=`{value}`");
            }
        }
        let shown: String = alert.annotations.values().cloned().collect();
        let known: BTreeSet<&str> = documented.values().flatten().map(String::as_str).collect();
        for label in shown.split("$labels.").skip(1).map(|rest| words(rest).next().unwrap()) {
            assert!(known.contains(label) || ["instance", "family"].contains(&label), "{name}: `{label}`");
        }
    }
    assert!(seen > 10, "{seen} values");
}

#[test]
fn an_alert_of_later_work_waits_for_its_metric() {
    let (names, documented, page) = (names(), documented(), read("docs/reference/alerts.md"));
    for (name, metric) in LATER {
        assert!(!names.contains(name), "`{name}` is there: take it off the list");
        assert!(!documented.contains_key(metric), "`{metric}` is exported: `{name}` can be made");
        assert!(page.contains(name), "`{name}` is not on the page");
    }
}

#[test]
fn kubernetes_is_given_the_same_rules() {
    let rules = read("deploy/prometheus/rekeyd.rules.yml");
    let (_, groups) = rules.split_once("\ngroups:\n").unwrap();
    let expected = groups.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>();
    let resource = read("deploy/kubernetes/base/prometheusrule.yaml");
    let (head, spec) = resource.split_once("\nspec:\n  groups:\n").unwrap();
    assert!(spec == expected, "the second line of prometheusrule.yaml says how it is made");
    for line in [
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "  name: rekeyd",
        "    app.kubernetes.io/name: rekeyd",
    ] {
        assert!(head.lines().any(|given| given == line), "`{line}`");
    }
    // Its job is the one the rules ask for.
    let scraped = read("deploy/kubernetes/base/podmonitor.yaml");
    assert!(scraped.contains("\n  jobLabel: app.kubernetes.io/name\n"), "{scraped}");
    assert!(read("deploy/kubernetes/base/deployment.yaml").contains("app.kubernetes.io/name: rekeyd"));
}
