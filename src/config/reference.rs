//! `config/reference.toml`: the table of keys, written out. A test compares the file with this, letter by letter.

use super::keys::{self, Form, Key, Need};
use super::leaf::expectation;

/// What separates the daemon's part from the tenant's.
pub const TENANT_PART: &str = "# ---- tenants.d/*.toml: one tenant per file ----";

const OPENING: &str = "\
# Every key of rekeyd, what it means, what may stand there, and its default. Written from the program's own table.
#
# Lines that begin with `# ` are prose. Lines that begin with `#` and no blank are keys: those with `(default)` show
# the default and can be left out; the others show an example. The second part belongs into a file of its own.
# Environment variables override the first part: REKEYD__HTTP__READ_TIMEOUT is read-timeout in [http].
";

/// The whole text.
pub fn render() -> String {
    let mut text = OPENING.to_owned();
    section(keys::DAEMON, "", &mut text);
    text.extend(["\n", TENANT_PART, "\n"]);
    section(keys::TENANT, "", &mut text);
    text
}

/// Values first: in TOML a key after the head of a section belongs to that section.
fn section(keys: &[Key], path: &str, text: &mut String) {
    for key in keys.iter().filter(|key| key.section(path).is_none()) {
        value(key, text);
    }
    for (key, inner) in keys.iter().filter_map(|key| Some((key, key.section(path)?))) {
        text.push('\n');
        prose(key.doc, text);
        text.extend(["#", &inner.head, "\n"]);
        section(inner.keys, &inner.path, text);
    }
}

fn value(key: &Key, text: &mut String) {
    text.push('\n');
    prose(key.doc, text);
    let (kind, value) = match key.need {
        Need::Required(example) => ("required", example.to_owned()),
        Need::Optional(example) => ("optional", example.to_owned()),
        Need::Default(default) => ("default", literal(&key.form, default)),
    };
    prose(&format!("({kind}) {}", expectation(&key.form)), text);
    text.extend(["#", key.name, " = ", &value, "\n"]);
}

/// A default as TOML.
fn literal(form: &Form, default: &str) -> String {
    match form {
        Form::Version | Form::Count(..) | Form::Flag => default.to_owned(),
        _ => format!("\"{default}\""),
    }
}

fn prose(sentence: &str, text: &mut String) {
    const WIDTH: usize = 110;
    let mut line = String::from("#");
    for word in sentence.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
