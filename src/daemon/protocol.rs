//! What is spoken over the control socket: HTTP/1.1 with JSON. The version stands in the path.

use serde::{Deserialize, Serialize};

use super::fleet_status::EmergencyStatus;
use super::gates::GateStatus;
use crate::domain::event::{Entry, Wish};
use crate::domain::fleet::Pass;
use crate::domain::names::CredentialId;

/// Ask something of one credential: `POST /v1/wish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishRequest {
    /// Which.
    pub credential: CredentialId,
    /// What.
    pub wish: Wish,
}

/// Ask several credentials to rotate: `POST /v1/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// `due`: look at everything now and rotate what is due. `all`: rotate everything.
    pub scope: RotateScope,
    /// Why, in the operator's words.
    pub reason: String,
    /// What it passes.
    #[serde(default)]
    pub pass: Pass,
}

/// End the halt of the fleet: `POST /v1/fleet/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeFleet {
    /// Why, in the operator's words.
    pub reason: String,
}

/// Which credentials to rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RotateScope {
    /// What is due.
    Due,
    /// Everything.
    All,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {
    /// How many credentials it reached.
    pub credentials: usize,
    /// Why it did not reach the others.
    #[serde(default)]
    pub refused: Vec<String>,
    /// The emergency that is under way now.
    #[serde(default)]
    pub emergency: Option<EmergencyStatus>,
    /// The closed gates before the one rotation that was asked for.
    #[serde(default)]
    pub waits: Vec<GateStatus>,
    /// What it changes besides, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Done {
    /// It reached so many, and there is no more to say.
    pub fn with(credentials: usize) -> Self {
        Self { credentials, ..Self::default() }
    }
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// In words: what, and what to do instead.
    pub error: String,
    /// The exit code a command ends with (`design/product`: 1, 2, 3, 75, 78).
    pub exit: u8,
}

/// A part of the journal: `GET /v1/history?credential=…&after=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
}
