//! The list of all scenarios: each is covered by tests that are there, or it is said what will bring it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{named, story};

/// How many scenarios there are.
const ALL: u32 = 54;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    scenario: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    number: u32,
    says: String,
    #[serde(default)]
    by: Vec<String>,
    later: Option<Later>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Later {
    issue: u32,
    because: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is wrong with the list, given the numbers that are told as stories.
fn problems(index: &Index, told: &BTreeSet<u32>) -> Vec<String> {
    let mut problems = Vec::new();
    let numbers: Vec<u32> = index.scenario.iter().map(|scenario| scenario.number).collect();
    if numbers != (1..=ALL).collect::<Vec<_>>() {
        problems.push(format!("expected the numbers 1 to {ALL} in order, found {numbers:?}"));
    }
    for number in told.iter().filter(|number| !numbers.contains(number)) {
        problems.push(format!("a story has the number {number}, which is not in the list"));
    }
    for scenario in &index.scenario {
        let number = scenario.number;
        let covered = told.contains(&number) || !scenario.by.is_empty();
        match &scenario.later {
            None if !covered => problems.push(format!("scenario {number} is neither covered nor put off")),
            Some(_) if covered => problems.push(format!("scenario {number} is covered and put off")),
            Some(later) if !(3..=6).contains(&later.issue) || later.because.is_empty() => {
                problems.push(format!("scenario {number} is put off to issue {}", later.issue));
            }
            _ => {}
        }
        if !scenario.says.starts_with("Given ") {
            problems.push(format!("scenario {number} does not say what is given"));
        }
        problems.extend(scenario.by.iter().filter_map(|name| named::missing(&root(), name)));
    }
    problems
}

fn told() -> BTreeSet<u32> {
    let number = |name: &String| name.split('-').next().unwrap().parse::<u32>();
    story::names().iter().map(|name| number(name).expect("a story begins with its number")).collect()
}

#[test]
fn every_scenario_is_covered_or_put_off() {
    let index: Index =
        toml::from_str(&fs::read_to_string(root().join("tests/scenarios/index.toml")).unwrap()).unwrap();
    let problems = problems(&index, &told());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let later = index.scenario.iter().filter(|scenario| scenario.later.is_some()).count();
    println!("scenarios: total={ALL} covered={} later={later}", ALL as usize - later);
}

#[test]
fn what_is_wrong_with_a_list_is_found() {
    let scenario = |number, by: &[&str], issue: Option<u32>| Scenario {
        number,
        says: "Given x, when y, then z.".to_owned(),
        by: by.iter().map(ToString::to_string).collect(),
        later: issue.map(|issue| Later { issue, because: "it waits".to_owned() }),
    };
    let whole = |first: Scenario| {
        let rest = (2..=ALL).map(|number| scenario(number, &["tidy::the_domain_is_pure"], None));
        Index { scenario: std::iter::once(first).chain(rest).collect() }
    };
    let check = |first: Scenario, told: &[u32], expected: &str| {
        let found = problems(&whole(first), &told.iter().copied().collect());
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    };
    check(scenario(1, &[], None), &[], "1 is neither covered nor put off");
    check(scenario(1, &[], Some(4)), &[1], "1 is covered and put off");
    check(scenario(1, &["tidy::the_domain_is_pure"], Some(5)), &[], "1 is covered and put off");
    check(scenario(1, &[], Some(7)), &[], "put off to issue 7");
    check(scenario(1, &["tidy::nobody"], None), &[], "`tidy::nobody` is no test");
    check(scenario(1, &["domain::walk::so_many_proofs_over_so_long"], None), &[], "is no test");
    check(scenario(1, &["nowhere::nobody"], None), &[], "no test binary `nowhere`");
    check(scenario(2, &[], None), &[], "expected the numbers 1 to 54");
    check(scenario(1, &["domain::proving::so_many_proofs_over_so_long"], None), &[55], "number 55");
    let good = whole(scenario(1, &["domain::proving::so_many_proofs_over_so_long"], None));
    assert_eq!(problems(&good, &BTreeSet::new()), [""; 0]);
}
