//! What may be shown of an answer: a few known fields, without anything that looks like a secret.
//!
//! Brokers and proxies echo what they were sent. So the text of an answer that is not JSON is never shown, of JSON
//! only fields that describe an error, and in those every long or secret-looking word is masked (facts: failure
//! stories, scenario 31). A masked GUID or host name is a small price.

use serde_json::Value;

/// The longest redacted text, in characters.
pub const LIMIT: usize = 300;

/// What stands for a masked word.
const MASK: &str = "[masked]";

/// A word of this length may be a secret whatever it looks like.
const LONG: usize = 24;

/// A word of this length with a `$` in it is taken for a binding secret (`uuid$base64`) or a part of one.
const DOLLAR: usize = 8;

/// A secret shorter than this could be any word; masking it would tell more than it hides.
const KNOWN: usize = 4;

const FIELDS: [&str; 12] = [
    "code",
    "title",
    "detail",
    "error",
    "error_description",
    "message",
    "status",
    "state",
    "description",
    "type",
    "errors",
    "reason",
];

const DEPTH: usize = 4;

/// What an answer's body says about an error: at most [`LIMIT`] characters, one line.
pub fn redact(body: &[u8]) -> String {
    redact_knowing(body, &[])
}

/// The same, and the secrets of the request are masked even where they look like nothing at all.
pub fn redact_knowing(body: &[u8], known: &[&str]) -> String {
    if body.iter().all(u8::is_ascii_whitespace) {
        return "an empty answer".to_owned();
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let start = String::from_utf8_lossy(&body[..body.len().min(256)]).to_ascii_lowercase();
        let kind = if start.contains("<html") || start.contains("<!doctype") { "HTML" } else { "text" };
        return format!("{kind} of {} bytes", body.len());
    };
    let mut said = Vec::new();
    collect(&value, "", DEPTH, known, &mut said);
    if said.is_empty() {
        return format!("JSON of {} bytes", body.len());
    }
    shorten(&said.join(", "), LIMIT)
}

fn collect(value: &Value, name: &str, depth: usize, known: &[&str], said: &mut Vec<String>) {
    match value {
        Value::Object(fields) if depth > 0 => {
            for field in FIELDS {
                if let Some(value) = fields.get(field) {
                    collect(value, field, depth - 1, known, said);
                }
            }
        }
        Value::Array(values) if depth > 0 => {
            for value in values.iter().take(5) {
                collect(value, name, depth - 1, known, said);
            }
        }
        Value::String(text) if !name.is_empty() => {
            said.push(format!("{name}: {}", mask(&without(text, known))));
        }
        Value::Number(number) if !name.is_empty() => {
            said.push(format!("{name}: {}", mask(&number.to_string())));
        }
        Value::Bool(answer) if !name.is_empty() => said.push(format!("{name}: {answer}")),
        _ => {}
    }
}

fn without(text: &str, known: &[&str]) -> String {
    known
        .iter()
        .filter(|secret| secret.len() >= KNOWN)
        .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// The text on one line, with everything that looks like a secret masked.
pub fn mask(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_control() || letter.is_whitespace())
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .collect();
    // Nothing after the beginning of a PEM block is worth showing.
    let (text, rest) = text.split_once("-----BEGIN").map_or((text.as_str(), ""), |(text, _)| (text, MASK));
    let mut masked = String::new();
    let mut word = String::new();
    for letter in text.chars() {
        if is_of_word(letter) {
            word.push(letter);
        } else {
            finish(&mut masked, &mut word);
            masked.push(letter);
        }
    }
    finish(&mut masked, &mut word);
    masked.push_str(rest);
    masked
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || "_-=.+/$%~!|".contains(letter)
}

fn finish(masked: &mut String, word: &mut String) {
    let secret = looks_secret(word) || (!word.is_empty() && names_secret(masked));
    masked.push_str(if secret { MASK } else { word });
    word.clear();
}

fn looks_secret(word: &str) -> bool {
    let length = word.chars().count();
    let assigned =
        word.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret_name(name));
    length >= LONG || (length >= DOLLAR && word.contains('$')) || word.contains("eyJ") || assigned
}

