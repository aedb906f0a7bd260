//! Tokens, and the login of the Cloud Foundry user. A token lives until it expires, whatever happens to the
//! key it was obtained with: SAP validates tokens offline.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::World;
use crate::chance::Chance;
use crate::scenario::CloudFoundry;

/// SAP locks an account after this many wrong passwords.
const WRONG_PASSWORDS: u32 = 5;
/// Expired tokens are swept when so many have gathered; refresh tokens have no end, so all of them go.
const SWEEP_AT: usize = 10_000;

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    CloudFoundry,
    Dsi(String),
    Manager(String),
    /// The global account.
    Cis,
    /// The environments of a tenant's subaccount.
    Local(String),
    Ciapi(String),
    Cirt(String),
    /// The backend of a portal, for the login of rekeyd.
    Portal(String),
    /// What technical users of the portal log in to.
    Wallet(String),
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Unknown,
    Expired,
    OtherAudience,
}

/// All access and refresh tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    access: BTreeMap<String, Access>,
    refresh: BTreeSet<String>,
    /// Tokens that are dead: whose they were, and since when their owner has been told, on the machine's clock.
    dead: BTreeMap<String, (String, Option<DateTime<Utc>>)>,
    /// Whose token was refused: his next one is good for as long as it says.
    owed: BTreeSet<String>,
}

/// One access token.
#[derive(Debug)]
struct Access {
    audience: Audience,
    /// Who got it.
    owner: String,
    /// When it really ends.
    end: DateTime<Utc>,
    /// Whether it replaces one that was refused. Two in a row would be a rejected login, which is another fault.
    replaces: bool,
}

impl Tokens {
    pub(crate) fn issue(
        &mut self,
        chance: &mut Chance,
        audience: Audience,
        owner: String,
        now: DateTime<Utc>,
        life: TimeDelta,
    ) -> String {
        if self.access.len() >= SWEEP_AT {
            self.access.retain(|_, access| access.end > now);
        }
        let token = format!("eyJzYW5kYm94.{:016x}{:016x}", chance.draw("token"), chance.draw("token"));
        let replaces = self.owed.remove(&owner);
        self.access.insert(token.clone(), Access { audience, owner, end: now + life, replaces });
        token
    }

    /// Who got this token, also when it is good no more.
    pub(crate) fn owner(&self, token: &str) -> Option<String> {
        let dead = || self.dead.get(token).map(|(owner, _)| owner.clone());
        self.access.get(token).map(|access| access.owner.clone()).or_else(dead)
    }

    /// The tenant whose Service Manager this token opens.
    pub(crate) fn managed(&self, token: &str) -> Option<String> {
        match &self.access.get(token)?.audience {
            Audience::Manager(tenant) => Some(tenant.clone()),
            _ => None,
        }
    }

    /// The tenant of whose subaccount this token shows the environments.
    pub(crate) fn local(&self, token: &str) -> Option<String> {
        match &self.access.get(token)?.audience {
            Audience::Local(tenant) => Some(tenant.clone()),
            _ => None,
        }
    }

    /// Since when the owner of this token has been told that it is dead, on the machine's clock.
    pub(crate) fn told_at(&self, token: &str) -> Option<DateTime<Utc>> {
        self.dead.get(token)?.1
    }

    /// Notes that the owner of a dead token has been told. Only the first time counts.
    pub(crate) fn tell(&mut self, token: &str, machine_now: DateTime<Utc>) {
        if let Some((_, told)) = self.dead.get_mut(token) {
            told.get_or_insert(machine_now);
        }
    }

    pub(crate) fn issue_refresh(&mut self, chance: &mut Chance) -> String {
        if self.refresh.len() >= SWEEP_AT {
            self.refresh.clear();
        }
        let token = format!("refresh-{:016x}{:016x}-r", chance.draw("token"), chance.draw("token"));
        self.refresh.insert(token.clone());
        token
    }

    pub(crate) fn knows_refresh(&self, token: &str) -> bool {
        self.refresh.contains(token)
    }

    pub(crate) fn check(&self, token: &str, audience: &Audience, now: DateTime<Utc>) -> Result<(), Refused> {
        let found = self.access.get(token).ok_or(Refused::Unknown)?;
        if found.end <= now {
            return Err(Refused::Expired);
        }
        if found.audience == *audience { Ok(()) } else { Err(Refused::OtherAudience) }
    }

    /// Makes a token dead for good.
    pub(crate) fn bury(&mut self, token: &str) {
        if self.dead.len() >= SWEEP_AT {
            self.dead.clear();
        }
        let Some(access) = self.access.remove(token) else { return };
        self.owed.insert(access.owner.clone());
        self.dead.insert(token.to_owned(), (access.owner, None));
    }

    /// Whether a token replaces one that was refused.
    pub(crate) fn replaces_a_refused_one(&self, token: &str) -> bool {
        self.access.get(token).is_some_and(|access| access.replaces)
    }

    /// Ends every token. They are not forgotten, so that the books can tell who still uses them.
    pub(crate) fn revoke_all(&mut self) {
        self.access.values_mut().for_each(|access| access.end = DateTime::UNIX_EPOCH);
        self.refresh.clear();
    }
}

impl World {
    /// A new access token. In the hostile modes some end before they say.
    pub(crate) fn issue_token(&mut self, audience: Audience, owner: String, life_seconds: u32) -> String {
        let question = format!("{owner}/early expiry");
        let (now, rate) = (self.now(), self.rates().early_expiry);
        let mut life = TimeDelta::seconds(i64::from(life_seconds));
        if !self.tokens.owed.contains(&owner) && self.mischief(&question, rate) {
            let share = self.chance.up_to(&question, 100);
            life = life * i32::try_from(share).unwrap_or(100) / 100;
        }
        self.tokens.issue(&mut self.chance, audience, owner, now, life)
    }
}

/// The technical user of the Cloud Foundry API.
#[derive(Debug)]
pub(crate) struct CloudFoundryLogin {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) origin: Option<String>,
    pub(crate) works: bool,
    failures: u32,
}

/// How a login went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoggedIn {
    Yes,
    Wrong,
    Locked,
    OtherOrigin,
}

impl CloudFoundryLogin {
    pub(crate) fn new(plan: &CloudFoundry, chance: &mut Chance) -> Self {
        let password = plan.password.clone().unwrap_or_else(|| chance.secret("cloud foundry password"));
        Self { user: plan.user.clone(), password, origin: plan.origin.clone(), works: true, failures: 0 }
    }

    /// A login with `origin` from the login hint.
    pub(crate) fn log_in(&mut self, user: &str, password: &str, origin: Option<&str>) -> LoggedIn {
        if self.failures >= WRONG_PASSWORDS {
            return LoggedIn::Locked;
        }
        if origin.is_some() && self.origin.is_some() && origin != self.origin.as_deref() {
            return LoggedIn::OtherOrigin;
        }
        let origin_fits = self.origin.as_deref() == origin || self.origin.is_none();
        if self.works && origin_fits && user == self.user && password == self.password {
            self.failures = 0;
            return LoggedIn::Yes;
        }
        self.failures += 1;
        LoggedIn::Wrong
    }

    /// Sets whether the password works, and unlocks the account.
    pub(crate) fn set(&mut self, works: bool) {
        self.works = works;
        self.failures = 0;
    }
}
