//! The keys of `[[sink]]`.

use super::{DAY, Form, Key, default, optional, required, seconds};
use crate::domain::notice::Severity;

#[rustfmt::skip]
pub(super) static SINK: &[Key] = &[
    required("name", Form::Word, "\"ops\"", "Its name in logs and metrics. What it was told already is remembered under it."),
    required("kind", Form::Choice(&["webhook", "alert-notification", "cloud-alm"], &[]), "\"webhook\"", "What it is: a webhook, SAP Alert Notification, or SAP Cloud ALM, which is told the state of every credential again and again."),
    optional("url", Form::Url, "\"https://hooks.example.com/rekeyd\"", "Where the webhook is. For kind `webhook`, and required there."),
    optional("secret", Form::Password, "{ credential = \"tenants_acme-cf\" }", "What the webhook's messages are signed with (HMAC with SHA-256, header `X-Rekeyd-Signature-256`)."),
    optional("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/acme-dsi.json\" }", "The service key of SAP Alert Notification, or of the API of SAP Cloud ALM, as downloaded. For the kinds `alert-notification` and `cloud-alm`, and required there."),
    optional("service-id", Form::Text, "\"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a03\"", "The id of the entry in Landscape Management that the state belongs to. For kind `cloud-alm`, and required there."),
    default("every", seconds(60, DAY), "15 min", "The pause between two messages. For kind `cloud-alm`."),
    default("severity", Form::Choice(Severity::WORDS, &[]), "notice", "The least that it is told."),
    default("per-minute", Form::Count(1, 600), "30", "How many messages it gets in a minute, at most."),
];
