//! One tenant in a scenario: its keys, its login, and how its consumer behaves.

use serde::{Deserialize, Serialize};

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
    /// Who makes its keys.
    #[serde(default)]
    pub issuer: Issuer,
    /// What the DSI key logs in with, and the key of its Service Manager.
    #[serde(default)]
    pub login: Login,
    /// Whether the technical user may only read in the space of this tenant's instances (Space Auditor).
    #[serde(default)]
    pub auditor: bool,
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
            issuer: Issuer::default(),
            login: Login::default(),
            auditor: false,
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

    /// The same tenant with keys of this issuer.
    #[must_use]
    pub fn by(self, issuer: Issuer) -> Self {
        Self { issuer, ..self }
    }

    /// The same tenant in a space in which the technical user may only read.
    #[must_use]
    pub fn audited(self) -> Self {
        Self { auditor: true, ..self }
    }

    /// The same tenant with a certificate in its DSI key.
    #[must_use]
    pub fn with_certificate(self) -> Self {
        Self { login: Login::Certificate, ..self }
    }
}

/// Who makes the keys of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issuer {
    /// Cloud Foundry, for all tenants with one login.
    #[default]
    CloudFoundry,
    /// Service Manager, with a key of each tenant's own.
    ServiceManager,
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
