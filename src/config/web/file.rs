//! `web.config.yml`, the file with which Prometheus and its exporters protect their pages: TLS with client certificates,
//! passwords, headers, a limit. Whoever has one for them has one for rekeyd.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::{self, Document};
use super::tls;
use crate::config::problem::{Problem, Site, shown};

/// The longest file that is read.
const SIZE_LIMIT: u64 = 1 << 20;

/// A hash that takes longer than seconds would stop who tries it, and everybody after him.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// The headers that may be set, with what may stand there; empty is anything.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// What the file says.
#[derive(Debug, Default)]
pub struct WebFile {
    /// TLS, where the file asks for it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Users and the bcrypt hashes of their passwords; everybody may read where there are none.
    pub users: BTreeMap<String, String>,
    /// Headers of every answer.
    pub headers: Vec<(&'static str, String)>,
    /// How many requests are answered.
    pub rate: Option<Rate>,
    /// The files it was read from, itself first.
    pub files: Vec<PathBuf>,
}

/// A limit on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// One request in this time.
    pub interval: Duration,
    /// So many more at once after a quiet time.
    pub burst: u32,
}

/// Reads the file and those it names; `Err` has every problem.
pub fn read(path: &Path) -> Result<WebFile, Vec<Problem>> {
    let whole = Site::Whole(path.into());
    let text = content(path).map_err(|why| {
        let found = format!("this file of `config-file` in `[web]` cannot be read ({why})");
        vec![Problem::error(&whole, "web.config-file", found)]
    })?;
    let document = document::parse(path, &text)?;
    let mut reading = Reading { path, text: &text, files: vec![path.to_owned()], problems: Vec::new() };
    let file = reading.understand(document);
    if reading.problems.is_empty() {
        Ok(WebFile { files: reading.files, ..file })
    } else {
        reading.problems.sort();
        Err(reading.problems)
    }
}

/// A file being read.
pub(super) struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    files: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn understand(&mut self, document: Document) -> WebFile {
        let http = document.http_server_config.unwrap_or_default();
        WebFile {
            tls: tls::server(&document.tls_server_config.unwrap_or_default(), self),
            users: self.users(document.basic_auth_users.unwrap_or_default()),
            headers: self.headers(http.headers.unwrap_or_default()),
            rate: document.rate_limit.and_then(|limit| self.rate(&limit)),
            files: Vec::new(),
        }
    }

    fn users(&mut self, users: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for (user, hash) in &users {
            let site = self.site(user);
            let mut problem = |found: String, expected: String| {
                let problem = Problem::error(&site, "basic_auth_users", found).expected(expected);
                self.problems.push(problem.remedy("make the hash with `htpasswd -nBC 10 \"\" | tr -d ':'`"));
            };
            let user = shown(user);
            match hash.parse::<bcrypt::HashParts>() {
                Err(_) => {
                    problem(
                        format!("the password of `{user}` is no bcrypt hash"),
                        "a bcrypt hash".to_owned(),
                    );
                }
                Ok(parts) if !COSTS.contains(&parts.get_cost()) => {
                    let found = format!("the password of `{user}` is hashed with cost {}", parts.get_cost());
                    problem(found, format!("a cost from {} to {}", COSTS.start(), COSTS.end()));
                }
                Ok(_) => {}
            }
        }
        users
    }

    fn headers(&mut self, headers: BTreeMap<String, String>) -> Vec<(&'static str, String)> {
        let mut set = Vec::new();
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            let Some((known, values)) = HEADERS.into_iter().find(|(known, _)| *known == name) else {
                let names: Vec<String> = HEADERS.iter().map(|(name, _)| format!("`{name}`")).collect();
                let found = format!("the header `{}` cannot be set", shown(&name));
                self.problem(&name, found, &format!("one of {}", names.join(", ")));
                continue;
            };
            let fits = values.is_empty() || values.contains(&value.to_lowercase().as_str());
            if fits && value.parse::<axum::http::HeaderValue>().is_ok() {
                set.push((known, value));
            } else {
                let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                let expected =
                    if values.is_empty() { "one line of text".to_owned() } else { values.join(" or ") };
                self.problem(&name, format!("`{known}` is `{}`", shown(&value)), &expected);
            }
        }
        set
    }

    fn rate(&mut self, limit: &document::RateLimit) -> Option<Rate> {
        let text = limit.interval.as_deref().unwrap_or("0s");
        let Ok(interval) = humantime::parse_duration(text) else {
            let found = format!("`interval` of `rate_limit` is `{}`", shown(text));
            self.problem("interval", found, "a duration such as `1s`");
            return None;
        };
        (!interval.is_zero()).then_some(Rate { interval, burst: limit.burst.unwrap_or(0) })
    }

    /// One thing that is wrong at the first line that begins with `key`.
    pub(super) fn problem(&mut self, key: &str, found: impl Into<String>, expected: &str) {
        let problem = Problem::error(&self.site(key), key, found).expected(expected);
        self.problems.push(problem);
    }

    /// The content of a file that `key` names, relative to this one.
    pub(super) fn named(&mut self, key: &str, name: &str) -> Option<String> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(name);
        let read = content(&path);
        if let Err(why) = &read {
            let found = format!("`{key}` names `{}`, which cannot be read ({why})", path.display());
            self.problem(key, found, "a file in PEM");
        }
        self.files.push(path);
        read.ok()
    }

    fn site(&self, key: &str) -> Site {
        let is_key = |line: &str| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        };
        match self.text.lines().enumerate().find(|(_, line)| is_key(line)) {
            Some((number, line)) => Site::Spot {
                file: self.path.into(),
                line: number + 1,
                column: line.chars().take_while(|letter| letter.is_whitespace()).count() + 1,
            },
            None => Site::Whole(self.path.into()),
        }
    }
}

fn content(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|problem| problem.kind().to_string())?;
    file.take(SIZE_LIMIT + 1).read_to_string(&mut text).map_err(|problem| problem.kind().to_string())?;
    let is_short = u64::try_from(text.len()).is_ok_and(|length| length <= SIZE_LIMIT);
    is_short.then_some(text).ok_or_else(|| "longer than 1 MiB".to_owned())
}
