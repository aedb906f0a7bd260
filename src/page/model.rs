//! What the pages show, as plain data. It holds no secret, no client id and no id of a key: what is not here cannot be
//! shown by mistake.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::forecast::Forecast;
use crate::domain::names::{CredentialId, TenantId};

/// The whole fleet.
#[derive(Debug, Clone)]
pub struct Board {
    /// The process that tells it.
    pub daemon: Teller,
    /// What concerns everybody.
    pub fleet: Fleet,
    /// Every credential.
    pub rows: Vec<Row>,
    /// The global accounts that are looked at.
    pub accounts: Vec<Account>,
    /// What comes; `None` where it is not computed yet.
    pub calendar: Option<Arc<Forecast>>,
    /// What happened last, the newest first; `None` where the journal cannot be read.
    pub told: Option<Vec<Told>>,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The process that tells it.
    pub daemon: Teller,
    /// What concerns everybody.
    pub fleet: Fleet,
    /// Which.
    pub tenant: TenantId,
    /// Its credentials.
    pub credentials: Vec<Credential>,
    /// What comes of the whole fleet; `None` where it is not computed yet.
    pub calendar: Option<Arc<Forecast>>,
    /// What happened last, the newest first; `None` where the journal cannot be read.
    pub told: Option<Vec<Told>>,
}

/// The process that tells it, and whether it can be believed.
#[derive(Debug, Clone)]
pub struct Teller {
    /// When this was told.
    pub at: Timestamp,
    /// The version of the program.
    pub version: String,
    /// The name of the instance.
    pub instance: String,
    /// Whether it is on its way out.
    pub is_stopping: bool,
    /// How long its main loop has stood still, where that is too long.
    pub stands_still: Option<Duration>,
    /// Whether the last reload was refused.
    pub reload_refused: bool,
}

/// What concerns everybody.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// Why nothing begins.
    pub halt: Option<Halt>,
    /// The rotations that count towards it, the last one first: whose, when, why.
    pub failed: Vec<(CredentialId, Timestamp, String)>,
    /// Who may begin, in words.
    pub share: String,
    /// Rotations that began in 24 hours.
    pub fuse_used: usize,
    /// How many of them the fuse allows.
    pub fuse_limit: usize,
    /// When the fuse lets the next one begin, where it lets none.
    pub fuse_opens_at: Option<Timestamp>,
    /// How many wait for the fleet.
    pub waiting: usize,
    /// How many of them are due.
    pub waiting_due: usize,
    /// Rotations of an emergency that are still to be proven, and when the last of them will be.
    pub emergency: Option<(usize, Timestamp)>,
}

/// A halt, in words.
#[derive(Debug, Clone)]
pub struct Halt {
    /// The reason.
    pub reason: String,
    /// What a person must do.
    pub remedy: String,
    /// Since when.
    pub since: Timestamp,
}

/// One credential, in a line.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub credential: CredentialId,
    /// The phase.
    pub phase: String,
    /// The stage below a halt.
    pub stage: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When the oldest key in use was made, where that is known.
    pub made_at: Option<Timestamp>,
    /// When the rotation is due.
    pub due_at: Option<Timestamp>,
    /// When the first window of the keys in use ends.
    pub ends_at: Option<Timestamp>,
    /// The evidence for the newest keys, 0 to 5.
    pub evidence: u8,
    /// The evidence that the next retirement needs.
    pub evidence_required: u8,
    /// When the soak ends.
    pub soak_ends_at: Option<Timestamp>,
    /// Why nothing, or what, is done now.
    pub reason: Option<String>,
    /// What a person must do.
    pub person: Option<String>,
    /// The halt.
    pub halt: Option<Halt>,
    /// The hold in force, in the operator's words.
    pub hold: Option<String>,
    /// When it ends by itself.
    pub hold_until: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The first cause of them.
    pub cause: Option<String>,
    /// When it was last seen with nothing missing.
    pub checked_at: Option<Timestamp>,
    /// When it was last looked at since the start, whatever was seen.
    pub looked_at: Option<Timestamp>,
    /// What the last look could not see, and why.
    pub unseen: Option<String>,
    /// When it is looked at again, where that is known.
    pub next_look: Option<Timestamp>,
    /// Whether this instance may work on it.
    pub lease_held: bool,
    /// Why its rotation turned back, where one is on its way back.
    pub turned_back: Option<String>,
}

impl Row {
    /// Whether a person is needed.
    pub fn needs_person(&self) -> bool {
        self.halt.is_some() || self.person.is_some()
    }

    /// Whether nobody has looked since the start.
    pub fn is_unseen(&self) -> bool {
        self.looked_at.is_none()
    }

    /// Whether another instance works on it.
    pub fn is_elsewhere(&self) -> bool {
        !self.lease_held && !self.is_unseen()
    }

    /// Whether a rotation is under way.
    pub fn is_rotating(&self) -> bool {
        !["settled", "unknown"].contains(&self.stage.as_str())
    }

    /// Whether the window of a key in use is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// Whether it should have been looked at a while ago.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        /// A look may wait for its turn, or for SAP.
        const PATIENCE: chrono::TimeDelta = chrono::TimeDelta::hours(1);
        self.next_look.is_some_and(|at| at + PATIENCE < now)
    }

    /// Whether something is wrong that rekeyd goes on with by itself.
    pub fn has_trouble(&self, now: Timestamp) -> bool {
        !self.needs_person()
            && (self.failures > 0 || self.is_over(now) || self.is_overdue(now) || self.unseen.is_some())
    }
}

/// One credential, in full.
#[derive(Debug, Clone)]
pub struct Credential {
    /// In a line.
    pub row: Row,
    /// The generation of the newest keys.
    pub generation: Option<u32>,
    /// Its keys, those in use first.
    pub keys: Vec<Key>,
    /// The consumer's own word.
    pub consumer: Option<String>,
    /// Why a person asked for a rotation that has not begun.
    pub asked: Option<String>,
    /// When what turned back is tried again, in words.
    pub tries_again: Option<String>,
    /// When the last rotation succeeded.
    pub last_success_at: Option<Timestamp>,
    /// The closed gates before what is due or asked for: name, and why in words.
    pub gates: Vec<(String, String)>,
    /// When each phase of the rotation under way was reached, in order.
    pub reached: Vec<(String, Timestamp)>,
}

/// One key, without its secret and its id.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its role.
    pub role: String,
    /// Its name at the issuer.
    pub name: String,
    /// Whether the consumer works with it.
    pub in_use: bool,
    /// When it was made, where that is known.
    pub made_at: Option<Timestamp>,
    /// When its window ends, where that is known.
    pub ends_at: Option<Timestamp>,
}

/// A global account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name of its section.
    pub name: String,
    /// Subaccounts with no tenant here, where that is known.
    pub uncovered: Option<usize>,
    /// Why it cannot be seen.
    pub failure: Option<String>,
    /// Since when its own key is due to be replaced by hand.
    pub key_due_since: Option<Timestamp>,
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// To whom; `None` is the fleet.
    pub credential: Option<CredentialId>,
    /// What, as a sentence.
    pub text: String,
}
