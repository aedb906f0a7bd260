//! Telling the sinks: each has a task of its own that follows the journal, and nothing waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Daemon, cloud_alm, sections};
use crate::config::daemon::{Sink as Section, SinkKind};
use crate::domain::failure::{Class, Failure};
use crate::domain::notice::{Notice, Teller, standing};
use crate::http::Http;
use crate::sink::Sink;
use crate::sink::outbox::Outbox;

/// How often the journal is looked at for something to tell.
const LOOK: Duration = Duration::from_secs(5);

/// How often it is looked at what stands without an event.
const STANDING: Duration = Duration::from_hours(1);

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_mins(15);

/// A message that is refused as such so often is given up: what follows must not wait for it for ever.
const REFUSALS: u32 = 5;

/// The end of `run --once` waits no longer for its sinks.
const FLUSH: Duration = Duration::from_secs(20);

/// What SAP Cloud ALM is told by, where the section is one of it.
fn cloud_alm(section: &Section) -> Option<cloud_alm::Settings> {
    let SinkKind::CloudAlm { key, service, every } = &section.kind else { return None };
    let (name, key, service, every) = (section.name.clone(), (**key).clone(), service.clone(), *every);
    Some(cloud_alm::Settings { name, key, service, every })
}

/// Builds the sink that a section describes.
pub(super) fn build(section: &Section, http: &Arc<Http>, instance: &str) -> Result<Sink, Failure> {
    match &section.kind {
        SinkKind::CloudAlm { .. } => unreachable!("it is told how things are, not what happens"),
        SinkKind::Webhook { url, secret } => Sink::webhook(Arc::clone(http), url, secret.clone(), instance),
        SinkKind::AlertNotification { key } => Sink::alert_notification(Arc::clone(http), key, instance),
    }
}

/// Tells every sink until `stop`; a reload that changes the sinks starts them anew.
pub(super) async fn tell_all(daemon: Arc<Daemon>, stop: CancellationToken) {
    sections::each(&daemon, &stop, Daemon::sinks, follow).await;
}

