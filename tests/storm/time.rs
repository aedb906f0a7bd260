//! Virtual time: the sandbox's clock is everybody's clock, and it jumps to the next waking moment as soon as everybody
//! sleeps. So an hour of pauses takes no time, and not one of them is cut short.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rekeyd::clock::{Clock, SystemClock};
use sap_sandbox::Sandbox;
use tokio::sync::oneshot;

/// Between two looks of the one who moves the clock.
const TICK: Duration = Duration::from_millis(1);

/// So many looks without a change, and time goes on although somebody is awake: he waits for one who sleeps.
const IMPATIENT: u32 = 300;

type Sleepers = BTreeMap<(DateTime<Utc>, u64), oneshot::Sender<()>>;

/// The clock of a test whose workers all sleep by it.
pub(crate) struct VirtualClock {
    sandbox: Arc<Sandbox>,
    started: DateTime<Utc>,
    sleepers: Mutex<(u64, Sleepers)>,
    workers: AtomicUsize,
}

impl VirtualClock {
    pub(crate) fn new(sandbox: Arc<Sandbox>, workers: usize) -> Arc<Self> {
        let started = sandbox.now();
        Arc::new(Self { sandbox, started, sleepers: Mutex::default(), workers: AtomicUsize::new(workers) })
    }

    /// Held by a worker until its work is done, or has failed.
    pub(crate) fn working(self: &Arc<Self>) -> Working {
        Working(Arc::clone(self))
    }

    /// Moves the clock until every worker has left.
    pub(crate) async fn run(&self) {
        let machine = SystemClock::new();
        let (mut quiet, mut last) = (0, 0);
        while self.workers.load(Ordering::SeqCst) > 0 {
            let (number, sleeping) = {
                let sleepers = self.sleepers.lock().unwrap();
                (sleepers.0, sleepers.1.len())
            };
            quiet = if number == last { quiet + 1 } else { 0 };
            last = number;
            let everybody = sleeping >= self.workers.load(Ordering::SeqCst);
            if everybody || quiet >= IMPATIENT {
                self.jump();
                quiet = 0;
            }
            self.wake();
            if !everybody {
                machine.sleep(TICK).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// To the earliest moment at which somebody wakes.
    fn jump(&self) {
        let next = self.sleepers.lock().unwrap().1.keys().next().map(|(at, _)| *at);
        if let Some(at) = next {
            self.sandbox.advance(at - self.sandbox.now());
        }
    }

    fn wake(&self) {
        let now = self.sandbox.now();
        let mut sleepers = self.sleepers.lock().unwrap();
        while let Some(entry) = sleepers.1.first_entry() {
            if entry.key().0 > now {
                return;
            }
            // Who has stopped waiting needs no waking.
            let _ = entry.remove().send(());
        }
    }
}

/// A worker at work.
pub(crate) struct Working(Arc<VirtualClock>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.workers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        self.sandbox.now()
    }

    async fn sleep(&self, duration: Duration) {
        let at = self.now() + TimeDelta::from_std(duration).unwrap();
        let (sender, woken) = oneshot::channel();
        {
            let mut sleepers = self.sleepers.lock().unwrap();
            sleepers.0 += 1;
            let number = sleepers.0;
            sleepers.1.insert((at, number), sender);
        }
        // The one who moves the clock is gone only when the test is over.
        let _ = woken.await;
    }

    fn nonce(&self) -> u64 {
        7
    }

    fn monotonic(&self) -> Duration {
        (self.now() - self.started).to_std().unwrap_or_default()
    }
}
