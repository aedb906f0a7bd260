//! The folders in which commands are run: a configuration, a journal, and a daemon if need be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};
use rekeyd::config::environment::Environment;
use rekeyd::config::load::load;
use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::evidence::{Baseline, Basis, Evidence, Grade};
use rekeyd::domain::fleet::{FleetEvent, FleetHaltReason, Pass};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::key::{Key, KeySet};
use rekeyd::domain::names::{CredentialId, KeyId, KeyName, Role, RotationId};
use rekeyd::domain::observation::Observation;
use rekeyd::domain::policy::Pin;
use rekeyd::domain::{Timestamp, after, before};
use rekeyd::journal::sqlite::SqliteJournal;
use rekeyd::ports::{Draft, Journal as _};
use tempfile::TempDir;

/// Nothing listens on port 1.
const DAEMON: &str = "\
version = 1
instance = \"one\"
state-dir = \"state\"
control-socket = \"control.sock\"

[web]
listen = \"\"

[http]
allow-http = true
";

const SERVICE_KEY: &str = r#"{"oauth": {"clientid": "sb-1!b1|dsi!b2", "clientsecret": "NotARealSecret",
    "url": "http://127.0.0.1:1/api/v1/dsp/", "tokenurl": "http://127.0.0.1:1/oauth/token"}}"#;

const CIS_KEY: &str = r#"{"endpoints": {"accounts_service_url": "http://127.0.0.1:1/cis"}, "uaa": {"clientid": "sb-2!b1|cis!b2",
    "clientsecret": "NotARealSecret", "url": "http://127.0.0.1:1"}}"#;

/// What no output may hold.
pub(crate) const SECRET: &str = "NotARealSecret";

const TENANT: &str = r#"version = 1
id = "acme"

[dataspace]
service-key = { file = "dsi.json" }

[cloud-foundry]
api = "http://127.0.0.1:1"
login = { user = "robot", password = { file = "password" } }

[[credential]]
name = "dataplane"
issuer = "cloud-foundry"
consumer = "dataspace"
lead = "30 days"

[credential.keys]
ciapi = { service-instance = "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01" }
cirt = { service-instance = "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a02" }
"#;

/// A folder, and the daemon that runs in it.
pub(crate) struct Ground {
    folder: TempDir,
    daemon: Option<Child>,
}

