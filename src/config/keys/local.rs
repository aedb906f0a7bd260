//! The keys of consumers beside rekeyd.

use std::time::Duration;

use super::{DAY, Form, HOUR, Key, default, optional, required, seconds};

const EXAMPLE: &str = "\"upload the key in Landscape Management\"";
const WHAT: &str = "What a person is to do with the key, shown by every command and in the log.";
const TIME: Form = seconds(1, 90 * DAY);

// What several of them take.
#[rustfmt::skip]
const CHECK: Key = optional("check", Form::Program, "[\"/usr/local/bin/check-calm-agent\"]", "What shows that the consumer works with the key it was given, by its exit code. It begins after the delivery, and it should use the key that the consumer uses. Without it a person must say so: `rekeyd confirm`.");
const INSTRUCTION: Key = optional("instruction", Form::Text, EXAMPLE, WHAT);
#[rustfmt::skip]
const TIMEOUT: Key = default("timeout", seconds(1, HOUR), "60 s", "How long a program may run; it and whatever it started are ended then.");
#[rustfmt::skip]
const DEADLINE: Key = optional("deadline", TIME, "\"30 min\"", "How long the proof may take; 30 min with `check`, 7 days where a person gives it.");
#[rustfmt::skip]
const POLL: Key = default("poll", Form::Span(Duration::from_millis(50), Duration::from_secs(HOUR)), "15 s", "The pause between two looks at something that is under way.");

#[rustfmt::skip]
pub(super) static FILE: &[Key] = &[
    required("path", Form::Path, "\"/etc/calm-agent/key.json\"", "The file. It is replaced in one step, by the key as the issuer gives it (JSON)."),
    default("mode", Form::Mode, "0600", "Its permissions."),
    optional("owner", Form::Owner, "\"root\"", "Its owner: `user`, `user:group` or `:group`. rekeyd's own, if left out."),
    optional("reload", Form::Program, "[\"/usr/bin/systemctl\", \"reload\", \"calm-agent\"]", "What makes the consumer read the file again."),
    CHECK, INSTRUCTION, TIMEOUT, DEADLINE, POLL,
];

#[rustfmt::skip]
pub(super) static COMMAND: &[Key] = &[
    required("deliver", Form::Program, "[\"/usr/local/bin/set-calm-key\"]", "The program that takes the key: JSON on its standard input, never in its arguments or environment. An exit code other than 0 is a failed delivery."),
    CHECK, INSTRUCTION, TIMEOUT, DEADLINE, POLL,
];

#[rustfmt::skip]
pub(super) static MANUAL: &[Key] = &[
    required("instruction", Form::Text, EXAMPLE, WHAT),
    optional("deadline", TIME, "\"7 days\"", "How long the person may take before that is a halt."),
    POLL,
];
