//! JSON as the hostile modes write it: fields in any order, fields that nobody knows, optional fields left out; and
//! documents that make no sense.

use serde_json::{Map, Value, json};

use crate::chance::Stream;
use crate::scenario::hostile::Rates;

/// Fields that SAP's documents may or may not have, and that no client has to find.
const OPTIONAL: [&str; 14] = [
    "updated_at",
    "metadata",
    "warnings",
    "description",
    "parameters",
    "first",
    "last",
    "previous",
    "meta",
    "jti",
    "scope",
    "refresh_token",
    "createdate",
    "message",
];

/// Fields that nobody knows.
const UNKNOWN: [&str; 5] = ["x_rotation_hint", "xTrace", "vendorExtension", "_etag", "sap:extra"];

/// How deep a document is that is nested too deeply.
const DEEP: usize = 50_000;

/// The document as text, in another form that means the same.
pub(crate) fn scramble(value: &Value, rates: &Rates, stream: &mut Stream) -> String {
    let mut text = String::new();
    write(value, rates, stream, &mut text);
    text
}

fn write(value: &Value, rates: &Rates, stream: &mut Stream, text: &mut String) {
    match value {
        Value::Object(fields) => write_object(fields, rates, stream, text),
        Value::Array(entries) => {
            text.push('[');
            for (index, entry) in entries.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write(entry, rates, stream, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn write_object(fields: &Map<String, Value>, rates: &Rates, stream: &mut Stream, text: &mut String) {
    let extra = stream.happens(rates.unknown_fields).then(|| unknown(stream));
    let mut chosen: Vec<(u64, &str, &Value)> = Vec::new();
    for (name, value) in fields {
        let dropped = OPTIONAL.contains(&name.as_str()) && stream.happens(rates.absent_fields);
        if !dropped {
            chosen.push((stream.next(), name, value));
        }
    }
    if let Some((name, value)) = &extra {
        chosen.push((stream.next(), name, value));
    }
    chosen.sort_unstable_by_key(|(order, name, _)| (*order, *name));
    text.push('{');
    for (index, (_, name, value)) in chosen.into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(&Value::from(name).to_string());
        text.push(':');
        write(value, rates, stream, text);
    }
    text.push('}');
}

fn unknown(stream: &mut Stream) -> (&'static str, Value) {
    let values = [
        Value::Null,
        json!(7),
        json!("nobody knows"),
        json!({ "nobody": ["knows", 1, null] }),
        json!([{ "code": 7 }]),
    ];
    (UNKNOWN[stream.below(UNKNOWN.len())], values[stream.below(values.len())].clone())
}

/// The document with one value of another type.
pub(crate) fn mistype(mut value: Value, stream: &mut Stream) -> Value {
    let count = count(&value);
    let chosen = stream.below(count);
    mistype_at(&mut value, &mut 0, chosen);
    value
}

/// How many values a document consists of.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Array(entries) => entries.iter().map(count).sum(),
        _ => 0,
    }
}

fn mistype_at(value: &mut Value, at: &mut usize, chosen: usize) {
    if *at == chosen {
        *value = of_another_type(value);
        *at += 1;
        return;
    }
    *at += 1;
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| mistype_at(value, at, chosen)),
        Value::Array(entries) => entries.iter_mut().for_each(|value| mistype_at(value, at, chosen)),
        _ => {}
    }
}

fn of_another_type(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!(truth.to_string()),
        Value::Number(number) => json!(number.to_string()),
        Value::String(text) => json!(text.len()),
        Value::Array(entries) => json!({ "0": entries }),
        Value::Object(fields) => json!([fields]),
    }
}

/// A document that is nested deeper than any reader should follow.
pub(crate) fn nested() -> String {
    format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP))
}

/// The document with every link below `base` leading to `elsewhere`.
pub(crate) fn mislead(value: &mut Value, base: &str, elsewhere: &str) {
    match value {
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(base) {
                *text = format!("{elsewhere}{rest}");
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| mislead(value, base, elsewhere)),
        Value::Array(entries) => entries.iter_mut().for_each(|value| mislead(value, base, elsewhere)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    fn document() -> Value {
        json!({ "a": 1, "b": [{ "c": null }, "d"], "updated_at": "now", "e": true })
    }

    #[test]
    fn what_is_scrambled_means_the_same() {
        let mut stream = Chance::new(1).stream("test");
        let mut forms = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let text = scramble(&document(), &Rates::none(), &mut stream);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document());
            forms.insert(text);
        }
        assert!(forms.len() > 10, "fields change places: {}", forms.len());
    }

    #[test]
    fn unknown_fields_come_and_optional_ones_go() {
        let rates = Rates { unknown_fields: 1.0, absent_fields: 1.0, ..Rates::none() };
        let text = scramble(&document(), &rates, &mut Chance::new(1).stream("test"));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value.get("updated_at").is_none(), "{text}");
        assert_eq!(value.as_object().unwrap().len(), 4, "{text}");
        assert_eq!((&value["a"], &value["b"][0]["c"]), (&json!(1), &Value::Null));
    }

    #[test]
    fn one_value_is_mistyped() {
        let mut stream = Chance::new(1).stream("test");
        let mut forms = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let value = mistype(document(), &mut stream);
            assert_ne!(value, document());
            forms.insert(value.to_string());
        }
        assert_eq!(forms.len(), count(&document()), "every value gets its turn");
    }

    #[test]
    fn links_are_led_astray() {
        let mut value = json!({ "href": "https://a/x", "other": ["https://a/y", "https://b/z", "text"] });
        mislead(&mut value, "https://a", "https://evil");
        assert_eq!(
            value,
            json!({ "href": "https://evil/x", "other": ["https://evil/y", "https://b/z", "text"] })
        );
    }
}
