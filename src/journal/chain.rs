//! One line of the journal as text, and the hash chain over all lines.
//!
//! Every line is hashed together with the hash of the line before it, so that a changed, a missing, a doubled or a
//! swapped line shows. The chain protects against damage and against a careless hand, not against somebody who
//! rewrites the whole file.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use chrono::SecondsFormat;

use crate::domain::Timestamp;
use crate::domain::event::Event;
use crate::domain::names::CredentialId;
use crate::ports::{Draft, JournalError};

/// The longest event that is written, in bytes of JSON. Real ones stay under 2 KiB.
const EVENT_LIMIT_BYTES: usize = 256 * 1024;

/// A SHA-256.
pub(super) type Hash = [u8; digest::SHA256_OUTPUT_LEN];

/// One line as it is stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// When, RFC 3339 with nanoseconds.
    pub(super) at: String,
    /// Whose.
    pub(super) credential: CredentialId,
    /// What happened, as JSON.
    pub(super) event: String,
}

impl Line {
    /// The line of `draft`. Refuses what could not be read back: a line that nobody can read would stop its
    /// credential for ever.
    pub(super) fn of(draft: &Draft) -> Result<Self, JournalError> {
        let name = draft.event.name();
        let event = serde_json::to_string(&draft.event)
            .map_err(|error| unwritable(name, &format!("cannot be written as JSON ({error})")))?;
        if event.len() > EVENT_LIMIT_BYTES {
            return Err(unwritable(name, &format!("is larger than {EVENT_LIMIT_BYTES} bytes")));
        }
        let line = Self { at: instant_text(draft.at), credential: draft.credential.clone(), event };
        if line.instant() != Some(draft.at) || line.event().as_ref() != Ok(&draft.event) {
            return Err(unwritable(name, "reads back differently from how it was written"));
        }
        Ok(line)
    }

    /// When; `None` where the text is no instant.
    pub(super) fn instant(&self) -> Option<Timestamp> {
        instant(&self.at)
    }

    /// What happened, or why the text says nothing.
    pub(super) fn event(&self) -> Result<Event, String> {
        serde_json::from_str(&self.event).map_err(|error| error.to_string())
    }
}

fn unwritable(name: &str, why: &str) -> JournalError {
    JournalError::Unavailable(format!(
        "the event `{name}` {why}; nothing was written, and this is a bug of rekeyd"
    ))
}

/// `at` as text that [`instant`] reads back to the nanosecond.
pub(super) fn instant_text(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// The instant in `text`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Where the journal ends: the last line's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of the last line, 0 for none.
    pub(super) sequence: u64,
    /// Its hash.
    pub(super) hash: Hash,
}

impl Head {
    /// The end of an empty journal.
    pub(super) const GENESIS: Self = Self { sequence: 0, hash: [0; digest::SHA256_OUTPUT_LEN] };

    /// The end after `line` is added: SHA-256 over the hash before it and, each with its length in front, the
    /// number, the time, the credential and the event.
    pub(super) fn next(self, line: &Line) -> Self {
        let sequence = self.sequence + 1;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.hash);
        let credential = line.credential.to_string();
        for part in
            [&sequence.to_be_bytes()[..], line.at.as_bytes(), credential.as_bytes(), line.event.as_bytes()]
        {
            let length = u64::try_from(part.len()).expect("a length fits 64 bits");
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        hash.copy_from_slice(context.finish().as_ref());
        Self { sequence, hash }
    }