/// Whether the text so far ends with something like `"password": "` or `Bearer `.
fn names_secret(before: &str) -> bool {
    let name = before.trim_end_matches([' ', '"', '\'', ':', '>', '\\']);
    let between = &before[name.len()..];
    let scheme = name.to_ascii_lowercase();
    if scheme.ends_with("bearer") && between.contains(' ') {
        return true;
    }
    between.contains(':')
        && name.rsplit(|letter: char| !is_of_word(letter)).next().is_some_and(is_secret_name)
}

/// Whether a field of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "password", "passwd", "token", "passcode", "authorization", "apikey", "assertion"]
        .iter()
        .any(|mark| name.ends_with(mark))
}

/// At most `limit` characters of `text`.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_stay_readable() {
        let check = |body: &str, expected: &str| assert_eq!(redact(body.as_bytes()), expected);
        check(
            r#"{"errors":[{"code":10008,"title":"CF-UnprocessableEntity","detail":"The name is taken."}]}"#,
            "code: 10008, title: CF-UnprocessableEntity, detail: The name is taken.",
        );
        check(
            r#"{"error":"invalid_client","error_description":"Bad credentials"}"#,
            "error: invalid_client, error_description: Bad credentials",
        );
        check("<html><body>Bad Gateway</body></html>", "HTML of 37 bytes");
        check("secret text", "text of 11 bytes");
        check("  ", "an empty answer");
        check(r#"{"credentials":{"clientsecret":"hunter2"}}"#, "JSON of 42 bytes");
        check(
            r#"{"detail":"broker said: {\"clientsecret\": \"hunter2\", \"a\":1}"}"#,
            r#"detail: broker said: {"clientsecret": "[masked]", "a":1}"#,
        );
        check(
            r#"{"detail":"sent password=hunter2\u0007 and Bearer abc"}"#,
            "detail: sent [masked] and Bearer [masked]",
        );
    }

    #[test]
    fn a_known_secret_is_masked_however_it_looks() {
        let body = br#"{"error_description":"no user with swordfish here"}"#;
        assert_eq!(redact_knowing(body, &["swordfish", ""]), "error_description: no user with [masked] here");
    }

    #[test]
    fn a_secret_in_json_in_json_is_masked() {
        let inner = json!({ "password": "hunter2" }).to_string();
        let body = json!({ "detail": json!(inner).to_string() }).to_string();
        assert_eq!(redact(body.as_bytes()), r#"detail: "{\"password\":\"[masked]\"}""#);
    }

    fn secret() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}\\$[A-Za-z0-9_-]{30,43}=",
            "eyJ[A-Za-z0-9_-]{20,60}\\.[A-Za-z0-9_-]{20,60}",
            "-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/]{64}\n-----END PRIVATE KEY-----",
            "[A-Za-z0-9_.=+/-]{24,80}",
        ]
    }

    fn holds_part_of(text: &str, secret: &str) -> bool {
        secret.as_bytes().windows(12).any(|part| {
            // The frame of a PEM block is no secret.
            !part.windows(3).any(|dashes| dashes == b"---")
                && text.as_bytes().windows(12).any(|window| window == part)
        })
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in secret(), before in "\\PC{0,20}", after in "\\PC{0,400}", place in 0..6) {
            let text = format!("{before}{secret}{after}");
            let body = match place {
                0 => json!({ "detail": text }).to_string(),
                1 => json!({ "errors": [{ "code": 1, "detail": json!({ "x": text }).to_string() }] }).to_string(),
                2 => json!({ text.as_str(): "message", "message": "no" }).to_string(),
                3 => json!({ "error": { "message": [text] } }).to_string(),
                4 => json!({ "description": "x".repeat(280) + " " + &text }).to_string(),
                _ => text,
            };
            let shown = redact(body.as_bytes());
            prop_assert!(shown.chars().count() <= LIMIT);
            prop_assert!(!shown.contains(char::is_control));
            prop_assert!(!holds_part_of(&shown, &secret), "{}", shown);
            prop_assert!(!holds_part_of(&mask(&body), &secret));
        }

        #[test]
        fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            redact(&body);
        }
    }
}
