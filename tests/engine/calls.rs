//! What is on disk when a call goes out, and what stops a call at the last moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rekeyd::clock::Clock;
use rekeyd::domain::after;
use rekeyd::domain::event::Wish;
use rekeyd::domain::halt::HaltReason;

use super::{Call, Scene, about_to_retire};

/// A scene whose calls are written down.
fn watched() -> Scene {
    let scene = Scene::new(340);
    *scene.outside.watched.lock().unwrap() = Some(scene.journal.clone());
    scene
}

fn calls(scene: &Scene) -> Vec<Call> {
    scene.outside.calls.lock().unwrap().clone()
}

#[tokio::test]
async fn the_intent_is_on_disk_before_each_call_that_cannot_be_repeated_blindly() {
    let scene = watched();
    let engine = scene.engine("one").await;
    for _ in 0..200 {
        scene.turn(&engine).await;
    }
    assert_eq!(scene.names().await.last(), Some(&"completed"));
    let seen: Vec<_> = calls(&scene).into_iter().map(|call| (call.what, call.after.unwrap())).collect();
    let expected = [
        ("create", "create-sent"),
        ("create", "create-sent"),
        ("deliver", "ready"),
        ("provision", "provision-sent"),
        ("delete", "delete-sent"),
        ("provision", "provision-sent"),
        ("delete", "delete-sent"),
    ];
    assert_eq!(seen, expected);
}

/// Failure story 8: the disk is full, after so many entries. Nothing goes out that could not be written down before.
#[tokio::test]
async fn a_journal_that_takes_nothing_lets_no_call_out() {
    for room in 0..30 {
        let scene = watched();
        let engine = scene.engine("one").await;
        let mut made = None;
        for _ in 0..120 {
            if made.is_none() && scene.names().await.len() >= room {
                scene.journal.fill(true);
                made = Some(calls(&scene).len());
            }
            scene.turn(&engine).await;
        }
        let (made, after) = (made.unwrap(), calls(&scene));
        assert!(after.len() == made, "room for {room} entries: {:#?}", &after[made..]);
        // Some space is free again: it goes on where it was.
        scene.journal.fill(false);
        for _ in 0..200 {
            scene.turn(&engine).await;
        }
        assert_eq!(scene.names().await.last(), Some(&"completed"), "room for {room} entries");
        assert_eq!(scene.outside.created.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_fresh_key_with_the_secret_of_the_old_one_is_not_delivered() {
    let scene = watched();
    scene.outside.one_secret.store(true, Ordering::SeqCst);
    let engine = scene.engine("one").await;
    for _ in 0..60 {
        scene.turn(&engine).await;
    }
    let halt = engine.view(&scene.id).unwrap().record.unwrap().halt.clone().map(|halt| halt.reason);
    assert!(matches!(halt, Some(HaltReason::SameSecret { .. })), "{halt:?}");
    assert!(calls(&scene).iter().all(|call| call.what != "deliver"));
}

/// The hold ends, the deletion is planned, and then the clock is set back into the hold.
#[tokio::test]
async fn a_hold_that_is_in_force_again_stops_the_delete_call() {
    let (mut stopped, mut went) = (0, 0);
    for readings in 0..120 {
        let scene = watched();
        let engine = scene.engine("one").await;
        about_to_retire(&scene, &engine).await;
        let until = after(scene.clock.now(), Duration::from_mins(1));
        let wish = Wish::Hold { until: Some(until), reason: "audit".to_owned() };
        engine.wish(&scene.id, wish).await.unwrap();
        engine.quiet().await;
        scene.pass(Duration::from_secs(61));
        scene.clock.jump_after(readings, chrono::TimeDelta::seconds(-30));
        engine.push_one(&scene.id);
        engine.quiet().await;
        let deleted: Vec<_> = calls(&scene).into_iter().filter(|call| call.what == "delete").collect();
        assert!(deleted.iter().all(|call| call.at >= until), "{readings}: held until {until}: {deleted:?}");
        stopped += usize::from(deleted.is_empty());
        went += usize::from(!deleted.is_empty());
    }
    assert!(stopped > 0 && went > 0, "the clock was never set back in time, or always: {stopped}, {went}");
}

/// The process is paused for longer than its lease, at any moment: no call goes out that another instance could be
/// making at the same time.
#[tokio::test]
async fn no_call_goes_out_without_the_lease() {
    let mut paused = 0;
    for readings in 0..60 {
        let scene = watched();
        let engine = scene.engine("one").await;
        scene.clock.jump_after(readings, chrono::TimeDelta::minutes(3));
        for _ in 0..40 {
            scene.turn(&engine).await;
        }
        let unleased: Vec<_> = calls(&scene).into_iter().filter(|call| call.unleased).collect();
        assert!(unleased.is_empty(), "{readings}: {unleased:#?}");
        paused += usize::from(calls(&scene).len() > 2);
    }
    assert!(paused > 0);
}
