//! The second model: three credentials under the fleet's own rules. What a rotation does is cut down to what the fleet
//! hears of it; who may begin, what counts as a failure and when everything stops is decided by the daemon's code.

use std::sync::Arc;

use rekeyd::domain::event::{Entry, Event, Trigger, Wish};
use rekeyd::domain::evidence::{Basis, Evidence, Grade};
use rekeyd::domain::fleet::{Candidate, Fleet, FleetEvent, Opening, Pass, Rules, admit};
use rekeyd::domain::halt::HaltReason;
use rekeyd::domain::names::{CredentialId, RotationId};
use rekeyd::domain::observation::Observation;
use rekeyd::domain::{Timestamp, after};

use super::print::Print;
use super::search::Model;

/// What it is called.
pub(crate) const NAME: &str = "three credentials";
/// The disturbances on a path: in the short search, and in the full one.
pub(crate) const BUDGET: [usize; 2] = [1, 1];

const SIZE: usize = 3;
/// A step is six hours; a soak takes two days, and nothing is followed for longer than forty days.
const STEP: i64 = 6 * 3600;
const SOAK: i64 = 8;
const DAY: i64 = 4;
const HORIZON: i64 = 160;
/// After that nothing disturbs it any more, so that what is left can come to its end.
const CALM: i64 = 56;
const FUSE: usize = 2;
const AT_ONCE: usize = 2;

/// How far a rotation is, in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waits(Pass),
    /// Admitted, and the process died before it began.
    Admitted(Pass, i64),
    Runs,
    Proven(i64),
    Retires,
    Failed {
        over: bool,
    },
    Done,
}

#[derive(Clone)]
pub(crate) struct State {
    /// On the daemon's clock.
    now: i64,
    release: u8,
    phases: [Phase; SIZE],
    fleet: Arc<Fleet>,
    entries: Arc<Vec<Entry>>,
    /// When rotations began or were admitted, on the daemon's clock.
    begun: Vec<i64>,
    /// The releases whose rotations have soaked.
    soaked: Vec<u8>,
    /// Something failed since a person last saw to it: as a canary, or in a way that can lock out.
    alarming: bool,
    wrong: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Goes(usize),
    Begins(usize),
    Time,
    DiesAdmitting(usize),
    TurnsBack(usize),
    Stops(usize),
    Excluded(usize),
    Resumed(usize),
    FleetResumed,
    Clock(i64),
    Upgraded,
    Asked(usize, Pass),
}

pub(crate) struct Three;

fn stamp(at: i64) -> Timestamp {
    Timestamp::from_timestamp(1_772_323_200 + at * STEP, 0).expect("the model does not last for ever")
}

fn id(of: usize) -> CredentialId {
    format!("tenant-{of}/dataplane").parse().expect("it is a name")
}

fn rules(release: u8) -> Rules {
    Rules {
        fuse_rotations: FUSE,
        fuse_percent: 1,
        rotations_at_once: AT_ONCE,
        first_share_percent: 70,
        second_share_percent: 100,
        release: format!("{release}"),
        ..Rules::default()
    }
}

impl State {
    fn write(&mut self, credential: CredentialId, event: Event, story: &mut Option<&mut Vec<String>>) {
        let sequence = self.entries.len() as u64 + 1;
        if let Some(story) = story.as_deref_mut() {
            story.push(format!("{} {credential}: {}", stamp(self.now), rekeyd::domain::story::tell(&event)));
        }
        let entry = Entry { sequence, at: stamp(self.now), credential, event };
        Arc::make_mut(&mut self.fleet).apply(&entry);
        Arc::make_mut(&mut self.entries).push(entry);
    }

    /// As the engine does after whatever stirs the fleet, and once more before a rotation begins.
    fn raise_alarm(&mut self, story: &mut Option<&mut Vec<String>>) {
        if let Some(reason) = self.fleet.alarm(&rules(self.release), SIZE, stamp(self.now)) {
            self.write(CredentialId::fleet(), Event::Fleet(FleetEvent::Halted(reason)), story);
        }
    }

    fn open(&self, but: usize, counts: fn(&Phase) -> bool) -> usize {
        let lapsed = |phase: &Phase| matches!(phase, Phase::Admitted(_, at) if self.now > *at);
        let others = self.phases.iter().enumerate().filter(|(other, _)| *other != but);
        others.filter(|(_, phase)| counts(phase) && !lapsed(phase)).count()
    }