/// Tells every sink what there is to tell now, for a daemon of one round.
pub(super) async fn flush(daemon: &Arc<Daemon>) {
    let all = async {
        for section in daemon.sinks() {
            if let Some(settings) = cloud_alm(&section) {
                cloud_alm::once(daemon, &settings).await;
            } else if let Some(mut post) = Post::open(daemon, section).await {
                post.pass(daemon, &CancellationToken::new()).await;
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = daemon.clock.sleep(FLUSH) => warn!("the sinks take too long: the next round tells them the rest"),
    }
}

async fn follow(daemon: Arc<Daemon>, section: Section, stop: CancellationToken) {
    if let Some(settings) = cloud_alm(&section) {
        return cloud_alm::follow(daemon, settings, stop).await;
    }
    let mut post = loop {
        if let Some(post) = Post::open(&daemon, section.clone()).await {
            break post;
        }
        // What is in the way may go away: a full disk, for one.
        daemon.nap(&stop, LONGEST).await;
        if stop.is_cancelled() {
            return;
        }
    };
    while !stop.is_cancelled() {
        let pause = post.pass(&daemon, &stop).await;
        daemon.nap(&stop, pause).await;
    }
}

/// One sink, and how far it was told.
struct Post {
    section: Section,
    sink: Sink,
    outbox: Outbox,
    teller: Teller,
    /// The last entry that the teller has seen.
    seen: u64,
    looked_at: Option<Duration>,
    /// How far it was told of what was discovered.
    turn: u64,
    failures: u32,
    refusals: u32,
}

impl Post {
    /// `None` where the journal cannot be read or the sink makes no sense, which is logged.
    async fn open(daemon: &Daemon, section: Section) -> Option<Self> {
        let name = &section.name;
        let instance = daemon.instance();
        let sink = build(&section, &daemon.http, &instance)
            .map_err(|problem| warn!("sink `{name}` tells nobody: {problem}"))
            .ok()?;
        let entries = daemon.engine.journal().read(None, 0).await;
        let entries = entries.map_err(|problem| warn!("sink `{name}` tells nobody: {problem}")).ok()?;
        let end = entries.last().map_or(0, |entry| entry.sequence);
        let outbox = Outbox::open(path(daemon, name), end)
            .await
            .map_err(|problem| {
                warn!("sink `{name}` tells nobody: what it was told cannot be written: {problem}");
            })
            .ok()?;
        let mut teller = Teller::default();
        let mut seen = 0;
        for entry in entries.iter().take_while(|entry| entry.sequence <= outbox.cursor()) {
            teller.of(entry);
            seen = entry.sequence;
        }
        daemon.metrics.know_sink(name);
        Some(Self { section, sink, outbox, teller, seen, looked_at: None, turn: 0, failures: 0, refusals: 0 })
    }

    /// Tells what there is to tell, and answers how long to pause.
    async fn pass(&mut self, daemon: &Daemon, stop: &CancellationToken) -> Duration {
        match self.try_pass(daemon, stop).await {
            Ok(()) => {
                self.failures = 0;
                LOOK
            }
            Err(why) => {
                let name = &self.section.name;
                self.failures = self.failures.saturating_add(1);
                let pause = LOOK.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
                // Once, and once more when it is well again.
                if self.failures == 1 {
                    warn!(event = "sink-failed", "sink `{name}` cannot be told, and is tried again: {why}");
                }
                pause
            }
        }
    }

    async fn try_pass(&mut self, daemon: &Daemon, stop: &CancellationToken) -> Result<(), Failure> {
        let entries = daemon.engine.journal().read(None, self.seen).await;
        let entries = entries.map_err(|problem| Failure::new(Class::ServerError, problem.to_string()))?;
        daemon.metrics.sink_queue(&self.section.name, entries.len());
        for entry in &entries {
            if stop.is_cancelled() {
                return Ok(());
            }
            // A notice that fails is made again from the same entry: the teller must not have seen it.
            let mut teller = self.teller.clone();
            if let Some(notice) = teller.of(entry) {
                let is_sent = self.tell(daemon, &notice).await?;
                self.outbox.told_up_to(entry.sequence).await.map_err(|error| unwritten(&error))?;
                self.pace(daemon, is_sent).await;
            }
            self.teller = teller;
            self.seen = entry.sequence;
        }
        if self.seen > self.outbox.cursor() {
            self.outbox.told_up_to(self.seen).await.map_err(|error| unwritten(&error))?;
        }
        daemon.metrics.sink_queue(&self.section.name, 0);
        self.standing(daemon, stop).await
    }

    async fn standing(&mut self, daemon: &Daemon, stop: &CancellationToken) -> Result<(), Failure> {
        let (now, turn) = (daemon.clock.monotonic(), daemon.discoveries.turn());
        let is_fresh = self.looked_at.is_some_and(|at| now.saturating_sub(at) < STANDING);
        if is_fresh && self.turn == turn {
            return Ok(());
        }
        let views = if is_fresh { Vec::new() } else { daemon.engine.views() };
        let standing = views.iter().flat_map(|view| standing(view, daemon.clock.now()));
        for notice in standing.chain(daemon.discovery_notices()) {
            if stop.is_cancelled() {
                return Ok(());
            }
            if self.outbox.is_new(&notice) {
                let is_sent = self.tell(daemon, &notice).await?;
                self.outbox.told(&notice).await.map_err(|error| unwritten(&error))?;
                self.pace(daemon, is_sent).await;
            }
        }
        self.turn = turn;
        if !is_fresh {
            self.looked_at = Some(now);
        }
        Ok(())
    }

    /// Waits after a message that was sent, and written down as told: nobody is flooded, whatever the journal holds, and a
    /// stop meanwhile tells nothing twice.
    async fn pace(&self, daemon: &Daemon, is_sent: bool) {
        if is_sent {
            daemon.clock.sleep(Duration::from_mins(1) / self.section.per_minute.max(1)).await;
        }
    }

    /// Tells one notice, and answers whether it was sent. A message that is refused as such again and again is given up, with
    /// a line in the log.
    async fn tell(&mut self, daemon: &Daemon, notice: &Notice) -> Result<bool, Failure> {
        let name = &self.section.name;
        if notice.severity < self.section.severity {
            return Ok(false);
        }
        let outcome = self.sink.send(notice).await;
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    info!(event = "sink-recovered", "sink `{name}` can be told again");
                }
                (self.failures, self.refusals) = (0, 0);
                daemon.metrics.sink(name, "sent");
                Ok(true)
            }
            Err(failure) if failure.class == Class::ClientError && self.refusals + 1 >= REFUSALS => {
                warn!(
                    event = "sink-dropped",
                    "sink `{name}` refuses `{}`, which is given up: {failure}", notice.id
                );
                self.refusals = 0;
                daemon.metrics.sink(name, "dropped");
                Ok(false)
            }
            Err(failure) => {
                if failure.class == Class::ClientError {
                    self.refusals += 1;
                }
                daemon.metrics.sink(name, "failed");
                Err(failure)
            }
        }
    }
}

fn path(daemon: &Daemon, name: &str) -> PathBuf {
    daemon.state_dir().join("sinks").join(format!("{name}.json"))
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::new(Class::ServerError, format!("what it was told cannot be written down: {error}"))
}
