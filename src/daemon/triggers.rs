//! What wakes the daemon: the minute, signals, and nothing that carries data.
//!
//! The scheduler is a metronome only. It runs overlapping copies of a slow job, freezes zone offsets and does not wait
//! at its shutdown, so its one job does nothing but leave a note; what is due is decided from schedules and journal.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// What woke the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The minute.
    Tick,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Push,
    /// SIGUSR2.
    Dump,
    /// SIGTERM or SIGINT.
    Stop,
}

/// Every signal the daemon handles. Made before anything else, so that none of them ends the process by default.
pub struct Signals {
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs every handler.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Reload,
            _ = self.user1.recv() => Wake::Push,
            _ = self.user2.recv() => Wake::Dump,
        }
    }
}

/// The minute hand.
pub struct Metronome {
    ticks: mpsc::Receiver<()>,
    // Dropping it would leave its tasks running all the same: there is one for the life of the process.
    _scheduler: JobScheduler,
}

/// The longest time between two ticks.
pub const TICK: Duration = Duration::from_mins(1);

impl Metronome {
    /// Starts it. Once in the life of a process: a scheduler that is dropped leaves its tasks behind.
    pub async fn start() -> Result<Self, JobSchedulerError> {
        let (note, ticks) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new_async("0 * * * * *", move |_, _| {
            // A full channel means that the last tick was not taken yet: waking twice is waking once.
            let _ = note.try_send(());
            Box::pin(async {})
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { ticks, _scheduler: scheduler })
    }

    /// Waits for the next minute.
    pub async fn tick(&mut self) {
        if self.ticks.recv().await.is_none() {
            // The job is gone for good; the loop goes on with its own timer, and the metric tells.
            std::future::pending::<()>().await;
        }
    }
}