impl Ground {
    /// The ground of this name.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "nothing" => Self::nothing(),
            "a configuration" => Self::configured(),
            "a broken configuration" => Self::broken(),
            "a journal" => Self::known(),
            "a global account" => Self::looking(),
            "a daemon" => Self::known().running(),
            "a journal of rotations under way" => Self::rotating(),
            "a journal of a tenant that was removed" => Self::known().without("acme"),
            "a daemon of which a tenant was removed" => Self::known().without("acme").running(),
            "a halted fleet" => Self::stopped(),
            "a daemon of a halted fleet" => Self::stopped().running(),
            "a damaged journal" => Self::damaged(),
            _ => panic!("there is no ground `{name}`"),
        }
    }

    fn nothing() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), daemon: None }
    }

    /// A configuration that holds, of three tenants.
    pub(crate) fn configured() -> Self {
        let ground = Self::nothing();
        fs::create_dir(ground.path("tenants.d")).unwrap();
        ground.write("rekeyd.toml", DAEMON, 0o644);
        for (id, digit) in [("acme", 'a'), ("beta", 'b'), ("gamma", 'c')] {
            let text =
                TENANT.replace("\"acme\"", &format!("\"{id}\"")).replace("f6a0", &format!("f6{digit}0"));
            ground.write(&format!("tenants.d/{id}.toml"), &text, 0o644);
        }
        ground.write("tenants.d/dsi.json", SERVICE_KEY, 0o600);
        ground.write("tenants.d/password", SECRET, 0o600);
        ground
    }

    /// The same with a global account that does not answer, and whose key was made long ago.
    fn looking() -> Self {
        let ground = Self::known();
        let cis =
            "\n[[cis]]\nname = \"main\"\nservice-key = { file = \"cis.json\" }\ncreated = \"2020-01-31\"\n";
        ground.write("rekeyd.toml", &format!("{DAEMON}{cis}"), 0o644);
        ground.write("cis.json", CIS_KEY, 0o600);
        ground
    }

    fn broken() -> Self {
        let ground = Self::configured();
        let text = TENANT.replace("[dataspace]", "[dataspace]\nsetle = \"5 min\"");
        ground.write("tenants.d/acme.toml", &text.replace("\"cloud-foundry\"", "7"), 0o644);
        ground
    }

    /// What a journal begins with that knows `acme` and `beta`, settled.
    fn adopted() -> (Self, Timestamp, Vec<(CredentialId, Event)>) {
        let ground = Self::configured();
        let loaded = load(&ground.path("rekeyd.toml"), &Environment::default()).unwrap();
        fs::create_dir(ground.path("state")).unwrap();
        let now = SystemClock::new().now();
        let policies = loaded.config.tenants[..2].iter().map(|tenant| &tenant.credentials[0].policy);
        let drafts = policies.map(|policy| (policy.credential.clone(), adopted(&policy.pin, now)));
        (ground, now, drafts.collect())
    }

    /// A journal that knows `acme`, settled, and `beta`, halted; of `gamma` it knows nothing.
    fn known() -> Self {
        let (ground, now, mut drafts) = Self::adopted();
        drafts.push((drafts[1].0.clone(), Event::Halted(HaltReason::Indeterminate)));
        runtime().block_on(ground.journal(drafts, now));
        ground
    }

    fn without(self, tenant: &str) -> Self {
        fs::remove_file(self.path(&format!("tenants.d/{tenant}.toml"))).unwrap();
        self
    }

    fn damaged() -> Self {
        let ground = Self::known();
        fs::write(ground.path("state/journal.db"), "this is no journal\n".repeat(300)).unwrap();
        ground
    }

    /// A journal of a fleet that is halted since the rotation of `beta`, its canary, needs a person.
    fn stopped() -> Self {
        let (ground, now, mut drafts) = Self::adopted();
        let (fleet, beta) = (CredentialId::fleet(), drafts[1].0.clone());
        let cause = HaltReason::Indeterminate.to_string();
        drafts.extend([
            (fleet.clone(), Event::Fleet(admitted(&beta))),
            (beta.clone(), begun()),
            (beta.clone(), Event::Halted(HaltReason::Indeterminate)),
            (
                fleet,
                Event::Fleet(FleetEvent::Halted(FleetHaltReason::CanaryFailed { credential: beta, cause })),
            ),
        ]);
        runtime().block_on(ground.journal(drafts, now));
        ground
    }

    /// A journal of `acme`, whose old keys go and which is held for some days, and of `beta`, which soaks.
    fn rotating() -> Self {
        let (ground, now, mut drafts) = Self::adopted();
        let ids = [drafts[0].0.clone(), drafts[1].0.clone()];
        for id in &ids {
            drafts.push((CredentialId::fleet(), Event::Fleet(admitted(id))));
            drafts.extend(proven(now).into_iter().map(|event| (id.clone(), event)));
        }
        let until = Some(after(now, Duration::from_hours(5 * 24)));
        drafts.push((ids[0].clone(), Event::RetireBegun));
        drafts.push((ids[0].clone(), Event::Wished(Wish::Hold { until, reason: "audit".to_owned() })));
        runtime().block_on(ground.journal(drafts, now));
        ground
    }

    /// Writes what has happened, in order.
    async fn journal(&self, drafts: Vec<(CredentialId, Event)>, now: Timestamp) {
        let journal = SqliteJournal::open_alone(self.path("state/journal.db")).unwrap();
        let mut last: BTreeMap<CredentialId, u64> = BTreeMap::new();
        for (credential, event) in drafts {
            let lease =
                journal.acquire(&credential.tenant, "test", now, Duration::from_mins(1)).await.unwrap();
            let lease = lease.unwrap();
            let follows = last.get(&credential).copied().unwrap_or(0);
            let draft = Draft { at: now, credential: credential.clone(), follows, event };
            last.insert(credential, journal.append(&lease, draft).await.unwrap().sequence);
            journal.release(&lease).await.unwrap();
        }
    }

    fn running(self) -> Self {
        let mut ground = self;
        let mut command = ground.rekeyd(&["run"]);
        command.env("REKEYD__LOG__LEVEL", "off").stdout(Stdio::null()).stderr(Stdio::null());
        ground.daemon = Some(command.spawn().unwrap());
        let clock = SystemClock::new();
        runtime().block_on(async {
            while UnixStream::connect(ground.path("control.sock")).is_err() {
                assert!(clock.monotonic() < Duration::from_secs(30), "the daemon listens");
                clock.sleep(Duration::from_millis(20)).await;
            }
        });
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, mode);
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn rekeyd(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekeyd"));
        command.args(arguments).current_dir(&self.folder).env_clear().stdin(Stdio::null());
        // The help shows what the environment says, and is to be everybody's.
        if !arguments.contains(&"--help") {
            command.env("REKEYD_CONFIG", "rekeyd.toml");
        }
        command
    }

    /// Runs a command.
    pub(crate) fn run(&self, variables: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
        let output = self.rekeyd(arguments).envs(variables).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains(SECRET), "{arguments:?} shows a secret: {text}");
        }
        output
    }

    /// `text` without what differs from one run to the next.
    pub(crate) fn plain(&self, text: &[u8]) -> String {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let process = self.daemon.as_ref().map_or(0, Child::id);
        let text = text.replace(&format!("process {process} "), "process [daemon] ");
        timeless(&text.replace(&self.folder.path().display().to_string(), "[folder]"))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // It holds nothing that another process would miss.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The keys in use are recognised: they are 40 days old, and so nowhere near due.
fn adopted(pin: &Pin, now: Timestamp) -> Event {
    let key = |role: Role| Key {
        id: KeyId(format!("id-{role}")),
        name: KeyName(format!("first-{role}")),
        created_at: Some(before(now, Duration::from_hours(40 * 24))),
        expires_at: None,
    };
    let live: KeySet = Role::PAIR.into_iter().map(|role| (role, key(role))).collect();
    Event::Adopted { live, generation: 0, pin: pin.clone(), others: BTreeMap::new() }
}

fn admitted(credential: &CredentialId) -> FleetEvent {
    FleetEvent::Admitted {
        credential: credential.clone(),
        pass: Pass::default(),
        window_overridden: false,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(crate) fn begun() -> Event {
    let name = |role: Role| KeyName(format!("rekeyd-{role}-g1-qvpngiwp6ax"));
    Event::Begun {
        rotation: RotationId("r1".to_owned()),
        trigger: Trigger::Schedule,
        generation: 1,
        names: Role::PAIR.into_iter().map(|role| (role, name(role))).collect(),
        reason: "due".to_owned(),
    }
}

/// A rotation up to its proof.
fn proven(now: Timestamp) -> Vec<Event> {
    let key = |role: Role| Key {
        id: KeyId(format!("fresh-{role}")),
        name: KeyName(format!("rekeyd-{role}-g1-qvpngiwp6ax")),
        created_at: Some(now),
        expires_at: None,
    };
    let mut events = vec![begun()];
    for role in Role::PAIR {
        events.extend([Event::CreateSent { role }, Event::Made { role, key: key(role) }]);
    }
    events.extend(Role::PAIR.map(|role| Event::Tested { role, grade: Grade::Token }));
    let evidence = Evidence::seen(Grade::Acted, Basis::Report, &Observation::nothing(now), now);
    let baseline = Baseline::default();
    let delivered = Event::Delivered { upstream_at: None };
    events.extend([Event::Ready { baseline }, delivered, Event::Proven { evidence }]);
    events
}

/// Dates and times as `[time]`: they differ, what stands around them does not.
fn timeless(text: &str) -> String {
    const SHAPES: [&str; 9] = [
        "0000-00-00T00:00:00+00:00",
        "00000000T000000Z",
        "0000-00-00T00:00:00.000000000Z",
        // Zeros at the end are not written, three at a time.
        "0000-00-00T00:00:00.000000Z",
        "0000-00-00T00:00:00.000Z",
        "0000-00-00T00:00:00Z",
        "0000-00-00 00:00:00",
        "0000-00-00 00:00",
        "0000-00-00",
    ];
    let fits = |rest: &str, shape: &str| {
        let mut letters = rest.chars();
        shape.chars().all(|wanted| {
            letters
                .next()
                .is_some_and(|found| if wanted == '0' { found.is_ascii_digit() } else { found == wanted })
        })
    };
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(letter) = rest.chars().next() {
        if let Some(shape) = SHAPES.iter().find(|shape| fits(rest, shape)) {
            plain.push_str("[time]");
            rest = &rest[shape.len()..];
        } else {
            plain.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    plain
}
