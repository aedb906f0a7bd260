//! A fleet that there is not, shown by the real pages: `many TENANTS [halted]` prints the
//! address and serves until it is ended. For the
//! browser: ten thousand real rotations would take a day.

mod invented;

use std::sync::Arc;

use rekeyd::page;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let size = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(10_000);
    let mut board = invented::board(size);
    if std::env::args().nth(2).is_some_and(|word| word == "halted") {
        invented::halted(&mut board);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, page::routes(Arc::new(invented::Invented(board)))).await
}
