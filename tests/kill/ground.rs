//! One tenant on a sandbox of its own, the real process that rotates it, and the person who looks after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};
use rekeyd::daemon::protocol::{History, WishRequest};
use rekeyd::daemon::report::{CredentialStatus, Status};
use rekeyd::domain::event::{Entry, Event, Wish};
use rekeyd::domain::fold;
use rekeyd::domain::names::{CredentialId, KeyName};
use rekeyd::domain::record::Record;
use rekeyd::domain::stage::Phase;
use rekeyd::http::local::Local;
use rekeyd::journal::sqlite::SqliteJournal;
use rekeyd::ports::Journal as _;
use sap_sandbox::faults::Rule;
use sap_sandbox::holds::Release;
use sap_sandbox::scenario::tenant::{Dataplane, Issuer, TenantPlan};
use sap_sandbox::scenario::{Hostility, Scenario};
use sap_sandbox::world::key::Maker;

use crate::fleet::{Fleet, Knobs};
use crate::process::{Process, Wrap};
use crate::tally::Tally;

/// No trial takes longer to end after its last kill.
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two looks at the process.
const LOOK: Duration = Duration::from_millis(40);
/// A process that does not answer within this does not answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Who waits longer than this is pushed.
const SOON: Duration = Duration::from_secs(2);
/// The pause between two pushes.
const PUSH: Duration = Duration::from_millis(400);

/// How often a stop may meet the beginning of the next rotation.
const ROUNDS: usize = 10;

/// The one tenant.
pub(crate) const TENANT: &str = "acme";

/// The ways a rotation can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Forward to the end.
    Success,
    /// A person asks for the old keys during the soak.
    Restore,
    /// The consumer fails with the fresh keys, and gets the old ones back.
    TurnBack,
    /// The fresh keys are refused when they are tried, and cleared away.
    Abandon,
    /// Forward to the end with keys of Service Manager, which makes and deletes them in operations.
    Managed,
    /// The consumer fails with fresh keys of Service Manager, which makes and deletes them at once.
    ManagedBack,
}

impl Course {
    pub(crate) const ALL: [Self; 4] = [Self::Success, Self::Restore, Self::TurnBack, Self::Abandon];

    fn scenario(self, seed: u64) -> Scenario {
        let fail_first = u32::from(self.turns_back());
        let dataplane = Dataplane { polls: 1, milliseconds: 0, fail_first, ..Dataplane::default() };
        let plan = TenantPlan::new(TENANT).aged(345).by(self.issuer()).with(dataplane);
        let mut scenario = Scenario::of([plan]);
        scenario.seed = seed;
        // What goes wrong here, the test does.
        scenario.hostility = Hostility::Kind;
        scenario.token_lives.ciapi = 1;
        scenario.token_lives.cirt = 1;
        scenario.cloud_foundry.job_polls = u32::from(self != Self::ManagedBack);
        if self == Self::Abandon {
            scenario.cloud_foundry.secret_refusals = u32::MAX;
        }
        scenario
    }

    fn issuer(self) -> Issuer {
        match self {
            Self::Managed | Self::ManagedBack => Issuer::ServiceManager,
            _ => Issuer::CloudFoundry,
        }
    }

    fn turns_back(self) -> bool {
        matches!(self, Self::TurnBack | Self::ManagedBack)
    }

    fn knobs(self) -> Knobs {
        // A person needs a moment to ask for the old keys.
        let soak = if self == Self::Restore { "1500 ms" } else { "300 ms" };
        Knobs { soak, settle: "50 ms", proofs: (2, "50 ms"), ..Knobs::default() }
    }
}

/// Where a drive ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The sandbox holds a call.
    Held,
    /// The rotation is over.
    Over,
    /// The process has ended.
    Ended,
    /// Only a person can go on, for a reason with this code.
    Halted(String),
}

/// The tenant, its sandbox and its configuration. Processes come and go.
pub(crate) struct Ground {
    pub(crate) fleet: Fleet,
    pub(crate) clock: SystemClock,
    /// Whether the next rotation may be due as soon as one is over.
    pub(crate) may_begin_again: bool,
    course: Course,
    socket: Local,
}

