//! The setups: what is configured, how many instances there are, and what the consumer is like.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rekeyd::domain::key::Key;
use rekeyd::domain::names::{CredentialId, KeyId, KeyName, Role, RotationId};
use rekeyd::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use rekeyd::domain::window::Window;

use super::clock::{GRID, stamp};
use super::world::{LAG, Maker, Pair, TOKEN_LIFE, Tag};

/// How the consumer is, all the time.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one way to be, and any of them go together")]
pub(crate) struct Manners {
    /// It deploys when it is given a credential.
    pub(crate) runs_on_put: bool,
    /// It has no delivery endpoint.
    pub(crate) no_put: bool,
    /// It cannot be asked to provision.
    pub(crate) no_post: bool,
    /// It has no status.
    pub(crate) no_status: bool,
    /// Its content cannot be read.
    pub(crate) no_content: bool,
    /// Its answers bear no date.
    pub(crate) no_date: bool,
    /// Its status says since when.
    pub(crate) dated: bool,
    /// It answers 200 to a delivery and keeps what it has.
    pub(crate) ignores_put: bool,
    /// No run of it ever ends.
    pub(crate) stuck: bool,
    /// No run with a fresh key succeeds.
    pub(crate) hates_fresh: bool,
    /// Every key of an instance has the secret of the instance.
    pub(crate) same_secret: bool,
}

/// What may disturb a setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbed {
    /// By everything.
    ByAll,
    /// By what happens to calls, processes and clocks; not by people.
    ByFaults,
}

pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) hosts: usize,
    pub(crate) manners: Manners,
    pub(crate) disturbed: Disturbed,
    /// A fresh key takes the place of the one in use, which dies with that.
    pub(crate) in_place: bool,
    /// The disturbances on a path: in the short search, and in the full one.
    pub(crate) budget: [usize; 2],
    first: Maker,
    /// As configured, and as it is configured after somebody changed it.
    policies: [Policy; 2],
    keys: BTreeMap<Tag, Key>,
    tags: HashMap<KeyId, Tag>,
}

fn steps(steps: i64) -> Duration {
    Duration::from_secs((steps * GRID).unsigned_abs())
}

/// The pause between two looks at something under way, in steps.
pub(crate) const POLL: i64 = 1;
/// How long both generations live after the proof, in steps.
pub(crate) const SOAK: i64 = 6;
/// The pause between two renewals of the evidence, in steps: the policy's `evidence_life`, an eighth of a soak being less.
pub(crate) const RENEWAL: i64 = 2;
/// The life of a lease, in steps.
pub(crate) const LEASE_LIFE: i64 = 2;
/// The pause between two ticks of the schedule, in steps.
pub(crate) const SCHEDULE: i64 = 36;
/// The generations that are given names.
const GENERATIONS: u8 = 9;

fn credential() -> CredentialId {
    "acme/dataplane".parse().expect("it is a name")
}

fn policy() -> Policy {
    Policy {
        credential: credential(),
        issuer: "cloud-foundry",
        consumer: "dataspace",
        roles: vec![Role::Ciapi, Role::Cirt],
        // The first keys are due, and no clock jumps so far that the others are.
        window: Window::Span(steps(100_000)),
        lead: steps(50_000),
        soak: steps(SOAK),
        settle: steps(1),
        provision: Provision::WhenNeeded,
        witness: Witness::Consumer,
        deadline: steps(2),
        poll: steps(POLL),
        token_life: steps(TOKEN_LIFE),
        propagation: steps(1),
        lag: steps(LAG),
        proofs: 2,
        proof_span: steps(1),
        spread: steps(0),
        evidence_life: steps(RENEWAL),
        retire_foreign: true,
        in_use: BTreeMap::new(),
        limits: Limits {
            attempts: 1,
            cycles: 2,
            keys_per_role: 3,
            stage_time: steps(4),
            ..Limits::default()
        },
        pin: Pin {
            issuer: "https://api.cf.example".to_owned(),
            places: BTreeMap::from([(Role::Ciapi, "one".to_owned()), (Role::Cirt, "two".to_owned())]),
            consumer: "https://dsi.example".to_owned(),
            in_place: false,
        },
    }
}

/// The nonce of a generation: what is made on different paths bears one name.
fn nonce(generation: u32) -> u64 {
    0x5eed + u64::from(generation)
}

/// Every key there can be.
fn keys() -> BTreeMap<Tag, Key> {
    let mut keys = BTreeMap::new();
    for role in Role::PAIR {
        for maker in [Maker::First, Maker::Rekeyd, Maker::Hand] {
            for generation in 0..GENERATIONS {
                for copy in 0..4 {
                    let tag = Tag { role, maker, generation, copy };
                    let name = match maker {
                        Maker::First => KeyName(format!("first-{role}")),
                        Maker::Hand => KeyName(format!("by-hand-{role}")),
                        Maker::Rekeyd => {
                            let number = u32::from(generation);
                            KeyName::ours(role, number, &credential(), nonce(number))
                        }
                    };
                    let created = if maker == Maker::First { -60_000 } else { 0 };
                    let id = KeyId(format!("{maker:?}-{role}-{generation}-{copy}").to_lowercase());
                    let key = Key { id, name, created_at: Some(stamp(created)), expires_at: None };
                    keys.insert(tag, key);
                }
            }
        }
    }
    keys
}

