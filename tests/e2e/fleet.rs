//! A sandbox, a configuration for every tenant of it, and the real process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rekeyd::clock::{Clock, SystemClock};
use rekeyd::daemon::report::{CredentialStatus, Status};
use rekeyd::domain::event::Entry;
use sap_sandbox::Sandbox;
use sap_sandbox::files::TenantAccess;
use sap_sandbox::scenario::tenant::Issuer;
use sap_sandbox::scenario::{Hostility, Scenario};
use tempfile::TempDir;

/// No wait of these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
pub(crate) const POLL: Duration = Duration::from_millis(50);
/// How often a person pushes who does not want to wait for the pauses between two tries.
const PUSH: Duration = Duration::from_secs(1);

/// How a tenant is configured; short spans, so that a rotation takes seconds.
#[derive(Clone)]
pub(crate) struct Knobs {
    pub(crate) soak: &'static str,
    pub(crate) settle: &'static str,
    pub(crate) token_life: &'static str,
    pub(crate) deadline: &'static str,
    pub(crate) provision: &'static str,
    /// How often the consumer must be seen to work, and over which time.
    pub(crate) proofs: (u32, &'static str),
    /// Further lines of the daemon's file, before its sections.
    pub(crate) daemon: &'static str,
    /// The lines of `[fleet]`. Without it everybody who is due goes at once.
    pub(crate) rules: &'static str,
    /// Further lines of each tenant's file, before its sections.
    pub(crate) tenant: &'static str,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            soak: "1 s",
            settle: "300 ms",
            token_life: "1 s",
            deadline: "20 s",
            provision: "when-needed",
            proofs: (2, "200 ms"),
            daemon: "",
            rules: "canary = false\nfuse-rotations = 1000",
            tenant: "",
        }
    }
}

/// Everything a test works with.
pub(crate) struct Fleet {
    pub(crate) sandbox: Sandbox,
    pub(crate) dir: TempDir,
    pub(crate) tenants: Vec<String>,
    knobs: Knobs,
    /// The sandbox does what it can to spoil the job. Then there are keys of others beside those in use, and somebody
    /// pushes now and then, so that no pause after a failure lasts longer than the test.
    is_hostile: bool,
    /// The process that was started last; 0 for none.
    daemon: AtomicU32,
}

impl Fleet {
    pub(crate) async fn new(scenario: Scenario, knobs: Knobs) -> Self {
        let tenants: Vec<String> = scenario.tenants.iter().map(|tenant| tenant.id.clone()).collect();
        let is_hostile = scenario.hostility != Hostility::Kind;
        if is_hostile {
            // Shown when the test fails.
            println!("sandbox: {:?}, REKEYD_SEED={}", scenario.hostility, scenario.seed);
        }
        let sandbox = Sandbox::start(scenario).await.unwrap();
        let (dir, daemon) = (TempDir::new().unwrap(), AtomicU32::new(0));
        let fleet = Self { sandbox, dir, tenants, knobs, is_hostile, daemon };
        fleet.configure();
        fleet
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("rekeyd.toml")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self) {
        self.sandbox.write_files(self.dir.path()).unwrap();
        self.write("rekeyd.toml", &self.daemon_file());
        for tenant in &self.tenants {
            self.write(&format!("tenants.d/{tenant}.toml"), &self.tenant_file(tenant));
        }
    }

