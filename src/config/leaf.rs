//! One value, parsed: every form a key can have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use tracing_subscriber::EnvFilter;

use super::document::{Node, Raw};
use super::keys::Form;
use super::local;
use super::problem::{lasting, shown};
use super::registration;
use super::schedule::{BadSchedule, Schedule};
use super::secrets::{self, Look};
use super::tenant::{Owner, Place};
use super::url;
use crate::domain::Timestamp;
use crate::domain::names::TenantId;
use crate::domain::spelling::nearest;
use crate::domain::window::Window;
use crate::secret::{Secret, ServiceKey};

/// A parsed value.
pub(super) enum Leaf {
    Text(String),
    Path(PathBuf),
    Count(u64),
    Flag(bool),
    Span(Duration),
    Window(Window),
    Zone(Tz),
    Listen(Option<SocketAddr>),
    Words(BTreeMap<String, String>),
    Password(Secret),
    ServiceKey(Box<ServiceKey>),
    Place(Place),
    Program(Vec<String>),
    Texts(Vec<String>),
    Owner(Owner),
}

/// What is wrong with one value. `found` continues a sentence that begins with the key: "is a number".
pub(super) struct Complaint {
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) remedy: String,
}

impl Complaint {
    pub(super) fn new(found: impl Into<String>) -> Self {
        Self { found: found.into(), expected: String::new(), remedy: String::new() }
    }

    pub(super) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

/// Parses `node` as `form` wants it.
pub(super) fn parse(form: &Form, node: &Node, look: &Look<'_>) -> Result<Leaf, Complaint> {
    match form {
        Form::Version => version(node),
        Form::Count(least, most) => count(node, *least, *most),
        Form::Flag => flag(node),
        Form::Words(meanings) => words(node, meanings),
        Form::Password => secrets::password(node, look).map(Leaf::Password),
        Form::ServiceKey => secrets::service_key(node, look).map(|key| Leaf::ServiceKey(Box::new(key))),
        Form::Instance => instance(node),
        Form::Program => local::argv(node),
        Form::Texts => registration::texts(node),
        Form::Table(_) | Form::Tables(_) => unreachable!("sections are read by the reader"),
        _ => {
            let text = text_of(node, form)?;
            let found = if text.is_empty() { "is empty".to_owned() } else { format!("is `{}`", shown(text)) };
            from_text(form, text, look).map_err(|why| match why {
                Why::Unfit => Complaint::new(found).expected(expectation(form)),
                Why::Other(complaint) => complaint,
            })
        }
    }
}

/// Why a text does not fit.
enum Why {
    /// It is none of the form at all.
    Unfit,
    /// Something more particular.
    Other(Complaint),
}

impl From<Complaint> for Why {
    fn from(complaint: Complaint) -> Self {
        Self::Other(complaint)
    }
}

fn from_text(form: &Form, text: &str, look: &Look<'_>) -> Result<Leaf, Why> {
    let fits = |fits: bool| if fits { Ok(Leaf::Text(text.to_owned())) } else { Err(Why::Unfit) };
    match form {
        Form::Word => fits(text.parse::<TenantId>().is_ok()),
        Form::Text => fits(is_line(text, 256)),
        Form::UrlPath => fits(url::is_path(text)),
        Form::Path if is_line(text, 4096) => Ok(Leaf::Path(look.folder.join(text))),
        Form::Certificates if is_line(text, 4096) => Ok(Leaf::Text(secrets::certificates(text, look)?)),
        Form::Span(least, most) => {
            span(text).filter(|span| (least..=most).contains(&span)).map(Leaf::Span).ok_or(Why::Unfit)
        }
        Form::Window => window(text).map(Leaf::Window).ok_or(Why::Unfit),
        Form::Size(least, most) => {
            size(text).filter(|size| (least..=most).contains(&size)).map(Leaf::Count).ok_or(Why::Unfit)
        }
        Form::Url => Ok(Leaf::Text(url::checked(text, look.allow_http)?)),
        Form::Listen if text.is_empty() => Ok(Leaf::Listen(None)),
        Form::Listen => text.parse().map(|address| Leaf::Listen(Some(address))).map_err(|_| Why::Unfit),
        Form::Cron => Ok(Leaf::Text(cron(text)?)),
        Form::Zone => text.parse().map(Leaf::Zone).map_err(|_| Why::Unfit),
        Form::Filter => fits(is_filter(text)),
        Form::Choice(words, later) => Ok(Leaf::Text(choice(text, words, later)?)),
        Form::Guid => fits(is_guid(text)),
        Form::Day => fits(day(text).is_some()),
        Form::Mode => local::mode(text).map(Leaf::Count).ok_or(Why::Unfit),
        Form::Owner if is_line(text, 128) => Ok(Leaf::Owner(local::owner(text)?)),
        _ => Err(Why::Unfit),
    }
}

/// What a form wants, for messages and the reference.
pub(super) fn expectation(form: &Form) -> String {
    match form {
        Form::Version => "`1`".to_owned(),
        Form::Word => "1 to 48 characters of a-z, 0-9 and `-`, the first a letter or digit".to_owned(),
        Form::Text => "one line of text".to_owned(),
        Form::Path => "a path".to_owned(),
        Form::Certificates => "a file with certificates in PEM".to_owned(),
        Form::Count(least, most) => format!("a whole number from {least} to {most}"),
        Form::Flag => "`true` or `false`".to_owned(),
        Form::Span(least, most) => {
            format!("a duration such as `5 min`, from {} to {}", lasting(*least), lasting(*most))
        }
        Form::Window => "calendar months such as `12 months`, or a duration such as `90 days`".to_owned(),
        Form::Size(least, most) => {
            format!("a size such as `1 MiB`, from {} KiB to {} KiB", least >> 10, most >> 10)
        }
        Form::Url => "an address such as `https://api.example.com`".to_owned(),
        Form::UrlPath => "the path of an address such as `/api/v1/dsi`".to_owned(),
        Form::Listen => "an IP address and port such as `127.0.0.1:7356`, or an empty text".to_owned(),
        Form::Cron => "six fields: second, minute, hour, day of month, month, day of week".to_owned(),
        Form::Zone => "a time zone such as `UTC` or `Europe/Berlin`".to_owned(),
        Form::Filter => "a level such as `info`, or a filter such as `info,rekeyd::http=debug`".to_owned(),
        Form::Choice(words, _) => format!("one of {}", quoted(words)),
        Form::Words(meanings) => format!("a table of words to one of {}", quoted(meanings)),
        Form::Password | Form::ServiceKey => secrets::EXPECTED.to_owned(),
        Form::Instance => "a guid or `{ name = \"…\", space = \"…\", org = \"…\" }`".to_owned(),
        Form::Texts => "a list of texts".to_owned(),
        Form::Program => "a list that begins with the whole path of a program".to_owned(),
        Form::Guid => "a guid such as `0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01`".to_owned(),
        Form::Day => "a day such as `2026-01-31`".to_owned(),
        Form::Mode => "permissions such as `0600`".to_owned(),
        Form::Owner => "`user`, `user:group` or `:group`".to_owned(),
        Form::Table(_) => "a section".to_owned(),
        Form::Tables(_) => "a list of sections".to_owned(),
    }
}

/// The text of a node; anything else is a complaint that says which type was found.
fn text_of<'a>(node: &'a Node, form: &Form) -> Result<&'a str, Complaint> {
    match &node.raw {
        Raw::Text(text) | Raw::Loose(text) => Ok(text),
        other => {
            let complaint = Complaint::new(format!("is {}", other.kind())).expected(expectation(form));
            let is_plain = !matches!(other, Raw::List(_) | Raw::Table(_));
            Err(if is_plain { complaint.remedy("write it in quotes") } else { complaint })
        }
    }
}