    /// The end as text, for the bookkeeping beside the lines.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} ", self.sequence);
        for byte in self.hash {
            write!(text, "{byte:02x}").expect("writing to a string succeeds");
        }
        text
    }

    /// The end that [`text`](Self::text) wrote; `None` for anything else. Zeros in front are let pass.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sequence, hex) = text.split_once(' ')?;
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        if hex.len() != 2 * hash.len() || !hex.is_ascii() {
            return None;
        }
        for (byte, at) in hash.iter_mut().zip((0..hex.len()).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
        }
        Some(Self { sequence: sequence.parse().ok()?, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Wish;

    fn line(at: &str, credential: &str, event: &str) -> Line {
        Line { at: at.to_owned(), credential: credential.parse().unwrap(), event: event.to_owned() }
    }

    #[test]
    fn every_part_of_a_line_is_in_its_hash() {
        let first = Head::GENESIS.next(&line("a", "t/c", "e"));
        assert_eq!(first.sequence, 1);
        for other in
            [line("b", "t/c", "e"), line("a", "t/d", "e"), line("a", "u/c", "e"), line("a", "t/c", "f")]
        {
            assert_ne!(Head::GENESIS.next(&other).hash, first.hash, "{other:?}");
        }
        let moved = Head { sequence: 1, ..Head::GENESIS };
        assert_ne!(moved.next(&line("a", "t/c", "e")).hash, first.hash, "the number counts");
        let after_other = Head { hash: [1; 32], ..Head::GENESIS };
        assert_ne!(after_other.next(&line("a", "t/c", "e")).hash, first.hash, "the past counts");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let left = Head::GENESIS.next(&line("at", "t/c", "xe"));
        let right = Head::GENESIS.next(&line("a", "t/c", "txe"));
        assert_ne!(left.hash, right.hash);
    }

    /// The chain is a file format: the `PostgreSQL` journal and older files must agree with it.
    #[test]
    fn the_hash_of_a_known_line_stays() {
        let head = Head::GENESIS.next(&line(
            "2026-11-23T10:00:00.000000000Z",
            "acme/dataplane",
            r#"{"event":"moving"}"#,
        ));
        assert_eq!(head.text(), "1 5e0b8c5f7d7a82b87fdd7a36dea3fb35bd1a04b482021066eb2bec5e84eb5df1");
    }

    #[test]
    fn an_end_survives_as_text() {
        let head = Head::GENESIS.next(&line("a", "t/c", "e"));
        for head in [Head::GENESIS, head, Head { sequence: u64::MAX, ..head }] {
            assert_eq!(Head::parse(&head.text()), Some(head));
            assert_eq!(Head::parse(&format!("{:0>90}", head.text())), Some(head));
        }
        let text = head.text();
        for broken in [
            "",
            "1",
            "1 ",
            &text[1..],
            &text[..text.len() - 1],
            &text.replace('5', "g"),
            &text.replace('5', "\u{e4}"),
        ] {
            assert_eq!(Head::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn instants_survive_as_text() {
        for at in [
            Timestamp::UNIX_EPOCH,
            Timestamp::MAX_UTC,
            Timestamp::MIN_UTC,
            Timestamp::from_timestamp(1_795_000_000, 1).unwrap(),
            Timestamp::from_timestamp(1_795_000_000, 999_999_999).unwrap(),
        ] {
            assert_eq!(instant(&instant_text(at)), Some(at), "{at:?}");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused() {
        let draft = Draft {
            at: Timestamp::UNIX_EPOCH,
            credential: "t/c".parse().unwrap(),
            follows: 0,
            event: Event::ExclusionFailed { detail: "x".repeat(EVENT_LIMIT_BYTES) },
        };
        assert!(
            matches!(Line::of(&draft), Err(JournalError::Unavailable(why)) if why.contains("larger than"))
        );
    }

    #[test]
    fn what_would_read_back_differently_is_refused() {
        use chrono::Timelike as _;
        // A leap second in the middle of a minute: chrono keeps it, and no text can say it.
        let at = Timestamp::UNIX_EPOCH.with_nanosecond(1_500_000_000).unwrap();
        let plain = Draft {
            at: Timestamp::UNIX_EPOCH,
            credential: "t/c".parse().unwrap(),
            follows: 0,
            event: Event::Moving,
        };
        assert!(Line::of(&plain).is_ok());
        assert!(Line::of(&Draft { at, ..plain.clone() }).is_err(), "its time");
        let hold = Wish::Hold { until: Some(at), reason: String::new() };
        assert!(Line::of(&Draft { event: Event::Wished(hold), ..plain }).is_err(), "its event");
    }
}
