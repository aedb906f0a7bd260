//! An issuer that is out for days, and who looks when it is back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::domain::event::{Event, Trigger, Wish};
use rekeyd::domain::failure::Class;
use rekeyd::domain::fleet::{Pass, Rules};
use rekeyd::domain::names::Role;
use rekeyd::domain::stage::Phase;
use rekeyd::domain::view::View;
use rekeyd::domain::{Timestamp, after, between};
use rekeyd::engine::Engine;
use rekeyd::ports::Journal;

use super::Scene;
use super::fleet::Fleet;

const SIZE: usize = 40;

/// A fleet on one landscape, whose issuer is out of order for `class` after the first look.
async fn three_days_out(fleet: &Fleet, engine: &Arc<Engine>, class: Class) {
    for (_, outside) in &fleet.outsides {
        *outside.outage.lock().unwrap() = Some(class);
    }
    let end = after(fleet.clock.now(), Duration::from_hours(72));
    while fleet.clock.now() < end {
        fleet.turn(engine).await;
    }
    for (_, outside) in &fleet.outsides {
        *outside.outage.lock().unwrap() = None;
        outside.listed.lock().unwrap().clear();
    }
}

/// Turns until somebody has seen the issuer again. Answers how long the last one took after the first.
async fn from_first_to_last(fleet: &Fleet, engine: &Arc<Engine>) -> Duration {
    let seen = || -> Vec<Timestamp> {
        let seen =
            fleet.outsides.iter().filter_map(|(_, outside)| outside.listed.lock().unwrap().first().copied());
        seen.collect()
    };
    for _ in 0..1000 {
        if seen().len() == fleet.outsides.len() {
            let seen = seen();
            return between(*seen.iter().min().unwrap(), *seen.iter().max().unwrap());
        }
        fleet.turn(engine).await;
    }
    panic!("only {} look again", seen().len());
}

#[tokio::test]
async fn when_the_issuer_is_back_everybody_looks_at_once() {
    let fleet = Fleet::new(SIZE, 100);
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    three_days_out(&fleet, &engine, Class::ServerError).await;
    let took = from_first_to_last(&fleet, &engine).await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn rotations_that_were_stopped_half_way_go_on_at_once() {
    let mut fleet = Fleet::new(SIZE, 100);
    fleet.rules = Rules { canary: false, fuse_rotations: 1000, rotations_at_once: 64, ..Rules::default() };
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    for (id, outside) in &fleet.outsides {
        outside.stuck.store(true, Ordering::SeqCst);
        let wish =
            Wish::Rotate { trigger: Trigger::Command, reason: "test".to_owned(), pass: Pass::default() };
        engine.wish(id, wish).await.unwrap();
    }
    engine.quiet().await;
    let creating = |view: View| view.record.is_some_and(|record| record.stage.phase() == Phase::Creating);
    assert!(engine.views().into_iter().all(creating), "everybody has begun and chosen names");
    three_days_out(&fleet, &engine, Class::Connect).await;
    for (_, outside) in &fleet.outsides {
        outside.stuck.store(false, Ordering::SeqCst);
    }
    let took = from_first_to_last(&fleet, &engine).await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
    let entries = fleet.journal.read(None, 0).await.unwrap();
    assert!(!entries.iter().any(|entry| matches!(entry.event, Event::Halted(_))), "an outage halts nobody");
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_by_everybody() {
    let fleet = Fleet::new(SIZE, 100);
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    three_days_out(&fleet, &engine, Class::Unauthorized).await;
    let took = from_first_to_last(&fleet, &engine).await;
    assert!(took > Duration::from_mins(30), "{took:?}");
}

#[tokio::test]
async fn a_hiccup_wakes_nobody() {
    let fleet = Fleet::new(SIZE, 100);
    let engine = fleet.engine("one").await;
    fleet.turn(&engine).await;
    let (first, hiccup) = &fleet.outsides[0];
    for (_, outside) in &fleet.outsides {
        *outside.outage.lock().unwrap() = Some(Class::Timeout);
    }
    engine.push();
    engine.quiet().await;
    for (_, outside) in &fleet.outsides {
        outside.listed.lock().unwrap().clear();
    }
    *hiccup.outage.lock().unwrap() = None;
    engine.push_one(first);
    engine.quiet().await;
    assert_eq!(hiccup.listed.lock().unwrap().len(), 1);
    let others = fleet.outsides.iter().skip(1).map(|(_, outside)| outside.listed.lock().unwrap().len());
    assert_eq!(others.sum::<usize>(), 0);
}

/// A rotation that waits to deliver because the content cannot be seen.
async fn hidden(scene: &Scene) -> Arc<Engine> {
    let engine = scene.engine("one").await;
    scene.outside.hidden.store(true, Ordering::SeqCst);
    let waits = |view: &View| view.reason.as_ref().is_some_and(|reason| reason.code == "cannot-see");
    for _ in 0..50 {
        if engine.views().iter().any(waits) {
            return engine;
        }
        scene.turn(&engine).await;
    }
    panic!("{:?}", engine.views()[0].reason);
}

#[tokio::test]
async fn content_that_stays_hidden_is_looked_for_less_and_less_often() {
    let scene = Scene::new(340);
    let engine = hidden(&scene).await;
    let end = after(scene.clock.now(), Duration::from_mins(20));
    let mut looks = 0;
    while scene.clock.now() < end {
        scene.turn(&engine).await;
        looks += 1;
    }
    assert!(looks < 60, "{looks} looks in twenty minutes");
}

#[tokio::test]
async fn a_fresh_key_that_goes_while_the_content_is_hidden_turns_back() {
    let scene = Scene::new(340);
    let engine = hidden(&scene).await;
    scene.outside.keys.lock().unwrap().get_mut(&Role::Ciapi).unwrap().pop();
    for _ in 0..5 {
        scene.turn(&engine).await;
    }
    let names = scene.names().await;
    assert!(names.contains(&"turned-back"), "{names:?}");
}
