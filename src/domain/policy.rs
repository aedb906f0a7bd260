//! What the operator wants for one credential. Made by `config`, which refuses what cannot be meant.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::{CredentialId, KeyName, Role};
use super::window::Window;

/// Whether `POST dataplane` is sent after a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provision {
    /// Only if the settle time passes and the consumer shows nothing new.
    WhenNeeded,
    /// Always.
    Always,
    /// Never: the consumer redeploys by itself or by a person's hand. No proof by exclusion is possible then.
    Never,
}

/// Who says that the consumer works with a set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// The consumer, by what it reports and does.
    Consumer,
    /// A person, with `rekeyd confirm`: the consumer says nothing that rekeyd could read.
    Person {
        /// What the person is to do with the keys, in the operator's words.
        instruction: String,
    },
}

/// The limits that turn "for ever" into a halt with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Refused attempts of one step before the rotation turns back or halts.
    pub attempts: u32,
    /// Rotations that turned back in a row before the credential halts.
    pub cycles: u32,
    /// Live keys per role at which nothing more is created.
    pub keys_per_role: usize,
    /// Keys that one service instance takes, whoever made them. One place is always left free.
    pub keys_per_instance: usize,
    /// How long a stage may last beyond what it is made to last.
    pub stage_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 8,
            cycles: 3,
            keys_per_role: 3,
            // XSUAA's own limit (facts: secrets and lifetimes, quotas); some brokers allow far fewer.
            keys_per_instance: 1000,
            stage_time: Duration::from_hours(7 * 24),
        }
    }
}

/// Which landscape, instances and consumer a credential belongs to. Journalled with the first event; a later
/// mismatch stops everything before the first call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Where the keys come from: the issuer's address or folder.
    pub issuer: String,
    /// The service instance of each role.
    pub places: BTreeMap<Role, String>,
    /// Where the credential goes: the consumer's address.
    pub consumer: String,
    /// Whether a fresh secret takes the place of the one in use, which stops working at that instant
    /// (`docs/adr/0015-a-reset-in-place-goes-forward-only.md`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_place: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What the operator wants for one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which credential.
    pub credential: CredentialId,
    /// The kind of its issuer, as configured: `cloud-foundry`, `service-manager`, `portal`, `file`.
    pub issuer: &'static str,
    /// The kind of its consumer, as configured: `dataspace`, `file`, `command`, `manual`.
    pub consumer: &'static str,
    /// Its roles, in the order in which old keys are retired: least harm first.
    pub roles: Vec<Role>,
    /// How long a key may live.
    pub window: Window,
    /// How long before the end of the window the rotation is due.
    pub lead: Duration,
    /// How long both generations stay alive after the proof.
    pub soak: Duration,
    /// How long the consumer takes to settle after a delivery, before it is asked for anything (SAP: 5 minutes).
    pub settle: Duration,
    /// Whether provisioning is asked for.
    pub provision: Provision,
    /// Who says that the consumer works.
    pub witness: Witness,
    /// How long the consumer may take to reach a final state (SAP: up to 20 minutes).
    pub deadline: Duration,
    /// The pause between two looks at something that is under way.
    pub poll: Duration,
    /// The longest life of an access token made with an old key.
    pub token_life: Duration,
    /// How long a fresh key may be refused before that means anything.
    pub propagation: Duration,
    /// How long a listing may lag behind a write.
    pub lag: Duration,
    /// How often in a row the consumer must be seen to work before it counts as proven.
    pub proofs: u32,
    /// The time from the first of these to the last, at least.
    pub proof_span: Duration,
    /// Rotations are due up to this long before the lead begins, each credential at its own time.
    pub spread: Duration,
    /// How old evidence may be at the moment a key is retired.
    pub evidence_life: Duration,
    /// Whether keys that rekeyd did not make may be retired.
    pub retire_foreign: bool,
    /// The keys in use, where the operator named them.
    pub in_use: BTreeMap<Role, KeyName>,
    /// The limits.
    pub limits: Limits,
    /// The environment.
    pub pin: Pin,
}

impl Policy {
    /// How often the evidence is renewed while a soak or the life of tokens is waited for.
    pub fn renewal_pause(&self) -> Duration {
        (self.soak / 8).max(self.evidence_life)
    }

    /// How many renewals a wait of `span` takes. Time that nobody watched does not count: neither the leap of a clock
    /// nor a daemon that was down lets a soak end.
    pub fn renewals_over(&self, span: Duration) -> u32 {
        let pause = self.renewal_pause().as_secs_f64().max(f64::MIN_POSITIVE);
        let many = (span.as_secs_f64() / pause).floor().min(f64::from(MOST_RENEWALS));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and the limit"
        )]
        let many = many as u32;
        many
    }
}

impl Policy {
    /// How the life of tokens is waited for: how often the evidence is renewed meanwhile, and how many renewals it takes.
    ///
    /// A soak that a leap of the clock shortens is still a soak; a token that lives is a token that lives. So no leap may
    /// shorten this wait: the renewals share out the whole of it, the first is due at once, and one more makes up for the
    /// one that a leap brings.
    pub fn token_watch(&self) -> (Duration, u32) {
        let (life, pause) = (self.token_life, self.renewal_pause());
        let whole = self.renewals_over(life);
        let parts = if pause * whole < life { whole + 1 } else { whole.max(1) };
        (life / parts, parts + 2)
    }

    /// How long the life of tokens is waited for where no clock leaps.
    pub fn token_wait(&self) -> Duration {
        let (pause, _) = self.token_watch();
        self.token_life + pause
    }
}

/// No wait takes more renewals.
const MOST_RENEWALS: u32 = 1000;
