//! The books: what the client did to its tenants, judged by what is true here and not by what it was told.
//! Entries are made at the moment of the effect; nobody has to ask for them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::key::Maker;
use crate::request::Operation;
use crate::scenario::tenant::Role;

/// The newest entries and calls that are kept; totals are never forgotten.
pub(crate) const KEPT: usize = 100_000;

/// Something that must not happen, or must happen knowingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The consumer holds a `cirt` secret that is not accepted: data transfer stands still.
    Lockout,
    /// The consumer holds a `ciapi` secret that is not accepted: only deployments stand still.
    DeadCiapi,
    /// The content that was deployed last carries a `cirt` secret that is not accepted.
    DeadDeployedCirt,
    /// The client deleted a key before the consumer had proved itself with a successor.
    UnprovenDeletion,
    /// The client deleted the `ciapi` key that the consumer held because it had ignored the PUT: the
    /// experiment that finds such consumers out, at the price of deployments.
    CiapiDeletedWhileHeld,
    /// The client deleted a key that somebody else had made for another purpose.
    ForeignDeletion,
    /// The client delivered a key with which no token had ever been obtained.
    UntestedDelivery,
}

/// How a client must not behave towards the services themselves, whatever becomes of its tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// It called again before the instant that a 429 had asked it to wait for.
    EarlyRetry,
    /// It followed a redirect or a link to another host, and showed a token, a secret or a body there.
    StrayedSecret,
    /// It used a token again after that token had been refused.
    RefusedToken,
    /// A request that `strict` refuses: an unknown field, a missing header, a path of API v2.
    Improper,
}

/// One misbehaviour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Misconduct {
    /// When, by the sandbox's clock.
    pub at: DateTime<Utc>,
    /// What.
    pub conduct: Conduct,
    /// In which call.
    pub operation: Operation,
    /// What was wrong.
    pub detail: String,
}

/// One entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When, by the sandbox's clock.
    pub at: DateTime<Utc>,
    /// What.
    pub finding: Finding,
    /// To whom.
    pub tenant: String,
    /// With which role's key.
    pub role: Role,
    /// The key's name, when it is one of ours.
    pub key: Option<String>,
    /// What brought it about: an operation, or a change made by hand.
    pub cause: String,
    /// Why it counts.
    pub reason: String,
}

/// What is written down as it happens.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Entry>,
    pub(crate) misconduct: Vec<Misconduct>,
    conduct: BTreeMap<Conduct, u64>,
    /// Answers of 429.
    pub(crate) limited: u64,
    /// Requests that came to the other host.
    pub(crate) strays: u64,
    totals: BTreeMap<String, BTreeMap<Finding, u64>>,
    writes: BTreeMap<String, BTreeMap<Operation, u64>>,
}

impl Ledger {
    pub(crate) fn note(&mut self, entry: Entry) {
        *self.totals.entry(entry.tenant.clone()).or_default().entry(entry.finding).or_default() += 1;
        if self.entries.len() < KEPT {
            self.entries.push(entry);
        }
    }

    pub(crate) fn misbehaved(
        &mut self,
        conduct: Conduct,
        at: DateTime<Utc>,
        operation: Operation,
        detail: String,
    ) {
        *self.conduct.entry(conduct).or_default() += 1;
        if self.misconduct.len() < KEPT {
            self.misconduct.push(Misconduct { at, conduct, operation, detail });
        }
    }

    pub(crate) fn conduct(&self, conduct: Conduct) -> u64 {
        self.conduct.get(&conduct).copied().unwrap_or(0)
    }

    pub(crate) fn wrote(&mut self, tenant: &str, operation: Operation) {
        *self.writes.entry(tenant.to_owned()).or_default().entry(operation).or_default() += 1;
    }

    pub(crate) fn total(&self, tenant: &str, finding: Finding) -> u64 {
        self.totals.get(tenant).and_then(|totals| totals.get(&finding)).copied().unwrap_or(0)
    }

    pub(crate) fn writes(&self, tenant: &str) -> BTreeMap<Operation, u64> {
        self.writes.get(tenant).cloned().unwrap_or_default()
    }
}

