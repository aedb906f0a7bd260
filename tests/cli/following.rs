//! `rotate --wait` and `restore --wait` beside a daemon that plays a rotation: what they say in the end, and their exit code.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use rekeyd::domain::event::{Entry, Event, Wish};
use rekeyd::domain::evidence::Baseline;
use rekeyd::domain::halt::HaltReason;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ground::begun;

const ROTATE: [&str; 3] = ["rotate", "acme/dataplane", "--wait"];
const RESTORE: [&str; 3] = ["restore", "acme/dataplane", "--wait"];

fn turned_back() -> Event {
    Event::TurnedBack { why: "it failed".to_owned(), baseline: Baseline::default() }
}

fn asked_back() -> Event {
    Event::Wished(Wish::Restore { reason: "it misbehaves".to_owned() })
}

fn withdrawn() -> Event {
    Event::Wished(Wish::Withdraw { reason: "not now".to_owned() })
}

/// What the daemon plays.
#[derive(Default)]
struct Play {
    /// What has happened before anything is asked or looked at.
    past: Vec<Event>,
    /// What happens after that.
    coming: Vec<Event>,
    /// Where the rotation stands when what is asked for is refused; it is taken where there is none.
    refused: Option<&'static str>,
    /// Whether the daemon ends after what is coming.
    ends: bool,
}

/// What of the play was seen so far.
#[derive(Default)]
struct Seen {
    /// The bodies of what was asked for.
    asked: Vec<String>,
    /// Whether what is coming has come.
    goes_on: bool,
    is_over: bool,
}

impl Play {
    fn answer(&self, target: &str, body: String, seen: &mut Seen) -> (u16, Value) {
        if target == "/v1/wish" {
            seen.asked.push(body);
            seen.goes_on = true;
            return match self.refused {
                Some(_) => (409, json!({ "error": "it is under way already", "exit": 1 })),
                None => (200, json!({ "credentials": 1 })),
            };
        }
        let Some((_, after)) = target.split_once("after=") else {
            seen.goes_on = true;
            return (200, self.status());
        };
        let after: u64 = after.parse().unwrap();
        let is_known = |entry: &Entry| entry.sequence > after;
        let coming = if seen.goes_on { &self.coming[..] } else { &[] };
        let all = self.past.iter().chain(coming).zip(1..).map(|(event, sequence)| entry(sequence, event));
        seen.is_over = self.ends && seen.goes_on;
        (200, json!({ "entries": all.filter(is_known).collect::<Vec<_>>() }))
    }

    fn status(&self) -> Value {
        let stage = self.refused.unwrap_or("settled");
        json!({
            "schema": 1, "daemon": "0", "at": "2026-01-01T00:00:00Z",
            "fleet": {
                "credentials": 1, "share": "everybody", "share_text": "", "open": 0, "succeeded": 0, "fuse_used": 0,
                "fuse_limit": 1, "under_way": 0, "at_once": 1, "waiting": [],
            },
            "credentials": [{
                "credential": "acme/dataplane", "phase": stage, "stage": stage, "in_use": {}, "others": {},
                "evidence": 0, "evidence_required": 4, "failures": 0,
            }],
        })
    }
}

fn entry(sequence: u64, event: &Event) -> Entry {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    Entry { sequence, at, credential: "acme/dataplane".parse().unwrap(), event: event.clone() }
}

/// Reads one request: its target and its body.
fn request(stream: &UnixStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_ascii_lowercase()
    };
    let target = line().split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        let header = line();
        if header.is_empty() {
            break;
        }
        if let Some(text) = header.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (target, String::from_utf8(body).unwrap())
}

/// A command, and the daemon it talks to.
struct Stage {
    folder: TempDir,
    seen: Arc<Mutex<Seen>>,
}

impl Stage {
    fn of(play: Play) -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap(), seen: Arc::default() };
        let listener = UnixListener::bind(stage.folder.path().join("control.sock")).unwrap();
        let seen = Arc::clone(&stage.seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (target, body) = request(&stream);
                let mut seen = seen.lock().unwrap();
                let (status, answer) = play.answer(&target, body, &mut seen);
                let answer = answer.to_string();
                let head = format!("HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\n", answer.len());
                // Who has gone meanwhile misses nothing.
                let _ = write!(stream, "{head}connection: close\r\n\r\n{answer}");
                if seen.is_over {
                    break;
                }
            }
        });
        stage
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekeyd"));
        command.args(arguments).current_dir(&self.folder).env_clear().env("REKEYD_SOCKET", "control.sock");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command to its end, which is `code`; the last line of its output and of its errors.
    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.begin(arguments).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        let last =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned();
        (last(&output.stdout), last(&output.stderr))
    }

    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().asked.clone()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const FRESH: &str = "`acme/dataplane` is settled with fresh keys; `rekeyd status acme/dataplane` shows them";
const OLD: &str = "`acme/dataplane` is settled with its old keys; `rekeyd history acme/dataplane` tells why";
const NOT_FRESH: &str = "rekeyd: `acme/dataplane` is settled with its old keys: the rotation brought no fresh ones; \
    `rekeyd history acme/dataplane` tells why";

