//! Every key there is: name, form, default, meaning. The parser, the reference file and its test, the schema and the
//! man page all read this table; there is no other list of keys.

mod cis;
mod local;
mod portal;
mod registration;
mod sink;
mod web;

use std::time::Duration;

use super::daemon::{LogFormat, Usr1};
use super::tenant::{ConsumerKind, IssuerKind};

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The name, as it is written.
    pub name: &'static str,
    /// What may stand there.
    pub form: Form,
    /// Whether it may be left out.
    pub need: Need,
    /// What it is for, in a sentence or two.
    pub doc: &'static str,
}

impl Key {
    /// What may stand there, in words.
    pub fn expectation(&self) -> String {
        super::leaf::expectation(&self.form)
    }

    /// The section that it opens below `path`; `None` for a value.
    pub fn section(&self, path: &str) -> Option<Section> {
        let (open, inner, close) = match self.form {
            Form::Table(inner) => ("[", inner, "]"),
            Form::Tables(inner) => ("[[", inner, "]]"),
            _ => return None,
        };
        let path = if path.is_empty() { self.name.to_owned() } else { format!("{path}.{}", self.name) };
        Some(Section { head: format!("{open}{path}{close}"), path, keys: inner })
    }
}

/// A section of a file.
#[derive(Debug)]
pub struct Section {
    /// How it is opened, with its brackets.
    pub head: String,
    /// The names down to it.
    pub path: String,
    /// What stands in it.
    pub keys: &'static [Key],
}

