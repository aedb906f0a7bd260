//! The schema takes what the program takes, and refuses what an editor can know to be wrong.

use jsonschema::Validator;
use serde_json::Value;

use super::samples::{shipped, switched_on};
use crate::config::reference::{TENANT_PART, render};
use crate::config::{manual, schema};

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).expect("the schema is one");
    jsonschema::draft202012::new(schema).expect("the schema is one")
}

fn problems(schema: &Value, text: &str) -> Vec<String> {
    let document: Value = toml::from_str(text).unwrap();
    validator(schema).iter_errors(&document).map(|problem| problem.to_string()).collect()
}

#[test]
fn what_is_shipped_fits() {
    let none: Vec<String> = Vec::new();
    assert_eq!(problems(&schema::daemon(), &shipped("rekeyd.toml")), none);
    assert_eq!(problems(&schema::tenant(), &shipped("tenants.d/example.toml")), none);
    let reference = render();
    let (daemon, tenant) = reference.split_once(TENANT_PART).unwrap();
    assert_eq!(problems(&schema::daemon(), &switched_on(daemon)), none);
    assert_eq!(problems(&schema::tenant(), &switched_on(tenant)), none);
}

#[test]
fn what_is_wrong_does_not() {
    let daemon = |text: &str| problems(&schema::daemon(), &format!("version = 1\n{text}")).concat();
    assert!(daemon("concurency = 4").contains("concurency"));
    assert!(daemon("concurrency = 0").contains('0'));
    assert!(daemon("concurrency = \"four\"").contains("four"));
    assert!(daemon("[schedule]\ncron = \"* * * * *\"").contains("* * * * *"));
    assert!(daemon("[log]\nformat = \"xml\"").contains("xml"));
    assert!(!problems(&schema::daemon(), "").is_empty(), "the version is missing");
    let sample = shipped("tenants.d/example.toml");
    let tenant = |from: &str, to: &str| {
        assert!(sample.contains(from), "{from}");
        problems(&schema::tenant(), &sample.replace(from, to)).concat()
    };
    assert!(!tenant("= \"cloud-foundry\"", "= \"cloudfoundry\"").is_empty());
    assert!(!tenant("id      = ", "name = ").is_empty());
    assert!(!tenant("password = { credential = ", "password = { secret = ").is_empty());
}

#[test]
fn the_manual_has_every_key() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        let properties = schema.get("properties").or_else(|| schema.pointer("/items/properties"));
        for (name, inner) in properties.and_then(Value::as_object).into_iter().flatten() {
            found.push(name.clone());
            names(inner, found);
        }
    }
    let mut found = Vec::new();
    names(&schema::daemon(), &mut found);
    names(&schema::tenant(), &mut found);
    assert!(found.len() > 80, "{}", found.len());
    let page = manual::render().replace("\\-", "-");
    for name in found {
        assert!(page.contains(&name), "`{name}` is not in the manual");
    }
}
