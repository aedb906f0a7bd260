//! Which subaccounts of a global account somebody manages. A tree as the account shows it and the marks that tell where
//! each tenant is, and out comes for every subaccount who covers it, or that nobody does.
//!
//! What cannot be told is never "uncovered" and never "covered": a tenant that may be anywhere leaves every subaccount open
//! that nobody else covers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::names::TenantId;

/// A global account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tree {
    /// Its guid; empty where it does not say.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// Its directories, in no order.
    pub directories: Vec<Directory>,
    /// Its subaccounts, in no order, each once.
    pub subaccounts: Vec<Subaccount>,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Its guid.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// The guid of the directory that it is in; none below the account itself.
    pub parent: Option<String>,
}

/// A subaccount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subaccount {
    /// Its guid.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// The guid of what it is in: a directory, or the account itself.
    pub parent: Option<String>,
    /// Its region, such as `eu10`.
    pub region: String,
    /// Its subdomain, which begins the host of its token service.
    pub subdomain: String,
    /// Its name for the token service (`technicalName`), the zone id of its keys.
    pub zone: String,
    /// Its state, in the account's own word; empty where it does not say.
    pub state: String,
    /// Whether it is used for production; `None` where nobody has said.
    pub production: Option<bool>,
    /// When it was made, where that is known.
    pub created_at: Option<Timestamp>,
}

impl Subaccount {
    /// Whether a subaccount in this state should have a tenant: it is there, and it stays. A word that nobody knows is no
    /// reason to look away.
    pub fn should_be_covered(&self) -> bool {
        const PASSING: [&str; 6] = ["DELET", "CREAT", "CANCEL", "PENDING", "MIGRAT", "ROLLBACK"];
        let state = self.state.to_uppercase();
        !PASSING.iter().any(|word| state.contains(word))
    }
}

/// The Cloud Foundry of a subaccount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Environment {
    /// The guid of the subaccount.
    pub subaccount: String,
    /// The address of its API, without a slash at its end.
    pub api: String,
    /// The name of its organization.
    pub org: String,
}

/// What tells where a tenant is. Each is a set, for a tenant may have several keys; the first kind that there is decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Guids of subaccounts that its keys name.
    pub subaccounts: BTreeSet<String>,
    /// Zone ids that its keys name.
    pub zones: BTreeSet<String>,
    /// Subdomains, with the region where it is known.
    pub subdomains: BTreeSet<(String, Option<String>)>,
    /// Organizations of Cloud Foundry: the address of the API, and the name.
    pub organizations: BTreeSet<(String, String)>,
}

/// What is to be said of one subaccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// These tenants are in it.
    Covered(BTreeSet<TenantId>),
    /// Nobody covers it, and the operator wants it so.
    Ignored,
    /// Nobody covers it, and nobody should: it is being made or deleted.
    Passing,
    /// Nobody covers it.
    Uncovered,
    /// One of these tenants may cover it; where they are cannot be told.
    Unknown(BTreeSet<TenantId>),
}

impl Cover {
    /// The word for it, in documents.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Covered(_) => "covered",
            Self::Ignored => "ignored",
            Self::Passing => "passing",
            Self::Uncovered => "uncovered",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The tenants that it speaks of.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        let named = match self {
            Self::Covered(tenants) | Self::Unknown(tenants) => Some(tenants),
            Self::Ignored | Self::Passing | Self::Uncovered => None,
        };
        named.into_iter().flatten()
    }
}

/// What is to be said of every subaccount, by guid.
pub type Coverage = BTreeMap<String, Cover>;

/// Where a tenant is.
enum Place {
    /// In these subaccounts of the account, or in none of it.
    Known(BTreeSet<String>),
    /// In one of these.
    OneOf(BTreeSet<String>),
    /// Nobody can tell.
    Anywhere,
}

