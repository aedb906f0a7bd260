//! What a person is told of what the engine does: never of a moment that is over, and always what comes next.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekeyd::clock::Clock;
use rekeyd::daemon::report::{CredentialStatus, Status};
use rekeyd::domain::event::{Event, Wish};
use rekeyd::domain::failure::Class;
use rekeyd::domain::names::CredentialId;
use rekeyd::engine::{Engine, Woken};
use rekeyd::ports::Journal;

use super::fleet::{Fleet, until_the_canary_is_put_back};

fn status(fleet: &Fleet, engine: &Arc<Engine>, id: &CredentialId) -> CredentialStatus {
    let all = Status::of(engine, fleet.clock.now()).credentials;
    all.into_iter().find(|status| status.credential == *id).unwrap()
}

#[tokio::test]
async fn who_was_turned_away_before_the_fleet_halted_is_told_of_the_halt() {
    let fleet = Fleet::new(3, 340);
    let engine = fleet.engine("one").await;
    let canary = until_the_canary_is_put_back(&fleet, &engine).await;
    fleet.turn(&engine).await;
    let other = &fleet.outsides.iter().find(|(id, _)| *id != canary).unwrap().0;
    let seen = engine.view(other).unwrap().reason.unwrap().text;
    assert!(seen.contains("the gate `share` is closed"), "it was not looked at since: {seen}");
    let after = status(&fleet, &engine, other);
    let reason = after.reason.unwrap();
    assert!(reason.contains("the gate `fleet halt` is closed") && !reason.contains("share"), "{reason}");
    assert!(after.person.unwrap().contains("`rekeyd resume --fleet`"));
    let again = status(&fleet, &engine, &canary).tries_again.unwrap();
    assert!(again.ends_with("not before `rekeyd resume --fleet` ends the halt of the fleet"), "{again}");
}

async fn until(fleet: &Fleet, engine: &Arc<Engine>, id: &CredentialId, stage: &str) -> CredentialStatus {
    for _ in 0..2000 {
        let seen = status(fleet, engine, id);
        if seen.stage == stage {
            return seen;
        }
        fleet.turn(engine).await;
    }
    panic!("it is never `{stage}`: {:?}", status(fleet, engine, id));
}

#[tokio::test]
async fn the_way_back_says_its_own_reason_and_when_the_rotation_is_tried_again() {
    let fleet = Fleet::new(1, 340);
    let engine = fleet.engine("one").await;
    let id = fleet.outsides[0].0.clone();
    let stop = format!("since it is still due; `rekeyd hold {id}` stops that");
    for (turn, reason) in ["the first", "the second"].into_iter().enumerate() {
        until(&fleet, &engine, &id, "soaking").await;
        engine.wish(&id, Wish::Restore { reason: reason.to_owned() }).await.unwrap();
        let back = until(&fleet, &engine, &id, "restoring").await;
        assert_eq!(back.turned_back.as_deref().map(|why| why.contains(reason)), Some(true), "{back:?}");
        let rest = format!("by itself {} days after the old keys are back", 2 * (turn + 1));
        assert!(back.tries_again.as_ref().unwrap().starts_with(&rest), "{back:?}");
        let settled = until(&fleet, &engine, &id, "settled").await;
        assert_eq!(settled.turned_back.as_deref().map(|why| why.contains(reason)), Some(true), "{settled:?}");
        // One moment, whoever is asked: the status, the plan and the forecast.
        let at = settled.next_look.unwrap();
        let stamp = at.format("%Y-%m-%d %H:%M UTC");
        assert_eq!(settled.tries_again, Some(format!("by itself {stamp}, {stop}")));
        let peek = engine.peek_at(&id).await.unwrap();
        let gate = peek.gates.iter().find(|gate| gate.name == "pause").unwrap();
        assert_eq!((gate.open, gate.opens_at), (false, Some(at)));
        assert!(
            peek.plan.reason.text.contains(&format!("tried again by itself {stamp} (it turned back ")),
            "{peek:?}"
        );
        let until = rekeyd::domain::after(at, std::time::Duration::from_hours(24));
        assert_eq!(engine.forecast(until).coming[0].begins_at, at);
        while fleet.clock.now() <= at {
            fleet.turn(&engine).await;
        }
        let begun = engine.journal().read(None, 0).await.unwrap();
        let begun = begun.iter().rfind(|entry| matches!(entry.event, Event::Begun { .. })).unwrap();
        assert_eq!(begun.at, at);
    }
}

