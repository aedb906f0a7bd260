//! SIGKILL at random moments, again and again through the same rotation, while calls are slow on their way.
//!
//! `KILLS=N` says how often. A kill counts where the rotation was under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sap_sandbox::faults::{Fault, Rule};

use crate::chance::{Chance, base_seed};
use crate::ground::{Arrival, Course, Ground};
use crate::tally::Tally;
use crate::width::each;

/// Kills in one rotation.
const MOST: u64 = 12;
/// No process lives longer before it is killed, in milliseconds. A rotation takes about two seconds, so it gets
/// through all the same.
const LIFE: u64 = 900;
/// Kills where nobody says how many.
const SHORT: u64 = 80;

fn wanted() -> u64 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(SHORT)
}

/// A share of the calls is slow, so that their effect comes when nobody waits for it any more.
fn slow(chance: &mut Chance) -> Rule {
    let latency_ms = 20 + chance.below(200);
    Rule { probability: Some(0.2), ..Rule::always(Fault::Latency { latency_ms }) }
}

async fn trial(seed: u64) -> Tally {
    let mut chance = Chance::of(seed);
    let course = *chance.pick(&Course::ALL);
    let ground = Ground::new(course, chance.next()).await;
    ground.inject(slow(&mut chance));
    let most = 1 + chance.below(MOST);
    let mut points = 0;
    while points < most {
        let mut process = ground.launch();
        let life = Duration::from_millis(chance.below(LIFE));
        match ground.drive_for(&mut process, life).await {
            Ok(None) => points += 1,
            Ok(Some(Arrival::Over)) => break,
            Ok(Some(arrival)) => {
                return Tally::failed(points, format!("it ended up `{arrival:?}`\n{}", process.tail()));
            }
            Err(problem) => return Tally::failed(points, format!("{problem}\n{}", process.tail())),
        }
        process.kill();
    }
    ground.fleet.sandbox.clear_faults();
    ground.finish(points).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_random_moments() {
    let mut chance = Chance::of(base_seed());
    let (done, wanted) = (Arc::new(AtomicU64::new(0)), wanted());
    // More trials than are needed; those that begin when enough was killed do nothing.
    let seeds: Vec<u64> = (0..wanted).map(|_| chance.next()).collect();
    let tally = each(
        seeds,
        |seed| format!("storm seed {seed}"),
        |seed| {
            let done = Arc::clone(&done);
            async move {
                if done.load(Ordering::Relaxed) >= wanted {
                    return Tally::default();
                }
                let tally = trial(seed).await;
                done.fetch_add(tally.points, Ordering::Relaxed);
                tally
            }
        },
    )
    .await;
    tally.close("storm");
}
