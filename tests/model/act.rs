//! What may happen: the free acts, and every disturbance.

use rekeyd::domain::names::Role;

use super::world::Tag;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// An instance looks, plans, acts and writes down, as it does when nobody disturbs it.
    Walk(usize),
    /// A call that was given up takes effect.
    Lands,
    /// The same as a walk, with a fault in it.
    Faulty(usize, Fault),
    /// The process dies and starts again.
    Crash(usize),
    /// The machine sleeps for so long.
    Sleep(usize, i64),
    /// The clock of an instance jumps by so many steps.
    Clock(usize, i64),
    /// A person asks for something.
    Asks(Asked),
    /// Somebody pushes: backoff and pauses are over.
    Push(usize),
    /// The configuration is changed, or changed back.
    Reconfigure,
    /// A person deletes a key at the issuer.
    HandDelete(Tag),
    /// A person makes a key at the issuer.
    HandCreate(Role),
    /// A person enters keys at the consumer.
    HandEnter(Entered),
    /// The consumer deploys by itself, and succeeds or fails.
    OwnRun(bool),
}

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Rotate,
    Restore,
    Hold,
    HoldForAWhile,
    Unhold,
    Resume,
    /// Does what the halt asks for, then resumes.
    RepairAndResume,
    /// Did what is to be confirmed.
    Confirm,
    /// Did not.
    ConfirmWrongly,
}

impl Asked {
    pub(crate) const ALL: [Self; 9] = [
        Self::Rotate,
        Self::Restore,
        Self::Hold,
        Self::HoldForAWhile,
        Self::Unhold,
        Self::Resume,
        Self::RepairAndResume,
        Self::Confirm,
        Self::ConfirmWrongly,
    ];
}

/// What a person enters at the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The set that rekeyd believes in use.
    InUse,
    /// The set that is newest.
    Newest,
    /// What was there in the beginning.
    First,
    /// The newest `ciapi` with the first `cirt`.
    Mixed,
}

/// What goes wrong in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// While looking.
    Look(Blur),
    /// The call to the outside is not answered as it should be.
    Call(Answer),
    /// What the other side does with the call is not what it should be.
    Effect(Odd),
    /// The process dies.
    Dies(Moment),
    /// The process is held up for so long.
    HeldUp(Moment, i64),
    /// The n-th append of the walk writes nothing and fails.
    AppendFails(u8),
    /// The n-th append of the walk writes and is not answered.
    AppendUnanswered(u8),
}

/// When something happens to a process in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It has planned.
    Planned,
    /// It has journalled the intent, and not yet called.
    Intended,
    /// It was answered, and has not yet journalled what came of it.
    Answered,
}

/// How a look goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blur {
    ListTimesOut,
    ListRefused,
    /// Fresh keys are not listed yet, deleted ones are still.
    ListBehind,
    StatusTimesOut,
    /// The status is that of the run before.
    StatusStale,
    /// The status says success, whatever is so.
    StatusSaysSuccess,
    /// The status says error, whatever is so.
    StatusSaysError,
    /// The status is a word nobody knows.
    StatusStrange,
    ContentTimesOut,
    /// The content is shown as it was before.
    ContentStale,
    /// Not every piece of the content has started.
    ContentHalf,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No connection: no effect.
    Unreachable,
    /// The effect takes place and the answer is lost.
    Lost,
    /// No answer; the effect takes place later.
    Late,
    /// 400.
    Refused,
    /// 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// 429.
    Throttled,
}

/// What the other side does instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// Two keys are made.
    MadeTwice,
    /// Making the key fails, and the name is taken.
    MadeBroken,
    /// The key is still being made when the caller gives up.
    MadeSlowly,
    /// The delivery is accepted and nothing is taken.
    TakesNothing,
    /// Only the `ciapi` entry is taken.
    TakesCiapi,
    /// Only the `cirt` entry is taken.
    TakesCirt,
    /// The run fails, whatever it runs with.
    RunFails,
    /// The run never ends.
    RunHangs,
    /// Provisioning is accepted and no run begins.
    RunsNot,
    /// The deletion is accepted and nothing goes.
    DeletesNot,
    /// The key goes a little later.
    DeletesSlowly,
    /// A key that is gone still gets a token.
    StillWorks,
}

