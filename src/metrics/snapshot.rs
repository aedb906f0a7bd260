//! The series that grow with the fleet, written from a snapshot at scrape time.
//!
//! Text straight from the data: a child per series through the library costs 115 to 196 ms and 104 MiB at 80 000
//! series, this a few milliseconds (docs/adr/0005). A family without samples is left out.
//!
//! Architecture Invariant: at most [`FULL`] series with the label `credential` for each credential of two keys, and at
//! most [`SUMMARY`] with the detail `summary`, whatever becomes of it.

mod attention;
mod consumer;
mod credential;
mod keys;
mod summary;
mod tenant;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::tally::Tally;
use super::{Detail, seconds};
use crate::domain::Timestamp;
use crate::domain::record::Record;
use crate::domain::view::View;

/// The most series of one credential with two keys.
pub const FULL: usize = 20;

/// The most series of one credential with the detail `summary`.
pub const SUMMARY: usize = 6;

/// One family under construction.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    samples: String,
}

impl Family {
    /// A gauge.
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: "gauge", samples: String::new() }
    }

    /// A counter.
    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: "counter", ..Self::new(name, help) }
    }

    pub(super) fn set(&mut self, labels: &[(&str, &str)], value: f64) {
        self.samples.push_str(self.name);
        let mut separator = '{';
        for (label, text) in labels {
            self.samples.push(separator);
            separator = ',';
            self.samples.push_str(label);
            self.samples.push_str("=\"");
            escape(text, &mut self.samples);
            self.samples.push('"');
        }
        if !labels.is_empty() {
            self.samples.push('}');
        }
        writeln!(self.samples, " {value}").expect("writing to memory does not fail");
    }

    pub(super) fn finish(self, text: &mut String) {
        if !self.samples.is_empty() {
            let Self { name, help, kind, samples } = self;
            write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
                .expect("writing to memory does not fail");
            text.push_str(&samples);
        }
    }
}

fn escape(text: &str, out: &mut String) {
    if !text.contains(['\\', '"', '\n']) {
        return out.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

/// What a family is written from.
#[derive(Clone, Copy)]
struct Snapshot<'a> {
    views: &'a [View],
    tally: &'a Tally,
    now: Timestamp,
}

/// All families of the snapshot.
pub(super) fn write(views: &[View], tally: &Tally, detail: Detail, now: Timestamp) -> String {
    let mut text = String::new();
    let mut clock = Family::new("rekeyd_clock_timestamp_seconds", "The daemon's own clock.");
    clock.set(&[], seconds(now));
    clock.finish(&mut text);
    let of = Snapshot { views, tally, now };
    tenant::write(of, detail, &mut text);
    consumer::write(of, detail, &mut text);
    keys::limit(of, &mut text);
    match detail {
        Detail::Full => credential::write(of, &mut text),
        Detail::Summary => summary::write(of, &mut text),
    }
    text
}

/// The labels that name a credential.
fn named(view: &View) -> [(&'static str, &str); 2] {
    [("tenant", view.credential.tenant.as_str()), ("credential", view.credential.name.as_str())]
}

/// The credentials that the journal knows.
fn recorded(views: &[View]) -> impl Iterator<Item = (&View, &Record)> {
    views.iter().filter_map(|view| Some((view, view.record.as_deref()?)))
}

/// A flag as a value.
fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A count as a value.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// The pauses that landscapes asked for, until when.
pub(super) fn pauses(pauses: &BTreeMap<String, Timestamp>) -> String {
    let mut until = Family::new(
        "rekeyd_upstream_throttled_until_timestamp_seconds",
        "End of the pause that the landscape asked for; absent while there is none.",
    );
    for (landscape, at) in pauses {
        until.set(&[("landscape", landscape)], seconds(*at));
    }
    let mut text = String::new();
    until.finish(&mut text);
    text
}
