//! How surely the consumer works with a set of keys, and how that is judged.
//!
//! A consumer that took the `PUT` and ignored it looks, standing still, exactly like one that took it to heart. So
//! standing still proves nothing: what counts is that the consumer was seen to do something *new* after the
//! delivery. A [`Watch`] remembers what it looked like before, and [`judge`] compares.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::observation::{Content, Observation, Status, Verdict};
use super::policy::{Policy, Provision, Witness};

/// The grade of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Grade {
    /// 0: nothing.
    Nothing,
    /// 1: a token was obtained with each fresh key.
    Token,
    /// 2: an authenticated read succeeded with it.
    Read,
    /// 3: the consumer accepted the delivery.
    Accepted,
    /// 4: the consumer did something new with it.
    Acted,
    /// 5: proven by exclusion: the consumer acted with the old `ciapi` gone for longer than its longest token life.
    Excluded,
}

impl From<Grade> for u8 {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Nothing => 0,
            Grade::Token => 1,
            Grade::Read => 2,
            Grade::Accepted => 3,
            Grade::Acted => 4,
            Grade::Excluded => 5,
        }
    }
}

impl TryFrom<u8> for Grade {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        [Self::Nothing, Self::Token, Self::Read, Self::Accepted, Self::Acted, Self::Excluded]
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| format!("`{number}` is no evidence grade: expected 0 to 5"))
    }
}

/// What a proof rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The consumer reports success for this delivery: it was seen under way, or its report is newer.
    Report,
    /// The integration content was deployed again after the delivery, seen with the fresh `ciapi` key.
    Deployment,
    /// A person says that the consumer works with it, where the consumer says nothing itself.
    Person,
}

impl Basis {
    /// The basis in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "the consumer reports success for this delivery",
            Self::Deployment => "the integration content was deployed again after this delivery",
            Self::Person => "a person confirms that the consumer works with it",
        }
    }
}

/// A proof, as it is journalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How good it is.
    pub grade: Grade,
    /// What it rests on.
    pub basis: Basis,
    /// When it was reached.
    pub reached_at: Timestamp,
    /// When it was last renewed: every fresh key still works.
    pub renewed_at: Timestamp,
    /// When the content that was seen at the proof had been deployed; the consumer's clock, which no clock of ours moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<Timestamp>,
}

impl Evidence {
    /// The proof that `observation`, made at `now`, completes.
    pub fn seen(grade: Grade, basis: Basis, observation: &Observation, now: Timestamp) -> Self {
        let deployed_at = observation.content.known().and_then(|content| content.deployed_at);
        Self { grade, basis, reached_at: now, renewed_at: now, deployed_at }
    }
}

/// The word of a consumer of which nobody knows what it is at.
const RESTLESS: &str = "a run may begin";

/// What the consumer looked like before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

impl Baseline {
    /// What `observation` shows.
    pub fn of(observation: &Observation) -> Self {
        Self { status: observation.status.known().cloned(), content: observation.content.known().copied() }
    }

    /// What `observation` shows, where a run may begin at any moment whatever the status says.
    pub fn of_restless(observation: &Observation) -> Self {
        let status = Status { verdict: Verdict::Unknown, word: RESTLESS.to_owned(), at: None, detail: None };
        Self { status: Some(status), ..Self::of(observation) }
    }
}

/// One attempt to see the consumer do something new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// When the delivery, or the redeployment, was answered; our clock.
    pub since: Timestamp,
    /// What the consumer did counts as new only after this instant; its clock where its answer told it, else ours.
    pub news_after: Timestamp,
    /// What it looked like before.
    pub baseline: Baseline,
    /// When provisioning was asked for, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<Timestamp>,
    /// Whether the consumer said that provisioning cannot be asked for (404, 405, 501).
    #[serde(default)]
    pub cannot_post: bool,
    /// Whether the consumer was seen under way since.
    #[serde(default)]
    pub moving: bool,
    /// When it was seen at rest for the first time, where it may have been under way with something of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rested_at: Option<Timestamp>,
    /// The successes in a row that were seen since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worked: Option<Worked>,
    /// When it was seen to fail, where nothing better was seen since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faltered_at: Option<Timestamp>,
    /// When the keys were handed over to a person, where only a person can say that they are in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_at: Option<Timestamp>,
    /// Whether the person said so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub confirmed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Successes in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worked {
    /// When the first was seen.
    pub first_at: Timestamp,
    /// When the last was seen.
    pub last_at: Timestamp,
    /// How many.
    pub count: u32,
}

impl Watch {
    /// A watch that starts now.
    pub fn new(since: Timestamp, news_after: Timestamp, baseline: Baseline) -> Self {
        Self {
            since,
            news_after,
            baseline,
            posted_at: None,
            cannot_post: false,
            moving: false,
            rested_at: None,
            worked: None,
            faltered_at: None,
            handed_at: None,
            confirmed: false,
        }
    }

    /// Whether a person is waited for.
    pub fn awaits_person(&self) -> bool {
        self.handed_at.is_some() && !self.confirmed
    }

    /// The consumer was seen to work once more.
    pub(super) fn works(&mut self, at: Timestamp) {
        let before = self.worked.take();
        let count = before.as_ref().map_or(0, |worked| worked.count).saturating_add(1);
        self.worked =
            Some(Worked { first_at: before.map_or(at, |worked| worked.first_at), last_at: at, count });
        self.faltered_at = None;
    }

