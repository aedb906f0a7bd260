//! What nobody manages, as documents: for `rekeyd discover`, and in few words for the status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::Daemon;
use super::discovery::{self, Memory, Seen};
use super::report::Status;
use crate::config::Config;
use crate::config::cis::Cis as Section;
use crate::config::tenant::{Place, Tenant};
use crate::domain::Timestamp;
use crate::domain::coverage::{Cover, Directory, Marks, Subaccount, Tally, coverage};
use crate::domain::names::{CredentialId, TenantId};
use crate::domain::stray::{self, Stray};
use crate::domain::view::View;
use crate::http::Http;

/// The version of the document.
pub const SCHEMA: u32 = 1;

/// Everything that nobody manages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The version of the document.
    pub schema: u32,
    /// When it was made.
    pub at: Timestamp,
    /// The global accounts.
    pub accounts: Vec<Account>,
    /// Keys of nobody's at the issuers of the tenants.
    pub keys: Vec<Stray>,
    /// Credentials whose keys could not be seen.
    pub unseen: Vec<CredentialId>,
}

/// A global account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name of its section.
    pub cis: String,
    /// When it was seen; never, if it was not.
    pub seen_at: Option<Timestamp>,
    /// Why it could not be seen just now.
    pub failure: Option<String>,
    /// What could not be seen of it.
    pub unseen: Vec<String>,
    /// Its guid.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// Its directories.
    pub directories: Vec<Directory>,
    /// Its subaccounts.
    pub subaccounts: Vec<Covered>,
}

/// A subaccount, and who covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The subaccount.
    #[serde(flatten)]
    pub subaccount: Subaccount,
    /// `covered`, `uncovered`, `unknown`, `ignored` or `passing`.
    pub cover: String,
    /// Who covers it; where that is unknown, who may.
    pub tenants: Vec<TenantId>,
    /// The address of its Cloud Foundry API, where that is known.
    pub cloud_foundry: Option<String>,
    /// Its organization there.
    pub organization: Option<String>,
}

/// A global account in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CisStatus {
    /// The name of its section.
    pub name: String,
    /// When it was last seen whole.
    pub last_success_at: Option<Timestamp>,
    /// Why it could not be seen after that.
    pub failure: Option<String>,
    /// How many subaccounts should have a tenant or have one; not known before it was seen.
    pub subaccounts: Option<usize>,
    /// How many of them have none.
    pub uncovered: Option<usize>,
    /// Of how many that cannot be told.
    pub unknown: Option<usize>,
    /// When the own key was made, or first seen.
    pub key_made_at: Option<Timestamp>,
    /// Whether the operator, or the key itself, says when it was made.
    pub key_age_is_known: bool,
    /// When it is due to be replaced by hand.
    pub key_due_at: Option<Timestamp>,
}

/// Whether a source works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProbe {
    /// The name of its section.
    pub cis: String,
    /// Whether a token was had with the key, and the account read.
    pub works: bool,
    /// Why not.
    pub failure: Option<String>,
    /// Whether it was refused, and did not merely go unanswered.
    pub refused: bool,
}

impl Account {
    /// What is known of an account.
    pub(super) fn of(section: &Section, seen: &Seen) -> Self {
        let mut account = Self {
            cis: section.name.clone(),
            seen_at: seen.found.as_ref().map(|(at, _)| *at),
            failure: seen.failure.clone(),
            unseen: Vec::new(),
            guid: String::new(),
            name: String::new(),
            directories: Vec::new(),
            subaccounts: Vec::new(),
        };
        let Some((_, found)) = &seen.found else { return account };
        account.unseen.clone_from(&found.unseen);
        account.guid.clone_from(&found.tree.guid);
        account.name.clone_from(&found.tree.name);
        account.directories.clone_from(&found.tree.directories);
        let covered = |subaccount: &Subaccount| {
            let nobody = Cover::Unknown(BTreeSet::new());
            let cover = seen.coverage.get(&subaccount.guid).unwrap_or(&nobody);
            let environment = found.environments.iter().find(|of| of.subaccount == subaccount.guid);
            Covered {
                subaccount: subaccount.clone(),
                cover: cover.word().to_owned(),
                tenants: cover.tenants().cloned().collect(),
                cloud_foundry: environment.map(|of| of.api.clone()),
                organization: environment.map(|of| of.org.clone()),
            }
        };
        account.subaccounts = found.tree.subaccounts.iter().map(covered).collect();
        account
    }
}

impl CisStatus {
    /// What is known of an account.
    fn of(section: &Section, seen: &Seen) -> Self {
        let tally = seen.found.as_ref().map(|_| Tally::of(&seen.coverage));
        Self {
            name: section.name.clone(),
            last_success_at: seen.memory.last_success_at,
            failure: seen.failure.clone(),
            subaccounts: tally.map(|tally| tally.subaccounts),
            uncovered: tally.map(|tally| tally.uncovered),
            unknown: tally.map(|tally| tally.unknown),
            key_made_at: seen.memory.key_made_at(section),
            key_age_is_known: section.created.or(section.key.created_at).is_some(),
            key_due_at: seen.memory.key_due_at(section),
        }
    }