/// What is asked for is taken, and comes to its end.
#[test]
fn the_exit_code_says_whether_what_was_asked_for_came() {
    let check = |arguments: &[&str], coming: Vec<Event>, code, out: &str, problem: &str| {
        let stage = Stage::of(Play { coming, ..Play::default() });
        let (last, error) = stage.run(arguments, code);
        assert!(last.ends_with(out), "{arguments:?}: {last}");
        assert_eq!(error, problem, "{arguments:?}");
        assert_eq!(stage.asked().len(), 1, "{arguments:?}");
    };
    let over = "the rotation is over, and the old keys stay in use";
    check(&ROTATE, vec![begun(), Event::Completed], 0, FRESH, "");
    check(&ROTATE, vec![begun(), turned_back(), Event::Completed], 1, over, NOT_FRESH);
    check(&RESTORE, vec![turned_back(), Event::Completed], 0, OLD, "");
    check(
        &ROTATE,
        vec![begun(), Event::Halted(HaltReason::Indeterminate)],
        3,
        "",
        "rekeyd: `acme/dataplane` needs a person; `rekeyd explain acme/dataplane` says what to do",
    );
    check(
        &ROTATE,
        vec![withdrawn()],
        1,
        "",
        "rekeyd: `acme/dataplane` is as it was: nothing begins; `rekeyd status acme/dataplane` shows it",
    );
    check(
        &RESTORE,
        vec![Event::Completed],
        1,
        "the rotation is over",
        "rekeyd: `acme/dataplane` is settled with fresh keys: nothing went back; \
         `rekeyd history acme/dataplane` tells why",
    );
    // Who wants no words is told of problems all the same.
    let quiet = ["rotate", "acme/dataplane", "--wait", "--quiet"];
    check(&quiet, vec![begun(), turned_back(), Event::Completed], 1, "", NOT_FRESH);
    check(&quiet, vec![begun(), Event::Completed], 0, "", "");
}

/// It turned back before anybody began to follow it.
#[test]
fn who_joins_late_is_told_the_same_end() {
    let joined =
        |past| Play { past, coming: vec![Event::Completed], refused: Some("restoring"), ends: false };
    let (_, problem) = Stage::of(joined(vec![begun(), turned_back()])).run(&ROTATE, 1);
    assert_eq!(problem, NOT_FRESH);
    // What became of the rotation before tells nothing of this one.
    let past = vec![begun(), turned_back(), Event::Completed, begun()];
    let (last, _) = Stage::of(joined(past)).run(&ROTATE, 0);
    assert_eq!(last, FRESH);
}

#[test]
fn who_comes_back_to_the_way_back_asks_for_nothing_new() {
    let check = |past: Vec<Event>, coming: Vec<Event>, stage, last: &str, problem: &str| {
        let play = Stage::of(Play { past, coming, refused: Some(stage), ends: false });
        let (said, error) = play.run(&RESTORE, 0);
        assert_eq!((said.as_str(), error.as_str()), (last, problem), "{stage}");
        assert!(play.asked().is_empty(), "{stage}: {:?}", play.asked());
    };
    let followed = "rekeyd: `acme/dataplane`: the old keys are asked back already; it is followed";
    for stage in ["restoring", "soaking", "retiring"] {
        check(vec![begun(), turned_back()], vec![Event::Completed], stage, OLD, followed);
    }
    let coming = vec![turned_back(), Event::Completed];
    check(vec![begun(), asked_back()], coming, "provisioning", OLD, followed);
    // What is over is over.
    let over = format!("the way back is over, and nothing is asked: {OLD}");
    check(vec![begun(), turned_back(), Event::Completed], vec![], "settled", &over, "");
    // Until something begins again: that is another rotation, which nobody has asked back.
    let past = vec![begun(), turned_back(), Event::Completed, begun()];
    let play = Stage::of(Play { past, coming: vec![turned_back(), Event::Completed], ..Play::default() });
    assert_eq!(play.run(&RESTORE, 0).0, OLD);
    assert_eq!(play.asked().len(), 1);
}

#[test]
fn a_daemon_that_ends_takes_nothing_with_it() {
    let check = |arguments: &[&str], coming, what: &str, verb: &str| {
        let stage = Stage::of(Play { coming: vec![coming], ends: true, ..Play::default() });
        let (_, problem) = stage.run(arguments, 69);
        let rest = problem.strip_prefix("rekeyd: the daemon on `control.sock` answers no more (");
        let (_, means) = rest.and_then(|rest| rest.split_once("): ")).expect(&problem);
        let expected = format!(
            "{what} stands in the journal and goes on at the daemon's next start, and \
             `rekeyd {verb} acme/dataplane --wait` follows it then; `rekeyd diagnose` says what is in the daemon's way"
        );
        assert_eq!(means, expected);
    };
    check(&ROTATE, begun(), "the rotation", "rotate");
    check(&RESTORE, turned_back(), "the way back", "restore");
}

/// Follows until something is said of `wanted`, and presses Ctrl-C.
fn detached(arguments: &[&str], coming: Event, wanted: &str) -> String {
    let stage = Stage::of(Play { coming: vec![coming], ..Play::default() });
    let mut child = stage.begin(arguments);
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(wanted)), "`{wanted}` is not said");
    let interrupt = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn who_detaches_may_come_back_later() {
    let words = detached(&ROTATE, begun(), "begins");
    assert!(words.starts_with("detached: what was asked for goes on. "), "{words}");
    assert!(words.contains("`rekeyd rotate acme/dataplane --wait` follows it"), "{words}");
    let words = detached(&RESTORE, turned_back(), "turns back");
    assert!(words.contains("`rekeyd restore acme/dataplane --wait` follows it"), "{words}");
}
