//! The technical users of a tenant at the portal of its data space (facts: portal).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::World;
use crate::chance::Chance;

/// How far along a technical user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Standing {
    /// It is being made, for so many more looks.
    Pending,
    /// It can be used.
    Active,
    /// It is being deleted.
    PendingDeletion,
    /// It is gone.
    Deleted,
}

/// One technical user, as a test may look at it.
#[derive(Clone, Debug, Serialize)]
pub struct TechnicalUser {
    /// The portal's id of it.
    pub id: String,
    /// Its client id.
    pub client_id: String,
    /// Its name.
    pub name: String,
    /// Whether it is one of the wallet.
    pub external: bool,
    /// Whether it belongs to the provider of an app.
    pub of_provider: bool,
    /// How far along it is.
    pub standing: Standing,
    /// The secret in force.
    #[serde(skip)]
    pub secret: String,
    /// How often its secret was reset.
    pub resets: u32,
    /// Whether a token was had with the secret in force.
    pub tested: bool,
    /// Its roles.
    pub roles: Vec<String>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// For how many more looks it stands as it does.
    #[serde(skip)]
    pub(crate) looks: u32,
}

impl TechnicalUser {
    /// It was looked at: what takes its time goes on.
    pub(crate) fn look(&mut self) {
        if self.looks > 0 {
            self.looks -= 1;
            return;
        }
        self.standing = match self.standing {
            Standing::Pending => Standing::Active,
            Standing::PendingDeletion => Standing::Deleted,
            other => other,
        };
    }
}

/// The portal as one tenant's company sees it.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) users: Vec<TechnicalUser>,
}

/// The role *Connector Management*, and that of the wallet.
pub(crate) const ROLES: [&str; 2] =
    ["c0de0000-0000-4000-8000-000000000001", "c0de0000-0000-4000-8000-000000000002"];

impl Portal {
    /// A company with a login for rekeyd, a technical user for its connector, one for its wallet, and one that belongs to
    /// the provider.
    pub(crate) fn new(chance: &mut Chance, tenant: &str, now: DateTime<Utc>) -> Self {
        let mut user = |name: &str, number: u32, external: bool, of_provider: bool| TechnicalUser {
            id: chance.guid(&format!("{tenant}/portal/{number}/id")),
            client_id: if external {
                format!("sb-wallet-{tenant}-{number}!b1")
            } else {
                format!("sa{number}")
            },
            name: name.to_owned(),
            external,
            of_provider,
            standing: Standing::Active,
            secret: chance.secret(&format!("{tenant}/portal/{number}/secret")),
            resets: 0,
            tested: false,
            roles: vec![ROLES[usize::from(external)].to_owned()],
            made_at: now,
            looks: 0,
        };
        let users = vec![
            user("Data Space Integration", 42, false, false),
            user("dim-Data Space Integration", 43, true, false),
            user("Provided by SAP", 44, false, true),
        ];
        Self { client_id: "sa7".to_owned(), secret: chance.secret(&format!("{tenant}/portal/login")), users }
    }

    pub(crate) fn user(&mut self, id: &str) -> Option<&mut TechnicalUser> {
        self.users.iter_mut().find(|user| user.id == id && user.standing != Standing::Deleted)
    }
}

impl World {
    /// The technical users of a tenant, those that are gone among them.
    pub(crate) fn technical_users(&self, tenant: &str) -> Vec<TechnicalUser> {
        self.tenants.get(tenant).map(|tenant| tenant.portal.users.clone()).unwrap_or_default()
    }

    /// A person resets the secret of a technical user.
    pub(crate) fn reset_by_hand(&mut self, tenant: &str, id: &str) -> bool {
        let secret = self.chance.secret(&format!("{tenant}/portal/reset"));
        let user = self.tenants.get_mut(tenant).and_then(|tenant| tenant.portal.user(id));
        user.is_some_and(|user| {
            (user.secret, user.tested) = (secret, false);
            user.resets += 1;
            true
        })
    }
}