fn version(node: &Node) -> Result<Leaf, Complaint> {
    match count(node, 1, u64::MAX)? {
        Leaf::Count(1) => Ok(Leaf::Count(1)),
        Leaf::Count(other) => {
            let complaint = Complaint::new(format!("is {other}")).expected("`1`");
            Err(complaint.remedy("this file is for another release of rekeyd"))
        }
        _ => unreachable!("a count is a count"),
    }
}

fn count(node: &Node, least: u64, most: u64) -> Result<Leaf, Complaint> {
    let number = match &node.raw {
        Raw::Whole(number) => Some(*number),
        Raw::Loose(text) => text.parse().ok(),
        _ => None,
    };
    let expected = if most == u64::MAX { "`1`".to_owned() } else { expectation(&Form::Count(least, most)) };
    match (number.map(u64::try_from), &node.raw) {
        (Some(Ok(number)), _) if (least..=most).contains(&number) => Ok(Leaf::Count(number)),
        (Some(_), Raw::Whole(number)) => Err(Complaint::new(format!("is {number}")).expected(expected)),
        (_, Raw::Loose(text)) => Err(Complaint::new(format!("is `{}`", shown(text))).expected(expected)),
        (_, Raw::Text(_)) => {
            Err(Complaint::new("is a text").expected(expected).remedy("write it without quotes"))
        }
        (_, other) => Err(Complaint::new(format!("is {}", other.kind())).expected(expected)),
    }
}

