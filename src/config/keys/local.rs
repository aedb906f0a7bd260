//! The keys of consumers beside rekeyd.

use std::time::Duration;

use super::{DAY, Form, HOUR, Key, default, optional, required, seconds};

const CHECK: &str = "What shows that the consumer works with the key it was given, by its exit code. It begins after the delivery, and it should use the key that the consumer uses. Without it a person must say so: `rekeyd confirm`.";
const TIMEOUT: &str = "How long a program may run; it and whatever it started are ended then.";
const DEADLINE: &str = "How long the proof may take; 30 min with `check`, 7 days where a person gives it.";
const POLL: &str = "The pause between two looks at something that is under way.";
const INSTRUCTION: &str = "What a person is to do with the key, shown by every command and in the log.";
const EXAMPLE: &str = "\"upload the key in Landscape Management\"";
const PAUSES: Form = Form::Span(Duration::from_millis(50), Duration::from_secs(HOUR));

#[rustfmt::skip]
pub(super) static FILE: &[Key] = &[
    required("path", Form::Path, "\"/etc/calm-agent/key.json\"", "The file. It is replaced in one step, by the key as the issuer gives it (JSON)."),
    default("mode", Form::Mode, "0600", "Its permissions."),
    optional("owner", Form::Owner, "\"root\"", "Its owner: `user`, `user:group` or `:group`. rekeyd's own, if left out."),
    optional("reload", Form::Program, "[\"/usr/bin/systemctl\", \"reload\", \"calm-agent\"]", "What makes the consumer read the file again."),
    optional("check", Form::Program, "[\"/usr/local/bin/check-calm-agent\"]", CHECK),
    optional("instruction", Form::Text, EXAMPLE, INSTRUCTION),
    default("timeout", seconds(1, HOUR), "60 s", TIMEOUT),
    optional("deadline", seconds(1, 90 * DAY), "\"30 min\"", DEADLINE),
    default("poll", PAUSES, "15 s", POLL),
];

#[rustfmt::skip]
pub(super) static COMMAND: &[Key] = &[
    required("deliver", Form::Program, "[\"/usr/local/bin/set-calm-key\"]", "The program that takes the key: JSON on its standard input, never in its arguments or environment. An exit code other than 0 is a failed delivery."),
    optional("check", Form::Program, "[\"/usr/local/bin/check-calm-agent\"]", CHECK),
    optional("instruction", Form::Text, EXAMPLE, INSTRUCTION),
    default("timeout", seconds(1, HOUR), "60 s", TIMEOUT),
    optional("deadline", seconds(1, 90 * DAY), "\"30 min\"", DEADLINE),
    default("poll", PAUSES, "15 s", POLL),
];

#[rustfmt::skip]
pub(super) static MANUAL: &[Key] = &[
    required("instruction", Form::Text, EXAMPLE, INSTRUCTION),
    optional("deadline", seconds(1, 90 * DAY), "\"7 days\"", "How long the person may take before that is a halt."),
    default("poll", PAUSES, "15 s", POLL),
];