    fn judge_begin(&mut self, of: usize, pass: Pass) {
        let under_way = self.open(of, |phase| matches!(phase, Phase::Admitted(..) | Phase::Runs));
        let unsoaked =
            self.open(of, |phase| matches!(phase, Phase::Admitted(..) | Phase::Runs | Phase::Proven(_)));
        let lately = self.begun.iter().filter(|at| **at > self.now - DAY).count();
        let is_canary = !self.soaked.contains(&self.release);
        let wrong = if self.alarming {
            "it begins although something failed and no person has seen to it"
        } else if under_way >= AT_ONCE {
            "more are under way at once than the rules allow"
        } else if is_canary && !pass.emergency && unsoaked > 0 {
            "it begins beside a canary that has not soaked"
        } else if lately >= FUSE && !pass.fuse {
            "it begins although the fuse is blown"
        } else {
            return;
        };
        self.wrong.get_or_insert(format!("{}: {wrong}", id(of)));
    }

    fn begin(&mut self, of: usize, dies: bool, story: &mut Option<&mut Vec<String>>) -> bool {
        let (pass, admitted) = match self.phases[of] {
            Phase::Waits(pass) => (pass, false),
            Phase::Admitted(pass, at) => (pass, self.now == at),
            _ => return false,
        };
        let waits = |phase: &Phase| matches!(phase, Phase::Waits(_));
        if !admitted || !self.fleet.is_admitted(&id(of), stamp(self.now)) {
            self.raise_alarm(story);
            let credential = id(of);
            let candidate = Candidate {
                credential: &credential,
                ends_at: None,
                pass,
                soak: std::time::Duration::from_secs((SOAK * STEP).unsigned_abs()),
                opening: Opening::Always,
                ahead: self.phases[..of].iter().filter(|phase| waits(phase)).count(),
                size: SIZE,
            };
            let rules = rules(self.release);
            if admit(&rules, &self.fleet, &candidate, stamp(self.now)).is_err() {
                return false;
            }
            self.judge_begin(of, pass);
            self.begun.push(self.now);
            let release = rules.release;
            let event = FleetEvent::Admitted { credential, pass, window_overridden: false, release };
            self.write(CredentialId::fleet(), Event::Fleet(event), story);
        }
        if dies {
            self.phases[of] = Phase::Admitted(pass, self.now);
            return true;
        }
        let begun = Event::Begun {
            rotation: RotationId::new(&id(of), 1, 1),
            trigger: Trigger::Schedule,
            generation: 1,
            names: std::collections::BTreeMap::new(),
            reason: "due".to_owned(),
        };
        self.write(id(of), begun, story);
        self.phases[of] = Phase::Runs;
        true
    }

    /// A rotation goes on. Nothing of the fleet is asked: safety steps are never gated.
    fn go_on(&mut self, of: usize, story: &mut Option<&mut Vec<String>>) -> bool {
        let at = stamp(self.now);
        let (event, next) = match self.phases[of] {
            Phase::Runs => {
                let evidence = Evidence::seen(Grade::Acted, Basis::Report, &Observation::nothing(at), at);
                (Event::Proven { evidence }, Phase::Proven(self.now))
            }
            Phase::Proven(since) if at >= after(stamp(since), std::time::Duration::from_hours(48)) => {
                self.soaked.push(self.release);
                (Event::RetireBegun, Phase::Retires)
            }
            Phase::Retires => (Event::Completed, Phase::Done),
            _ => return false,
        };
        self.phases[of] = next;
        self.write(id(of), event, story);
        true
    }

    fn fail(
        &mut self,
        of: usize,
        event: Event,
        lock_out: bool,
        story: &mut Option<&mut Vec<String>>,
    ) -> bool {
        let can = match self.phases[of] {
            Phase::Runs | Phase::Proven(_) => !lock_out,
            Phase::Retires => lock_out,
            _ => false,
        };
        if can {
            let over = matches!(event, Event::TurnedBack { .. });
            self.alarming |= lock_out || !self.soaked.contains(&self.release);
            self.phases[of] = Phase::Failed { over };
            self.write(id(of), event, story);
            self.raise_alarm(story);
        }
        can
    }
}

impl Model for Three {
    type State = State;
    type Act = Act;

    fn first(&self) -> State {
        State {
            now: 0,
            release: 1,
            phases: [Phase::Waits(Pass::default()); SIZE],
            fleet: Arc::new(Fleet::default()),
            entries: Arc::new(Vec::new()),
            begun: Vec::new(),
            soaked: Vec::new(),
            alarming: false,
            wrong: None,
        }
    }

    fn free(&self, state: &State) -> Vec<Act> {
        let mut acts: Vec<Act> = (0..SIZE).map(Act::Goes).collect();
        acts.extend((0..SIZE).map(Act::Begins));
        acts.retain(|act| self.take(state, *act, None).is_some());
        // Time goes by while nothing else can be done; that it does so before is a disturbance.
        if acts.is_empty() && state.now < HORIZON {
            acts.push(Act::Time);
        }
        acts
    }