impl Ground {
    pub(crate) async fn new(course: Course, seed: u64) -> Self {
        Self::with(course, seed, course.knobs()).await
    }

    pub(crate) async fn with(course: Course, seed: u64, knobs: Knobs) -> Self {
        let fleet = Fleet::new(course.scenario(seed), knobs).await;
        let socket = Local::new(&fleet.path("control.sock"));
        Self { fleet, clock: SystemClock::new(), may_begin_again: false, course, socket }
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.fleet.path("state/journal.db")
    }

    pub(crate) fn launch(&self) -> Process {
        self.launch_in(&Wrap::default())
    }

    pub(crate) fn launch_in(&self, wrap: &Wrap) -> Process {
        Process::start(&self.fleet.config(), wrap)
    }

    /// Lets a daemon without tenants make the journal, and end.
    pub(crate) fn make_empty_journal(&self) {
        let folder = self.fleet.path("bare");
        fs::create_dir_all(folder.join("tenants.d")).unwrap();
        let config = folder.join("rekeyd.toml");
        fs::copy(self.fleet.config(), &config).unwrap();
        let mut process = Process::once(&config);
        assert!(process.success(), "{}", process.tail());
    }

    /// The status, where a process answers.
    pub(crate) async fn status(&self) -> Option<CredentialStatus> {
        let status: Status = serde_json::from_slice(&self.get("/v1/status").await?).ok()?;
        status.credentials.into_iter().next()
    }

    /// Whether this is the reason why nothing, or what, is done now.
    pub(crate) async fn has_code(&self, code: &str) -> bool {
        self.status().await.is_some_and(|status| status.code.as_deref() == Some(code))
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        tokio::select! {
            answer = self.socket.get(path) => answer.ok().filter(|(code, _)| *code == 200).map(|(_, body)| body),
            () = self.clock.sleep(ANSWER) => None,
        }
    }

    pub(crate) async fn history(&self) -> Option<Vec<Entry>> {
        let body = self.get("/v1/history").await?;
        serde_json::from_slice::<History>(&body).ok().map(|history| history.entries)
    }

    /// Whether the person has asked for the old keys already, or need not.
    async fn is_on_its_way_back(&self) -> bool {
        let is_it = |entry: &Entry| matches!(entry.event, Event::TurnedBack { .. } | Event::Wished(_));
        self.history().await.is_none_or(|entries| entries.iter().any(is_it))
    }

    pub(crate) async fn ask(&self, wish: Wish) {
        let credential: CredentialId = format!("{TENANT}/dataplane").parse().expect("this is a name");
        let body = serde_json::to_vec(&WishRequest { credential, wish }).expect("a wish is written as JSON");
        // A process that is killed meanwhile does not answer, and is asked again after its next start.
        tokio::select! {
            _ = self.socket.post("/v1/wish", body) => {}
            () = self.clock.sleep(ANSWER) => {}
        }
    }

    /// What the person does who sees this status.
    async fn look_after(&self, process: &Process, status: &CredentialStatus) {
        if self.course == Course::Restore && status.phase == "soaking" && !self.is_on_its_way_back().await {
            self.ask(Wish::Restore { reason: "partners complain".to_owned() }).await;
        }
        // What waits after a failure, of an upstream or of the disk, is looked at now.
        let soon = self.clock.now() + SOON;
        if !is_over(status) && (status.failures > 0 || status.next_look.is_some_and(|at| at > soon)) {
            process.signal("USR1");
        }
    }

    /// Looks after a process until the sandbox holds a call, the rotation is over or the process has ended.
    pub(crate) async fn drive(&self, process: &mut Process) -> Result<Arrival, String> {
        self.drive_for(process, PATIENCE).await?.ok_or_else(|| "it neither ends nor arrives".to_owned())
    }