fn flag(node: &Node) -> Result<Leaf, Complaint> {
    match &node.raw {
        Raw::Flag(flag) => Ok(Leaf::Flag(*flag)),
        Raw::Loose(text) if text == "true" || text == "false" => Ok(Leaf::Flag(text == "true")),
        Raw::Loose(text) => {
            Err(Complaint::new(format!("is `{}`", shown(text))).expected(expectation(&Form::Flag)))
        }
        Raw::Text(_) => Err(Complaint::new("is a text")
            .expected(expectation(&Form::Flag))
            .remedy("write it without quotes")),
        other => Err(Complaint::new(format!("is {}", other.kind())).expected(expectation(&Form::Flag))),
    }
}

fn words(node: &Node, meanings: &'static [&'static str]) -> Result<Leaf, Complaint> {
    let Raw::Table(members) = &node.raw else {
        let expected = expectation(&Form::Words(meanings));
        return Err(Complaint::new(format!("is {}", node.raw.kind())).expected(expected));
    };
    let mut words = BTreeMap::new();
    for (word, node) in members {
        let form = Form::Choice(meanings, &[]);
        let at = |complaint: Complaint| Complaint {
            found: format!("has `{}`, which {}", shown(word), complaint.found),
            ..complaint
        };
        let meaning = text_of(node, &form).and_then(|text| choice(text, meanings, &[])).map_err(at)?;
        words.insert(word.clone(), meaning);
    }
    Ok(Leaf::Words(words))
}

fn choice(text: &str, words: &[&str], later: &[&str]) -> Result<String, Complaint> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let expected = format!("one of {}", quoted(words));
    if later.contains(&text) {
        return Err(
            Complaint::new(format!("is `{text}`, which is not available in this version")).expected(expected)
        );
    }
    let near = nearest(text, words.iter().copied());
    let remedy = near.map_or_else(String::new, |word| format!("did you mean `{word}`?"));
    Err(Complaint::new(format!("is `{}`", shown(text))).expected(expected).remedy(remedy))
}

fn instance(node: &Node) -> Result<Leaf, Complaint> {
    let complaint = |found: &str| Complaint::new(found).expected(expectation(&Form::Instance));
    match &node.raw {
        Raw::Text(text) if is_guid(text) => Ok(Leaf::Place(Place::Guid(text.to_lowercase()))),
        Raw::Text(text) => Err(complaint(&format!("is `{}`", shown(text)))),
        Raw::Table(members) => {
            let part = |name: &str| match members.get(name).map(|node| &node.raw) {
                Some(Raw::Text(text)) if is_line(text, 256) => Some(text.clone()),
                _ => None,
            };
            match (part("org"), part("space"), part("name"), members.len()) {
                (Some(org), Some(space), Some(name), 3) => Ok(Leaf::Place(Place::Named { org, space, name })),
                _ => Err(complaint("is a table with other keys")),
            }
        }
        other => Err(complaint(&format!("is {}", other.kind()))),
    }
}

pub(super) fn is_guid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn is_line(text: &str, limit: usize) -> bool {
    !text.trim().is_empty() && text.len() <= limit && !text.chars().any(char::is_control)
}

fn span(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// `12 months` are calendar months; `humantime` alone would make 365.28 days of them.
fn window(text: &str) -> Option<Window> {
    let months = text.trim().strip_suffix("months").or_else(|| text.trim().strip_suffix("month"));
    match months {
        Some(number) => Some(Window::Months(number.trim().parse().ok().filter(|number| *number > 0)?)),
        None => span(text).filter(|span| !span.is_zero()).map(Window::Span),
    }
}

fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("kB", 1000), ("MB", 1_000_000), ("B", 1)];
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(*unit)
}

fn cron(text: &str) -> Result<String, Complaint> {
    let complaint = |why: &BadSchedule| Complaint::new(format!("is `{}`, which {why}", shown(text)));
    match Schedule::new(text, Tz::UTC) {
        Ok(_) => Ok(text.to_owned()),
        Err(why @ BadSchedule::Fields(5)) => {
            Err(complaint(&why).expected(expectation(&Form::Cron)).remedy("put `0` in front for the second"))
        }
        Err(why @ BadSchedule::Never) => Err(complaint(&why).expected("a date that exists")),
        Err(why) => Err(complaint(&why).expected(expectation(&Form::Cron))),
    }
}

/// A lone word must be a level: as a filter, `inof` would be the name of a module, and everything else silent.
fn is_filter(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    if is_word {
        levels.contains(&text)
    } else {
        is_line(text, 1024) && EnvFilter::builder().parse(text).is_ok()
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The beginning of a day of the calendar, in UTC.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10).then(|| day.and_time(chrono::NaiveTime::MIN).and_utc())
}