    /// The run of successes is over, and so is that of looks that showed it at rest.
    pub(super) fn start_over(&mut self, faltered_at: Option<Timestamp>) {
        self.worked = None;
        self.rested_at = None;
        self.faltered_at = faltered_at;
    }

    /// When the watch runs out under `policy`.
    pub fn deadline(&self, policy: &Policy) -> Timestamp {
        super::after(self.posted_at.unwrap_or(self.since), policy.settle + policy.deadline)
    }

    fn is_after(&self, at: Timestamp) -> bool {
        at > self.news_after
    }

    /// Whether a run that began before the delivery may be what is seen: the consumer was under way then, or nobody
    /// knows. What such a run comes to proves nothing.
    fn may_be_an_old_run(&self) -> bool {
        self.baseline.status.as_ref().is_none_or(|status| status.verdict.may_be_under_way())
    }

    /// Whether a run of before may have been about to begin: content that is new may be of it, until it was seen at rest.
    fn is_restless(&self) -> bool {
        self.baseline.status.as_ref().is_some_and(|status| status.word == RESTLESS)
    }

    fn was(&self, verdict: Verdict) -> bool {
        self.baseline.status.as_ref().is_some_and(|status| status.verdict == verdict)
    }

    fn is_new_status(&self, status: &Status) -> bool {
        let newer = status.at.is_some_and(|at| {
            let is_later = |before: &Status| match before.at {
                Some(before) => at > before,
                // An end without a time cannot be told from the same end with one.
                None => !before.verdict.is_final(),
            };
            self.is_after(at) && self.baseline.status.as_ref().is_some_and(is_later)
        });
        self.moving || newer
    }

    fn is_new_content(&self, content: Content) -> bool {
        let before = self.baseline.content.and_then(|content| content.deployed_at);
        content.started
            && content.deployed_at.is_some_and(|at| self.is_after(at) && before.is_none_or(|before| at > before))
            // Without a baseline a deployment time alone cannot be told from an old one on a skewed clock.
            && self.baseline.content.is_some()
    }
}

/// What a look says about a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// What was under way before the delivery is over: what is seen now is what news is measured by.
    Rests,
    /// The consumer was seen under way for the first time: write that down.
    Moves,
    /// It did something new, and it works.
    Works(Basis),
    /// It did something new, and it does not work.
    Fails(String),
    /// Provisioning should be asked for now.
    AskForProvisioning,
    /// Only a person can say.
    AwaitsPerson,
    /// Nothing can be said yet.
    Waiting,
    /// The time is up and nothing can be said.
    Indeterminate,
}

/// Judges what `observation` says about `watch`.
pub fn judge(policy: &Policy, watch: &Watch, observation: &Observation, now: Timestamp) -> Judgement {
    if let Witness::Person { .. } = policy.witness {
        return if watch.confirmed { Judgement::Works(Basis::Person) } else { Judgement::AwaitsPerson };
    }
    // A word that means nothing to us is no word.
    let status = observation.status.known().filter(|status| status.verdict != Verdict::Unknown);
    let under_way = status.is_some_and(|status| status.verdict == Verdict::InProgress);
    let must_post_first =
        policy.provision == Provision::Always && watch.posted_at.is_none() && !watch.cannot_post;
    // Where only now can be told what it is at, what it comes to from here on is what counts.
    let first_word = watch.was(Verdict::Unknown) && status.is_some();
    let redeployed = !must_post_first
        && !under_way
        && !watch.was(Verdict::InProgress)
        && !first_word
        && !watch.is_restless()
        && observation.content.known().is_some_and(|content| watch.is_new_content(*content));
    if watch.may_be_an_old_run() && !redeployed {
        if status.is_some() && !under_way {
            // What is said once may be wrong, or of a moment between two steps.
            let again = watch.rested_at.is_none_or(|at| now >= super::after(at, policy.poll));
            return if again { Judgement::Rests } else { Judgement::Waiting };
        }
        if under_way && watch.rested_at.is_some() {
            return Judgement::Moves;
        }
        if under_way || watch.was(Verdict::InProgress) {
            return if now >= watch.deadline(policy) { Judgement::Indeterminate } else { Judgement::Waiting };
        }
    }
    // Whoever is at work again after it was seen to work or to fail has come to no end yet.
    let ended = watch.worked.is_some() || watch.faltered_at.is_some();
    if under_way && (!watch.moving || ended) {
        return Judgement::Moves;
    }
    if !must_post_first
        && let Some(status) = status.filter(|status| status.verdict.is_final() && watch.is_new_status(status))
    {
        return match status.verdict {
            Verdict::Error => Judgement::Fails(
                status.detail.clone().unwrap_or_else(|| format!("the consumer reports `{}`", status.word)),
            ),
            _ => Judgement::Works(Basis::Report),
        };
    }
    if redeployed {
        return Judgement::Works(Basis::Deployment);
    }
    // Without a status nobody sees that such a run is over; it has its time.
    let wait = if watch.is_restless() { policy.settle + policy.deadline } else { policy.settle };
    let settled = now >= super::after(watch.since, wait);
    let may_post = policy.provision != Provision::Never && watch.posted_at.is_none() && !watch.cannot_post;
    // A run of its own is news enough, unless the operator wants the asking in any case; it is never asked twice at once.
    if settled && may_post && !under_way && (must_post_first || !watch.moving) {
        return Judgement::AskForProvisioning;
    }
    if now >= watch.deadline(policy) {
        return Judgement::Indeterminate;
    }
    Judgement::Waiting
}
