//! Mistakes on the command line: the plain usage, and who or what was most likely meant.

use std::path::PathBuf;

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Command;
use crate::config::load;
use crate::daemon::assembly;

/// More candidates than this help nobody.
const CANDIDATES: usize = 3;

/// Adds to `problem` what helps whoever typed `words`.
pub(super) fn explain(problem: &mut clap::Error, words: &[String]) {
    let mut whole = Command::command();
    whole.build();
    let verb = verb(&mut whole, words);
    if problem.get(ContextKind::Usage).is_some() {
        // clap lists every argument that has a value, also one from the environment, as if it were required.
        problem.insert(ContextKind::Usage, ContextValue::StyledStr(verb.render_usage()));
    }
    if problem.kind() == ErrorKind::MissingRequiredArgument
        && let Some(instead) = instead(verb.get_name())
    {
        problem.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![instead.into()]));
    }
    let meant = meant(problem, verb, words);
    if !meant.is_empty() {
        let tips = meant.into_iter().map(|name| StyledStr::from(format!("did you mean `{name}`?")));
        problem.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips.collect()));
    }
}

/// What can be named in place of a credential.
fn instead(verb: &str) -> Option<&'static str> {
    match verb {
        "rotate" => Some(
            "name a credential, or `--due` for what is due, `--all` for everything, `--withdraw --all` to take back what was asked for",
        ),
        "resume" => Some("name a credential, or `--fleet` to end the halt of the whole fleet"),
        _ => None,
    }
}

/// The command that is named by the words, as far as they name one.
fn verb<'a>(whole: &'a mut clap::Command, words: &[String]) -> &'a mut clap::Command {
    let mut command = whole;
    for word in words.iter().skip(1) {
        if command.find_subcommand(word).is_some() {
            command = command.find_subcommand_mut(word).expect("it was just found");
        }
    }
    command
}

/// What was meant by a word that is no credential: a flag without its dashes, or a part of a credential's name.
fn meant(problem: &clap::Error, verb: &clap::Command, words: &[String]) -> Vec<String> {
    let Some(ContextValue::String(word)) = problem.get(ContextKind::InvalidValue) else { return Vec::new() };
    let is_of_a_credential =
        matches!(problem.get(ContextKind::InvalidArg), Some(ContextValue::String(of)) if of.contains("T/C"));
    if problem.kind() != ErrorKind::ValueValidation || !is_of_a_credential {
        return Vec::new();
    }
    if verb.get_arguments().any(|argument| argument.get_long() == Some(word)) {
        return vec![format!("--{word}")];
    }
    let Ok(loaded) = load::load(&config(words), &crate::daemon::environment()) else { return Vec::new() };
    let known = assembly::credentials(&loaded.config).into_iter();
    let has_part = known.filter(|id| id.name.as_str() == word || id.tenant.as_str() == word);
    has_part.take(CANDIDATES).map(|id| id.to_string()).collect()
}

/// The configuration that the words mean.
fn config(words: &[String]) -> PathBuf {
    let read = Command::command().ignore_errors(true).try_get_matches_from(words);
    read.ok().and_then(|matches| matches.get_one("config").cloned()).unwrap_or_default()
}
