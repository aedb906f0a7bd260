//! What the sandbox shall play: the file a person writes, and the values a test builds. Every key has a
//! default, so that a tenant is just an id. Unknown keys are refused.

use serde::{Deserialize, Serialize};

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
    /// Which of the two listeners the URLs in service keys point to.
    pub scheme: Scheme,
    /// How often the hostile modes do what.
    pub rates: Rates,
    /// How long tokens live.
    pub token_lives: TokenLives,
    /// The issuer of keys.
    pub cloud_foundry: CloudFoundry,
    /// The tenants, each with its own keys and its own consumer.
    pub tenants: Vec<TenantPlan>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            hostility: Hostility::Kind,
            hostile_seconds: 30,
            scheme: Scheme::Https,
            rates: Rates::default(),
            token_lives: TokenLives::default(),
            cloud_foundry: CloudFoundry::default(),
            tenants: Vec::new(),
        }
    }
}

impl Scenario {
    /// A kind scenario with these tenants and defaults for everything else.
    pub fn of(tenants: impl IntoIterator<Item = TenantPlan>) -> Self {
        Self { tenants: tenants.into_iter().collect(), ..Self::default() }
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

/// Rates and limits of the hostile modes. A rate is a share of requests, from 0.0 to 1.0.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Valid bearer tokens answered 401; the token is dead from then on.
    pub unauthorized: f64,
    /// Requests that fail before they take effect.
    pub before: f64,
    /// Requests whose reply is lost or spoilt after they took effect.
    pub after: f64,
    /// Creation jobs that end FAILED although the key exists.
    pub job_failed: f64,
    /// Jobs that are gone when they are complete.
    pub job_gone: f64,
    /// The largest number of polls or refusals drawn for anything that takes a while.
    pub polls: u32,
    /// The wait asked for in `Retry-After`, in seconds.
    pub retry_after_seconds: u32,
    /// Foreign keys and `app` bindings mixed into each service instance.
    pub foreign_keys: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            unauthorized: 0.05,
            before: 0.05,
            after: 0.05,
            job_failed: 0.05,
            job_gone: 0.05,
            polls: 3,
            retry_after_seconds: 1,
            foreign_keys: 2,
        }
    }
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
    /// How many lists do not show a new key yet.
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

/// One tenant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantPlan {
    /// Its id, `[a-z0-9-]+`.
    pub id: String,
    /// Ages of the `ciapi` keys present at the start, in days; the consumer holds the first.
    #[serde(default = "one_due_key")]
    pub ciapi_age_days: Vec<u32>,
    /// Ages of the `cirt` keys present at the start, in days; the consumer holds the first.
    #[serde(default = "one_due_key")]
    pub cirt_age_days: Vec<u32>,
    /// What the DSI key logs in with.
    #[serde(default)]
    pub login: Login,
    /// How the consumer behaves.
    #[serde(default)]
    pub dataplane: Dataplane,
}

/// Due with the usual lead of 30 days before 12 months.
fn one_due_key() -> Vec<u32> {
    vec![345]
}

impl TenantPlan {
    /// A tenant whose two keys are 345 days old.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ciapi_age_days: one_due_key(),
            cirt_age_days: one_due_key(),
            login: Login::default(),
            dataplane: Dataplane::default(),
        }
    }

    /// The same tenant with keys of this age.
    #[must_use]
    pub fn aged(self, days: u32) -> Self {
        Self { ciapi_age_days: vec![days], cirt_age_days: vec![days], ..self }
    }

    /// The same tenant with this consumer.
    #[must_use]
    pub fn with(self, dataplane: Dataplane) -> Self {
        Self { dataplane, ..self }
    }

    /// The same tenant with a certificate in its DSI key.
    #[must_use]
    pub fn with_certificate(self) -> Self {
        Self { login: Login::Certificate, ..self }
    }
}

/// What a DSI key logs in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A client secret.
    #[default]
    Secret,
    /// A client certificate.
    Certificate,
}

/// How a consumer takes credentials and provisions. Everything here can be changed while it runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent traits of a consumer")]
pub struct Dataplane {
    /// The words of the status.
    pub vocabulary: Vocabulary,
    /// The form around the words.
    pub shape: Shape,
    /// Whether the status carries `updatedAt`.
    pub timestamps: bool,
    /// This many runs end in an error although the credential is fine.
    pub fail_first: u32,
    /// PUT answers 200, and the old pair is kept.
    pub ignore_put: bool,
    /// PUT takes over the entry of this role only.
    pub put_only: Option<Role>,
    /// PUT answers this status and does nothing.
    pub put_status: Option<u16>,
    /// PUT alone starts a run.
    pub redeploy_on_put: bool,
    /// Whether the client may start runs by itself; the books expect proof by exclusion only then.
    pub redeploy_allowed: bool,
    /// `GET credentials/dataplane` answers, without secrets, instead of 404.
    pub read_back: bool,
    /// Runs never end.
    pub stuck: bool,
    /// How many looks after a start still show the end of the previous run.
    pub stale_polls: u32,
    /// How many looks a run stays in progress.
    pub polls: u32,
    /// How many milliseconds a run takes, on top of the looks.
    pub milliseconds: u32,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self {
            vocabulary: Vocabulary::Deployment,
            shape: Shape::Object,
            timestamps: true,
            fail_first: 0,
            ignore_put: false,
            put_only: None,
            put_status: None,
            redeploy_on_put: false,
            redeploy_allowed: true,
            read_back: false,
            stuck: false,
            stale_polls: 0,
            polls: 2,
            milliseconds: 0,
        }
    }
}

/// The part a key plays in the pair that the consumer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The API key: only deployments need it.
    Ciapi,
    /// The runtime key: data transfer needs it.
    Cirt,
}

impl Role {
    /// Its name in paths, names and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ciapi => "ciapi",
            Self::Cirt => "cirt",
        }
    }
}

/// Words for the states of a run. SAP publishes no schema, so a client has to read them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// PENDING, DEPLOYING, SUCCESS, ERROR.
    Deployment,
    /// In Progress, Success, Error: the words of the user interface.
    Ui,
    /// QUEUED, DEPLOYING, SUCCESS, FAIL: build-and-deploy of Cloud Integration.
    Build,
    /// REQUESTED, REGISTERED, AVAILABLE, UNAVAILABLE: the data plane of the Eclipse components.
    Edc,
    /// Words that no client can know.
    Unknown,
}

/// The form around the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `{"status":"…","updatedAt":"…"}`
    Object,
    /// `{"provisioningStatus":"…"}`, and the error text in `message`.
    OtherName,
    /// A JSON string.
    Text,
    /// A word in `text/plain`.
    Plain,
    /// A list of steps, each with a status of its own.
    Steps,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_just_an_id() {
        let scenario = Scenario::parse("seed = 3\n[[tenants]]\nid = \"acme\"\n").unwrap();
        assert_eq!(scenario.tenants[0].ciapi_age_days, [345]);
        assert_eq!(scenario.hostility, Hostility::Kind);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in
            ["sead = 3", "[rates]\nx = 1", "[[tenants]]\nid = \"a\"\nage = 3", "[cloud_foundry]\nx = 1"]
        {
            assert!(Scenario::parse(text).is_err(), "{text}");
        }
    }
}
