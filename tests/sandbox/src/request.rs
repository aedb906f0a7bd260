//! A request as the rest of the sandbox sees it, and which endpoint it is for.

use bytes::Bytes;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::scenario::tenant::Role;
use crate::world::World;

/// What a call is for; the name that rules and the call log use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The root links of the Cloud Foundry API.
    Root,
    /// A token, of the UAA or of a tenant's token service.
    Token,
    /// Service instances, spaces and organizations.
    Discover,
    /// The list of keys.
    ListKeys,
    /// Creates a key.
    CreateKey,
    /// Asks for the state of a creation or deletion.
    PollJob,
    /// Reads a key or its secret.
    ReadKey,
    /// Deletes a key.
    DeleteKey,
    /// Uses a key at Cloud Integration.
    TestKey,
    /// Gives the consumer a pair.
    PutCredentials,
    /// Asks the consumer which pair it holds.
    ReadCredentials,
    /// Starts a provisioning run.
    StartDataplane,
    /// Asks for its status.
    GetDataplane,
    /// Registers the connector.
    Register,
    /// Looks at the global account or at the environments of a subaccount.
    ReadAccount,
    /// Anything else.
    Unknown,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// It came over TLS.
    pub(crate) secure: bool,
    /// The client certificate that was proven in the handshake, as DER.
    pub(crate) certificate: Option<Vec<u8>>,
    /// Of a PUT only the entry of this role is applied: the service fails in between.
    pub(crate) only: Option<Role>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    pub(crate) fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The token in the header, where there is one.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// The base that this request came to, for links in its answer.
    pub(crate) fn base(&self, world: &World) -> String {
        world.inside(if self.secure { &world.bases.https } else { &world.bases.http })
    }
}

/// The value of a parameter.
pub(crate) fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What is asked of a portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortalCall {
    Token,
    WalletToken,
    List,
    Create,
    Get(String),
    Reset(String),
    Delete(String),
}

/// Where a request goes, with the variable parts of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Root,
    UaaToken,
    UserInfo,
    Roles,
    Instances,
    Spaces,
    Organizations,
    ListBindings,
    CreateBinding,
    GetBinding(String),
    Details(String),
    DeleteBinding(String),
    Job(String),
    ListManaged,
    CreateManaged,
    GetManaged(String),
    DeleteManaged(String),
    Managed { binding: String, operation: String },
    XsuaaToken { tenant: String, certificate: bool },
    PutCredentials(String),
    ReadCredentials(String),
    StartDataplane(String),
    GetDataplane(String),
    Register(String),
    Account,
    Subaccounts,
    Environments,
    Artifacts(String),
    Runtime(String),
    Portal { tenant: String, call: PortalCall },
    Nowhere,
}

impl Endpoint {
    pub(crate) fn of(method: &str, path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let own = |part: &&str| (*part).to_owned();
        match (method, parts.as_slice()) {
            ("GET", ["cf"]) => Self::Root,
            (_, ["uaa", "oauth", "token"]) => Self::UaaToken,
            ("GET", ["uaa", "userinfo"]) => Self::UserInfo,
            ("GET", ["cf", "v3", "roles"]) => Self::Roles,
            ("GET", ["cf", "v3", "service_instances"]) => Self::Instances,
            ("GET", ["cf", "v3", "spaces"]) => Self::Spaces,
            ("GET", ["cf", "v3", "organizations"]) => Self::Organizations,
            ("GET", ["cf", "v3", "service_credential_bindings"]) => Self::ListBindings,
            ("POST", ["cf", "v3", "service_credential_bindings"]) => Self::CreateBinding,
            ("GET", ["cf", "v3", "service_credential_bindings", guid]) => Self::GetBinding(own(guid)),
            ("GET", ["cf", "v3", "service_credential_bindings", guid, "details"]) => Self::Details(own(guid)),
            ("DELETE", ["cf", "v3", "service_credential_bindings", guid]) => Self::DeleteBinding(own(guid)),
            ("GET", ["cf", "v3", "jobs", guid]) => Self::Job(own(guid)),
            (method, ["sm", "v1", "service_bindings", rest @ ..]) => Self::of_manager(method, rest),
            (_, ["xsuaa", tenant, "oauth", "token"]) => {
                Self::XsuaaToken { tenant: own(tenant), certificate: false }
            }
            (_, ["xsuaa-cert", tenant, "oauth", "token"]) => {
                Self::XsuaaToken { tenant: own(tenant), certificate: true }
            }
            (method, ["dsi", tenant, "api", "v1", "dsi", rest @ ..]) => {
                Self::of_dsi(method, own(tenant), rest)
            }
            ("GET", ["cis", "accounts", "v1", "globalAccount"]) => Self::Account,
            ("GET", ["cis", "accounts", "v1", "subaccounts"]) => Self::Subaccounts,
            ("GET", ["cis", "provisioning", "v1", "environments"]) => Self::Environments,
            ("GET", ["ci", tenant, "api", "v1", "IntegrationRuntimeArtifacts"]) => {
                Self::Artifacts(own(tenant))
            }
            (
                _,
                ["centralidp", tenant, "auth", "realms", "CX-Central", "protocol", "openid-connect", "token"],
            ) => Self::Portal { tenant: own(tenant), call: PortalCall::Token },
            (_, ["wallet", tenant, "oauth", "token"]) => {
                Self::Portal { tenant: own(tenant), call: PortalCall::WalletToken }
            }
            (
                method,
                [
                    "portal",
                    tenant,
                    "api",
                    "administration",
                    "serviceaccount",
                    "owncompany",
                    "serviceaccounts",
                    rest @ ..,
                ],
            ) => Self::of_portal(method, own(tenant), rest),
            (_, ["cirt", tenant, ..]) => Self::Runtime(own(tenant)),
            _ => Self::Nowhere,
        }
    }

