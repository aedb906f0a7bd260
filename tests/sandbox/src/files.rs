//! What an operator would have: service keys as downloaded, the password, the guids, the CA. As values for
//! tests, and as files for other processes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Value, json};

use crate::scenario::tenant::Issuer;
use crate::world::tenant::{OwnLogin, Tenant};
use crate::world::{ACCOUNT, World};

/// What a client has to know of a tenant.
#[derive(Clone, Debug, Serialize)]
pub struct TenantAccess {
    /// Its id.
    pub id: String,
    /// The guid of the instance whose keys have the role `ciapi`.
    pub ciapi: String,
    /// The guid of the instance whose keys have the role `cirt`.
    pub cirt: String,
    /// The names of the two instances.
    pub ciapi_name: String,
    /// See `ciapi_name`.
    pub cirt_name: String,
    /// The space that both are in.
    pub space_guid: String,
    /// The Cloud Foundry API.
    pub cloud_foundry_api: String,
    /// The technical user.
    pub user: String,
    /// Its identity provider.
    pub origin: Option<String>,
    /// Who makes its keys.
    pub issuer: Issuer,
    /// The DSI service key as downloaded; it holds secrets.
    #[serde(skip)]
    pub dsi_key: Value,
    /// The guid of its subaccount.
    pub subaccount: String,
    /// The key that shows the environments of its subaccount, as downloaded.
    #[serde(skip)]
    pub local_key: Value,
    /// The service key of its Service Manager as downloaded.
    #[serde(skip)]
    pub sm_key: Value,
    /// The password of the technical user.
    #[serde(skip)]
    pub password: String,
    /// The backend of its portal.
    pub portal_url: String,
    /// Where tokens of the portal's technical users are had.
    pub portal_token_url: String,
    /// The login of rekeyd at the portal.
    pub portal_client: String,
    /// Its secret.
    #[serde(skip)]
    pub portal_secret: String,
    /// The technical users of the connector, of the wallet, and of the provider, by their ids.
    pub technical_users: Vec<String>,
}

impl World {
    /// What a client has to know of this tenant.
    pub(crate) fn access(&self, id: &str) -> Option<TenantAccess> {
        let tenant = self.tenants.get(id)?;
        Some(TenantAccess {
            id: id.to_owned(),
            ciapi: tenant.ciapi.guid.clone(),
            cirt: tenant.cirt.guid.clone(),
            ciapi_name: tenant.ciapi.name.clone(),
            cirt_name: tenant.cirt.name.clone(),
            space_guid: tenant.space.clone(),
            cloud_foundry_api: format!("{}/cf", self.public_base()),
            user: self.login.user.clone(),
            origin: self.login.origin.clone(),
            issuer: tenant.issuer,
            dsi_key: self.dsi_key(tenant),
            sm_key: self.sm_key(tenant),
            subaccount: tenant.subaccount.clone(),
            local_key: self.cis_key(&tenant.local, id, "local"),
            password: self.login.password.clone(),
            portal_url: format!("{}/portal/{id}", self.key_base()),
            portal_token_url: format!(
                "{}/centralidp/{id}/auth/realms/CX-Central/protocol/openid-connect/token",
                self.key_base()
            ),
            portal_client: tenant.portal.client_id.clone(),
            portal_secret: tenant.portal.secret.clone(),
            technical_users: tenant.portal.users.iter().take(3).map(|user| user.id.clone()).collect(),
        })
    }

    /// The key of the global account in the shape in which the cockpit downloads it.
    pub(crate) fn central_key(&self) -> Value {
        self.cis_key(&self.cis, ACCOUNT, "central")
    }

