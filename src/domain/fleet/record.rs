//! What the journal says of the fleet: who was admitted, what became of it, and whether the fleet is halted.

use std::collections::{BTreeMap, VecDeque};

use super::{
    FAILURE_SPAN, FEWEST_FOR_A_SHARE, FUSE_SPAN, FleetEvent, FleetHaltReason, LAPSE, Pass, Rules, TRUST,
};
use crate::domain::event::{Entry, Event, Wish};
use crate::domain::halt::HaltReason;
use crate::domain::names::CredentialId;
use crate::domain::{Timestamp, after, before};

/// Admissions that are remembered for the fuse. No fuse is set higher.
const ADMISSIONS_LIMIT: usize = 100_000;

/// What became of an admitted rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It may begin.
    Admitted,
    /// It has begun.
    UnderWay,
    /// The consumer works with the fresh keys.
    Proven,
    /// It was proven and has soaked: a success.
    Soaked(Timestamp),
    /// It turned back, or a person is needed.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        cause: String,
        /// Whether the failure shows that a consumer can be locked out.
        lock_out: bool,
    },
}

/// The last admitted rotation of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was admitted.
    pub at: Timestamp,
    /// What it passes.
    pub pass: Pass,
    /// By which release.
    pub release: String,
    /// What became of it.
    pub progress: Progress,
    /// Whether the rotation is over: nothing more comes of it.
    pub is_over: bool,
    /// Whether a person who ended a halt of the fleet forgave its failure.
    pub is_forgiven: bool,
}

impl Attempt {
    fn new(at: Timestamp, pass: Pass, release: &str) -> Self {
        let progress = Progress::Admitted;
        Self { at, pass, release: release.to_owned(), progress, is_over: false, is_forgiven: false }
    }

    fn is_lapsed(&self, now: Timestamp) -> bool {
        self.progress == Progress::Admitted && now >= after(self.at, LAPSE)
    }

    /// Whether it is not proven yet.
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        matches!(self.progress, Progress::Admitted | Progress::UnderWay) && !self.is_lapsed(now)
    }

    /// Whether it stopped without a danger to its consumer.
    fn is_stopped(&self) -> bool {
        matches!(self.progress, Progress::Failed { lock_out: false, .. })
    }

    /// Whether it is not proven and soaked yet.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.is_under_way(now) || self.progress == Progress::Proven
    }
}

/// What the journal says of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// The last admitted rotation of each credential.
    pub attempts: BTreeMap<CredentialId, Attempt>,
    /// When rotations were admitted, in the order of the journal.
    admissions: VecDeque<Timestamp>,
    /// Why the fleet is halted, and since when.
    pub halt: Option<(FleetHaltReason, Timestamp)>,
    /// When a person last ended a halt: older failures are forgiven.
    pub resumed_at: Option<Timestamp>,
    /// The number of the last entry of the fleet's own stream.
    pub sequence: u64,
    /// The number of the last entry of the whole journal that was read.
    pub read: u64,
}

