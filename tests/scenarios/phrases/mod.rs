//! The phrases of the stories. `{}` in a phrase stands for any text; a story puts values in backticks.

mod given;
mod then;
mod when;

use std::time::Duration;

use rekeyd::domain::failure::Class;
use rekeyd::domain::names::Role;
use rekeyd::domain::stage::Phase;

use crate::scene::Scene;

type Follow = fn(&mut Scene, &[&str]) -> Result<(), String>;

/// One phrase and what it does.
type Phrase = (&'static str, Follow);

fn all() -> impl Iterator<Item = &'static Phrase> {
    given::PHRASES.iter().chain(when::PHRASES).chain(then::PHRASES)
}

/// Does what a sentence says; `Err` says why it does not hold.
pub(crate) fn follow(scene: &mut Scene, sentence: &str) -> Result<(), String> {
    let mut fitting = all().filter_map(|(phrase, follow)| Some((follow, values(phrase, sentence)?)));
    let Some((follow, values)) = fitting.next() else {
        return Err("no phrase reads like this".to_owned());
    };
    assert!(fitting.next().is_none(), "two phrases read like `{sentence}`");
    follow(scene, &values)
}

/// What stands in the places of `phrase` where `sentence` reads like it.
fn values<'a>(phrase: &str, sentence: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = phrase.split("{}");
    let mut rest = sentence.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let end = if is_last { rest.len().checked_sub(part.len())? } else { rest.find(part)? };
        if !rest[end..].starts_with(part) {
            return None;
        }
        found.push(&rest[..end]);
        rest = &rest[end + part.len()..];
    }
    rest.is_empty().then_some(found)
}

fn number(text: &str) -> Result<u32, String> {
    match text {
        "one" => return Ok(1),
        "two" => return Ok(2),
        "three" => return Ok(3),
        _ => {}
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("`{text}` is no number"))
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("`{text}` is no time: {why}"))
}

fn delta(text: &str) -> Result<chrono::TimeDelta, String> {
    chrono::TimeDelta::from_std(span(text)?).map_err(|why| why.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| format!("`{text}` is no role"))
}

fn phase(text: &str) -> Result<Phase, String> {
    let found = Phase::ALL.into_iter().find(|phase| phase.as_str() == text);
    found.ok_or_else(|| format!("`{text}` is no phase"))
}

fn class(text: &str) -> Result<Class, String> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| format!("`{text}` is no class of failure"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[test]
fn sentences_are_read() {
    let check = |phrase: &str, sentence: &str, expected: Option<&[&str]>| {
        assert_eq!(values(phrase, sentence).as_deref(), expected, "{sentence}");
    };
    check("nothing was deleted", "nothing was deleted", Some(&[]));
    check("nothing was deleted", "nothing was deleted at all", None);
    check("the {} key `{}` is foreign", "the cirt key `by-hand` is foreign", Some(&["cirt", "by-hand"]));
    check("`{}` passes", "`48 hours` passes", Some(&["48 hours"]));
    check("`{}` passes", "`48 hours` pass", None);
}

#[test]
fn no_two_phrases_are_the_same_and_each_is_used() {
    let stories: Vec<String> = crate::story::names()
        .iter()
        .map(|name| {
            let path = format!("{}/tests/scenarios/stories/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        })
        .collect();
    let sentences: Vec<&str> = stories
        .iter()
        .flat_map(|story| story.lines())
        .filter_map(|line| line.trim().split_once(' ').map(|(_, rest)| rest))
        .collect();
    let mut phrases: Vec<&str> = all().map(|(phrase, _)| *phrase).collect();
    for phrase in &phrases {
        let used = sentences.iter().any(|sentence| values(phrase, sentence).is_some());
        assert!(used, "no story uses the phrase `{phrase}`");
    }
    phrases.sort_unstable();
    let before = phrases.len();
    phrases.dedup();
    assert_eq!(phrases.len(), before);
}