/// Whether a key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there. The text is an example, as TOML.
    Required(&'static str),
    /// It may be missing, and that means something. The text is an example, as TOML.
    Optional(&'static str),
    /// It may be missing and is then this. Sections have the empty text here: they may be left out.
    Default(&'static str),
}

/// What may stand under a key.
#[derive(Debug)]
pub enum Form {
    /// The version of the format.
    Version,
    /// 1 to 48 of a-z, 0-9 and `-`.
    Word,
    /// One line of text.
    Text,
    /// A file or directory; relative to the file it is written in.
    Path,
    /// A file with certificates in PEM; its content is read.
    Certificates,
    /// A whole number within limits.
    Count(u64, u64),
    /// `true` or `false`.
    Flag,
    /// A duration within limits.
    Span(Duration, Duration),
    /// A number of calendar months or a duration.
    Window,
    /// A number of bytes within limits.
    Size(u64, u64),
    /// An address, `https` unless allowed otherwise.
    Url,
    /// The path part of an address.
    UrlPath,
    /// An IP address and port, or nothing.
    Listen,
    /// Six cron fields.
    Cron,
    /// A zone of the IANA database.
    Zone,
    /// A log level or filter.
    Filter,
    /// One of the words; the second list is known and not there yet.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// A table of free words to the given ones.
    Words(&'static [&'static str]),
    /// Where a password is.
    Password,
    /// Where a service key is.
    ServiceKey,
    /// A service instance: its guid, or its name, space and organization.
    Instance,
    /// A list of texts.
    Texts,
    /// A program by its whole path, with its arguments.
    Program,
    /// An id as SAP makes them.
    Guid,
    /// A day of the calendar.
    Day,
    /// Permissions of a file, in octal.
    Mode,
    /// A user, a group, or both.
    Owner,
    /// A section with keys of its own.
    Table(&'static [Key]),
    /// Any number of sections with keys of their own.
    Tables(&'static [Key]),
}

const fn required(name: &'static str, form: Form, example: &'static str, doc: &'static str) -> Key {
    Key { name, form, need: Need::Required(example), doc }
}

const fn optional(name: &'static str, form: Form, example: &'static str, doc: &'static str) -> Key {
    Key { name, form, need: Need::Optional(example), doc }
}

const fn default(name: &'static str, form: Form, text: &'static str, doc: &'static str) -> Key {
    Key { name, form, need: Need::Default(text), doc }
}

const fn section(name: &'static str, keys: &'static [Key], doc: &'static str) -> Key {
    default(name, Form::Table(keys), "", doc)
}

const fn seconds(least: u64, most: u64) -> Form {
    Form::Span(Duration::from_secs(least), Duration::from_secs(most))
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1 << 20;

/// The keys of `rekeyd.toml`.
#[rustfmt::skip]
pub static DAEMON: &[Key] = &[
    required("version", Form::Version, "1", "The version of this format."),
    default("state-dir", Form::Path, "/var/lib/rekeyd", "Where the journal is. One daemon per directory."),
    default("tenants-dir", Form::Path, "tenants.d", "Where the tenants are: every `*.toml` in it is one tenant."),
    default("control-socket", Form::Path, "/run/rekeyd/control.sock", "Where commands reach the running daemon. Who may write to it may command it."),
    optional("instance", Form::Text, "\"rekeyd-1\"", "The name of this instance in leases, logs and the journal. The host name, if left out."),
    default("concurrency", Form::Count(1, 1024), "16", "How many tenants are worked on at once."),
    section("schedule", SCHEDULE, "When the daemon looks at every tenant. It rotates nothing by itself: what is not due is left alone."),
    section("lease", LEASE, "The exclusive right of one instance to work on one tenant."),
    section("web", web::WEB, "Metrics, health and the status page. Nothing can be changed over it."),
    section("metrics", web::METRICS, "How much the metrics tell."),
    section("log", LOG, "What goes to standard error."),
    section("tracing", TRACING, "Traces for a collector of OpenTelemetry. They hold no secret."),
    section("http", HTTP, "The way out, to SAP."),
    section("fleet", FLEET, "How many rotations may begin, and who goes first. Nothing here stops a rotation that has begun."),
    section("signal", SIGNAL, "What signals do."),
    section("limits", LIMITS, "What turns \"for ever\" into a halt that a person ends."),
    optional("cis", Form::Tables(cis::CIS), "", "A global account, whose subaccounts are looked at: who has none of the tenants here is told. Nothing is rotated by it."),
    optional("sink", Form::Tables(sink::SINK), "", "Who is told what happens. A sink that cannot be reached is told later; no rotation waits for it."),
];

#[rustfmt::skip]
static SCHEDULE: &[Key] = &[
    default("cron", Form::Cron, "0 17 */6 * * *", "Six fields: second, minute, hour, day of month, month, day of week. The longest pause must be shorter than every `lead`."),
    default("zone", Form::Zone, "UTC", "The time zone of `cron`, a name of the IANA database. A time that daylight saving skips is run at the end of the gap."),
];

#[rustfmt::skip]
static LEASE: &[Key] = &[
    default("life", seconds(1, HOUR), "60 s", "How long a lease outlives the last sign of its owner. Another instance takes over after that."),
];

#[rustfmt::skip]
static LOG: &[Key] = &[
    default("level", Form::Filter, "info", "`off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,rekeyd::http=debug`."),
    default("format", Form::Choice(LogFormat::WORDS, &[]), "auto", "`auto` speaks to journald where systemd runs it, writes text on a terminal, and JSON elsewhere; `logfmt` writes `key=value` pairs."),
];

#[rustfmt::skip]
static TRACING: &[Key] = &[
    optional("otlp-endpoint", Form::Url, "\"http://127.0.0.1:4318\"", "Where the collector takes OTLP over HTTP: spans go to `/v1/traces` there. None are sent without it. It is read at the start only; no rotation waits for it. What `level` in `[log]` leaves out below `info` is left out here, too."),
];

#[rustfmt::skip]
static HTTP: &[Key] = &[
    default("connect-timeout", seconds(1, 60), "10 s", "How long connecting may take."),
    default("read-timeout", seconds(1, 600), "30 s", "How long a server may be silent."),
    default("total-timeout", seconds(1, 600), "60 s", "How long one call may take altogether."),
    optional("ca-file", Form::Certificates, "\"/etc/rekeyd/ca.pem\"", "Further certificate authorities, PEM. The system's are trusted without it."),
    default("max-body", Form::Size(64 << 10, 64 * MIB), "1 MiB", "The longest answer that is read."),
    default("calls-per-hour", Form::Count(60, 3_600_000), "18000", "How many calls one login makes to one landscape in an hour, all its tenants together. Cloud Foundry takes a few 10 000 an hour from a user."),
    default("burst", Form::Count(1, 10_000), "60", "How many of these calls may be made at once after a quiet time."),
    default("allow-http", Form::Flag, "false", "Whether addresses may be `http`. For a sandbox on this machine only: secrets then travel in the open."),
];

#[rustfmt::skip]
static FLEET: &[Key] = &[
    default("fuse-rotations", Form::Count(1, 100_000), "10", "The fuse: how many rotations may begin in 24 hours. `rekeyd rotate --i-mean-it` passes it."),
    default("fuse-percent", Form::Count(0, 100), "10", "The same in percent of the fleet; the larger of both counts."),
    default("canary", Form::Flag, "true", "Whether the first rotation of a release goes alone until it is proven and has soaked, and then growing shares go."),
    default("first-share-percent", Form::Count(1, 100), "5", "How many go after the canary, in percent of the fleet, at least one."),
    default("second-share-percent", Form::Count(1, 100), "25", "How many go after the first share, in percent of the fleet. Everybody goes after that."),
    default("halt-percent", Form::Count(1, 100), "20", "The fleet halts when more of the rotations of a week fail than this, in percent. `rekeyd resume --fleet` ends it."),
    default("rotations-at-once", Form::Count(1, 1024), "32", "How many rotations may be under way at once, counted until they are proven."),
];

#[rustfmt::skip]
static SIGNAL: &[Key] = &[
    default("usr1", Form::Choice(Usr1::WORDS, &[]), "due", "What SIGUSR1 rotates: what is due, everything, or nothing. Gates and fuse hold in any case."),
];

#[rustfmt::skip]
static LIMITS: &[Key] = &[
    default("attempts", Form::Count(1, 100), "8", "Refused attempts of one step before the rotation turns back or halts."),
    default("cycles", Form::Count(1, 100), "3", "Rotations that turned back in a row before the credential halts."),
    default("keys-per-role", Form::Count(2, 10), "3", "Live keys per role at which nothing more is created."),
    default("stage-time", seconds(HOUR, 90 * DAY), "7 days", "How long a stage may last beyond what it is made to last."),
];

/// The keys of a tenant's file.
#[rustfmt::skip]
pub static TENANT: &[Key] = &[
    required("version", Form::Version, "1", "The version of this format."),
    required("id", Form::Word, "\"acme-prod\"", "The tenant's name in every command, metric and log line. It never changes: the journal knows the tenant by it."),
    optional("schedule", Form::Table(TENANT_SCHEDULE), "", "A schedule of this tenant's own, instead of the daemon's."),
    optional("maintenance", Form::Tables(MAINTENANCE), "", "When rotations of this tenant may begin: at any time, if left out. Where no window is left before the keys end, they begin all the same."),
    optional("subaccount", Form::Guid, "\"0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01\"", "The guid of the tenant's subaccount, for `rekeyd discover`: only needed where its keys do not say it."),
    optional("dataspace", Form::Table(DATASPACE), "", "SAP Data Space Integration of this tenant, as a consumer."),
    optional("cloud-foundry", Form::Table(CLOUD_FOUNDRY), "", "Cloud Foundry of this tenant, as an issuer."),
    optional("service-manager", Form::Table(SERVICE_MANAGER), "", "SAP Service Manager of this tenant, as an issuer: for instances outside Cloud Foundry."),
    optional("portal", Form::Table(portal::PORTAL), "", "The portal of this tenant's data space, Catena-X or Cofinity-X, as an issuer: the secrets of its technical users."),
    optional("registration", Form::Table(registration::REGISTRATION), "", "What the data space is told of this connector by `rekeyd register`. Nothing else uses it."),
    optional("files", Form::Table(FILES), "", "A folder of keys made by somebody else, as an issuer."),
    Key { name: "credential", form: Form::Tables(CREDENTIAL), need: Need::Required(""), doc: "What is rotated as a unit." },
];

#[rustfmt::skip]
static TENANT_SCHEDULE: &[Key] = &[
    optional("cron", Form::Cron, "\"0 5 3 * * *\"", "As in `rekeyd.toml`; the daemon's, if left out."),
    optional("zone", Form::Zone, "\"Europe/Berlin\"", "As in `rekeyd.toml`; the daemon's, if left out."),
];

#[rustfmt::skip]
static MAINTENANCE: &[Key] = &[
    required("schedule", Form::Cron, "\"0 0 22 * * Sat\"", "When the window opens. Six fields: second, minute, hour, day of month, month, day of week."),
    required("duration", seconds(60, 7 * DAY), "\"4 h\"", "How long it stays open."),
    default("time-zone", Form::Zone, "UTC", "The time zone of `schedule`, a name of the IANA database."),
];

#[rustfmt::skip]
static DATASPACE: &[Key] = &[
    required("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/acme-dsi.json\" }", "The service key of *Data Space Integration API Access*, as downloaded; with a client secret or a certificate."),
    optional("url", Form::Url, "\"https://acme.dsi.example.com\"", "The connector's address. The one in the service key, if left out."),
    default("base-path", Form::UrlPath, "/api/v1/dsi", "What comes between the address and the calls."),
    default("settle", seconds(0, DAY), "5 min", "How long the consumer is left alone after a delivery (SAP: 5 minutes)."),
    default("provision", Form::Choice(&["when-needed", "always", "never"], &[]), "when-needed", "Whether provisioning is asked for after a delivery. `never` rules out the proof by exclusion."),
    default("deadline", seconds(1, DAY), "30 min", "How long the consumer may take to reach a final state (SAP: up to 20 minutes)."),
    default("poll", Form::Span(Duration::from_millis(50), Duration::from_secs(HOUR)), "15 s", "The pause between two looks at something that is under way."),
    optional("status-words", Form::Words(STATUS_WORDS), "{ DEPLOYED = \"success\" }", "What the consumer's status words mean, where rekeyd does not know them."),
];

pub(super) const STATUS_WORDS: &[&str] = &["success", "in-progress", "error", "not-provisioned"];

#[rustfmt::skip]
static CLOUD_FOUNDRY: &[Key] = &[
    required("api", Form::Url, "\"https://api.cf.eu10.hana.ondemand.com\"", "The API endpoint of the region."),
    required("login", Form::Table(LOGIN), "", "A technical user with the role *Space Developer* in the spaces of the instances."),
    optional("uaa", Form::Url, "\"https://login.cf.eu10.hana.ondemand.com\"", "The login server. The one the API names, if left out."),
];

#[rustfmt::skip]
static LOGIN: &[Key] = &[
    required("user", Form::Text, "\"robot@acme.example\"", "The user's name, usually a mail address."),
    required("password", Form::Password, "{ credential = \"tenants_acme-cf\" }", "Where the password is."),
    optional("origin", Form::Text, "\"acme-idp\"", "The identity provider, by its origin key. SAP's own, if left out."),
];

#[rustfmt::skip]
static SERVICE_MANAGER: &[Key] = &[
    required("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/acme-sm.json\" }", "The service key of an instance of `service-manager`, plan `subaccount-admin`, as downloaded; with a client secret or a certificate."),
    default("calls-per-hour", Form::Count(60, 3_600_000), "5400", "How many calls this login makes in an hour, all its tenants together, and an eighteenth of that at once. SAP takes 6000 an hour and 600 a minute."),
];

#[rustfmt::skip]
static FILES: &[Key] = &[
    required("folder", Form::Path, "\"/etc/rekeyd/incoming\"", "The folder in which the keys are put."),
];

#[rustfmt::skip]
static CREDENTIAL: &[Key] = &[
    required("name", Form::Word, "\"dataplane\"", "The credential's name inside the tenant. It never changes."),
    required("issuer", Form::Choice(IssuerKind::WORDS, &[]), "\"cloud-foundry\"", "Where the keys are made."),
    required("consumer", Form::Choice(ConsumerKind::WORDS, &[]), "\"dataspace\"", "Who is given the credential."),
    default("window", Form::Window, "12 months", "How long a key may live (SAP: 12 months): calendar months or a duration. A certificate that ends earlier ends it."),
    default("lead", seconds(HOUR, 366 * DAY), "30 days", "How long before the end of the window the rotation is due."),
    default("spread", seconds(0, 366 * DAY), "3 days", "Rotations are due up to this long before the lead begins, each credential at its own time, so that a fleet of one age does not come at once."),
    default("soak", seconds(0, 366 * DAY), "48 hours", "How long both generations stay alive after the proof. The time in which `rekeyd restore` goes back at once."),
    default("token-life", seconds(1, 30 * DAY), "24 hours", "The longest life of an access token made with an old key."),
    default("propagation", seconds(0, HOUR), "2 min", "How long a fresh key may be refused before that means anything."),
    default("lag", seconds(0, HOUR), "60 s", "How long a listing may lag behind a write."),
    default("proofs", Form::Count(1, 20), "3", "How often in a row the consumer must be seen to work with the fresh keys before it counts as proven."),
    default("proof-span", seconds(0, DAY), "2 min", "The time from the first of these to the last, at least."),
    default("keys-per-instance", Form::Count(3, 100_000), "1000", "How many keys and bindings a service instance takes (XSUAA: 1000, some brokers: 30). Nothing is created that would use the last place."),
    default("evidence-life", seconds(10, DAY), "15 min", "How old evidence may be at the moment a key is retired."),
    default("retire-foreign", Form::Flag, "false", "Whether keys that rekeyd did not make may be retired."),
    optional("file", Form::Table(local::FILE), "", "A file on this machine, as the consumer: its one key is written there."),
    optional("command", Form::Table(local::COMMAND), "", "A program on this machine, as the consumer: its one key is given to it."),
    optional("manual", Form::Table(local::MANUAL), "", "A person, as the consumer: the one key is taken from the issuer by hand."),
    required("keys", Form::Table(KEYS), "", "Where the keys of each role are: `ciapi` and `cirt` for consumer `dataspace`, `sole` for every other."),
];

#[rustfmt::skip]
static KEYS: &[Key] = &[
    optional("ciapi", Form::Table(CIAPI), "", "Process Integration Runtime, plan `api`: deployments use it. For consumer `dataspace`, and required there."),
    optional("cirt", Form::Table(CIRT), "", "Process Integration Runtime, plan `integration-flow`: data transfer uses it. For consumer `dataspace`, and required there."),
    optional("sole", Form::Table(portal::SOLE), "", "The one key of a credential with any other consumer, and required there."),
];

static CIAPI: &[Key] = &place("{ name = \"acme-ciapi\", space = \"prod\", org = \"acme\" }");
static CIRT: &[Key] = &place("\"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\"");

#[rustfmt::skip]
const fn place(example: &'static str) -> [Key; 2] {
    [
        optional("service-instance", Form::Instance, example, "The service instance: its guid, or at Cloud Foundry `{ name, space, org }`. Required for the issuers `cloud-foundry` and `service-manager`."),
        optional("key", Form::Text, "\"made-by-hand\"", "The name of the key in use, where rekeyd cannot know it: before the first rotation, with several keys."),
    ]
}