#[tokio::test]
async fn a_refused_login_is_a_persons_to_mend_and_is_tried_at_once_with_another_one_only() {
    let fleet = Fleet::new(2, 100);
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    let (id, outside) = &fleet.outsides[0];
    *outside.outage.lock().unwrap() = Some(Class::Unauthorized);
    engine.push();
    engine.quiet().await;
    let refused = status(&fleet, &engine, id);
    assert_eq!(refused.code.as_deref(), Some("login-refused"));
    assert!(refused.needs_person() && refused.person.unwrap().contains("`rekeyd reload`"));
    *outside.outage.lock().unwrap() = None;
    outside.listed.lock().unwrap().clear();
    let other = fleet.outsides[1].0.tenant.clone();
    assert_eq!(engine.wake_refused(&BTreeSet::from([other])), Woken { walkers: 0 });
    assert_eq!(engine.wake_refused(&BTreeSet::from([id.tenant.clone()])), Woken { walkers: 1 });
    engine.quiet().await;
    assert_eq!(outside.listed.lock().unwrap().len(), 1);
    assert_eq!(status(&fleet, &engine, id).person, None);
}

#[tokio::test]
async fn a_refused_login_amid_a_rotation_is_tried_at_once_with_another_one() {
    let fleet = Fleet::new(1, 340);
    let engine = fleet.engine("one").await;
    let (id, outside) = &fleet.outsides[0];
    *outside.refuses_to_create.lock().unwrap() = true;
    for _ in 0..3 {
        engine.wake_due(fleet.clock.now());
        engine.quiet().await;
    }
    let refused = status(&fleet, &engine, id);
    assert_eq!((refused.stage.as_str(), refused.code.as_deref()), ("creating", Some("login-refused")));
    assert!(refused.person.unwrap().contains("`rekeyd check-config --online`"));
    *outside.refuses_to_create.lock().unwrap() = false;
    engine.wake_refused(&BTreeSet::from([id.tenant.clone()]));
    engine.quiet().await;
    // What a lost answer may have made is listed by then; a login that is the same would rest for ten minutes.
    fleet.pass(std::time::Duration::from_mins(2));
    engine.wake_due(fleet.clock.now());
    engine.quiet().await;
    assert_eq!(outside.created.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn before_anybody_has_looked_the_plan_says_what_is_due_and_so_does_the_forecast() {
    let fleet = Fleet::new(2, 340);
    let engine = fleet.engine("one").await;
    let id = &fleet.outsides[0].0;
    let peek = engine.peek_at(id).await.unwrap();
    assert_eq!(peek.plan.reason.code, "adopt");
    let then = peek.then.unwrap();
    assert!(then.reason.text.starts_with("due since"), "{then:?}");
    assert!(peek.gates.iter().any(|gate| gate.name == "due" && gate.open), "{:?}", peek.gates);
    let until = rekeyd::domain::after(fleet.clock.now(), std::time::Duration::from_hours(30 * 24));
    assert_eq!(engine.forecast(until).coming, []);
    engine.presume(id).await;
    let forecast = engine.forecast(until);
    assert_eq!(forecast.coming.len(), 1);
    assert_eq!((&forecast.coming[0].credential, forecast.stopped.len()), (id, 1));
    assert!(fleet.journal.read(None, 0).await.unwrap().is_empty(), "nothing is written");
}

/// An operator's finding: the text of those who wait named a command that had been carried out already.
#[tokio::test]
async fn who_waits_is_told_how_those_before_him_stand_now() {
    let fleet = Fleet::new(2, 340);
    let engine = fleet.engine("one").await;
    let first = fleet.until_begun(&engine, 1).await.remove(0);
    let other = fleet.outsides.iter().map(|(id, _)| id).find(|id| **id != first).unwrap().clone();
    until(&fleet, &engine, &first, "soaking").await;
    let told = || status(&fleet, &engine, &other).reason.unwrap();
    assert!(told().contains("soaks until") && !told().contains("held"), "{}", told());
    let hold = Wish::Hold { until: None, reason: "audit".to_owned() };
    engine.wish(&first, hold).await.unwrap();
    assert!(told().contains(&format!("`rekeyd unhold {first}`")), "{}", told());
    engine.wish(&first, Wish::Unhold).await.unwrap();
    assert!(!told().contains("unhold"), "{}", told());
}
