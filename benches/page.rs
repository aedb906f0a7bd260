//! How long the page of a large fleet takes, and how long it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use rekeyd::clock::{Clock, SystemClock};
use rekeyd::page::model::{Board, Teller, Tenant};
use rekeyd::page::{self, Source};
use tower::ServiceExt as _;

#[path = "../tests/browser/invented.rs"]
mod invented;

const ROUNDS: u32 = 20;

struct Still(Board);

#[async_trait]
impl Source for Still {
    fn asked(&self) {}

    fn daemon(&self) -> Teller {
        self.0.daemon.clone()
    }

    async fn board(&self) -> Option<Board> {
        Some(self.0.clone())
    }

    async fn tenant(&self, name: &str) -> Result<Tenant, String> {
        let row = self.0.rows.iter().find(|row| row.credential.tenant.as_str() == name);
        let row = row.ok_or_else(|| format!("there is no tenant `{name}`"))?;
        Ok(Tenant {
            daemon: self.daemon(),
            fleet: self.0.fleet.clone(),
            tenant: row.credential.tenant.clone(),
            credentials: vec![invented::full(row)],
            calendar: self.0.calendar.clone(),
            told: Some(Vec::new()),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = SystemClock::new();
    for size in [10, 1000, 10_000] {
        let mut board = invented::board(size);
        if size == 10 {
            // The dearest board: everything in every section.
            invented::halted(&mut board);
        }
        let routes = page::routes(Arc::new(Still(board)));
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