    /// What is remembered of an account where no daemon answers.
    pub fn remembered(config: &Config, now: Timestamp) -> Vec<Self> {
        let state = &config.daemon.state_dir;
        let of = |section: &Section| {
            let memory = Memory::read(state, section, now);
            Self::of(section, &Seen { memory, ..Seen::default() })
        };
        config.daemon.cis.iter().map(of).collect()
    }
}

/// What tells where the tenants are.
pub fn marks(config: &Config) -> BTreeMap<TenantId, Marks> {
    config.tenants.iter().map(|tenant| (tenant.id.clone(), marks_of(tenant))).collect()
}

fn marks_of(tenant: &Tenant) -> Marks {
    let mut marks = Marks { subaccounts: tenant.subaccount.iter().cloned().collect(), ..Marks::default() };
    // The operator knows better than the keys.
    if tenant.subaccount.is_some() {
        return marks;
    }
    let dataspace = tenant.dataspace.as_ref().map(|section| &section.key);
    let manager = tenant.service_manager.as_ref().map(|section| &section.key);
    for home in dataspace.into_iter().chain(manager).map(crate::secret::ServiceKey::home) {
        marks.subaccounts.extend(home.subaccount);
        marks.zones.extend(home.zone);
        marks.subdomains.extend(home.subdomain.map(|subdomain| (subdomain, home.region)));
    }
    let Some(foundry) = &tenant.cloud_foundry else { return marks };
    for place in tenant.credentials.iter().flat_map(|credential| credential.places.values()) {
        if let Place::Named { org, .. } = place {
            marks.organizations.insert((foundry.api.clone(), org.clone()));
        }
    }
    marks
}

/// The keys of nobody's among what was last seen, and who was not seen.
pub fn strays(views: &[View]) -> (Vec<Stray>, Vec<CredentialId>) {
    let known = |view: &'_ View| view.observation.as_ref().is_some_and(|seen| seen.keys.known().is_some());
    let unseen = views.iter().filter(|view| view.record.is_none() || !known(view));
    let unseen = unseen.map(|view| view.credential.clone()).collect();
    let seen = views.iter().filter_map(|view| {
        let (record, observation) = (view.record.as_ref()?, view.observation.as_ref()?);
        Some((&view.credential, record.as_ref(), observation.keys.known()?))
    });
    (stray::strays(&seen.collect::<Vec<_>>()), unseen)
}

impl Daemon {
    /// How everybody stands.
    pub(super) fn status(&self) -> Status {
        let mut status = Status { cis: self.seen_accounts(), ..Status::of(&self.engine, self.clock.now()) };
        self.tell_silence(&mut status);
        status
    }

    /// The global accounts, as they were last seen.
    pub(super) fn seen_accounts(&self) -> Vec<CisStatus> {
        let seen = |section: &Section| self.discoveries.of(&section.name).unwrap_or_default();
        self.accounts().iter().map(|section| CisStatus::of(section, &seen(section))).collect()
    }

    /// Looks at every account at once, and tells what nobody manages. The keys are as they were last seen.
    pub(super) async fn discover(self: &Arc<Self>) -> Discovery {
        let sections = self.accounts();
        let mut looks = JoinSet::new();
        for section in sections.clone() {
            let daemon = Arc::clone(self);
            looks.spawn(async move { daemon.look_at(&section).await });
        }
        while looks.join_next().await.is_some() {}
        let seen = |section: &Section| self.discoveries.of(&section.name).unwrap_or_default();
        let accounts = sections.iter().map(|section| Account::of(section, &seen(section))).collect();
        let (keys, unseen) = strays(&self.engine.views());
        Discovery { schema: SCHEMA, at: self.clock.now(), accounts, keys, unseen }
    }

    /// Tries the key of every account.
    pub(super) async fn probe_sources(&self) -> Vec<SourceProbe> {
        let mut probes = Vec::new();
        for section in self.accounts() {
            probes.push(SourceProbe::of(&self.http, &section).await);
        }
        probes
    }
}

impl SourceProbe {
    /// Tries the key of an account: a token, and one read.
    pub async fn of(http: &Arc<Http>, section: &Section) -> Self {
        let outcome = match discovery::account(http, section) {
            Ok(account) => account.probe().await,
            Err(failure) => Err(failure),
        };
        let failure = outcome.err();
        Self {
            cis: section.name.clone(),
            works: failure.is_none(),
            refused: failure.as_ref().is_some_and(|failure| !failure.class.is_passing()),
            failure: failure.map(|failure| failure.to_string()),
        }
    }
}

/// Looks at every account without a daemon.
pub async fn accounts_alone(config: &Config, http: &Arc<Http>) -> Vec<Account> {
    let marks = marks(config);
    let mut accounts = Vec::new();
    for section in &config.daemon.cis {
        let looked = discovery::look(http, section).await;
        let now = http.clock().now();
        let mut seen =
            Seen { memory: Memory::read(&config.daemon.state_dir, section, now), ..Seen::default() };
        match looked {
            Ok(found) => {
                seen.coverage = Arc::new(coverage(&found.tree, &found.environments, &section.ignore, &marks));
                seen.found = Some((now, Arc::new(found)));
            }
            Err(failure) => seen.failure = Some(failure.to_string()),
        }
        accounts.push(Account::of(section, &seen));
    }
    accounts
}

#[cfg(test)]
#[path = "unmanaged_tests.rs"]
mod tests;
