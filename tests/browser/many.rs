//! A fleet that there is not, shown by the real pages: `many TENANTS [halted]` prints the
//! address and serves until it is ended. For the
//! browser: ten thousand real rotations would take a day.

mod invented;

use std::sync::Arc;

use async_trait::async_trait;
use rekeyd::page::model::{Board, Teller, Tenant, Told};
use rekeyd::page::{self, Source};

struct Many {
    board: Board,
}

#[async_trait]
impl Source for Many {
    fn asked(&self) {}

    fn daemon(&self) -> Teller {
        self.board.daemon.clone()
    }

    async fn board(&self) -> Option<Board> {
        Some(self.board.clone())
    }

    async fn tenant(&self, name: &str) -> Result<Tenant, String> {
        let found = self.board.rows.iter().find(|row| row.credential.tenant.as_str() == name);
        let row = found
            .ok_or_else(|| format!("there is no tenant of that name; {} have one", self.board.rows.len()))?;
        let told =
            self.board.told.iter().flatten().cloned().map(|told| Told { credential: None, ..told }).collect();
        Ok(Tenant {
            daemon: self.daemon(),
            fleet: self.board.fleet.clone(),
            tenant: row.credential.tenant.clone(),
            credentials: vec![invented::full(row)],
            calendar: self.board.calendar.clone(),
            told: Some(told),
        })
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let size = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(10_000);
    let mut board = invented::board(size);
    if std::env::args().nth(2).is_some_and(|word| word == "halted") {
        invented::halted(&mut board);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, page::routes(Arc::new(Many { board }))).await
}