/// Every fault that a walk may meet. Those that meet nothing are left out by the walk itself.
pub(crate) fn faults() -> Vec<Fault> {
    use Moment::{Answered, Intended, Planned};
    let looks = [
        Blur::ListTimesOut,
        Blur::ListRefused,
        Blur::ListBehind,
        Blur::StatusTimesOut,
        Blur::StatusStale,
        Blur::StatusSaysSuccess,
        Blur::StatusSaysError,
        Blur::StatusStrange,
        Blur::ContentTimesOut,
        Blur::ContentStale,
        Blur::ContentHalf,
    ];
    let answers = [
        Answer::Unreachable,
        Answer::Lost,
        Answer::Late,
        Answer::Refused,
        Answer::Unauthorized,
        Answer::NotFound,
        Answer::Throttled,
    ];
    let odd = [
        Odd::MadeTwice,
        Odd::MadeBroken,
        Odd::MadeSlowly,
        Odd::TakesNothing,
        Odd::TakesCiapi,
        Odd::TakesCirt,
        Odd::RunFails,
        Odd::RunHangs,
        Odd::RunsNot,
        Odd::DeletesNot,
        Odd::DeletesSlowly,
        Odd::StillWorks,
    ];
    let mut faults: Vec<Fault> = looks.map(Fault::Look).to_vec();
    faults.extend(answers.map(Fault::Call));
    faults.extend(odd.map(Fault::Effect));
    faults.extend([Intended, Answered].map(Fault::Dies));
    for length in HELD_UP {
        faults.extend([Planned, Intended, Answered].map(|moment| Fault::HeldUp(moment, length)));
    }
    faults.extend([0, 1].map(Fault::AppendFails));
    faults.extend([0, 1].map(Fault::AppendUnanswered));
    faults
}

/// How long a process is held up: longer than a lease, and longer than a soak.
pub(crate) const HELD_UP: [i64; 2] = [3, 10];

/// How far a clock jumps: a little, and far, to and fro.
pub(crate) const JUMPS: [i64; 4] = [3, -3, 1500, -1500];

impl Act {
    /// The kind of a disturbance.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Walk(_) => "walk",
            Self::Lands => "late call lands",
            Self::Faulty(_, fault) => fault.kind(),
            Self::Crash(_) => "crash",
            Self::Sleep(..) => "machine sleeps",
            Self::Clock(_, by) if by < 0 => "clock set back",
            Self::Clock(..) => "clock set forward",
            Self::Asks(Asked::Rotate) => "wish: rotate",
            Self::Asks(Asked::Restore) => "wish: restore",
            Self::Asks(Asked::Hold | Asked::HoldForAWhile) => "wish: hold",
            Self::Asks(Asked::Unhold) => "wish: unhold",
            Self::Asks(Asked::Resume | Asked::RepairAndResume) => "wish: resume",
            Self::Asks(Asked::Confirm) => "wish: confirm",
            Self::Asks(Asked::ConfirmWrongly) => "wish: confirm what is not so",
            Self::Push(_) => "push",
            Self::Reconfigure => "configuration changed",
            Self::HandDelete(_) => "key deleted by hand",
            Self::HandCreate(_) => "key made by hand",
            Self::HandEnter(_) => "keys entered by hand",
            Self::OwnRun(_) => "consumer deploys by itself",
        }
    }
}

impl Fault {
    fn kind(self) -> &'static str {
        match self {
            Self::Look(blur) => blur.kind(),
            Self::Call(answer) => answer.kind(),
            Self::Effect(odd) => odd.kind(),
            Self::Dies(Moment::Planned) => "crash after the plan",
            Self::Dies(Moment::Intended) => "crash before the effect",
            Self::Dies(Moment::Answered) => "crash after the effect",
            Self::HeldUp(Moment::Planned, _) => "held up between plan and act",
            Self::HeldUp(Moment::Intended, _) => "held up between intent and call",
            Self::HeldUp(Moment::Answered, _) => "held up between effect and append",
            Self::AppendFails(_) => "append fails",
            Self::AppendUnanswered(_) => "append unanswered",
        }
    }
}

impl Blur {
    fn kind(self) -> &'static str {
        match self {
            Self::ListTimesOut => "list times out",
            Self::ListRefused => "list refused",
            Self::ListBehind => "list behind",
            Self::StatusTimesOut => "status times out",
            Self::StatusStale => "status stale",
            Self::StatusSaysSuccess => "status says success",
            Self::StatusSaysError => "status says error",
            Self::StatusStrange => "status strange",
            Self::ContentTimesOut => "content times out",
            Self::ContentStale => "content stale",
            Self::ContentHalf => "content half started",
        }
    }
}

impl Answer {
    fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Lost => "reply lost after the effect",
            Self::Late => "effect after the caller gave up",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not found",
            Self::Throttled => "throttled",
        }
    }
}

impl Odd {
    fn kind(self) -> &'static str {
        match self {
            Self::MadeTwice => "duplicate name",
            Self::MadeBroken => "key made broken",
            Self::MadeSlowly => "key made slowly",
            Self::TakesNothing => "PUT ignored",
            Self::TakesCiapi => "only ciapi taken",
            Self::TakesCirt => "only cirt taken",
            Self::RunFails => "run fails",
            Self::RunHangs => "run hangs",
            Self::RunsNot => "no run begins",
            Self::DeletesNot => "deletion ignored",
            Self::DeletesSlowly => "deletion slow",
            Self::StillWorks => "deleted key works on",
        }
    }
}