impl Setup {
    fn new(name: &'static str, budget: [usize; 2]) -> Self {
        let keys = keys();
        let tags = keys.iter().map(|(tag, key)| (key.id.clone(), *tag)).collect();
        let mut changed = policy();
        changed.retire_foreign = false;
        changed.provision = Provision::Never;
        Self {
            name,
            hosts: 1,
            manners: Manners::default(),
            disturbed: Disturbed::ByAll,
            in_place: false,
            budget,
            first: Maker::First,
            policies: [policy(), changed],
            keys,
            tags,
        }
    }

    fn with(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    fn provision(mut self, provision: Provision) -> Self {
        self.policies[0].provision = provision;
        self
    }

    /// Every setup that is searched.
    pub(crate) fn all() -> Vec<Self> {
        let kind = Manners::default();
        let mut two = Self::new("two instances", [1, 1]);
        two.hosts = 2;
        two.disturbed = Disturbed::ByFaults;
        let mut ours = Self::new("keys of ours from the first on", [1, 2]);
        ours.first = Maker::Rekeyd;
        let names: BTreeMap<Role, KeyName> =
            ours.first_pair().map(|tag| (tag.role, ours.keys[&tag].name.clone())).into();
        for policy in &mut ours.policies {
            policy.in_use.clone_from(&names);
        }
        let mut foreign = Self::new("foreign keys stay", [1, 1]);
        foreign.policies[0].retire_foreign = false;
        let mut elsewhere = Self::new("configured elsewhere", [1, 2]);
        elsewhere.policies[1] = policy();
        "https://elsewhere.example".clone_into(&mut elsewhere.policies[1].pin.consumer);
        let mut in_place = Self::new("reset in place", [1, 2]);
        in_place.in_place = true;
        for policy in &mut in_place.policies {
            policy.pin.in_place = true;
        }
        let runs_on_put = Manners { runs_on_put: true, ..kind };
        vec![
            Self::new("as it should be", [1, 2]),
            two,
            ours,
            foreign,
            elsewhere,
            in_place,
            Self::new("always provisioned", [1, 2]).provision(Provision::Always),
            Self::new("never provisioned", [1, 2]).provision(Provision::Never).with(runs_on_put),
            Self::new("deploys when given", [1, 2]).with(runs_on_put),
            Self::new("tells no time", [1, 1]).with(Manners { no_date: true, ..kind }),
            Self::new("dated status", [1, 2]).with(Manners { dated: true, ..kind }),
            Self::new("no status", [1, 2]).with(Manners { no_status: true, ..kind }),
            Self::new("no content", [1, 2]).with(Manners { no_content: true, ..kind }),
            Self::new("no PUT", [1, 2]).with(Manners { no_put: true, ..kind }),
            Self::new("no POST", [1, 2]).with(Manners { no_post: true, ..runs_on_put }),
            Self::new("ignores the PUT", [1, 2]).with(Manners { ignores_put: true, ..kind }),
            Self::new("stuck", [1, 2]).with(Manners { stuck: true, ..kind }),
            Self::new("hates fresh keys", [1, 2]).with(Manners { hates_fresh: true, ..kind }),
            Self::new("one secret", [1, 2]).with(Manners { same_secret: true, ..kind }),
        ]
    }

    /// What was in use before rekeyd came.
    pub(crate) fn first_pair(&self) -> Pair {
        let generation = u8::from(self.first == Maker::Rekeyd);
        Role::PAIR.map(|role| Tag { role, maker: self.first, generation, copy: 0 })
    }

    pub(crate) fn policy(&self, reconfigured: bool) -> &Policy {
        &self.policies[usize::from(reconfigured)]
    }

    pub(crate) fn key(&self, tag: Tag) -> Key {
        let mut key = self.keys[&tag].clone();
        if self.first == Maker::Rekeyd && tag.maker == Maker::Rekeyd && tag.generation == 1 {
            // The first ones are old.
            key.created_at = Some(stamp(-60_000));
        }
        key
    }

    pub(crate) fn tag(&self, id: &KeyId) -> Tag {
        *self.tags.get(id).expect("only keys of the model are named")
    }

    pub(crate) fn names(&self, generation: u32) -> BTreeMap<Role, KeyName> {
        let name = |role| (role, KeyName::ours(role, generation, &credential(), nonce(generation)));
        self.policy(false).roles.iter().copied().map(name).collect()
    }

    /// Whether the consumer can be asked for the run that proves by exclusion.
    pub(crate) fn can_exclude(&self, reconfigured: bool) -> bool {
        !self.manners.no_post && self.policy(reconfigured).provision != Provision::Never
    }
}

/// The tag of a key that is to be made with this name.
pub(crate) fn tag_of(role: Role, name: &KeyName) -> Tag {
    let generation = name.parse_ours().expect("only names of ours are asked for").generation;
    let generation = u8::try_from(generation).expect("few generations");
    Tag { role, maker: Maker::Rekeyd, generation, copy: 0 }
}

pub(crate) fn rotation(generation: u32) -> RotationId {
    RotationId::new(&credential(), generation, nonce(generation))
}
