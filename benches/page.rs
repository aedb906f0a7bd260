//! How long the page of a large fleet takes, and how long it is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use rekeyd::clock::{Clock, SystemClock};
use rekeyd::page;
use tower::ServiceExt as _;

#[path = "../tests/browser/invented.rs"]
mod invented;

const ROUNDS: u32 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = SystemClock::new();
    for size in [10, 1000, 10_000] {
        let mut board = invented::board(size);
        if size == 10 {
            // The dearest board: everything in every section.
            invented::halted(&mut board);
        }
        let routes = page::routes(Arc::new(invented::Invented(board)));
        for path in ["/", "/?page=100", "/?q=999", "/tenants/tenant-00003"] {
            let (mut longest, mut spent, mut length) = (Duration::ZERO, Duration::ZERO, 0);
            for _ in 0..ROUNDS {
                let began = clock.monotonic();
                let request = Request::get(path).body(Body::empty()).expect("it is a request");
                let answer = routes.clone().oneshot(request).await.expect("routes do not fail");
                length = to_bytes(answer.into_body(), usize::MAX).await.expect("it is in memory").len();
                let took = clock.monotonic().saturating_sub(began);
                (longest, spent) = (longest.max(took), spent + took);
            }
            let mean = spent / ROUNDS;
            println!(
                "{size:>6} tenants  {path:<24} {mean:>10.1?} on average, {longest:>10.1?} at most, {length:>7} bytes"
            );
        }
    }
}
