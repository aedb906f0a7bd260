//! Service keys: every one ever made, dead or alive.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::scenario::tenant::Role;

/// A key of a service instance, or something that looks like one in a list.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) maker: Maker,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) client_id: String,
    pub(crate) secret: String,
    /// How often the secret is still refused before it works.
    pub(crate) refusals: u32,
    /// When it was deleted, and the tenant's tick of that moment.
    pub(crate) deleted: Option<(DateTime<Utc>, u64)>,
    /// Looks for which its creation is still in progress.
    pub(crate) pending: u32,
    /// Looks for which lists do not show it yet.
    pub(crate) unlisted: u32,
    /// Looks that still show it after its deletion.
    pub(crate) lingering: u32,
    /// Reads may show what was before its creation or deletion until then.
    pub(crate) read_from: DateTime<Utc>,
    /// Its creation is reported as failed, although the secret works.
    pub(crate) reported_failed: bool,
    /// The body of a PUT has carried it, whatever came of that.
    pub(crate) delivered: bool,
    /// A token was once obtained with it.
    pub(crate) tested: bool,
    /// For a `cirt` key: the `ciapi` secrets that the consumer ever held together with it.
    pub(crate) held_with: BTreeSet<String>,
    pub(crate) metadata: Value,
}

/// Who made a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    /// It was there at the start.
    Start,
    /// The client, with POST.
    Api,
    /// Somebody else, for a purpose of their own.
    Foreign,
    /// Nobody: a binding of an application, which only looks like a key.
    App,
}

impl Key {
    pub(crate) fn is_alive(&self) -> bool {
        self.deleted.is_none()
    }

    /// The secret is accepted right now.
    pub(crate) fn works(&self) -> bool {
        self.is_alive() && self.refusals == 0
    }

    /// Counted for and against the client.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.maker, Maker::Start | Maker::Api)
    }

    /// Whether reads show it; a stale read shows what was before.
    pub(crate) fn is_shown(&self, stale: bool) -> bool {
        if self.is_alive() { self.unlisted == 0 && !stale } else { self.lingering > 0 || stale }
    }

    /// Time passes for a key each time somebody looks at it.
    pub(crate) fn looked_at(&mut self) {
        self.pending = self.pending.saturating_sub(1);
        self.unlisted = self.unlisted.saturating_sub(1);
        if !self.is_alive() {
            self.lingering = self.lingering.saturating_sub(1);
        }
    }

    /// The `last_operation` of the binding; a stale read shows a deleted key as it was.
    pub(crate) fn last_operation(&self, stale: bool) -> (&'static str, &'static str) {
        match (self.is_alive() || stale, self.pending, self.reported_failed) {
            (false, ..) => ("delete", "in progress"),
            (true, 1.., _) => ("create", "in progress"),
            (true, 0, true) => ("create", "failed"),
            (true, 0, false) => ("create", "succeeded"),
        }
    }

    /// The credentials as `details` shows them.
    pub(crate) fn credentials(&self, url: &str, token_url: &str) -> Value {
        json!({ "oauth": {
            "clientid": self.client_id,
            "clientsecret": self.secret,
            "url": url,
            "createdate": self.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "tokenurl": token_url,
        } })
    }
}
