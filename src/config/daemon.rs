//! What `rekeyd.toml` says, made certain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cis::{self, Cis};
use super::collector;
use super::problem::{Problem, Site};
use super::reader::Section;
use super::schedule::Schedule;
use super::url;
use super::web::{self, Detail, Web};
use crate::domain::fleet::Rules;
use crate::domain::notice::Severity;
use crate::domain::policy::Limits;
use crate::secret::{Secret, ServiceKey};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            /// Every word, as it is written.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word, as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(super) fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(super) use choice;

choice! {
    /// What SIGUSR1 rotates.
    Usr1 {
        /// What is due, at once.
        Due = "due",
        /// Everything.
        All = "all",
        /// Nothing.
        Ignore = "ignore",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// The journal, text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// Lines for people.
        Text = "text",
        /// `key=value` pairs.
        Logfmt = "logfmt",
        /// One JSON object per line.
        Json = "json",
    }
}

/// What the daemon is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Where the journal is.
    pub state_dir: PathBuf,
    /// Where the tenants' files are.
    pub tenants_dir: PathBuf,
    /// Where commands reach it.
    pub control_socket: PathBuf,
    /// Its name in leases, logs and the journal.
    pub instance: String,
    /// How many tenants are worked on at once.
    pub concurrency: usize,
    /// When it looks, unless a tenant says otherwise.
    pub schedule: Arc<Schedule>,
    /// How long a lease outlives the last sign of its owner.
    pub lease_life: Duration,
    /// Where and how the pages are served.
    pub web: Web,
    /// How much the metrics tell of each credential.
    pub detail: Detail,
    /// Which events are logged: a filter.
    pub log_level: String,
    /// How they look.
    pub log_format: LogFormat,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// The way out.
    pub http: Http,
    /// What SIGUSR1 rotates.
    pub usr1: Usr1,
    /// The limits of every credential.
    pub limits: Limits,
    /// The rules over the whole fleet.
    pub rules: Rules,
    /// Who is told what happens.
    pub sinks: Vec<Sink>,
    /// The global accounts that are looked at.
    pub cis: Vec<Cis>,
}

/// Who is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// The least that it is told.
    pub severity: Severity,
    /// How many messages it gets in a minute, at most.
    pub per_minute: u32,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// A webhook of the operator's.
    Webhook {
        /// Where.
        url: String,
        /// What messages are signed with.
        secret: Option<Secret>,
    },
    /// SAP Alert Notification.
    AlertNotification {
        /// Its service key.
        key: Box<ServiceKey>,
    },
    /// SAP Cloud ALM, which is told how every credential is.
    CloudAlm {
        /// The service key of its API.
        key: Box<ServiceKey>,
        /// The id of an entry in its Landscape Management.
        service: String,
        /// The pause between two messages.
        every: Duration,
    },
}

/// The way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a server may be silent.
    pub read_timeout: Duration,
    /// How long one call may take altogether.
    pub total_timeout: Duration,
    /// Further certificate authorities, PEM.
    pub ca_certificates: Option<String>,
    /// The longest answer that is read, in bytes.
    pub max_body: u64,
    /// Calls an hour of one login to one landscape.
    pub calls_per_hour: u32,
    /// Calls that it may make at once after a quiet time.
    pub burst: u32,
    /// Whether addresses may be `http`.
    pub allow_http: bool,
}

/// Makes the daemon's configuration; `None` if something is missing, which the reader has reported.
pub(super) fn daemon(root: &Section, hostname: &str, problems: &mut Vec<Problem>) -> Option<Daemon> {
    let instance =
        root.text("instance").or_else(|| Some(hostname.to_owned()).filter(|name| !name.is_empty()));
    if instance.is_none() {
        let problem = Problem::error(&root.site, "instance", "this machine has no host name");
        problems.push(problem.remedy("set `instance`"));
    }
    let control_socket = root.path("control-socket")?;
    check_socket(root.site_of("control-socket"), &control_socket, problems);
    Some(Daemon {
        state_dir: root.path("state-dir")?,
        tenants_dir: root.path("tenants-dir")?,
        control_socket,
        instance: instance?,
        concurrency: root.count("concurrency")?,
        schedule: schedule(root.table("schedule")?, problems)?,
        lease_life: root.table("lease")?.span("life")?,
        web: web::web(root.table("web")?, problems)?,
        detail: Detail::of(&root.table("metrics")?.text("detail")?)?,
        log_level: root.table("log")?.text("level")?,
        log_format: LogFormat::of(&root.table("log")?.text("format")?)?,
        otlp_endpoint: collector::endpoint(root.table("tracing")?, problems),
        http: http(root.table("http")?)?,
        usr1: Usr1::of(&root.table("signal")?.text("usr1")?)?,
        limits: limits(root.table("limits")?)?,
        rules: rules(root.table("fleet")?, problems)?,
        sinks: sinks(root, problems),
        cis: cis::all(root, problems),
    })
}

/// The sinks that can be made; what is wrong with the others is reported.
fn sinks(root: &Section, problems: &mut Vec<Problem>) -> Vec<Sink> {
    let allow_http = root.table("http").and_then(|http| http.flag("allow-http")).unwrap_or(false);
    let mut sinks: Vec<Sink> = Vec::new();
    for section in root.list("sink") {
        let Some(sink) = sink(section, allow_http, problems) else { continue };
        if sinks.iter().any(|known| known.name == sink.name) {
            let found = format!("sink `{}` is already there", sink.name);
            let problem = Problem::error(section.site_of("name"), "sink.name", found);
            problems.push(problem.expected("a name of its own"));
        }
        sinks.push(sink);
    }
    sinks
}

