//! What counts as news from the consumer, case by case.

use rekeyd::domain::Timestamp;
use rekeyd::domain::evidence::{Baseline, Basis, Judgement, Watch, judge};
use rekeyd::domain::observation::{Content, Observation, Seen, Status, Verdict};
use rekeyd::domain::policy::Provision;

use super::{at, policy};

const DELIVERED: &str = "2026-01-01T12:00:00Z";
const BEFORE: &str = "2026-01-01T11:00:00Z";
const LATER: &str = "2026-01-01T12:03:00Z";
const SETTLED: &str = "2026-01-01T12:06:00Z";

fn status(verdict: Verdict, said_at: Option<&str>) -> Status {
    Status { verdict, word: verdict.as_str().to_owned(), at: said_at.map(at), detail: None }
}

fn content(deployed_at: &str) -> Content {
    Content { deployed_at: Some(at(deployed_at)), started: true }
}

/// What was there before the delivery, what is there now, and when now is.
struct Case {
    provision: Provision,
    before: Option<Status>,
    moving: bool,
    status: Option<Status>,
    content: &'static str,
    now: &'static str,
}

/// At rest before and after, and nothing new.
fn still() -> Case {
    Case {
        provision: Provision::WhenNeeded,
        before: Some(status(Verdict::Success, None)),
        moving: false,
        status: Some(status(Verdict::Success, None)),
        content: BEFORE,
        now: LATER,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation reads better by value")]
fn check(case: Case, expected: Judgement) {
    let mut policy = policy();
    policy.provision = case.provision;
    let since: Timestamp = at(DELIVERED);
    let baseline = Baseline { status: case.before, content: Some(content(BEFORE)) };
    let mut watch = Watch::new(since, since, baseline);
    watch.moving = case.moving;
    let observation = Observation {
        status: case.status.map_or(Seen::NotAsked, Seen::Yes),
        content: Seen::Yes(content(case.content)),
        ..Observation::nothing(at(case.now))
    };
    assert_eq!(judge(&policy, &watch, &observation, at(case.now)), expected);
}

#[test]
fn standing_still_proves_nothing() {
    check(still(), Judgement::Waiting);
    check(Case { now: SETTLED, ..still() }, Judgement::AskForProvisioning);
    check(Case { now: SETTLED, provision: Provision::Never, ..still() }, Judgement::Waiting);
    check(
        Case { now: "2026-01-01T12:36:00Z", provision: Provision::Never, ..still() },
        Judgement::Indeterminate,
    );
}

#[test]
fn what_is_new_proves() {
    check(Case { status: Some(status(Verdict::InProgress, None)), ..still() }, Judgement::Moves);
    check(Case { moving: true, ..still() }, Judgement::Works(Basis::Report));
    check(Case { content: LATER, ..still() }, Judgement::Works(Basis::Deployment));
    let before = Some(status(Verdict::Success, Some(BEFORE)));
    let newer = Some(status(Verdict::Success, Some(LATER)));
    check(Case { before: before.clone(), status: newer, ..still() }, Judgement::Works(Basis::Report));
    check(Case { before: before.clone(), status: before, ..still() }, Judgement::Waiting);
}

/// Later than the end that was seen, and still not after the delivery: a run of before, which nobody saw.
#[test]
fn what_is_not_later_than_the_delivery_is_no_news() {
    let before = Some(status(Verdict::Success, Some(BEFORE)));
    for said_at in ["2026-01-01T11:30:00Z", DELIVERED] {
        let newer = Some(status(Verdict::Success, Some(said_at)));
        check(Case { before: before.clone(), status: newer, ..still() }, Judgement::Waiting);
        check(Case { content: said_at, ..still() }, Judgement::Waiting);
    }
}

/// The consumer's clock was ahead when its answers of before were given: the same again is no news.
#[test]
fn what_was_seen_before_is_no_news_however_late_its_time() {
    let since: Timestamp = at(DELIVERED);
    let ahead = Some(status(Verdict::Success, Some(LATER)));
    let baseline = Baseline { status: ahead.clone(), content: Some(content(LATER)) };
    let watch = Watch::new(since, since, baseline);
    let observation = Observation {
        status: ahead.map_or(Seen::NotAsked, Seen::Yes),
        content: Seen::Yes(content(LATER)),
        ..Observation::nothing(at(LATER))
    };
    assert_eq!(judge(&policy(), &watch, &observation, at(LATER)), Judgement::Waiting);
}

#[test]
fn a_run_from_before_the_delivery_proves_nothing() {
    for before in [None, Some(status(Verdict::InProgress, None))] {
        let case = || Case { before: before.clone(), ..still() };
        check(Case { status: Some(status(Verdict::InProgress, None)), ..case() }, Judgement::Waiting);
        check(case(), Judgement::Rests);
        check(Case { status: Some(status(Verdict::Success, Some(LATER))), ..case() }, Judgement::Rests);
        check(Case { status: Some(status(Verdict::Error, None)), ..case() }, Judgement::Rests);
    }
    let old_run = Some(status(Verdict::InProgress, None));
    check(Case { before: old_run.clone(), content: LATER, ..still() }, Judgement::Rests);
    check(
        Case { before: old_run, content: LATER, status: None, now: SETTLED, ..still() },
        Judgement::Waiting,
    );
}

#[test]
fn a_consumer_without_a_status_is_judged_by_its_content() {
    let case = || Case { before: None, status: None, ..still() };
    check(case(), Judgement::Waiting);
    check(Case { content: LATER, ..case() }, Judgement::Works(Basis::Deployment));
    check(Case { now: SETTLED, ..case() }, Judgement::AskForProvisioning);
}

/// Provisioning was asked for and the answer was lost: what it deploys may be the keys before these.
#[test]
fn new_content_may_be_of_a_run_that_was_about_to_begin() {
    let before = Baseline::of_restless(&Observation::nothing(at(BEFORE))).status;
    let case = || Case { before: before.clone(), content: LATER, ..still() };
    check(case(), Judgement::Rests);
    // The status could not be seen, which may be so for a moment or for ever.
    let unseen = || Case { status: None, ..case() };
    check(unseen(), Judgement::Waiting);
    check(Case { now: SETTLED, ..unseen() }, Judgement::Waiting);
    // By now it is over; what it came to is what news is measured by.
    check(Case { now: "2026-01-01T12:36:00Z", ..unseen() }, Judgement::AskForProvisioning);
}

#[test]
fn an_end_that_had_no_time_is_not_newer_for_having_one() {
    let now_timed = Some(status(Verdict::Success, Some(LATER)));
    check(Case { status: now_timed.clone(), ..still() }, Judgement::Waiting);
    let nothing_there = Some(status(Verdict::NotProvisioned, None));
    check(Case { before: nothing_there, status: now_timed, ..still() }, Judgement::Works(Basis::Report));
}

#[test]
fn always_asks_even_where_the_consumer_moves_by_itself() {
    let case = || Case { provision: Provision::Always, moving: true, now: SETTLED, ..still() };
    check(case(), Judgement::AskForProvisioning);
    check(Case { now: LATER, ..case() }, Judgement::Waiting);
    check(Case { status: Some(status(Verdict::InProgress, None)), ..case() }, Judgement::Waiting);
}