    fn disturbed(&self, state: &State) -> Vec<Act> {
        if state.now > CALM {
            return Vec::new();
        }
        let (meant, exposed) = (Pass { fuse: true, emergency: false }, Pass { fuse: false, emergency: true });
        let of_each = |of| {
            [Act::DiesAdmitting(of), Act::TurnsBack(of), Act::Stops(of), Act::Excluded(of), Act::Resumed(of)]
        };
        let mut acts: Vec<Act> = (0..SIZE).flat_map(of_each).collect();
        acts.extend(
            (0..SIZE).flat_map(|of| [Pass::default(), meant, exposed].map(|pass| Act::Asked(of, pass))),
        );
        acts.extend([Act::Time, Act::FleetResumed, Act::Upgraded]);
        acts.extend([1, -1, DAY, -DAY, 8 * DAY].map(Act::Clock));
        acts
    }

    fn take(&self, state: &State, act: Act, mut story: Option<&mut Vec<String>>) -> Option<State> {
        let mut next = state.clone();
        let told = &mut story;
        let happens = match act {
            Act::Goes(of) => next.go_on(of, told),
            Act::Begins(of) => next.begin(of, false, told),
            Act::DiesAdmitting(of) => next.begin(of, true, told),
            Act::Time => {
                next.now += 1;
                true
            }
            Act::Clock(by) => {
                next.now += by;
                (0..=HORIZON).contains(&next.now)
            }
            Act::TurnsBack(of) => {
                let baseline = rekeyd::domain::evidence::Baseline::default();
                next.fail(of, Event::TurnedBack { why: "it failed".to_owned(), baseline }, false, told)
            }
            Act::Stops(of) => next.fail(of, Event::Halted(HaltReason::Indeterminate), false, told),
            Act::Excluded(of) => {
                next.fail(of, Event::ExclusionFailed { detail: "it failed".to_owned() }, true, told)
            }
            Act::Resumed(of) => {
                let stopped = next.phases[of] == Phase::Failed { over: false } && next.fleet.halt.is_none();
                if stopped {
                    next.phases[of] = Phase::Runs;
                    next.write(id(of), Event::Wished(Wish::Resume), told);
                }
                stopped
            }
            Act::FleetResumed => {
                let halted = next.fleet.halt.is_some();
                if halted {
                    next.alarming = false;
                    let event = FleetEvent::Resumed { reason: "seen to".to_owned() };
                    next.write(CredentialId::fleet(), Event::Fleet(event), told);
                }
                halted
            }
            Act::Upgraded => {
                next.release += 1;
                true
            }
            Act::Asked(of, pass) => {
                let can = matches!(next.phases[of], Phase::Done | Phase::Waits(_));
                next.phases[of] = Phase::Waits(pass);
                can && next.phases[of] != state.phases[of]
            }
        };
        happens.then_some(next)
    }

    fn print(&self, state: &State) -> u128 {
        let mut print = Print::default();
        print.text(&format!("{:?} {}", state.phases, state.release));
        print
            .text(&format!("{:?} {:?} {:?}", state.fleet.attempts, state.fleet.halt, state.fleet.resumed_at));
        print.text(&format!("{:?} {:?} {} {}", state.begun, state.soaked, state.now, state.alarming));
        print.finish()
    }

    fn wrong(&self, state: &State) -> Option<String> {
        if Fleet::fold(state.entries.iter()) != *state.fleet {
            return Some("a restart changes what the fleet knows".to_owned());
        }
        state.wrong.clone()
    }

    fn end(&self, state: &State) -> Option<&'static str> {
        let over = |phase: &Phase| matches!(phase, Phase::Done | Phase::Failed { .. });
        if state.phases.iter().all(over) {
            return Some("every rotation is over");
        }
        let resting = |phase: &Phase| over(phase) || matches!(phase, Phase::Waits(_) | Phase::Admitted(..));
        (state.fleet.halt.is_some() && state.phases.iter().all(resting)).then_some("the fleet is halted")
    }

    fn kind(&self, act: Act) -> &'static str {
        match act {
            Act::Goes(_) | Act::Begins(_) => "fleet: it goes on",
            Act::Time => "fleet: a rotation is slow",
            Act::DiesAdmitting(_) => "fleet: crash between admission and begin",
            Act::TurnsBack(_) => "fleet: a rotation turns back",
            Act::Stops(_) => "fleet: a rotation halts",
            Act::Excluded(_) => "fleet: a proof by exclusion fails",
            Act::Resumed(_) => "fleet: wish: resume a credential",
            Act::FleetResumed => "fleet: wish: resume the fleet",
            Act::Clock(by) if by < 0 => "fleet: clock set back",
            Act::Clock(_) => "fleet: clock set forward",
            Act::Upgraded => "fleet: another release",
            Act::Asked(..) => "fleet: wish: rotate",
        }
    }
}