    fn cis_key(&self, login: &OwnLogin, zone: &str, plan: &str) -> Value {
        let url = format!("{}/cis", self.key_base());
        json!({
            "endpoints": {
                "accounts_service_url": url, "entitlements_service_url": url, "events_service_url": url,
                "provisioning_service_url": url, "saas_registry_service_url": url,
            },
            "grant_type": "client_credentials",
            "sap.cloud.service": format!("com.sap.core.commercial.service.{plan}"),
            "uaa": {
                "clientid": login.client_id, "clientsecret": login.secret, "credential-type": "binding-secret",
                "url": format!("{}/xsuaa/{zone}", self.key_base()), "identityzone": zone, "tenantmode": "shared",
                "xsappname": login.client_id.trim_start_matches("sb-"),
            },
        })
    }

    /// The key of Service Manager in the shape in which the cockpit downloads it.
    fn sm_key(&self, tenant: &Tenant) -> Value {
        let (base, login) = (self.key_base(), &tenant.manager);
        let mut key = json!({
            "clientid": login.client_id, "sm_url": format!("{base}/sm"),
            "url": format!("{base}/xsuaa/{}", tenant.id), "xsappname": login.client_id.trim_start_matches("sb-"),
        });
        match &login.certificate {
            None => key["clientsecret"] = json!(login.secret),
            Some(certificate) => {
                key["certificate"] = json!(certificate.chain_pem);
                key["key"] = json!(certificate.key_pem);
                key["certurl"] =
                    json!(format!("{}/xsuaa-cert/{}", self.inside(&self.bases.https), tenant.id));
            }
        }
        key
    }

    /// The key in the shape in which the cockpit downloads it.
    fn dsi_key(&self, tenant: &Tenant) -> Value {
        let url = format!("{}/dsi/{}", self.key_base(), tenant.id);
        let dsi = &tenant.dsi;
        let created = dsi.created_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let Some(certificate) = &dsi.certificate else {
            return json!({ "oauth": {
                "clientid": dsi.client_id, "clientsecret": dsi.secret, "url": url,
                "managementURL": format!("{url}/api/management"),
                "tokenurl": format!("{}/xsuaa/{}/oauth/token", self.key_base(), tenant.id), "createdate": created,
                // Real ones say it with the host of their token service; here all have one host.
                "identityzone": tenant.id, "subaccountid": tenant.subaccount,
            } });
        };
        json!({ "oauth": {
            "clientid": dsi.client_id, "certificate": certificate.chain_pem, "key": certificate.key_pem, "url": url,
            "managementURL": format!("{url}/api/management"),
            "tokenurl": format!("{}/xsuaa-cert/{}/oauth/token", self.inside(&self.bases.https), tenant.id),
            "createdate": created, "identityzone": tenant.id, "subaccountid": tenant.subaccount,
            "certificatedetails": {
                "issuerdn": "CN=SAP sandbox CA", "subjectdn": certificate.subject,
                "validuntil": certificate.valid_until, "serialnumber": "0x01",
            },
        } })
    }
}

/// Writes everything into `directory`: `ca.pem`, `cf-password`, `cis.json`, and per tenant `<id>.json`, `<id>-dsi.json`, `<id>-local.json` and, where it
/// is the issuer, `<id>-sm.json`.
pub(crate) fn write(
    directory: &Path,
    ca_pem: &str,
    password: &str,
    central_key: &Value,
    tenants: &[TenantAccess],
) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    put(&directory.join("cis.json"), &central_key.to_string())?;
    put(&directory.join("ca.pem"), ca_pem)?;
    put(&directory.join("cf-password"), password)?;
    for tenant in tenants {
        put(&directory.join(format!("{}.json", tenant.id)), &serde_json::to_string_pretty(tenant)?)?;
        put(&directory.join(format!("{}-dsi.json", tenant.id)), &tenant.dsi_key.to_string())?;
        put(&directory.join(format!("{}-local.json", tenant.id)), &tenant.local_key.to_string())?;
        if tenant.issuer == Issuer::ServiceManager {
            put(&directory.join(format!("{}-sm.json", tenant.id)), &tenant.sm_key.to_string())?;
        }
    }
    Ok(())
}

/// Writes a file that only its owner may read; an older file is replaced, with its permissions.
fn put(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