fn sink(section: &Section, allow_http: bool, problems: &mut Vec<Problem>) -> Option<Sink> {
    let word = section.text("kind")?;
    let needed: &[&'static str] = match word.as_str() {
        "webhook" => &["url"],
        "cloud-alm" => &["service-key", "service-id"],
        _ => &["service-key"],
    };
    if let Some(needed) = needed.iter().copied().find(|key| !section.has(key)) {
        let found = format!("missing key `{needed}` in `[[sink]]` of kind `{word}`");
        problems.push(Problem::error(&section.site, &section.path_of(needed), found));
        return None;
    }
    let kind = match word.as_str() {
        "webhook" => {
            let url = section.text("url")?;
            if let Err(complaint) = url::checked(&url, allow_http) {
                let found = format!("`url` in `[[sink]]` {}", complaint.found);
                let problem = Problem::error(section.site_of("url"), &section.path_of("url"), found);
                problems.push(problem.expected(complaint.expected).remedy(complaint.remedy));
            }
            SinkKind::Webhook { url, secret: section.password("secret") }
        }
        "cloud-alm" => SinkKind::CloudAlm {
            key: section.service_key("service-key")?,
            service: section.text("service-id")?,
            every: section.span("every")?,
        },
        _ => SinkKind::AlertNotification { key: section.service_key("service-key")? },
    };
    Some(Sink {
        name: section.text("name")?,
        kind,
        severity: Severity::of(&section.text("severity")?)?,
        per_minute: small(section, "per-minute")?,
    })
}

fn schedule(section: &Section, problems: &mut Vec<Problem>) -> Option<Arc<Schedule>> {
    let (cron, zone) = (section.text("cron")?, section.zone("zone")?);
    let problem = |why| {
        let site = section.site_of("cron");
        let problem = Problem::error(site, &section.path_of("cron"), format!("the schedule {why} in {zone}"));
        problem.remedy("name a time that exists in this zone")
    };
    Schedule::new(&cron, zone).map(Arc::new).map_err(|why| problems.push(problem(why))).ok()
}

fn http(section: &Section) -> Option<Http> {
    Some(Http {
        connect_timeout: section.span("connect-timeout")?,
        read_timeout: section.span("read-timeout")?,
        total_timeout: section.span("total-timeout")?,
        ca_certificates: section.text("ca-file"),
        max_body: section.size("max-body")?,
        calls_per_hour: small(section, "calls-per-hour")?,
        burst: small(section, "burst")?,
        allow_http: section.flag("allow-http")?,
    })
}

/// A count whose limits keep it small.
fn small(section: &Section, key: &'static str) -> Option<u32> {
    u32::try_from(section.count(key)?).ok()
}

fn rules(section: &Section, problems: &mut Vec<Problem>) -> Option<Rules> {
    let rules = Rules {
        fuse_rotations: section.count("fuse-rotations")?,
        fuse_percent: section.count("fuse-percent")?,
        canary: section.flag("canary")?,
        first_share_percent: section.count("first-share-percent")?,
        second_share_percent: section.count("second-share-percent")?,
        halt_percent: section.count("halt-percent")?,
        rotations_at_once: section.count("rotations-at-once")?,
        ..Rules::default()
    };
    let mut warn = |key, found: String, remedy: &str| {
        let problem = Problem::warning(section.site_of(key), &section.path_of(key), found);
        problems.push(problem.remedy(remedy));
    };
    if rules.halt_percent == 100 {
        let found = "`halt-percent` in `[fleet]` is 100".to_owned();
        warn("halt-percent", found, "no share of failures will ever halt the fleet");
    }
    if rules.fuse_percent == 100 {
        let found = "`fuse-percent` in `[fleet]` is 100".to_owned();
        warn("fuse-percent", found, "the fuse will never hold: the whole fleet may rotate in a day");
    }
    if rules.second_share_percent < rules.first_share_percent {
        let found = format!("`second-share-percent` in `[fleet]` is {}", rules.second_share_percent);
        let problem = Problem::error(
            section.site_of("second-share-percent"),
            &section.path_of("second-share-percent"),
            found,
        );
        problems
            .push(problem.expected(format!("at least first-share-percent {}", rules.first_share_percent)));
    }
    Some(rules)
}

fn limits(section: &Section) -> Option<Limits> {
    Some(Limits {
        attempts: small(section, "attempts")?,
        cycles: small(section, "cycles")?,
        keys_per_role: section.count("keys-per-role")?,
        stage_time: section.span("stage-time")?,
        ..Limits::default()
    })
}

/// Linux takes 107 bytes in the address of a socket (unix(7)).
fn check_socket(site: &Site, path: &std::path::Path, problems: &mut Vec<Problem>) {
    const LIMIT: usize = 107;
    let length = path.as_os_str().len();
    if length > LIMIT {
        let found = format!("`control-socket` is {length} bytes long");
        problems.push(
            Problem::error(site, "control-socket", found)
                .expected(format!("a path of at most {LIMIT} bytes")),
        );
    }
}