    fn of_manager(method: &str, rest: &[&str]) -> Self {
        let own = |part: &&str| (*part).to_owned();
        match (method, rest) {
            ("GET", []) => Self::ListManaged,
            ("POST", []) => Self::CreateManaged,
            ("GET", [id]) => Self::GetManaged(own(id)),
            ("DELETE", [id]) => Self::DeleteManaged(own(id)),
            ("GET", [id, "operations", operation]) => {
                Self::Managed { binding: own(id), operation: own(operation) }
            }
            _ => Self::Nowhere,
        }
    }

    fn of_portal(method: &str, tenant: String, rest: &[&str]) -> Self {
        let own = |part: &&str| (*part).to_owned();
        let call = match (method, rest) {
            ("GET", []) => PortalCall::List,
            ("POST", []) => PortalCall::Create,
            ("GET", [id]) => PortalCall::Get(own(id)),
            ("POST", [id, "resetCredentials"]) => PortalCall::Reset(own(id)),
            ("DELETE", [id]) => PortalCall::Delete(own(id)),
            _ => return Self::Nowhere,
        };
        Self::Portal { tenant, call }
    }

    fn of_dsi(method: &str, tenant: String, rest: &[&str]) -> Self {
        match (method, rest) {
            ("PUT", ["credentials", "dataplane"]) => Self::PutCredentials(tenant),
            ("GET", ["credentials", "dataplane"]) => Self::ReadCredentials(tenant),
            ("POST", ["dataplane"]) => Self::StartDataplane(tenant),
            ("GET", ["dataplane"]) => Self::GetDataplane(tenant),
            ("POST", ["registration"]) => Self::Register(tenant),
            _ => Self::Nowhere,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Root => Operation::Root,
            Self::UaaToken | Self::XsuaaToken { .. } => Operation::Token,
            Self::UserInfo | Self::Roles | Self::Instances | Self::Spaces | Self::Organizations => {
                Operation::Discover
            }
            Self::ListBindings | Self::ListManaged => Operation::ListKeys,
            Self::CreateBinding | Self::CreateManaged => Operation::CreateKey,
            Self::GetBinding(_) | Self::Details(_) | Self::GetManaged(_) => Operation::ReadKey,
            Self::DeleteBinding(_) | Self::DeleteManaged(_) => Operation::DeleteKey,
            Self::Job(_) | Self::Managed { .. } => Operation::PollJob,
            Self::PutCredentials(_) => Operation::PutCredentials,
            Self::ReadCredentials(_) => Operation::ReadCredentials,
            Self::StartDataplane(_) => Operation::StartDataplane,
            Self::GetDataplane(_) => Operation::GetDataplane,
            Self::Register(_) => Operation::Register,
            Self::Account | Self::Subaccounts | Self::Environments => Operation::ReadAccount,
            Self::Artifacts(_) | Self::Runtime(_) => Operation::TestKey,
            Self::Portal { call, .. } => match call {
                PortalCall::Token | PortalCall::WalletToken => Operation::Token,
                PortalCall::List => Operation::ListKeys,
                PortalCall::Create | PortalCall::Reset(_) => Operation::CreateKey,
                PortalCall::Get(_) => Operation::ReadKey,
                PortalCall::Delete(_) => Operation::DeleteKey,
            },
            Self::Nowhere => Operation::Unknown,
        }
    }

