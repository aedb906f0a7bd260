//! What a portal answers, mutated.

use serde_json::Value;

use super::user::user;
use crate::http::malform::batter;
use crate::issuer::binding::is_guid;

#[test]
fn technical_users() {
    let samples = [
        r#"{"serviceAccountId":"6f1c2f3e-1111-4222-a333-444455556666","clientId":"sa42","name":"Data Space Integration","userType":"INTERNAL","serviceAccountType":"PROVIDER_OWNED","status":"ACTIVE","isOwner":false,"isProvider":true,"offerSubscriptionId":"6f1c2f3e","connector":{"id":"6f1c2f3e","name":"acme-dev"}}"#,
        r#"{"serviceAccountId":"u-2","clientId":"sb-x!b1","name":"dim-rekeyd-sole-g1-abcdefghijk","usertype":"external","authenticationServiceUrl":"https://wallet.example/oauth/token","secret":"NotARealSecret","status":"PENDING_DELETION","roles":[{"roleId":"r-1","clientId":"c","roleName":"Identity Wallet Management"}]}"#,
        r#"{"serviceAccountId":"u-3","clientId":null,"name":"dim-x","usertype":"external","authenticationServiceUrl":"The technical user is being created","status":"PENDING","roles":[]}"#,
    ];
    batter("portal", &samples, |body| {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        let Ok(found) = user(&value) else { return };
        // Both become part of an address or of a decision.
        assert!(is_guid(&found.id) && !found.name.is_empty());
        assert!(found.roles.iter().all(|role| is_guid(role)));
        if let Some(url) = found.token_url {
            assert!(url.starts_with("http") && url.ends_with("/token") && !url.contains(char::is_whitespace));
        }
    });
}
