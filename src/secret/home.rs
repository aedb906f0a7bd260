//! Where a service key belongs, as far as it says so itself: its subaccount and its zone. None of that is secret.

use serde_json::Value;

use super::ServiceKey;

/// Where a key belongs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// The guid of its subaccount.
    pub subaccount: Option<String>,
    /// The id of its zone at the token service.
    pub zone: Option<String>,
    /// The subdomain of its token service.
    pub subdomain: Option<String>,
    /// The region of its token service.
    pub region: Option<String>,
}

/// The host of a token service is `<subdomain>.authentication.<region>.hana.ondemand.com`, and for certificates
/// `<subdomain>.authentication.cert.<region>…` (facts: OAuth, section 1).
const AUTHENTICATION: &str = "authentication";

impl ServiceKey {
    /// Where it belongs.
    pub fn home(&self) -> Home {
        let document: Value = serde_json::from_str(self.document.expose()).unwrap_or_default();
        let login = ["uaa", "oauth"].into_iter().find_map(|name| document.get(name)).unwrap_or(&document);
        let text = |name: &str| {
            let found = [login, &document].into_iter().find_map(|layer| layer.get(name)?.as_str());
            found.filter(|text| is_word(text)).map(str::to_owned)
        };
        let (by_host, region) = self.token_host();
        Home {
            subaccount: text("subaccountid"),
            zone: text("identityzoneid").or_else(|| text("zoneid")).or_else(|| text("tenantid")),
            subdomain: text("identityzone").or(by_host),
            region,
        }
    }

    /// The grant that the key says it is for.
    pub fn grant_type(&self) -> Option<String> {
        let document: Value = serde_json::from_str(self.document.expose()).ok()?;
        document.get("grant_type").and_then(Value::as_str).filter(|text| is_word(text)).map(str::to_owned)
    }

    fn token_host(&self) -> (Option<String>, Option<String>) {
        let authority = self.token_url.split("://").nth(1).unwrap_or_default();
        let host = authority.split(['/', ':', '?']).next().unwrap_or_default();
        let mut labels = host.split('.');
        let (Some(subdomain), Some(AUTHENTICATION), Some(region)) =
            (labels.next(), labels.next(), labels.next())
        else {
            return (None, None);
        };
        let region = if region == "cert" { labels.next().unwrap_or_default() } else { region };
        let own = |text: &str| Some(text.to_owned()).filter(|text| is_word(text));
        (own(subdomain), own(region))
    }
}

/// Whether a text is short and plain, so that it may be shown.
fn is_word(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn home(key: &Value) -> Home {
        ServiceKey::parse(&key.to_string()).unwrap().home()
    }

    fn own(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn a_key_says_where_it_belongs() {
        let key = json!({ "endpoints": {}, "grant_type": "client_credentials", "uaa": {
            "clientid": "c", "clientsecret": "NotARealSecret", "url": "https://ga.authentication.eu10.hana.ondemand.com",
            "identityzone": "ga-sub", "identityzoneid": "zone-1", "tenantid": "zone-2", "subaccountid": "sub-1",
        } });
        let expected = Home {
            subaccount: Some(own("sub-1")),
            zone: Some(own("zone-1")),
            subdomain: Some(own("ga-sub")),
            region: Some(own("eu10")),
        };
        assert_eq!(home(&key), expected);
        let key = ServiceKey::parse(&key.to_string()).unwrap();
        assert_eq!(key.grant_type().as_deref(), Some("client_credentials"));
    }

    #[test]
    fn the_host_of_the_token_service_says_it_where_nothing_else_does() {
        let check = |url: &str, subdomain: Option<&str>, region: Option<&str>| {
            let found = home(&json!({ "oauth": {
                "clientid": "c", "clientsecret": "NotARealSecret", "url": "https://dsi.example", "tokenurl": url,
            } }));
            assert_eq!((found.subdomain.as_deref(), found.region.as_deref()), (subdomain, region), "{url}");
            assert_eq!((found.subaccount, found.zone), (None, None));
        };
        check("https://acme.authentication.eu10.hana.ondemand.com/oauth/token", Some("acme"), Some("eu10"));
        check(
            "https://acme.authentication.cert.us20.hana.ondemand.com/oauth/token",
            Some("acme"),
            Some("us20"),
        );
        check("https://127.0.0.1:4000/xsuaa/acme/oauth/token", None, None);
        check("https://authentication.eu10.hana.ondemand.com/oauth/token", None, None);
    }

    #[test]
    fn what_is_no_name_is_not_believed() {
        let found =
            home(&json!({ "clientid": "c", "clientsecret": "NotARealSecret", "url": "https://a.example",
            "subaccountid": "no\nname", "identityzone": 7, "tenantid": "x".repeat(200) }));
        assert_eq!(found, Home::default());
    }
}
