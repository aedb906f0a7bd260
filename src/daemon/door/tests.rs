//! Slow, silent and greedy clients, and who is served all the same.

use std::net::Ipv4Addr;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::*;

/// No wait of these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than the buffers of two sockets hold.
const LARGE: usize = 64 << 20;

fn short() -> Limits {
    Limits {
        connections: 8,
        patience: Duration::from_millis(300),
        life: Duration::from_millis(500),
        last: Duration::from_millis(300),
    }
}

/// A door that waits for ever unless `limits` say otherwise.
async fn open(limits: Limits) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let routes = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/large", get(|| async { vec![b'x'; LARGE] }));
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, routes, None, limits, stop.clone()));
    (address, stop)
}

async fn connect(address: SocketAddr, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there is a socket");
    socket.bind((Ipv4Addr::from(from), 0).into()).expect("loopback is 127.0.0.0/8");
    timeout(PATIENCE, socket.connect(address)).await.expect("in time").expect("the door is open")
}

async fn ask(address: SocketAddr, from: [u8; 4]) -> String {
    let mut stream = connect(address, from).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("it is taken");
    rest(&mut stream).await
}

/// What comes until the other side ends it.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

const ME: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

#[tokio::test]
async fn a_header_that_never_ends_ends_its_connection() {
    let (address, _stop) = open(Limits { life: PATIENCE, ..short() }).await;
    let mut slow = connect(address, ME).await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-drip: ").await.expect("it is taken");
    // A byte now and then does not help.
    let (mut read, mut write) = slow.into_split();
    let drip = async move {
        while write.write_all(b"x").await.is_ok() {
            let _ = timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
        }
    };
    let ended = async move {
        let mut bytes = Vec::new();
        let _ = read.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let answer = timeout(PATIENCE, async {
        tokio::select! { answer = ended => answer, () = drip => String::new() }
    });
    assert!(!answer.await.expect("it ends in time").contains("200 OK"));
    assert!(ask(address, ME).await.ends_with("hello"));
}

#[tokio::test]
async fn whoever_takes_every_place_costs_nobody_else() {
    let for_ever = Duration::from_hours(1);
    let (address, _stop) =
        open(Limits { connections: 8, patience: for_ever, life: for_ever, last: for_ever }).await;
    // A scraper that keeps its connection is there before the others come.
    let mut scraper = connect(address, OTHER).await;
    let asked = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    scraper.write_all(asked).await.expect("it is taken");
    let mut hello = vec![0; 4096];
    assert!(scraper.read(&mut hello).await.expect("it is answered") > 0);
    let mut greedy = JoinSet::new();
    for _ in 0..100 {
        let mut stream = connect(address, ME).await;
        stream.write_all(b"GET /").await.expect("it is taken");
        greedy.spawn(async move { rest(&mut stream).await });
    }
    // Those who lost their places are told so.
    for _ in 0..90 {
        let ended = timeout(PATIENCE, greedy.join_next()).await.expect("most of them are sent away");
        ended.expect("there are more of them").expect("nobody panics");
    }
    assert!(ask(address, OTHER).await.ends_with("hello"), "another is served");
    assert!(ask(address, ME).await.ends_with("hello"), "even the next of the same address is");
    scraper.write_all(asked).await.expect("who was there is still there");
    assert!(scraper.read(&mut hello).await.expect("it is answered") > 0);
}

#[tokio::test]
async fn who_does_not_read_is_not_waited_for() {
    let (address, _stop) = open(short()).await;
    let mut lazy = connect(address, ME).await;
    lazy.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
    // Nothing is read until its life is over.
    let _ = timeout(Duration::from_millis(1500), std::future::pending::<()>()).await;
    assert!(rest(&mut lazy).await.len() < LARGE, "it was cut off");
    assert!(ask(address, ME).await.ends_with("hello"));
}

#[tokio::test]
async fn an_idle_connection_ends_and_so_does_an_endless_body() {
    let (address, _stop) = open(short()).await;
    let mut idle = connect(address, ME).await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
    assert!(rest(&mut idle).await.ends_with("hello"));
    let mut endless = connect(address, ME).await;
    endless
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        .await
        .expect("it is taken");
    assert!(rest(&mut endless).await.contains(" 405 "));
    let mut huge = connect(address, ME).await;
    let header = format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(2 * HEADER_LIMIT));
    let _ = huge.write_all(header.as_bytes()).await;
    assert!(!rest(&mut huge).await.contains(" 200 "));
}

#[tokio::test]
async fn a_stop_ends_the_door() {
    let (address, stop) = open(Limits::DEFAULT).await;
    let mut idle = connect(address, ME).await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
    let mut bytes = [0; 1024];
    assert!(idle.read(&mut bytes).await.expect("it is answered") > 0);
    stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
}