impl Fleet {
    /// Folds a whole journal.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut fleet = Self::default();
        for entry in entries {
            fleet.apply(entry);
        }
        fleet
    }

    /// Takes one entry of the journal, of whatever stream, in order.
    pub fn apply(&mut self, entry: &Entry) {
        self.read = self.read.max(entry.sequence);
        match &entry.event {
            Event::Fleet(event) => {
                self.sequence = entry.sequence;
                self.own(event, entry.at);
            }
            event => self.of_credential(&entry.credential, event, entry.at),
        }
    }

    fn own(&mut self, event: &FleetEvent, at: Timestamp) {
        match event {
            FleetEvent::Admitted { credential, pass, release, .. } => {
                self.count(at);
                self.attempts.insert(credential.clone(), Attempt::new(at, *pass, release));
            }
            FleetEvent::Halted(reason) => self.halt = Some((reason.clone(), at)),
            FleetEvent::Resumed { .. } => {
                self.halt = None;
                self.resumed_at = Some(at);
                self.forgive();
            }
        }
    }

    /// Failures are forgiven. One that stopped half-way is kept: once a person saw to it, it is under way again.
    fn forgive(&mut self) {
        self.attempts.retain(|_, attempt| {
            !matches!(attempt.progress, Progress::Failed { .. }) || (attempt.is_stopped() && !attempt.is_over)
        });
        for attempt in self.attempts.values_mut() {
            attempt.is_forgiven = attempt.is_stopped();
        }
    }

    fn count(&mut self, at: Timestamp) {
        self.admissions.push_back(at);
        if self.admissions.len() > ADMISSIONS_LIMIT {
            self.admissions.pop_front();
        }
    }

    /// The clock was ahead and was set back: nothing can have happened later than `at`.
    fn set_back(&mut self, at: Timestamp) {
        let back = |time: &mut Timestamp| *time = (*time).min(at);
        self.admissions.iter_mut().for_each(back);
        self.resumed_at.iter_mut().for_each(back);
        self.halt.iter_mut().for_each(|(_, since)| back(since));
        for attempt in self.attempts.values_mut() {
            back(&mut attempt.at);
            if let Progress::Soaked(time) | Progress::Failed { at: time, .. } = &mut attempt.progress {
                back(time);
            }
        }
    }

    fn of_credential(&mut self, id: &CredentialId, event: &Event, at: Timestamp) {
        if let Event::ClockSetBack = event {
            self.set_back(at);
        }
        if let Event::Begun { .. } = event {
            let admitted =
                self.attempts.get(id).is_some_and(|attempt| attempt.progress == Progress::Admitted);
            if !admitted {
                // Begun by a release that knew no admissions: it counts all the same.
                self.count(at);
                self.attempts.insert(id.clone(), Attempt::new(at, Pass::default(), ""));
            }
        }
        if let Event::Adopted { .. } = event {
            // A person started over: the rotation that was under way counts for nothing any more.
            self.attempts.remove(id);
        }
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        if let Event::HandedOver { .. } = event {
            // Nobody waits for a person who may come next week, and what his hands did speaks for no other rotation.
            self.attempts.remove(id);
            return;
        }
        if let Event::Completed | Event::Adopted { .. } = event {
            attempt.is_over = true;
            if matches!(attempt.progress, Progress::UnderWay | Progress::Proven) {
                // It turned back or was given up, and a person saw to that: it is neither a success nor a failure.
                self.attempts.remove(id);
            }
            return;
        }
        if let Event::Wished(Wish::Resume | Wish::Confirm) = event
            && attempt.is_stopped()
            && attempt.is_over
        {
            // A person saw to what a rotation left behind. Nobody waits for that one any more.
            self.attempts.remove(id);
            return;
        }
        let progress = match event {
            Event::Begun { .. } => Progress::UnderWay,
            Event::Proven { .. } if attempt.progress == Progress::UnderWay => Progress::Proven,
            Event::RetireBegun if attempt.progress == Progress::Proven => Progress::Soaked(at),
            Event::TurnedBack { why, .. } => failed(at, why.clone(), false),
            Event::SameSecret { .. } => {
                failed(at, "the fresh key has the secret of the old one".to_owned(), false)
            }
            Event::ExclusionFailed { detail } => failed(at, detail.clone(), true),
            Event::Halted(reason) if is_lock_out(reason) => failed(at, reason.to_string(), true),
            Event::Halted(reason) if matches!(attempt.progress, Progress::UnderWay | Progress::Proven) => {
                failed(at, reason.to_string(), false)
            }
            // The proof is void, and what it soaked for with it: once a person saw to that, it is sought again.
            Event::Halted(reason @ HaltReason::ConsumerChanged { .. })
                if matches!(attempt.progress, Progress::Soaked(_)) =>
            {
                failed(at, reason.to_string(), false)
            }
            // A person saw to it: what comes of it now counts.
            Event::Wished(Wish::Resume | Wish::Confirm) if attempt.is_stopped() => Progress::UnderWay,
            _ => return,
        };
        attempt.progress = progress;
        attempt.is_forgiven = false;
    }

    /// Rotations that were admitted in the 24 hours before `now`. What was admitted later, before the clock was set
    /// back, counts as well.
    pub fn admitted_lately(&self, now: Timestamp) -> usize {
        let from = before(now, FUSE_SPAN);
        self.admissions.iter().filter(|at| **at > from).count()
    }

    /// When the fuse lets one more begin, where `limit` are admitted.
    pub fn fuse_opens_at(&self, limit: usize, now: Timestamp) -> Option<Timestamp> {
        let from = before(now, FUSE_SPAN);
        let mut lately: Vec<Timestamp> = self.admissions.iter().copied().filter(|at| *at > from).collect();
        lately.sort_unstable();
        let last = lately.len().checked_sub(limit.max(1))?;
        lately.get(last).map(|at| after(*at, FUSE_SPAN))
    }

    /// Rotations of this release that went well lately; with `hurry` a proof is enough.
    pub fn successes(&self, rules: &Rules, hurry: bool, now: Timestamp) -> usize {
        let from = before(now, TRUST);
        let speaks = |attempt: &&Attempt| {
            attempt.release == rules.release
                && match attempt.progress {
                    Progress::Soaked(at) => at > from,
                    Progress::Proven => hurry && attempt.at > from,
                    _ => false,
                }
        };
        self.attempts.values().filter(speaks).count()
    }

    /// Why the fleet must halt now, if it must and is not halted yet.
    pub fn alarm(&self, rules: &Rules, size: usize, now: Timestamp) -> Option<FleetHaltReason> {
        if self.halt.is_some() {
            return None;
        }
        let from = before(now, FAILURE_SPAN);
        // A canary may take longer than the span: what counts then is when it failed.
        let is_recent = |attempt: &Attempt| {
            let failed = matches!(attempt.progress, Progress::Failed { at, .. } if at > from);
            (attempt.at > from || failed) && !attempt.is_forgiven
        };
        let recent: Vec<_> = self.attempts.iter().filter(|(_, attempt)| is_recent(attempt)).collect();
        let mut failed = Vec::new();
        for (id, attempt) in &recent {
            if let Progress::Failed { at, cause, lock_out } = &attempt.progress {
                if *lock_out {
                    return Some(FleetHaltReason::LockOut {
                        credential: (*id).clone(),
                        cause: cause.clone(),
                    });
                }
                failed.push((*at, *id, cause));
            }
        }
        let (_, id, cause) = failed.iter().max_by_key(|(at, ..)| *at)?;
        // A fleet of one has the limits of its credential.
        if size < 2 || !rules.canary {
            return self.too_many(rules, failed.len(), recent.len(), cause);
        }
        if self.successes(rules, false, now) == 0 {
            let (credential, cause) = ((*id).clone(), (*cause).clone());
            return Some(FleetHaltReason::CanaryFailed { credential, cause });
        }
        self.too_many(rules, failed.len(), recent.len(), cause)
    }

    #[expect(clippy::unused_self, reason = "it reads as a question to the fleet")]
    fn too_many(&self, rules: &Rules, failed: usize, of: usize, cause: &str) -> Option<FleetHaltReason> {
        let many = of >= FEWEST_FOR_A_SHARE && failed * 100 > of * rules.halt_percent;
        many.then(|| FleetHaltReason::TooManyFailures { failed, of, cause: cause.to_owned() })
    }
}

fn failed(at: Timestamp, cause: String, lock_out: bool) -> Progress {
    Progress::Failed { at, cause, lock_out }
}

/// Whether a halt of one credential shows that a consumer can be locked out.
fn is_lock_out(reason: &HaltReason) -> bool {
    matches!(reason, HaltReason::ExclusionFailed { .. } | HaltReason::RestoreFailed { .. })
}