/// Says of every subaccount of `tree` who covers it.
pub fn coverage(
    tree: &Tree,
    environments: &[Environment],
    ignored: &BTreeSet<String>,
    tenants: &BTreeMap<TenantId, Marks>,
) -> Coverage {
    let mut covered: BTreeMap<&str, BTreeSet<TenantId>> = BTreeMap::new();
    let mut maybe: BTreeMap<&str, BTreeSet<TenantId>> = BTreeMap::new();
    for (tenant, marks) in tenants {
        let place = place(tree, environments, marks);
        for subaccount in &tree.subaccounts {
            let guid = subaccount.guid.as_str();
            match &place {
                Place::Known(guids) if guids.contains(guid) => {
                    covered.entry(guid).or_default().insert(tenant.clone());
                }
                Place::OneOf(guids) if guids.contains(guid) => {
                    maybe.entry(guid).or_default().insert(tenant.clone());
                }
                Place::Anywhere => {
                    maybe.entry(guid).or_default().insert(tenant.clone());
                }
                Place::Known(_) | Place::OneOf(_) => {}
            }
        }
    }
    let cover = |subaccount: &Subaccount| {
        let guid = subaccount.guid.as_str();
        match (covered.remove(guid), maybe.remove(guid)) {
            (Some(tenants), _) => Cover::Covered(tenants),
            _ if ignored.contains(guid) => Cover::Ignored,
            _ if !subaccount.should_be_covered() => Cover::Passing,
            (None, Some(tenants)) => Cover::Unknown(tenants),
            (None, None) => Cover::Uncovered,
        }
    };
    let guids = tree.subaccounts.iter().map(|subaccount| subaccount.guid.clone());
    guids.zip(tree.subaccounts.iter().map(cover)).collect()
}

/// Where a tenant with these marks is. A key names its subaccount for sure; the zone is as good; a subdomain is unique in its
/// region only; and an organization is known where the account says whose it is.
fn place(tree: &Tree, environments: &[Environment], marks: &Marks) -> Place {
    let with = |fits: &dyn Fn(&Subaccount) -> bool| -> BTreeSet<String> {
        let fitting = tree.subaccounts.iter().filter(|subaccount| fits(subaccount));
        fitting.map(|subaccount| subaccount.guid.clone()).collect()
    };
    if !marks.subaccounts.is_empty() {
        return Place::Known(with(&|of| marks.subaccounts.contains(&of.guid)));
    }
    if !marks.zones.is_empty() {
        return Place::Known(with(&|of| marks.zones.contains(&of.zone)));
    }
    if !marks.subdomains.is_empty() {
        let (mut known, mut open) = (BTreeSet::new(), BTreeSet::new());
        for (subdomain, region) in &marks.subdomains {
            let found = with(&|of| {
                of.subdomain == *subdomain
                    && region.as_ref().is_none_or(|region| same_region(region, &of.region))
            });
            if found.len() > 1 { &mut open } else { &mut known }.extend(found);
        }
        return if open.is_empty() { Place::Known(known) } else { Place::OneOf(&open | &known) };
    }
    let mut known = BTreeSet::new();
    for (api, org) in &marks.organizations {
        let of = environments.iter().filter(|environment| environment.api == *api && environment.org == *org);
        known.extend(of.map(|environment| environment.subaccount.clone()));
    }
    if known.is_empty() { Place::Anywhere } else { Place::Known(known) }
}

/// Regions are written with and without `cf-` in front.
fn same_region(one: &str, other: &str) -> bool {
    let bare = |region: &str| region.strip_prefix("cf-").unwrap_or(region).to_lowercase();
    one.is_empty() || other.is_empty() || bare(one) == bare(other)
}

/// How many subaccounts are in which case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All that should have a tenant or have one; those that are ignored, made or deleted are not among them.
    pub subaccounts: usize,
    /// Those that nobody covers.
    pub uncovered: usize,
    /// Those of which it cannot be told.
    pub unknown: usize,
}

impl Tally {
    /// Counts.
    pub fn of(coverage: &Coverage) -> Self {
        let mut tally = Self::default();
        for cover in coverage.values() {
            tally.subaccounts += usize::from(!matches!(cover, Cover::Ignored | Cover::Passing));
            tally.uncovered += usize::from(*cover == Cover::Uncovered);
            tally.unknown += usize::from(matches!(cover, Cover::Unknown(_)));
        }
        tally
    }
}
