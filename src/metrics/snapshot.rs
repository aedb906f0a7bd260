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
use crate::domain::names::CredentialId;
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

    pub(super) fn set(&mut self, labels: &[(&str, &str)], value: impl Sample) {
        self.add(&Labels::default(), labels, value);
    }

    /// One sample with the labels of a credential, and `more` of them.
    fn add(&mut self, labels: &Labels, more: &[(&str, &str)], value: impl Sample) {
        let samples = &mut self.samples;
        samples.push_str(self.name);
        if !labels.0.is_empty() || !more.is_empty() {
            samples.push('{');
            samples.push_str(&labels.0);
            write_labels(more, samples, labels.0.is_empty());
            samples.push('}');
        }
        samples.push(' ');
        value.write(samples);
        samples.push('\n');
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

/// Labels as they are written, without the braces: those of a credential are made once for all of its series.
#[derive(Default)]
struct Labels(String);

impl Labels {
    fn of(id: &CredentialId) -> Self {
        let mut text = String::new();
        write_labels(&[("tenant", id.tenant.as_str()), ("credential", id.name.as_str())], &mut text, true);
        Self(text)
    }
}

fn write_labels(labels: &[(&str, &str)], out: &mut String, first: bool) {
    let mut separator = if first { "" } else { "," };
    for (label, text) in labels {
        out.push_str(separator);
        separator = ",";
        out.push_str(label);
        out.push_str("=\"");
        escape(text, out);
        out.push('"');
    }
}

/// What a sample can be. Whole numbers are many times faster to write than fractions.
pub(super) trait Sample {
    fn write(self, out: &mut String);
}

impl Sample for f64 {
    fn write(self, out: &mut String) {
        write!(out, "{self}").expect("writing to memory does not fail");
    }
}

impl Sample for usize {
    fn write(self, out: &mut String) {
        write!(out, "{self}").expect("writing to memory does not fail");
    }
}

impl Sample for bool {
    fn write(self, out: &mut String) {
        out.push(if self { '1' } else { '0' });
    }
}

/// In seconds since 1970.
impl Sample for Timestamp {
    fn write(self, out: &mut String) {
        let milliseconds = self.timestamp_millis();
        if milliseconds < 0 {
            return seconds(self).write(out);
        }
        let fraction = milliseconds % 1000;
        write!(out, "{}", milliseconds / 1000).expect("writing to memory does not fail");
        if fraction > 0 {
            let digits = format!("{fraction:03}");
            out.push('.');
            out.push_str(digits.trim_end_matches('0'));
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

/// A credential, and what is written of it again and again.
struct Line<'a> {
    view: &'a View,
    labels: Labels,
}

/// What a family is written from.
#[derive(Clone, Copy)]
struct Snapshot<'a> {
    /// By credential.
    lines: &'a [Line<'a>],
    tally: &'a Tally,
    now: Timestamp,
}

impl<'a> Snapshot<'a> {
    /// The credentials of each tenant.
    fn tenants(self) -> impl Iterator<Item = (&'a str, &'a [Line<'a>])> {
        let same =
            |one: &Line<'_>, other: &Line<'_>| one.view.credential.tenant == other.view.credential.tenant;
        self.lines.chunk_by(same).map(|lines| (lines[0].view.credential.tenant.as_str(), lines))
    }
}

/// All families of the snapshot.
pub(super) fn write(views: &[View], tally: &Tally, detail: Detail, now: Timestamp, text: &mut String) {
    let mut clock = Family::new("rekeyd_clock_timestamp_seconds", "The daemon's own clock.");
    clock.set(&[], now);
    clock.finish(text);
    let mut lines: Vec<Line<'_>> =
        views.iter().map(|view| Line { view, labels: Labels::of(&view.credential) }).collect();
    lines.sort_by(|one, other| one.view.credential.cmp(&other.view.credential));
    let of = Snapshot { lines: &lines, tally, now };
    tenant::write(of, detail, text);
    consumer::write(of, detail, text);
    keys::limit(of, text);
    match detail {
        Detail::Full => credential::write(of, text),
        Detail::Summary => summary::write(of, text),
    }
}

/// The credentials that the journal knows.
fn recorded<'a>(lines: &'a [Line<'a>]) -> impl Iterator<Item = (&'a Labels, &'a View, &'a Record)> {
    lines.iter().filter_map(|line| Some((&line.labels, line.view, line.view.record.as_deref()?)))
}

/// The pauses that landscapes asked for, until when.
pub(super) fn pauses(pauses: &BTreeMap<String, Timestamp>, text: &mut String) {
    let mut until = Family::new(
        "rekeyd_upstream_throttled_until_timestamp_seconds",
        "End of the pause that the landscape asked for; absent while there is none.",
    );
    for (landscape, at) in pauses {
        until.set(&[("landscape", landscape)], *at);
    }
    until.finish(text);
}
