//! Numbers, instants and sentences as a person reads them, and nothing that leaves its element.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::domain::Timestamp;
use crate::domain::names::CredentialId;

/// Sentences of others may be of any length.
const LONGEST: usize = 600;

/// So many of a thing.
pub(super) fn many(count: usize, one: &str, more: &str) -> String {
    let thing = if count == 1 { one } else { more };
    format!("{} {thing}", grouped(count))
}

/// A number with a thin space between its thousands.
pub(super) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// An instant, for machines too.
pub(super) fn instant(at: Timestamp) -> Markup {
    html! { time datetime=(at.format("%Y-%m-%dT%H:%M:%SZ")) { (at.format("%Y-%m-%d %H:%M")) } }
}

/// A day, for machines too.
pub(super) fn day(at: Timestamp) -> Markup {
    html! { time datetime=(at.format("%Y-%m-%dT%H:%M:%SZ")) { (at.format("%Y-%m-%d")) } }
}

/// A day, or that it is not known.
pub(super) fn day_if_known(at: Option<Timestamp>) -> Markup {
    at.map_or_else(|| html! { "unknown" }, day)
}

/// How far `at` is from `now`.
pub(super) fn distance(now: Timestamp, at: Timestamp) -> String {
    let minutes = (at - now).num_minutes();
    let span = match minutes.unsigned_abs() {
        0 => return "now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    };
    if minutes < 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// A sentence of the program: what stands between backticks is code. What does not belong into a line of text is replaced.
pub(super) fn prose(text: &str) -> Markup {
    let text = clean(text);
    let parts = text.split('`').enumerate();
    html! {
        @for (index, part) in parts {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// `text` on one line, no longer than a screen takes, and without what turns the direction of writing.
pub(super) fn clean(text: &str) -> String {
    let is_odd = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut line: String =
        text.chars().take(LONGEST).map(|letter| if is_odd(letter) { '\u{fffd}' } else { letter }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// The first letter of a sentence, as it begins one.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The address of a tenant's page, at the credential.
pub(super) fn address(credential: &CredentialId) -> String {
    format!("/tenants/{}#{}", credential.tenant.as_str(), credential.name.as_str())
}

/// `text` as it stands in a query.
pub(super) fn in_query(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            write!(safe, "%{byte:02X}").expect("a string takes all");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn distances_are_as_people_say_them() {
        let check =
            |then: &str, expected| assert_eq!(distance(at("2026-03-01T12:00:00Z"), at(then)), expected);
        check("2026-03-01T12:00:30Z", "now");
        check("2026-03-01T12:05:00Z", "in 5 min");
        check("2026-03-01T09:00:00Z", "3 h ago");
        check("2026-03-11T12:00:00Z", "in 10 days");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(many(1, "key", "keys"), "1 key");
        assert_eq!(many(12_345_678, "key", "keys"), "12\u{202f}345\u{202f}678 keys");
    }

    #[test]
    fn what_is_quoted_is_code_and_nothing_is_a_tag() {
        let check = |text, expected: &str| assert_eq!(prose(text).into_string(), expected);
        check("say `rekeyd resume a/b` now", "say <code>rekeyd resume a/b</code> now");
        check("<b> & `<i>`", "&lt;b&gt; &amp; <code>&lt;i&gt;</code>");
        check("a\u{202e}b\nc", "a\u{fffd}b\u{fffd}c");
        assert_eq!(clean(&"x".repeat(700)).chars().count(), 601);
    }

    #[test]
    fn a_query_takes_anything() {
        assert_eq!(in_query("a b&c=<ü>"), "a%20b%26c%3D%3C%C3%BC%3E");
    }
}
