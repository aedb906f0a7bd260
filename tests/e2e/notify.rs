//! What systemd is told, on a socket of the test's own; and that two daemons do not share a state directory.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

/// The next message that holds `text`.
fn next(socket: &UnixDatagram, text: &str) -> String {
    let mut buffer = [0; 4096];
    for _ in 0..200 {
        let length = socket.recv(&mut buffer).expect("systemd is told something within a minute");
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(text) {
            return message;
        }
    }
    panic!("`{text}` was not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told() {
    let fleet = Fleet::new(one(prompt()), Knobs { soak: "1 h", ..Knobs::default() }).await;
    let path = fleet.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let mut rekeyd = fleet.launch_with(&variables);
    let ready = next(&socket, "READY=1");
    assert!(ready.contains("STATUS=1 credential,"), "{ready}");
    // Ready means that commands are answered.
    assert_ne!(fleet.ask(&["status"]).status.code(), Some(69));
    next(&socket, "WATCHDOG=1");
    rekeyd.signal("HUP");
    let reloading = next(&socket, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    next(&socket, "READY=1");
    // A refused reload answers as well, or systemd would wait for ever.
    std::fs::write(fleet.config(), "version = 7").unwrap();
    rekeyd.signal("HUP");
    next(&socket, "RELOADING=1");
    let refused = next(&socket, "READY=1");
    assert!(refused.contains("STATUS=the last reload was refused"), "{refused}");
    // The other way to ask for a reload is answered alike.
    let control = fleet.path("control.sock");
    assert_eq!(fleet.ask(&["reload", "--socket", control.to_str().unwrap()]).status.code(), Some(78));
    next(&socket, "RELOADING=1");
    next(&socket, "READY=1");
    rekeyd.signal("TERM");
    next(&socket, "STOPPING=1");
    assert!(rekeyd.ended(Duration::from_secs(45)).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_state_refuses() {
    let fleet = Fleet::new(one(prompt()), Knobs { soak: "1 h", ..Knobs::default() }).await;
    let _rekeyd = fleet.start().await;
    let second = fleet.ask(&["run", "--once"]);
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(text.contains("another rekeyd works with"), "{text}");
}
