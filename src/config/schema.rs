//! The JSON Schema of a configuration file, for editors: the table of keys once more. What it cannot say, such as how long a
//! duration may be, `check-config` says.

use serde_json::{Map, Value, json};

use super::keys::{self, Form, Key, Need};
use super::leaf::expectation;

/// The schema of `rekeyd.toml`.
pub fn daemon() -> Value {
    of("rekeyd.toml", keys::DAEMON)
}

/// The schema of a file in `tenants.d`.
pub fn tenant() -> Value {
    of("a tenant of rekeyd", keys::TENANT)
}

fn of(title: &str, keys: &[Key]) -> Value {
    let mut schema = section(keys);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn section(keys: &[Key]) -> Value {
    let property = |key: &Key| (key.name.to_owned(), property(key));
    let required: Vec<&str> =
        keys.iter().filter(|key| matches!(key.need, Need::Required(_))).map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": keys.iter().map(property).collect::<Map<String, Value>>(),
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = form(&key.form);
    let is_section = matches!(key.form, Form::Table(_) | Form::Tables(_));
    let expected = expectation(&key.form);
    let doc = if is_section { key.doc.to_owned() } else { format!("{} Expected: {expected}.", key.doc) };
    schema["description"] = json!(doc);
    if let Need::Default(text) = key.need
        && !is_section
    {
        schema["default"] = match key.form {
            Form::Version | Form::Count(..) => json!(text.parse::<u64>().expect("a default fits its form")),
            Form::Flag => json!(text == "true"),
            _ => json!(text),
        };
    }
    schema
}

fn form(form: &Form) -> Value {
    match form {
        Form::Version => json!({ "const": 1 }),
        Form::Word => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,47}$" }),
        Form::Cron => json!({ "type": "string", "pattern": r"^\s*(\S+\s+){5}\S+\s*$" }),
        Form::Url => json!({ "type": "string", "pattern": "^https?://" }),
        Form::Text
        | Form::Path
        | Form::Certificates
        | Form::Span(..)
        | Form::Window
        | Form::Size(..)
        | Form::UrlPath
        | Form::Listen
        | Form::Zone
        | Form::Filter
        | Form::Owner => json!({ "type": "string" }),
        Form::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Choice(words, _) => json!({ "enum": words }),
        Form::Words(meanings) => json!({ "type": "object", "additionalProperties": { "enum": meanings } }),
        Form::Password | Form::ServiceKey => json!({
            "type": "object",
            "properties": {
                "file": { "type": "string", "minLength": 1 },
                "credential": { "type": "string", "minLength": 1 },
                "env": { "type": "string", "minLength": 1 },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }),
        Form::Instance => json!({
            "oneOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" }, "space": { "type": "string" }, "org": { "type": "string" },
                    },
                    "required": ["name", "space", "org"],
                    "additionalProperties": false,
                },
            ],
        }),
        Form::Guid => {
            json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$" })
        }
        Form::Day => json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }),
        Form::Mode => json!({ "type": "string", "pattern": "^0?[0-7]{3}$" }),
        Form::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Program => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Form::Table(keys) => section(keys),
        Form::Tables(keys) => json!({ "type": "array", "items": section(keys) }),
    }
}
