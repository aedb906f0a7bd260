//! What a tenant's file says, made certain.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::daemon::choice;
use super::maintenance::Maintenance;
use super::schedule::Schedule;
use crate::domain::Timestamp;
use crate::domain::names::{Role, TenantId};
use crate::domain::observation::Verdict;
use crate::domain::policy::Policy;
use crate::secret::{Secret, ServiceKey};

choice! {
    /// Where keys are made.
    IssuerKind {
        /// Service keys of Cloud Foundry.
        CloudFoundry = "cloud-foundry",
        /// Service bindings of SAP Service Manager.
        ServiceManager = "service-manager",
        /// Technical users of a data space's portal.
        Portal = "portal",
        /// Files that somebody else writes.
        File = "file",
    }
}

choice! {
    /// Who is given a credential.
    ConsumerKind {
        /// SAP Data Space Integration.
        Dataspace = "dataspace",
        /// A file on this machine.
        File = "file",
        /// A program on this machine.
        Command = "command",
        /// A person.
        Manual = "manual",
    }
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// When it is looked at.
    pub schedule: Arc<Schedule>,
    /// When its rotations may begin; at any time where there are none.
    pub maintenance: Arc<[Maintenance]>,
    /// The guid of its subaccount, where the operator says it.
    pub subaccount: Option<String>,
    /// Its Data Space Integration.
    pub dataspace: Option<Dataspace>,
    /// Its Cloud Foundry.
    pub cloud_foundry: Option<CloudFoundry>,
    /// Its Service Manager.
    pub service_manager: Option<ServiceManager>,
    /// The portal of its data space.
    pub portal: Option<Portal>,
    /// What the data space is told of its connector.
    pub registration: Option<Registration>,
    /// Its folder of keys.
    pub files: Option<Files>,
    /// What is rotated.
    pub credentials: Vec<Credential>,
}

/// SAP Data Space Integration, as a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataspace {
    /// How rekeyd logs in.
    pub key: ServiceKey,
    /// The connector's address, without a slash at its end.
    pub url: String,
    /// What comes between the address and the calls.
    pub base_path: String,
    /// What status words mean that rekeyd does not know.
    pub status_words: BTreeMap<String, Verdict>,
}

/// Cloud Foundry, as an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudFoundry {
    /// The API endpoint, without a slash at its end.
    pub api: String,
    /// The technical user.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Its identity provider.
    pub origin: Option<String>,
    /// The login server, where it is not the one the API names.
    pub uaa: Option<String>,
}

/// SAP Service Manager, as an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceManager {
    /// How rekeyd logs in.
    pub key: ServiceKey,
    /// Its address, without a slash at its end.
    pub url: String,
    /// How many calls the login makes in an hour.
    pub calls_per_hour: u32,
}

/// A data space's portal, as an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// The address of its backend, without a slash at its end.
    pub url: String,
    /// Where tokens of its own technical users are had.
    pub token_url: String,
    /// The client id of rekeyd's login.
    pub client_id: String,
    /// Its secret.
    pub secret: Secret,
    /// What secrets are sealed with that are reset in place.
    pub seal_key: Option<Secret>,
}

/// How the secret of a technical user is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replace {
    /// A person resets it in place.
    ByHand,
    /// rekeyd resets it in place.
    Reset,
    /// A second technical user takes its place.
    SecondUser,
}

/// What a data space is told of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The business partner number.
    pub bpn: String,
    /// The location code.
    pub location: String,
    /// The connector's name.
    pub connector_name: String,
    /// The connector's address.
    pub connector_url: String,
    /// The client id of the portal's technical user for the connector.
    pub connector_user: String,
    /// Its secret.
    pub connector_secret: Secret,
    /// The token address of the portal's central identity provider.
    pub central_idp_token_url: String,
    /// The address of the portal's backend.
    pub backend_portal_url: String,
    /// The address of the BDRS server.
    pub bdrs_server_url: String,
    /// The decentral identifier.
    pub did: String,
    /// The identifiers of trusted issuers.
    pub trusted_issuers: Vec<String>,
    /// The client id of the technical user for the wallet.
    pub wallet_user: String,
    /// Its secret.
    pub wallet_secret: Secret,
    /// The wallet's token address.
    pub wallet_token_url: String,
    /// The address of decentral identity management.
    pub wallet_url: String,
}

/// A folder of keys, as an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder.
    pub folder: PathBuf,
}

/// What is rotated as a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What the operator wants.
    pub policy: Policy,
    /// Where its keys are made.
    pub issuer: IssuerKind,
    /// Who is given it.
    pub consumer: ConsumerKind,
    /// Where the keys of each role are.
    pub places: BTreeMap<Role, Place>,
    /// The consumer, where it is one beside rekeyd.
    pub local: Option<Local>,
}

/// A consumer beside rekeyd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// How it is given the key.
    pub way: Way,
    /// What looks whether it works; a person, where there is nothing.
    pub check: Option<Program>,
}

/// How a consumer beside rekeyd is given the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Its owner, by number.
        owner: Owner,
        /// What is run after that.
        reload: Option<Program>,
    },
    /// By a program that reads it from its standard input.
    Command(Program),
    /// By a person.
    Manual,
}

/// The owner of a file, by number; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// The user.
    pub user: Option<u32>,
    /// The group.
    pub group: Option<u32>,
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its whole path.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
}

/// Where the keys of one role are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A service instance, by guid in lower case.
    Guid(String),
    /// A service instance, by name.
    Named {
        /// The organization.
        org: String,
        /// The space.
        space: String,
        /// The instance.
        name: String,
    },
    /// The tenant's folder.
    Folder,
    /// A technical user of the tenant's portal.
    TechnicalUser {
        /// The portal's id of it.
        id: String,
        /// How its secret is replaced.
        replace: Replace,
        /// When its secret was made, where the operator says so.
        since: Option<Timestamp>,
    },
}

impl Place {
    /// Whether a fresh key takes the place of the one in use, which dies with that.
    pub fn is_in_place(&self) -> bool {
        matches!(self, Self::TechnicalUser { replace: Replace::ByHand | Replace::Reset, .. })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guid(guid) => f.write_str(guid),
            Self::Named { org, space, name } => write!(f, "{org}/{space}/{name}"),
            Self::Folder => f.write_str("folder"),
            Self::TechnicalUser { id, .. } => f.write_str(id),
        }
    }
}