    fn daemon_file(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "version = 1\nstate-dir = \"{dir}/state\"\ncontrol-socket = \"{dir}/control.sock\"\ninstance = \"test\"\n{}\n\
             [fleet]\n{}\n\
             [lease]\nlife = \"5 s\"\n\
             [web]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"debug\"\nformat = \"text\"\n\
             [http]\nconnect-timeout = \"2 s\"\nread-timeout = \"3 s\"\ntotal-timeout = \"5 s\"\n\
             calls-per-hour = 3600000\nburst = 1000\nca-file = \"{dir}/ca.pem\"\n",
            self.knobs.daemon, self.knobs.rules,
        )
    }

    pub(crate) fn tenant_file(&self, tenant: &str) -> String {
        let access = self.sandbox.access(tenant).unwrap();
        let dir = self.dir.path().display();
        let knobs = &self.knobs;
        let issuer = match access.issuer {
            Issuer::CloudFoundry => "cloud-foundry",
            Issuer::ServiceManager => "service-manager",
        };
        let section = self.issuer_section(&access);
        let key = |role: &str| if self.is_hostile { format!(", key = \"{role}-1\"") } else { String::new() };
        format!(
            "version = 1\nid = \"{tenant}\"\n{}\n\
             [dataspace]\nservice-key = {{ file = \"{dir}/{tenant}-dsi.json\" }}\nsettle = \"{}\"\n\
             deadline = \"{}\"\npoll = \"100 ms\"\nprovision = \"{}\"\n\
             {section}\
             [[credential]]\nname = \"dataplane\"\nissuer = \"{issuer}\"\nconsumer = \"dataspace\"\n\
             soak = \"{}\"\nspread = \"0 s\"\nproofs = {}\nproof-span = \"{}\"\ntoken-life = \"{}\"\npropagation = \"3 s\"\nlag = \"1 s\"\nevidence-life = \"30 s\"\n\
             retire-foreign = true\n\
             [credential.keys]\nciapi = {{ service-instance = \"{}\"{} }}\ncirt = {{ service-instance = \"{}\"{} }}\n",
            knobs.tenant,
            knobs.settle,
            knobs.deadline,
            knobs.provision,
            knobs.soak,
            knobs.proofs.0,
            knobs.proofs.1,
            knobs.token_life,
            access.ciapi,
            key("ciapi"),
            access.cirt,
            key("cirt")
        )
    }

    /// The section of a tenant's file that says how its issuer is reached.
    fn issuer_section(&self, access: &TenantAccess) -> String {
        let dir = self.dir.path().display();
        if access.issuer == Issuer::ServiceManager {
            let file = format!("{dir}/{}-sm.json", access.id);
            return format!(
                "[service-manager]\nservice-key = {{ file = \"{file}\" }}\ncalls-per-hour = 3600000\n"
            );
        }
        let origin =
            access.origin.as_ref().map_or_else(String::new, |origin| format!(", origin = \"{origin}\""));
        format!(
            "[cloud-foundry]\napi = \"{}\"\n\
             login = {{ user = \"{}\", password = {{ file = \"{dir}/cf-password\" }}{origin} }}\n",
            access.cloud_foundry_api, access.user,
        )
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekeyd"));
        // By the environment: what is named on the command line is named in every command that is shown, too.
        command.args(arguments).env("REKEYD_CONFIG", self.config()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Begins a command; what it prints can be read.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command that asks SAP just now, again and again while SAP is not to be had, until it says what is wanted.
    pub(crate) fn ask_again(&self, arguments: &[&str], wanted: impl Fn(&Output) -> bool) -> Output {
        for _ in 0..100 {
            let output = self.ask(arguments);
            if wanted(&output) {
                return output;
            }
            let unavailable = matches!(output.status.code(), Some(0 | 69 | 75));
            assert!(self.is_hostile && unavailable, "{arguments:?}: {output:?}");
        }
        panic!("{arguments:?} does not say what is wanted")
    }

    /// Starts the daemon; returns when it answers.
    pub(crate) async fn start(&self) -> Rekeyd {
        let mut rekeyd = self.launch();
        rekeyd.await_answer(self).await;
        rekeyd
    }

    /// Starts the daemon and does not wait.
    pub(crate) fn launch(&self) -> Rekeyd {
        self.launch_with(&[])
    }

    /// The same with further variables in its environment.
    pub(crate) fn launch_with(&self, variables: &[(&str, &str)]) -> Rekeyd {
        self.spawn(&["run"], variables)
    }

    /// Starts one round and does not wait.
    pub(crate) fn launch_once(&self) -> Rekeyd {
        self.spawn(&["run", "--once"], &[])
    }

    fn spawn(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Rekeyd {
        let log = self.path("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.run(command.stdout(Stdio::null()).stderr(file), log)
    }

    /// Starts the daemon by a command of the caller's.
    pub(crate) fn run(&self, command: &mut Command, log: PathBuf) -> Rekeyd {
        let child = command.spawn().unwrap();
        self.daemon.store(child.id(), Ordering::SeqCst);
        Rekeyd { child, log }
    }

    /// What a person does who watches a daemon work with a hostile SAP: push, and go on where only a person can.
    fn attend(&self, status: Option<&CredentialStatus>) {
        let pid = self.daemon.load(Ordering::SeqCst);
        // A daemon that has ended meanwhile needs no push.
        let _ = Command::new("kill").args(["-s", "USR1", &pid.to_string()]).stderr(Stdio::null()).status();
        let Some(status) = status else { return };
        if let Some(halt) = &status.halt {
            println!("attended: `{}` halted with `{}`: {}", status.credential, halt.code, halt.remedy);
            self.ask(&["resume", &status.credential.to_string()]);
        } else if let Some(remedy) = status.person.as_ref().filter(|text| text.contains("resume --fleet")) {
            println!("attended: the fleet is halted: {remedy}");
            self.ask(&["resume", "--fleet"]);
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn status(&self, tenant: &str) -> Option<CredentialStatus> {
        let output = self.ask(&["status", &format!("{tenant}/dataplane"), "--json"]);
        let status: Status = serde_json::from_slice(&output.stdout).ok()?;
        status.credentials.into_iter().next()
    }

    pub(crate) fn history(&self, tenant: &str) -> Vec<Entry> {
        let output = self.ask(&["history", tenant, "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the events of a tenant, in order.
    pub(crate) fn events(&self, tenant: &str) -> Vec<&'static str> {
        self.history(tenant).iter().map(|entry| entry.event.name()).collect()
    }

    /// Waits until a tenant's status is as wanted.
    pub(crate) async fn until(
        &self,
        tenant: &str,
        what: &str,
        wanted: impl Fn(&CredentialStatus) -> bool,
    ) -> CredentialStatus {
        let clock = SystemClock::new();
        let mut next_push = PUSH;
        while clock.monotonic() < PATIENCE {
            let status = self.status(tenant);
            if let Some(status) = status.as_ref().filter(|status| wanted(status)) {
                return status.clone();
            }
            if self.is_hostile && clock.monotonic() >= next_push {
                self.attend(status.as_ref());
                next_push = clock.monotonic() + PUSH;
            }
            clock.sleep(if self.is_hostile { POLL * 4 } else { POLL }).await;
        }
        let history: Vec<String> = self
            .history(tenant)
            .iter()
            .map(|entry| format!("{} {}", entry.at, rekeyd::domain::story::tell(&entry.event)))
            .collect();
        panic!(
            "`{tenant}` is not {what}\n{:#?}\n{}\n{}",
            self.status(tenant),
            history.join("\n"),
            tail(&self.log())
        );
    }

    /// Waits until a tenant was rotated. A hostile SAP may turn back the first attempt or two.
    pub(crate) async fn until_rotated(&self, tenant: &str) -> CredentialStatus {
        self.until(tenant, "rotated", |status| status.phase == "settled" && status.last_success_at.is_some())
            .await
    }

    pub(crate) async fn until_halted(&self, tenant: &str) -> CredentialStatus {
        self.until(tenant, "halted", |status| status.phase == "halted").await
    }

    /// Waits until a tenant is halted for this reason.
    pub(crate) async fn until_halted_with(&self, tenant: &str, code: &str) -> CredentialStatus {
        let halted = |status: &CredentialStatus| status.halt.as_ref().is_some_and(|halt| halt.code == code);
        self.until(tenant, &format!("halted with `{code}`"), halted).await
    }

    /// Waits until the log holds a text.
    pub(crate) async fn until_log(&self, text: &str) {
        let clock = SystemClock::new();
        while clock.monotonic() < PATIENCE {
            if self.log().contains(text) {
                return;
            }
            clock.sleep(POLL).await;
        }
        panic!("`{text}` is not in the log\n{}", tail(&self.log()));
    }

    /// The books that must be clean whatever happens, once a rotation is over.
    pub(crate) fn assert_clean(&self) {
        self.assert_safe();
        let books = self.sandbox.books();
        assert_eq!(books.orphans, 0, "orphans: {:#?}", books.tenants);
    }

    /// The books that must be clean at every moment.
    pub(crate) fn assert_safe(&self) {
        let books = self.sandbox.books();
        assert_eq!((books.lockouts, books.unproven_deletions), (0, 0), "{:#?}", books.entries);
        assert_eq!((books.foreign_deletions, books.untested_deliveries), (0, 0), "{:#?}", books.entries);
        let conduct = [
            books.early_retries,
            books.strayed_secrets,
            books.refused_tokens_reused,
            books.improper_requests,
        ];
        assert_eq!(conduct, [0; 4], "{:#?}", books.misconduct);
        assert!(!self.log().contains("panicked"), "{}", tail(&self.log()));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(80)..].join("\n")
}

/// A running daemon. It is killed when dropped.
pub(crate) struct Rekeyd {
    child: Child,
    log: PathBuf,
}

impl Rekeyd {
    pub(crate) async fn await_answer(&mut self, fleet: &Fleet) {
        let clock = SystemClock::new();
        while clock.monotonic() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}\n{}", tail(&fleet.log()));
            }
            if Path::exists(&fleet.path("control.sock"))
                && fleet.ask(&["status", "--json"]).status.code() != Some(69)
            {
                return;
            }
            clock.sleep(POLL).await;
        }
        panic!("the daemon does not answer\n{}", tail(&fleet.log()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let clock = SystemClock::new();
        while clock.monotonic() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            clock.sleep(POLL).await;
        }
        panic!("the daemon does not end\n{}", tail(&fs::read_to_string(&self.log).unwrap_or_default()));
    }

    /// SIGTERM, and its end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended(Duration::from_secs(45)).await
    }

    /// The address of the pages, from the log.
    pub(crate) fn pages(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap();
        let line = log.lines().rev().find(|line| line.contains("pages on http://")).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
        format!("http://{address}")
    }
}

impl Drop for Rekeyd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