/// The books at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Books {
    /// Times at which a consumer began to hold a dead `cirt`.
    pub lockouts: u64,
    /// Keys made by the client that are alive now and held by no consumer.
    pub orphans: u64,
    /// See [`Finding::UnprovenDeletion`].
    pub unproven_deletions: u64,
    /// See [`Finding::CiapiDeletedWhileHeld`].
    pub ciapi_deleted_while_held: u64,
    /// Times at which a consumer began to hold a dead `ciapi`.
    pub dead_ciapi: u64,
    /// See [`Finding::DeadDeployedCirt`].
    pub dead_deployed_cirt: u64,
    /// See [`Finding::ForeignDeletion`].
    pub foreign_deletions: u64,
    /// See [`Finding::UntestedDelivery`].
    pub untested_deliveries: u64,
    /// The most keys that were ever alive at once in one tenant, by role; foreign keys not counted.
    pub max_live: BTreeMap<Role, u64>,
    /// Writes that took effect, by operation.
    pub writes: BTreeMap<Operation, u64>,
    /// Calls that arrived.
    pub calls: u64,
    /// Answers of 429, whether by a limit, by chance or by an injected fault.
    pub limited: u64,
    /// See [`Conduct::EarlyRetry`].
    pub early_retries: u64,
    /// Requests that came to the other host, with secrets or without.
    pub strays: u64,
    /// See [`Conduct::StrayedSecret`].
    pub strayed_secrets: u64,
    /// See [`Conduct::RefusedToken`].
    pub refused_tokens_reused: u64,
    /// See [`Conduct::Improper`].
    pub improper_requests: u64,
    /// Whether hostile faults still go on.
    pub hostile: bool,
    /// The entries behind the totals of the tenants, oldest first.
    pub entries: Vec<Entry>,
    /// What is behind the totals of the client's conduct, oldest first.
    pub misconduct: Vec<Misconduct>,
    /// Each tenant.
    pub tenants: BTreeMap<String, TenantBooks>,
}

/// The books of one tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TenantBooks {
    /// As in [`Books`].
    pub lockouts: u64,
    /// As in [`Books`].
    pub orphans: u64,
    /// As in [`Books`].
    pub unproven_deletions: u64,
    /// As in [`Books`].
    pub ciapi_deleted_while_held: u64,
    /// As in [`Books`].
    pub dead_ciapi: u64,
    /// As in [`Books`].
    pub dead_deployed_cirt: u64,
    /// As in [`Books`].
    pub foreign_deletions: u64,
    /// As in [`Books`].
    pub untested_deliveries: u64,
    /// Whether data transfer stands still right now.
    pub locked_out: bool,
    /// As in [`Books`].
    pub max_live: BTreeMap<Role, u64>,
    /// Keys alive now, by role; foreign keys not counted.
    pub live: BTreeMap<Role, u64>,
    /// Names of the keys that the consumer holds; `None` for a secret that is no key's.
    pub held: BTreeMap<Role, Option<String>>,
    /// Names of the keys that were deployed last.
    pub deployed: BTreeMap<Role, Option<String>>,
    /// Whether the held pair was deployed since it was stored.
    pub proven: bool,
    /// Whether a run is in progress.
    pub running: bool,
    /// Runs started so far.
    pub runs: u64,
    /// When content was last deployed.
    pub deployed_on: Option<DateTime<Utc>>,
    /// Writes that took effect, by operation.
    pub writes: BTreeMap<Operation, u64>,
    /// Every key there ever was.
    pub keys: Vec<KeyBooks>,
}

/// One key in the books.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyBooks {
    /// Its guid.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Who made it.
    pub made_by: Maker,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Whether the consumer holds it now.
    pub held: bool,
    /// Whether a PUT ever carried it.
    pub delivered: bool,
}

/// One call. Paths are templates, so that neither secrets nor guids get in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The running number, from 1.
    pub seq: u64,
    /// When it was answered, by the sandbox's clock.
    pub at: DateTime<Utc>,
    /// The method.
    pub method: String,
    /// The path with its variable parts as `:name`.
    pub path: String,
    /// What the call was for.
    pub operation: Operation,
    /// The tenant, where one can be told.
    pub tenant: Option<String>,
    /// The status of the reply; `None` when the reply was lost.
    pub status: Option<u16>,
    /// The faults that were applied.
    pub faults: Vec<String>,
    /// Whether the call changed anything.
    pub effect: bool,
    /// The name of the key that was created or deleted.
    pub key: Option<String>,
}