    /// The same for a while; `None` when that is over.
    pub(crate) async fn drive_for(
        &self,
        process: &mut Process,
        while_: Duration,
    ) -> Result<Option<Arrival>, String> {
        let end = self.clock.monotonic() + while_;
        let mut push_at = self.clock.monotonic() + PUSH;
        while self.clock.monotonic() < end {
            if !self.fleet.sandbox.held().is_empty() {
                return Ok(Some(Arrival::Held));
            }
            if process.ended().is_some() {
                return Ok(Some(Arrival::Ended));
            }
            if let Some(status) = self.status().await {
                if is_over(&status) {
                    return Ok(Some(Arrival::Over));
                }
                if let Some(halt) = &status.halt {
                    return Ok(Some(Arrival::Halted(halt.code.clone())));
                }
                if self.clock.monotonic() > push_at {
                    push_at = self.clock.monotonic() + PUSH;
                    self.look_after(process, &status).await;
                } else if self.course == Course::Restore {
                    self.look_after_soak(process, &status).await;
                }
            }
            self.clock.sleep(LOOK).await;
        }
        Ok(None)
    }

    async fn look_after_soak(&self, process: &Process, status: &CredentialStatus) {
        if status.phase == "soaking" {
            self.look_after(process, status).await;
        }
    }

    /// Lets go what is held, with what becomes of it, and forgets the faults.
    pub(crate) fn let_go(&self, how: Release) {
        self.fleet.sandbox.clear_faults();
        for held in self.fleet.sandbox.held() {
            self.fleet.sandbox.release(held.id, how);
        }
    }

    pub(crate) fn inject(&self, rule: Rule) {
        self.fleet.sandbox.inject(rule);
    }

    /// Starts a process, drives it to the end and reads all the books. `points` kills went before.
    pub(crate) async fn finish(&self, points: u64) -> Tally {
        let mut process = self.launch();
        match self.drive(&mut process).await {
            Ok(Arrival::Over) => self.judge(process, points).await,
            Ok(arrival) => Tally::failed(points, format!("it ended up `{arrival:?}`\n{}", process.tail())),
            Err(problem) => Tally::failed(points, format!("{problem}\n{}", process.tail())),
        }
    }

    /// The books of a rotation that is over.
    pub(crate) async fn judge(&self, process: Process, points: u64) -> Tally {
        let mut tally = Tally { points, ..Tally::default() };
        let tail = self.come_to_rest(process, &mut tally).await;
        tally.read(&self.fleet.sandbox.books());
        match self.entries().await {
            Ok(entries) => self.compare(&entries, &mut tally),
            Err(problem) => tally.problems.push(problem),
        }
        if tally.problems.is_empty() {
            tally.resumed = points;
        } else {
            tally.problems.push(tail);
        }
        tally
    }

    /// Ends a process whose rotation is over, at a moment when none is under way. What a rotation leaves behind is only
    /// then to be told from what the next one is at: one that turned back is tried again by itself. Answers the end of
    /// the log.
    pub(crate) async fn come_to_rest(&self, mut process: Process, tally: &mut Tally) -> String {
        let mut tail = String::new();
        for _ in 0..ROUNDS {
            self.clear_away(&process).await;
            tail = process.tail();
            if let Err(problem) = process.stop().await {
                tally.problems.push(problem);
            }
            let spare = self.spare_keys();
            let record = match self.under_way().await {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(problem) => {
                    tally.problems.push(problem);
                    break;
                }
            };
            // The stop met the next rotation. Its keys are no orphans, and no other key is spare.
            for name in &spare {
                println!("kill-round: the stop met `{name}`");
                if !record.knows(&KeyName(name.clone())) {
                    tally
                        .problems
                        .push(format!("nothing is known of `{name}`, which nobody holds: {record:?}"));
                }
            }
            process = self.launch();
            match self.drive(&mut process).await {
                Ok(Arrival::Over) => {}
                other => tally.problems.push(format!("the next round: {other:?}")),
            }
        }
        tail
    }

    /// The names of the keys that were made, are there and that the consumer does not hold.
    fn spare_keys(&self) -> Vec<String> {
        let tenants = self.fleet.sandbox.books().tenants;
        let keys = tenants.into_values().flat_map(|tenant| tenant.keys);
        let spare = keys.filter(|key| key.made_by == Maker::Api && key.deleted_at.is_none() && !key.held);
        spare.map(|key| key.name).collect()
    }

