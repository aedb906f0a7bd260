//! What is known of a credential, for people and metrics. A copy: nothing is decided from it.

use std::sync::Arc;

use super::Timestamp;
use super::names::CredentialId;
use super::observation::Observation;
use super::plan::{NextLook, Reason};
use super::policy::Policy;
use super::record::Record;

/// One credential as it was last seen.
#[derive(Debug, Clone)]
pub struct View {
    /// Which.
    pub credential: CredentialId,
    /// What the operator wants.
    pub policy: Arc<Policy>,
    /// What the journal says; `None` before the keys in use were recognised.
    pub record: Option<Arc<Record>>,
    /// What was last seen.
    pub observation: Option<Arc<Observation>>,
    /// When it was last seen without anything missing.
    pub checked_at: Option<Timestamp>,
    /// The reason of the last plan.
    pub reason: Option<Reason>,
    /// When it is looked at again.
    pub next_look: Option<Timestamp>,
    /// When that was decided.
    pub rested_at: Option<Timestamp>,
    /// What the next look is for.
    pub look: Option<NextLook>,
    /// Why the last walk could not go on, where the journal let it down.
    pub stopped: Option<String>,
    /// Whether this instance holds the lease.
    pub lease_held: bool,
    /// Until when this instance holds the lease.
    pub lease_until: Option<Timestamp>,
    /// The next tick of the tenant's schedule.
    pub next_tick: Option<Timestamp>,
}
