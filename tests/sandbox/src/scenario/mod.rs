//! What the sandbox shall play: the file a person writes, and the values a test builds. Every key has a
//! default, so that a tenant is just an id. Unknown keys are refused.

pub mod hostile;
pub mod tenant;

use serde::{Deserialize, Serialize};

use self::hostile::{Limits, Rates, Waits};
use self::tenant::TenantPlan;

/// A whole scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The same seed gives the same guids, secrets and chances.
    pub seed: u64,
    /// How unpleasant the sandbox is by itself, without injected faults.
    pub hostility: Hostility,
    /// With `liveness`: seconds after the start at which the faults stop.
    pub hostile_seconds: u32,
    /// Refuses what SAP would let pass: unknown fields, missing headers, paths of API v2.
    pub strict: bool,
    /// What every wait of the hostile modes and every window of a limit is multiplied with. At 1.0 they are SAP's own.
    pub pace: f64,
    /// Which of the two listeners the URLs in service keys point to.
    pub scheme: Scheme,
    /// How often the hostile modes do what.
    pub rates: Rates,
    /// How long they make a client wait, before `pace`.
    pub waits: Waits,
    /// How much SAP takes at once.
    pub limits: Limits,
    /// How long tokens live.
    pub token_lives: TokenLives,
    /// The issuer of keys.
    pub cloud_foundry: CloudFoundry,
    /// What else is in the global account of the tenants.
    pub cis: CisPlan,
    /// The tenants, each with its own keys and its own consumer.
    pub tenants: Vec<TenantPlan>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            hostility: Hostility::Safety,
            hostile_seconds: 30,
            strict: false,
            pace: 1.0,
            scheme: Scheme::Https,
            rates: Rates::default(),
            waits: Waits::default(),
            limits: Limits::default(),
            token_lives: TokenLives::default(),
            cloud_foundry: CloudFoundry::default(),
            cis: CisPlan::default(),
            tenants: Vec::new(),
        }
    }
}

impl Scenario {
    /// A hostile scenario with these tenants and defaults for everything else.
    pub fn of(tenants: impl IntoIterator<Item = TenantPlan>) -> Self {
        Self { tenants: tenants.into_iter().collect(), ..Self::default() }
    }

    /// The same on a sandbox that answers as documented, at once: for demos, and for tests whose point is an exact
    /// course of calls.
    #[must_use]
    pub fn kindly(self) -> Self {
        Self { hostility: Hostility::Kind, ..self }
    }

    /// Reads a scenario file.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// How unpleasant the sandbox is by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hostility {
    /// Answers as documented, at once.
    Kind,
    /// Faults at the seeded rates, and they never stop: the books must stay clean.
    Safety,
    /// The same faults until `hostile_seconds` have passed: every tenant must get through after that.
    Liveness,
}

/// The scheme of the URLs in service keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The plain listener.
    Http,
    /// The TLS listener, whose certificate authority is made at each start.
    Https,
}

/// Lives of access tokens, in seconds. SAP's defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenLives {
    /// Tokens of the Cloud Foundry UAA.
    pub cloud_foundry: u32,
    /// Tokens of DSI keys.
    pub dsi: u32,
    /// Tokens of `ciapi` keys.
    pub ciapi: u32,
    /// Tokens of `cirt` keys.
    pub cirt: u32,
}

impl Default for TokenLives {
    fn default() -> Self {
        Self { cloud_foundry: 1200, dsi: 43_200, ciapi: 43_200, cirt: 3600 }
    }
}

/// The subaccounts that no tenant is in. Each tenant has one of its own name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CisPlan {
    /// Names of those that are like the others.
    pub uncovered: Vec<String>,
    /// Names of those that are being deleted.
    pub deleting: Vec<String>,
}

/// The issuer's side.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudFoundry {
    /// The technical user.
    pub user: String,
    /// Its password; without one a password is derived from the seed.
    pub password: Option<String>,
    /// Its identity provider; when given, `login_hint` must name it.
    pub origin: Option<String>,
    /// How many looks a key creation or deletion job stays in progress.
    pub job_polls: u32,
    /// For how many looks lists do not show a new key yet.
    pub list_lag: u32,
    /// How many looks still show a deleted key.
    pub deleted_listed: u32,
    /// How often a new secret is refused before it works.
    pub secret_refusals: u32,
    /// Live keys allowed per service instance.
    pub quota: Option<u32>,
    /// The largest page, whatever `per_page` asks.
    pub page_size: Option<u32>,
    /// All keys of an instance have one and the same secret.
    pub instance_secret: bool,
}

impl Default for CloudFoundry {
    fn default() -> Self {
        Self {
            user: "robot@sandbox.example".to_owned(),
            password: None,
            origin: None,
            job_polls: 1,
            list_lag: 0,
            deleted_listed: 0,
            secret_refusals: 0,
            quota: None,
            page_size: None,
            instance_secret: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_just_an_id() {
        let scenario = Scenario::parse("seed = 3\n[[tenants]]\nid = \"acme\"\n").unwrap();
        assert_eq!(scenario.tenants[0].ciapi_age_days, [345]);
        assert_eq!(scenario.hostility, Hostility::Safety, "hostile is the default");
        assert_eq!(scenario.kindly().hostility, Hostility::Kind);
    }

    #[test]
    fn the_demo_is_a_scenario() {
        let scenario = Scenario::parse(include_str!("../../scenarios/demo.toml")).unwrap();
        assert_eq!((scenario.tenants.len(), scenario.hostility), (6, Hostility::Kind));
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [
            "sead = 3",
            "[rates]\nx = 1",
            "[waits]\nx = 1",
            "[limits]\nx = 1",
            "[[tenants]]\nid = \"a\"\nage = 3",
            "[cloud_foundry]\nx = 1",
            "[cis]\nx = 1",
        ] {
            assert!(Scenario::parse(text).is_err(), "{text}");
        }
    }
}
