//! Many trials, a few at a time.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::tally::Tally;

/// How many trials run at once: they mostly wait.
fn width() -> usize {
    std::env::var("KILL_WIDTH").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Runs `trial` on each of these and adds up what comes of it. `describe` says which one went wrong.
pub(crate) async fn each<T, F>(
    cases: Vec<T>,
    describe: impl Fn(&T) -> String,
    trial: impl Fn(T) -> F,
) -> Tally
where
    T: Send + 'static,
    F: Future<Output = Tally> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(width()));
    let mut running = JoinSet::new();
    for case in cases {
        let (name, slots, future) = (describe(&case), Arc::clone(&slots), trial(case));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.expect("the semaphore is never closed");
            let mut tally = future.await;
            tally.problems = tally.problems.into_iter().map(|problem| format!("{name}: {problem}")).collect();
            tally
        });
    }
    let mut sum = Tally::default();
    while let Some(ended) = running.join_next().await {
        sum.add(ended.unwrap_or_else(|panic| Tally::failed(1, format!("a trial panicked: {panic}"))));
    }
    sum
}