    /// The path with its variable parts named.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Root => "/cf",
            Self::UaaToken => "/uaa/oauth/token",
            Self::UserInfo => "/uaa/userinfo",
            Self::Roles => "/cf/v3/roles",
            Self::Instances => "/cf/v3/service_instances",
            Self::Spaces => "/cf/v3/spaces",
            Self::Organizations => "/cf/v3/organizations",
            Self::ListBindings | Self::CreateBinding => "/cf/v3/service_credential_bindings",
            Self::GetBinding(_) | Self::DeleteBinding(_) => "/cf/v3/service_credential_bindings/:guid",
            Self::Details(_) => "/cf/v3/service_credential_bindings/:guid/details",
            Self::Job(_) => "/cf/v3/jobs/:guid",
            Self::ListManaged | Self::CreateManaged => "/sm/v1/service_bindings",
            Self::GetManaged(_) | Self::DeleteManaged(_) => "/sm/v1/service_bindings/:guid",
            Self::Managed { .. } => "/sm/v1/service_bindings/:guid/operations/:guid",
            Self::XsuaaToken { certificate: false, .. } => "/xsuaa/:tenant/oauth/token",
            Self::XsuaaToken { certificate: true, .. } => "/xsuaa-cert/:tenant/oauth/token",
            Self::PutCredentials(_) | Self::ReadCredentials(_) => {
                "/dsi/:tenant/api/v1/dsi/credentials/dataplane"
            }
            Self::StartDataplane(_) | Self::GetDataplane(_) => "/dsi/:tenant/api/v1/dsi/dataplane",
            Self::Register(_) => "/dsi/:tenant/api/v1/dsi/registration",
            Self::Account => "/cis/accounts/v1/globalAccount",
            Self::Subaccounts => "/cis/accounts/v1/subaccounts",
            Self::Environments => "/cis/provisioning/v1/environments",
            Self::Artifacts(_) => "/ci/:tenant/api/v1/IntegrationRuntimeArtifacts",
            Self::Runtime(_) => "/cirt/:tenant/*",
            Self::Portal { call, .. } => match call {
                PortalCall::Token => "/centralidp/:tenant/*/token",
                PortalCall::WalletToken => "/wallet/:tenant/oauth/token",
                PortalCall::List | PortalCall::Create => "/portal/:tenant/*/serviceaccounts",
                PortalCall::Get(_) | PortalCall::Delete(_) => "/portal/:tenant/*/serviceaccounts/:id",
                PortalCall::Reset(_) => "/portal/:tenant/*/serviceaccounts/:id/resetCredentials",
            },
            Self::Nowhere => "*",
        }
    }

    /// The tenant that the request is about, where one can be told.
    pub(crate) fn tenant(&self, world: &World, request: &Request) -> Option<String> {
        let of_binding = |guid: &String| world.bindings.get(guid).map(|(tenant, _)| tenant.clone());
        let of_instance = |guid: &str| world.instances.get(guid).map(|(tenant, _)| tenant.clone());
        match self {
            Self::XsuaaToken { tenant, .. }
            | Self::PutCredentials(tenant)
            | Self::ReadCredentials(tenant)
            | Self::StartDataplane(tenant)
            | Self::GetDataplane(tenant)
            | Self::Register(tenant)
            | Self::Artifacts(tenant)
            | Self::Portal { tenant, .. }
            | Self::Runtime(tenant) => world.tenants.contains_key(tenant).then(|| tenant.clone()),
            Self::GetBinding(guid)
            | Self::Details(guid)
            | Self::DeleteBinding(guid)
            | Self::GetManaged(guid)
            | Self::DeleteManaged(guid)
            | Self::Managed { binding: guid, .. } => of_binding(guid),
            Self::ListManaged => world.tokens.managed(request.bearer()?),
            Self::CreateManaged => {
                let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
                of_instance(body.get("service_instance_id")?.as_str()?)
            }
            Self::Job(guid) => world.jobs.get(guid).map(|job| job.tenant.clone()),
            Self::ListBindings => {
                let parameters = request.parameters();
                value(&parameters, "service_instance_guids")?.split(',').find_map(of_instance)
            }
            Self::CreateBinding => {
                let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
                of_instance(body.pointer("/relationships/service_instance/data/guid")?.as_str()?)
            }
            // The others are about everybody, or about nobody.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_told_apart() {
        for (method, path, operation) in [
            ("GET", "/cf/", Operation::Root),
            ("GET", "/cf", Operation::Root),
            ("POST", "/uaa/oauth/token", Operation::Token),
            ("DELETE", "/cf/v3/service_credential_bindings/a", Operation::DeleteKey),
            ("GET", "/cf/v3/service_credential_bindings/a/details", Operation::ReadKey),
            ("PUT", "/dsi/acme/api/v1/dsi/credentials/dataplane", Operation::PutCredentials),
            ("DELETE", "/dsi/acme/api/v1/dsi/dataplane", Operation::Unknown),
            ("GET", "/cf/v2/service_keys", Operation::Unknown),
            ("GET", "/sm/v1/service_bindings", Operation::ListKeys),
            ("DELETE", "/sm/v1/service_bindings/a", Operation::DeleteKey),
            ("GET", "/sm/v1/service_bindings/a/operations/b", Operation::PollJob),
            (
                "POST",
                "/portal/acme/api/administration/serviceaccount/owncompany/serviceaccounts/a/resetCredentials",
                Operation::CreateKey,
            ),
            ("POST", "/wallet/acme/oauth/token", Operation::Token),
            ("PATCH", "/sm/v1/service_bindings/a", Operation::Unknown),
            ("GET", "/cis/accounts/v1/subaccounts", Operation::ReadAccount),
        ] {
            assert_eq!(Endpoint::of(method, path).operation(), operation, "{method} {path}");
        }
    }
}
