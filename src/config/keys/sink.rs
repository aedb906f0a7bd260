//! The keys of `[[sink]]`.

use super::{Form, Key, default, optional, required};
use crate::domain::notice::Severity;

#[rustfmt::skip]
pub(super) static SINK: &[Key] = &[
    required("name", Form::Word, "\"ops\"", "Its name in logs and metrics. What it was told already is remembered under it."),
    required("kind", Form::Choice(&["webhook", "alert-notification"], &[]), "\"webhook\"", "What it is: a webhook, or SAP Alert Notification."),
    optional("url", Form::Url, "\"https://hooks.example.com/rekeyd\"", "Where the webhook is. For kind `webhook`, and required there."),
    optional("secret", Form::Password, "{ credential = \"tenants_acme-cf\" }", "What the webhook's messages are signed with (HMAC with SHA-256, header `X-Rekeyd-Signature-256`)."),
    optional("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/acme-dsi.json\" }", "The service key of SAP Alert Notification, as downloaded. For kind `alert-notification`, and required there."),
    default("severity", Form::Choice(Severity::WORDS, &[]), "notice", "The least that it is told."),
    default("per-minute", Form::Count(1, 600), "30", "How many messages it gets in a minute, at most."),
];