    /// What the journal says of a rotation that is under way.
    pub(crate) async fn under_way(&self) -> Result<Option<Record>, String> {
        let entries = self.entries().await?;
        let records = fold::fold(&entries).map_err(|problem| problem.to_string())?;
        Ok(records.into_values().find(|record| record.stage.phase() != Phase::Settled))
    }

    /// A key that came into being late is cleared away in the next round: a push brings that round about.
    async fn clear_away(&self, process: &Process) {
        let end = self.clock.monotonic() + Duration::from_secs(20);
        while self.clock.monotonic() < end {
            let is_over = self.status().await.is_some_and(|status| is_over(&status));
            if is_over && self.fleet.sandbox.books().orphans == 0 {
                return;
            }
            process.signal("USR1");
            self.clock.sleep(PUSH).await;
        }
    }

    /// The whole journal, after its chain was checked.
    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, String> {
        let journal =
            SqliteJournal::open_read_only(self.journal_path()).map_err(|problem| problem.to_string())?;
        let journal: Arc<SqliteJournal> = Arc::new(journal);
        journal.verify().await.map_err(|problem| problem.to_string())?;
        journal.read(None, 0).await.map_err(|problem| problem.to_string())
    }

    /// Looks after a process until the journal holds so many entries.
    pub(crate) async fn until_entries(&self, process: &mut Process, count: usize) {
        while self.entries().await.map_or(0, |entries| entries.len()) < count {
            let arrival = self.drive_for(process, Duration::from_millis(20)).await;
            assert!(matches!(arrival, Ok(None)), "{arrival:?}\n{}", process.tail());
        }
    }

    /// Whether the credential rests with nothing due within so much time.
    pub(crate) async fn is_settled_for(&self, process: &mut Process, within: Duration) -> bool {
        let end = self.clock.monotonic() + within;
        while self.clock.monotonic() < end && process.ended().is_none() {
            if self.has_code("not-due").await {
                return true;
            }
            self.clock.sleep(LOOK).await;
        }
        false
    }

    /// Compares the journal with the sandbox: every key was named before, and was made once.
    fn compare(&self, entries: &[Entry], tally: &mut Tally) {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        let mut begun = 0;
        for entry in entries {
            if let Event::Begun { names: chosen, .. } = &entry.event {
                begun += 1;
                names.extend(chosen.values().map(|name| (name.to_string(), 0)));
            }
        }
        for key in self.fleet.sandbox.books().tenants.values().flat_map(|tenant| &tenant.keys) {
            if key.made_by != Maker::Api {
                continue;
            }
            match names.get_mut(&key.name) {
                Some(made) if *made == 0 => *made = 1,
                _ => {
                    tally.duplicates += 1;
                    tally.problems.push(format!("`{}` was made twice, or never named", key.name));
                }
            }
        }
        // What a person turned back is tried again after a soak, and on a slow machine that is while the test still looks.
        let again = match self.course {
            Course::Success | Course::Managed => 0,
            Course::Restore => count(entries, |event| matches!(event, Event::TurnedBack { .. })),
            Course::TurnBack | Course::ManagedBack | Course::Abandon => begun,
        };
        let is_right = (1..=1 + again).contains(&begun) || self.may_begin_again;
        if !is_right {
            tally.problems.push(format!("{begun} rotations began where 1 was due, and {again} more might"));
        }
        if !entries.iter().any(|entry| matches!(entry.event, Event::Completed)) {
            tally.problems.push("the journal does not say that the rotation is over".to_owned());
        }
    }
}

fn count(entries: &[Entry], wanted: impl Fn(&Event) -> bool) -> usize {
    entries.iter().filter(|entry| wanted(&entry.event)).count()
}

/// Whether a rotation has ended and none is under way.
pub(crate) fn is_over(status: &CredentialStatus) -> bool {
    status.phase == "settled" && status.last_ended_at.is_some()
}
