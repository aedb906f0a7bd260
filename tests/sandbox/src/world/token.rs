//! Tokens, and the login of the Cloud Foundry user. A token lives until it expires, whatever happens to the
//! key it was obtained with: SAP validates tokens offline.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

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
    Ciapi(String),
    Cirt(String),
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
    access: BTreeMap<String, (Audience, DateTime<Utc>)>,
    refresh: BTreeSet<String>,
}

impl Tokens {
    pub(crate) fn issue(
        &mut self,
        chance: &mut Chance,
        audience: Audience,
        now: DateTime<Utc>,
        life: u32,
    ) -> String {
        if self.access.len() >= SWEEP_AT {
            self.access.retain(|_, (_, end)| *end > now);
        }
        let token = format!("eyJzYW5kYm94.{:016x}{:016x}", chance.draw("token"), chance.draw("token"));
        self.access.insert(token.clone(), (audience, now + TimeDelta::seconds(i64::from(life))));
        token
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
        let (found, end) = self.access.get(token).ok_or(Refused::Unknown)?;
        if *end <= now {
            return Err(Refused::Expired);
        }
        if found == audience { Ok(()) } else { Err(Refused::OtherAudience) }
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.access.remove(token);
    }

    pub(crate) fn revoke_all(&mut self) {
        self.access.clear();
        self.refresh.clear();
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
