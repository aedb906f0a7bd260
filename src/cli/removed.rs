//! Whether somebody whom the configuration does not name stands in the journal: then it was taken out, and is no slip.

use super::client::Daemon;
use super::{Common, offline};
use crate::daemon::protocol::History;
use crate::domain::names::{CredentialId, TenantId};

/// Whether the journal tells of `name`, a tenant or `tenant/credential`. What cannot be read tells of nobody.
pub(super) async fn is_in_the_journal(common: &Common, name: &str) -> bool {
    let credential = name.parse::<CredentialId>().ok();
    let Some(tenant) = credential.as_ref().map(|id| id.tenant.clone()).or_else(|| name.parse().ok()) else {
        return false;
    };
    if tenant == CredentialId::fleet().tenant {
        return false;
    }
    let which = credential.map_or_else(|| format!("tenant={tenant}"), |id| format!("credential={id}"));
    match Daemon::of(common).try_get::<History>(&format!("/v1/history?{which}")).await {
        Ok(history) => !history.entries.is_empty(),
        Err(_) => is_in_the_file(common, name, &tenant).await,
    }
}

async fn is_in_the_file(common: &Common, name: &str, tenant: &TenantId) -> bool {
    let entries = offline::told_of(common, tenant).await;
    entries.iter().any(|entry| name == tenant.as_str() || entry.credential.to_string() == name)
}
