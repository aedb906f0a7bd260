//! Consumers beside rekeyd: a file, a program, a person.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Group, User};

use super::document::{Node, Raw};
use super::keys::Form;
use super::leaf::{Complaint, Leaf, expectation};
use super::problem::{Problem, shown};
use super::reader::Section;
use super::tenant::{ConsumerKind, Local, Owner, Program, Way};
use crate::domain::policy::Witness;

/// What a person is asked to do, where the tenant does not say it.
const LOOK: &str = "look whether the consumer works with the key";

/// How long a person may take, unless the tenant says otherwise.
const PERSON_DEADLINE: Duration = Duration::from_hours(7 * 24);

/// How long a program may take to show that the consumer works, unless the tenant says otherwise.
const CHECK_DEADLINE: Duration = Duration::from_mins(30);

/// What a tenant says of a consumer beside rekeyd.
pub(super) struct Described {
    pub(super) local: Local,
    pub(super) witness: Witness,
    pub(super) deadline: Duration,
    pub(super) poll: Duration,
    /// Which consumer it is, in the journal.
    pub(super) pin: String,
}

/// Reads the section of a credential's own consumer. `None` if something is missing, which was reported.
pub(super) fn described(
    credential: &Section,
    kind: ConsumerKind,
    problems: &mut Vec<Problem>,
) -> Option<Described> {
    let name = kind.as_str();
    let Some(section) = self::section(credential, name) else {
        let found = format!(
            "`consumer` in `[[credential]]` is `{name}`, but there is no section `[credential.{name}]`"
        );
        let problem = Problem::error(credential.site_of("consumer"), &credential.path_of("consumer"), found);
        problems.push(problem.remedy(format!("add the section `[credential.{name}]` below it")));
        return None;
    };
    let timeout = section.span("timeout").unwrap_or_default();
    let program = |key| section.program(key).and_then(|words| program(words, timeout));
    let (way, pin) = match kind {
        ConsumerKind::File => {
            let path = section.path("path")?;
            let pin = format!("file {}", path.display());
            let mode = u32::try_from(section.size("mode")?).ok()?;
            let owner = section.owner("owner").unwrap_or_default();
            (Way::File { path, mode, owner, reload: program("reload") }, pin)
        }
        ConsumerKind::Command => {
            let deliver = program("deliver")?;
            let pin = format!("command {}", deliver.path.display());
            (Way::Command(deliver), pin)
        }
        ConsumerKind::Manual | ConsumerKind::Dataspace => (Way::Manual, "a person".to_owned()),
    };
    let check = if kind == ConsumerKind::Manual { None } else { program("check") };
    let instruction = section.text("instruction").unwrap_or_else(|| LOOK.to_owned());
    let witness = if check.is_some() { Witness::Consumer } else { Witness::Person { instruction } };
    Some(Described {
        local: Local { way, check },
        witness,
        deadline: deadline(section),
        poll: section.span("poll")?,
        pin,
    })
}

/// The section of the consumer of this name.
pub(super) fn section<'a>(credential: &'a Section, consumer: &str) -> Option<&'a Section> {
    ["file", "command", "manual"]
        .into_iter()
        .find(|name| *name == consumer)
        .and_then(|name| credential.table(name))
}

/// How long the proof may take.
pub(super) fn deadline(section: &Section) -> Duration {
    let usual = if section.has("check") { CHECK_DEADLINE } else { PERSON_DEADLINE };
    section.span("deadline").unwrap_or(usual)
}

fn program(words: Vec<String>, timeout: Duration) -> Option<Program> {
    let mut words = words.into_iter();
    Some(Program { path: PathBuf::from(words.next()?), arguments: words.collect(), timeout })
}

/// A program by its whole path, and its arguments.
pub(super) fn argv(node: &Node) -> Result<Leaf, Complaint> {
    let complaint = |found: String| Complaint::new(found).expected(expectation(&Form::Program));
    let Raw::List(nodes) = &node.raw else {
        let remedy = "no shell is used: each argument is a text of its own";
        return Err(complaint(format!("is {}", node.raw.kind())).remedy(remedy));
    };
    let mut words = Vec::new();
    for node in nodes {
        match &node.raw {
            Raw::Text(text) if text.len() <= 4096 && !text.chars().any(char::is_control) => {
                words.push(text.clone());
            }
            other => return Err(complaint(format!("holds {}", other.kind()))),
        }
    }
    match words.first() {
        None => Err(complaint("is empty".to_owned())),
        Some(program) if !program.starts_with('/') => {
            Err(complaint(format!("begins with `{}`, which is no whole path", shown(program))))
        }
        Some(_) => Ok(Leaf::Program(words)),
    }
}

/// Permissions in octal.
pub(super) fn mode(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('0').unwrap_or(text);
    let is_mode = digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    is_mode.then(|| u64::from_str_radix(digits, 8).ok())?
}

/// `user`, `user:group` or `:group`, by name or number.
pub(super) fn owner(text: &str) -> Result<Owner, Complaint> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let unknown = |what: &str, name: &str| {
        let complaint = Complaint::new(format!("is `{}`", shown(text))).expected(expectation(&Form::Owner));
        complaint.remedy(format!("this machine knows no {what} `{}`", shown(name)))
    };
    let user = number(user, |name| Some(User::from_name(name).ok()??.uid.as_raw()));
    let group = number(group, |name| Some(Group::from_name(name).ok()??.gid.as_raw()));
    let user = user.map_err(|name| unknown("user", name))?;
    let group = group.map_err(|name| unknown("group", name))?;
    Ok(Owner { user, group })
}

fn number(name: &str, find: impl FnOnce(&str) -> Option<u32>) -> Result<Option<u32>, &str> {
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().ok().or_else(|| find(name)).map(Some).ok_or(name)
}
