//! The journal's native protocol: one datagram per event, with its fields, so that `journalctl TENANT=acme` finds them.

use std::fmt::{Debug, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Kinds of events with an identity of their own (`journalctl MESSAGE_ID=…`), and the page that says what to do.
/// An identity never changes.
const KINDS: [(&str, &str, Option<&str>); 8] = [
    ("begun", "a2cf9582cb36422cabb6c0b268f1a389", None),
    ("completed", "f2ac34dba0334e4cb6bee48bbcd90c6c", None),
    ("turned-back", "4922ae02a56c4155928857667e78e25b", None),
    ("halted", "06863d8e069e483cb208da7c7f2ced7b", Some("end-a-halt.md")),
    ("fleet-halted", "07073db33c9341fea33698eb64316d05", Some("end-a-halt.md")),
    ("reloaded", "957331189a5d4dfbab5c241d757f9471", None),
    ("day", "e5387ee1431549f6b719f431eea0a7a0", None),
    ("reload-refused", "c1f6f651ea074deb9c2003965056457a", Some("install.md")),
];

/// The pages, where the package puts them.
const PAGES: &str = "file:///usr/share/doc/rekeyd/how-to";

/// Writes events to journald.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: &'static str,
}

impl Journald {
    /// A way to journald, if that is where standard error goes: `$JOURNAL_STREAM` names its device and inode.
    pub(super) fn of_stderr() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().ok()?;
        let metadata = std::fs::File::from(stderr).metadata().ok()?;
        let is_same = stream == format!("{}:{}", metadata.dev(), metadata.ino());
        let socket = UnixDatagram::unbound().ok()?;
        is_same.then_some(Self { socket, path: SOCKET })
    }

    fn send(&self, level: Level, fields: &Fields) {
        let text = fields.message();
        let priority = priority(level);
        let mut datagram = Vec::new();
        put(&mut datagram, "MESSAGE", &text);
        put(&mut datagram, "PRIORITY", &priority.to_string());
        put(&mut datagram, "SYSLOG_IDENTIFIER", "rekeyd");
        for (name, value) in &fields.named {
            put(&mut datagram, name, value);
        }
        if let Some((_, id, page)) = KINDS.iter().find(|(kind, ..)| Some(*kind) == fields.get("EVENT")) {
            put(&mut datagram, "MESSAGE_ID", id);
            if let Some(page) = page {
                put(&mut datagram, "DOCUMENTATION", &format!("{PAGES}/{page}"));
            }
        }
        if self.socket.send_to(&datagram, self.path).is_err() {
            // Too long for a datagram, or journald starts again: the stream is there still, line by line.
            for line in text.lines() {
                eprintln!("<{priority}>{line}");
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journald {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.named.extend(of_span.named.iter().cloned());
            }
        }
        event.record(&mut fields);
        self.send(*event.metadata().level(), &fields);
    }
}

/// syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    text: String,
    named: Vec<(String, String)>,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The line that reads alone: a cause stands in it too.
    fn message(&self) -> String {
        let mut text = self.text.clone();
        if let Some(problem) = self.get("PROBLEM") {
            let _ = write!(text, ": {problem}");
        }
        text
    }

    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.text = value,
            _ if value.is_empty() => {}
            name => {
                let name = journal_name(name);
                // What the event itself says of it stands, and not what a span around it said before.
                self.named.retain(|(known, _)| *known != name);
                self.named.push((name, value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// A field's name as journald takes it: capitals, digits and `_`, and no `_` first, which is kept for its own.
fn journal_name(name: &str) -> String {
    if name == "rotation" {
        return "ROTATION_ID".to_owned();
    }
    let upper = name.to_ascii_uppercase();
    let clean = upper.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    clean.trim_start_matches('_').to_owned()
}

/// One field. A value of several lines goes with its length.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What journald gets for an event.
    fn told(event: impl FnOnce()) -> String {
        let (ours, theirs) = (UnixDatagram::unbound().unwrap(), tempfile::tempdir().unwrap());
        let path: &'static str =
            Box::leak(theirs.path().join("journal").display().to_string().into_boxed_str());
        let journal = UnixDatagram::bind(path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journald { socket: ours, path });
        tracing::subscriber::with_default(subscriber, event);
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn an_event_carries_the_fields_of_its_walk() {
        let text = told(|| {
            let span = tracing::info_span!("walk", tenant = %"acme", credential = %"dataplane");
            span.in_scope(|| {
                tracing::error!(
                    rotation = "r-7",
                    phase = "halted",
                    event = "halted",
                    reason = "",
                    "`acme` halts"
                );
            });
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "MESSAGE=`acme` halts",
                "PRIORITY=3",
                "SYSLOG_IDENTIFIER=rekeyd",
                "TENANT=acme",
                "CREDENTIAL=dataplane",
                "ROTATION_ID=r-7",
                "PHASE=halted",
                "EVENT=halted",
                "MESSAGE_ID=06863d8e069e483cb208da7c7f2ced7b",
                "DOCUMENTATION=file:///usr/share/doc/rekeyd/how-to/end-a-halt.md",
            ]
        );
    }

    #[test]
    fn several_lines_go_with_their_length() {
        let text = told(|| tracing::warn!(problem = %"disk full", "a\nb"));
        assert!(text.starts_with("MESSAGE\n\u{e}\0\0\0\0\0\0\0a\nb: disk full\nPRIORITY=4\n"), "{text:?}");
    }

    #[test]
    fn names_are_what_journald_takes() {
        assert_eq!(journal_name("log.target"), "LOG_TARGET");
        assert_eq!(journal_name("_uid"), "UID");
    }
}
